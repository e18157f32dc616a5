"""What the post records: the wire contract (docs/contract.md) as pydantic models."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from device.readings import Assurance, ClockState

MAX_EVENT_BYTES = 8192
MOST_PICTURE_BYTES = 8 << 20
"""Of a picture on the wire, sealed or not: far more than a camera of 12 million pixels makes at good quality."""
MAX_SAFE_INTEGER = 2**53 - 1
NO_HASH = "0" * 64

MAX_TEXT = 300
_MAX_SHORT = 120


def _one_line(value: object, most: int = MAX_TEXT) -> object:
    """Texts come from error messages: one line of valid Unicode, cut to ``most`` characters."""
    if not isinstance(value, str):
        return value
    clean = value.encode("utf-8", "replace").decode()
    return cut(" ".join("".join(c if c.isprintable() else " " for c in clean).split()), most)


def cut(text: str, most: int) -> str:
    """At most so many characters of it, the last of them an ellipsis where there were more."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _short(value: object) -> object:
    return _one_line(value, _MAX_SHORT)


Text = Annotated[str, BeforeValidator(_one_line), Field(max_length=MAX_TEXT)]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", max_length=24)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Seq = Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER, strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
StaffId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]

EventId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/[1-9][0-9]{0,15}$")]
Seconds = Annotated[str, Field(pattern=r"^-?[0-9]{1,12}\.[0-9]{3}$")]

Verdict = Literal["accepted", "unknown", "expired", "revoked", "repeated"]


def rfc3339(wall_ms: int) -> str:
    """Milliseconds since 1970-01-01 UTC as ``2026-11-23T01:15:00.123Z`` (RFC 3339, always UTC, 3 decimals)."""
    moment = datetime.fromtimestamp(wall_ms // 1000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{wall_ms % 1000:03d}Z"


def decimal_seconds(uptime_ms: int) -> str:
    """Milliseconds as a decimal string of seconds with 3 decimals: ``86400.123``, ``-2.960``."""
    sign, ms = "-" if uptime_ms < 0 else "", abs(uptime_ms)
    return f"{sign}{ms // 1000}.{ms % 1000:03d}"


def wall_ms_of(time: str) -> int:
    """The milliseconds since 1970-01-01 UTC that ``rfc3339`` wrote. Raises ValueError for a 31st of February."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def uptime_ms_of(uptime: str) -> int:
    """The milliseconds that ``decimal_seconds`` wrote."""
    return int(uptime.replace(".", ""))


class Jwk(BaseModel):
    """An Ed25519 public key (RFC 8037): ``x`` is 32 bytes, base64url without padding."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    x: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    kid: KeyId
    alg: Literal["EdDSA"] = "EdDSA"
    use: Literal["sig"] = "sig"


class Position(BaseModel):
    """A place in a chain: an event's number and the SHA-256 of its bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    chain: Uuid
    seq: Seq
    hash: Sha256


class Data(BaseModel):
    """Base of every kind's ``data``."""

    # Built when first used (``defer_build``): before its first green light a post needs but few of them.
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    kind: ClassVar[str]


class Checkin(Data):
    """An officer tapped a badge or pressed a check-in button."""

    kind: ClassVar[str] = "checkin"

    method: Literal["badge", "button"]
    officer: StaffId | None
    badge: Sha256 | None = Field(description="HMAC-SHA256 of the badge number under the site key")
    verdict: Verdict
    assurance: Assurance
    reader: Name | None


class Door(Data):
    """A door moved, stayed open too long, or opened without its check-in; or a lid or tamper line moved."""

    kind: ClassVar[str] = "door"

    door: Name
    change: Literal["opened", "closed", "held", "forced", "tampered"]
    since: Time | None = Field(description="when the door was opened; null where that was not seen")


class Picture(Data):
    """A picture was taken and stored; its bytes travel on their own, and ``sha256`` is of these bytes."""

    kind: ClassVar[str] = "picture"

    sha256: Sha256
    bytes: Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER)]
    sealed: bool = Field(description="whether only headquarters can open it (HPKE)")
    plain_sha256: Sha256 | None = Field(description="of the JPEG inside a sealed picture; null where it is not")
    width: Annotated[int, Field(ge=1, le=65_535)]
    height: Annotated[int, Field(ge=1, le=65_535)]
    taken: Time = Field(description="when the camera took it")
    offset: Seconds = Field(description="seconds from the event that asked to when it was taken")
    why: EventId | None = Field(description="the id of the event that asked for it; null where none did")
    replaces: Sha256 | None = Field(description="the same picture, which was too large for the broker")


class System(Data):
    """Base of what the post says of itself; ``change`` tells the forms apart, ``what`` names the part."""

    kind: ClassVar[str] = "system"


class ChainBegan(System):
    """The first event of every chain: why it began, what came before, and the key that signs it."""

    change: Literal["chain"] = "chain"
    why: Literal["first", "damaged", "rolled-back", "replaced"]
    previous: Position | None
    jwk: Jwk


class KeyChanged(System):
    """The next events of this chain are signed by ``jwk``; this one still by the key before."""

    change: Literal["key"] = "key"
    jwk: Jwk


class Booted(System):
    """The program started. ``why``: ``boot`` after a start of the machine, ``restart`` within the same boot."""

    change: Literal["boot"] = "boot"
    what: Literal["post"] = "post"
    why: Literal["boot", "restart"]
    firmware: Text


class Stopped(System):
    """The program ends and knows it."""

    change: Literal["stop"] = "stop"
    what: Literal["post"] = "post"
    why: Text


class Blind(System):
    """A part cannot see any more."""

    change: Literal["blind"] = "blind"
    what: Text
    why: Text


class Sighted(System):
    """A blind part sees again; ``since`` is when it went blind."""

    change: Literal["sighted"] = "sighted"
    what: Text
    since: Time


class ClockChanged(System):
    """The clock's state changed or the wall clock stepped against the uptime, at this event's time and uptime."""

    change: Literal["clock"] = "clock"
    what: Literal["clock"] = "clock"
    state: ClockState
    error_ms: int | None = Field(description="bound of the wall clock's error; null where nothing is known")
    step_ms: int = Field(description="how far the wall clock stepped, 0 for a change of state alone")


class Power(System):
    """Mains lost or back, as a UPS's line tells; the supply too weak or enough again, as the machine tells."""

    change: Literal["power"] = "power"
    what: Literal["mains", "supply"]
    ok: bool
    why: Text


class Storage(System):
    """Commits failed, or there was no room for them. ``unrecorded``: taps shown red for it since ``since``."""

    change: Literal["storage"] = "storage"
    what: Literal["journal"] = "journal"
    room: Literal["free", "reserved"] = Field(
        description="free: it works again; reserved: check-ins are red, and this is written into the last 1 MiB"
    )
    why: Text
    since: Time
    unrecorded: int
    dropped: int = Field(description="other readings that could not be kept until the disk came back")


class RosterInForce(System):
    """Which roster decides from here on."""

    change: Literal["roster"] = "roster"
    what: Literal["roster"] = "roster"
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = Field(description="empty for no file")
    officers: int


class Unusable(System):
    """Something handed to the post was refused or set aside."""

    change: Literal["refused"] = "refused"
    what: Text
    why: Text


class OrderTaken(System):
    """An order from headquarters was taken or refused. ``what``: its name; ``id``: null where it was unreadable."""

    change: Literal["order"] = "order"
    what: Text
    id: Uuid | None
    ok: bool
    error: Text | None


MOST_PARTS = 24
"""More parts would not fit a self-test's event; a post has half as many."""


class PartTest(BaseModel):
    """What a self-test found of one part. ``ok`` is null for what only people can see, or what nobody has moved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: Annotated[str, BeforeValidator(_one_line), Field(max_length=50)]
    ok: bool | None
    why: Annotated[str, BeforeValidator(_short), Field(max_length=_MAX_SHORT)]


class SelfTested(System):
    """A self-test, at an order (``order`` is its id), at a shift's time, or by ``guardpost check`` at the post."""

    change: Literal["selftest"] = "selftest"
    what: Literal["post"] = "post"
    why: Literal["order", "shift", "check"]
    order: Uuid | None
    passed: bool
    parts: Annotated[tuple[PartTest, ...], Field(max_length=MOST_PARTS)]


class Lost(System):
    """Events ``from`` to ``to`` (inclusive) of a chain are gone for good; nobody need ask for them."""

    change: Literal["lost"] = "lost"
    chain: Uuid
    from_: Seq = Field(alias="from")
    to: Seq
    why: Text


class PictureLost(System):
    """A picture that was announced is gone for good; nobody need ask for it."""

    change: Literal["lost"] = "lost"
    picture: Sha256
    why: Text


def _change(data: object) -> str | None:
    """What tells the forms of ``system`` apart; two of them speak of what is lost."""
    if isinstance(data, Mapping):
        change, of_picture = data.get("change"), "picture" in data
    else:
        change, of_picture = getattr(data, "change", None), isinstance(data, PictureLost)
    return "lost-picture" if change == "lost" and of_picture else change


SystemData = Annotated[
    Annotated[ChainBegan, Tag("chain")]
    | Annotated[KeyChanged, Tag("key")]
    | Annotated[Booted, Tag("boot")]
    | Annotated[Stopped, Tag("stop")]
    | Annotated[Blind, Tag("blind")]
    | Annotated[Sighted, Tag("sighted")]
    | Annotated[ClockChanged, Tag("clock")]
    | Annotated[Power, Tag("power")]
    | Annotated[Storage, Tag("storage")]
    | Annotated[RosterInForce, Tag("roster")]
    | Annotated[Unusable, Tag("refused")]
    | Annotated[OrderTaken, Tag("order")]
    | Annotated[SelfTested, Tag("selftest")]
    | Annotated[Lost, Tag("lost")]
    | Annotated[PictureLost, Tag("lost-picture")],
    Discriminator(_change),
]


class Draft(BaseModel):
    """An event before it has a number: what the rules decide. ``subject``: the sensor's name, or ``post``."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    subject: Name
    data: Checkin | Door | Picture | SystemData

    @property
    def kind(self) -> str:
        """The topic level and the middle of the CloudEvents type."""
        return self.data.kind


def is_alarm(data: Data) -> bool:
    """Whether an event is also sent ahead of everything that waits."""
    return isinstance(data, Door) and data.change in ("forced", "tampered")


class Envelope(BaseModel):
    """One event on the wire: CloudEvents 1.0, structured mode, plus number, chain and signature.

    Members and kinds this version does not know are kept: they are verified like known ones.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, defer_build=True)

    specversion: Literal["1.0"]
    id: Annotated[str, Field(max_length=60)]
    source: Annotated[str, Field(pattern=r"^/[A-Za-z0-9_-]{1,32}/[a-z0-9-]{1,32}/[a-z0-9-]{1,32}$")]
    type: Annotated[str, Field(pattern=r"^guardpost\.[a-z0-9-]{1,32}\.v[1-9][0-9]{0,3}$")]
    subject: Name
    time: Time
    datacontenttype: Literal["application/json"]
    data: dict[str, Any]
    chain: Uuid
    seq: Seq
    prev: Sha256
    bootid: Uuid
    uptime: Annotated[str, Field(pattern=r"^[0-9]{1,12}\.[0-9]{3}$")]
    clock: ClockState
    keyid: KeyId
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{86}$")]

    @property
    def kind(self) -> str:
        """``checkin`` of ``guardpost.checkin.v1``."""
        return self.type.split(".")[1]

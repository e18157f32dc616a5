"""The post's configuration: one TOML file into one frozen tree; every mistake is one line with its mend."""

import base64
import re
from collections.abc import Iterable, Iterator
from datetime import time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from device.drivers import reader_driver, reader_names
from device.errors import ConfigError
from device.problems import parse_toml, problem, validated

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
NTP_PORT = 123
_HOST = re.compile(r"[A-Za-z0-9._:%-]+")


def _duration(value: object) -> object:
    """``"90s"``, ``"5m"``, ``"1h"``, ``"500ms"`` or ``"2d"``."""
    found = re.fullmatch(r"(\d{1,9})(ms|s|m|h|d)", value) if isinstance(value, str) else None
    if found is None:
        raise problem(f'{value!r} is no duration; write a number and a unit in quotes, like "90s", "5m" or "1h"')
    return timedelta(milliseconds=int(found[1]) * _UNITS_MS[found[2]])


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
Pin = Annotated[int, Field(ge=2, le=27, strict=True)]


_S = TypeVar("_S", bound="Section")


class Section(BaseModel):
    """Base of every section: frozen, unknown keys refused."""

    # Built when first used (``defer_build``, in all models): as a part of the whole, not each alone at import.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class PostSection(Section):
    """``[post]``: who and where."""

    site: Slug
    name: Slug
    timezone: str = "UTC"
    state_dir: Path = Path("/var/lib/guardpost")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise problem(f'{value!r} is no time zone; write an IANA name like "Asia/Jakarta"') from None
        return value


class Broker(BaseModel):
    """One broker's address."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        """As its owner wrote it, in full."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def _broker(value: object) -> object:
    mend = "write mqtts://host:8883, or mqtt://127.0.0.1:1883 for a broker on this machine"
    if not isinstance(value, str):
        raise problem(f"{value!r} is no broker address; {mend}")
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise problem(f"{value!r} is no broker address; {mend}") from None
    if url.username or url.password:
        raise problem("no user or password in an address; the user is site/name, put the password in password_file")
    host_named = url.hostname is not None and _HOST.fullmatch(url.hostname) is not None
    more = url.path.strip("/") or url.query or url.fragment
    if url.scheme not in ("mqtt", "mqtts") or not host_named or port == 0 or more:
        raise problem(f"{value!r} is no broker address; {mend}")
    tls = url.scheme == "mqtts"
    return {"host": url.hostname, "port": port or (8883 if tls else 1883), "tls": tls}


_SIZES = {"kB": 1_000, "KiB": 1 << 10, "MB": 10**6, "MiB": 1 << 20, "GB": 10**9, "GiB": 1 << 30}
SMALLEST_JOURNAL_BYTES = 4 << 20
SMALLEST_STORE_BYTES = 4 << 20
SLOWEST_PICTURES = 1_000


def _size(value: object) -> object:
    """``"500MB"``, ``"1GiB"``: bytes."""
    found = re.fullmatch(r"(\d{1,9})(kB|KiB|MB|MiB|GB|GiB)", value) if isinstance(value, str) else None
    if found is None:
        raise problem(f'{value!r} is no size; write a number and a unit in quotes, like "500MB" or "1GiB"')
    return int(found[1]) * _SIZES[found[2]]


class LinkSection(Section):
    """``[link]``: the way to the control room. ``picture_rate``: bytes a second that pictures may take of it."""

    brokers: Annotated[tuple[Annotated[Broker, BeforeValidator(_broker)], ...], Field(min_length=1)]
    root: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = "guardpost"
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    keep_until: Literal["receipt", "broker"] = "receipt"
    receipt_timeout: Duration = timedelta(seconds=30)
    keepalive: Duration = timedelta(seconds=60)
    state_every: Duration = timedelta(minutes=5)
    picture_rate: Annotated[int, BeforeValidator(_size)] = 128_000
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @field_validator("keepalive")
    @classmethod
    def _keepalive_fits(cls, value: timedelta) -> timedelta:
        if not timedelta(seconds=5) <= value <= timedelta(hours=1):
            raise problem('must be from "5s" to "1h"')
        return value

    @field_validator("state_every")
    @classmethod
    def _state_paced(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=5):
            raise problem('must be "5s" or more')
        return value

    @field_validator("picture_rate")
    @classmethod
    def _fast_enough(cls, value: int) -> int:
        if value < SLOWEST_PICTURES:
            raise problem('must be "1kB" or more (a second)')
        return value

    @model_validator(mode="after")
    def _hears_refusals(self) -> "LinkSection":
        if self.keep_until == "broker" and self.protocol == "3.1.1":
            raise problem(
                'keep_until = "broker" needs MQTT 5, since 3.1.1 hides refusals; drop protocol or keep_until'
            )
        return self

    @model_validator(mode="after")
    def _pair(self) -> "LinkSection":
        if (self.certificate_file is None) != (self.key_file is None):
            raise problem("certificate_file and key_file belong together; give both or neither")
        return self


class TimeServer(BaseModel):
    """A time server's address."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    host: str
    port: int

    def __str__(self) -> str:
        """Without the port that all have."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == NTP_PORT else f"{host}:{self.port}"


def _time_server(value: object) -> object:
    try:
        url = urlsplit(f"//{value}" if isinstance(value, str) else "")
        address = {"host": url.hostname, "port": NTP_PORT if url.port is None else url.port}
    except ValueError:
        url, address = urlsplit(""), {}
    host_named = url.hostname is not None and _HOST.fullmatch(url.hostname) is not None
    if not host_named or url.port == 0 or "@" in url.netloc or url.path or url.query or url.fragment:
        raise problem(f'{value!r} is no time server; write its address, like "192.168.1.1"')
    return address


class TimeSection(Section):
    """``[time]``: a time server near the post, which ``guardpost check`` asks."""

    server: Annotated[TimeServer, BeforeValidator(_time_server)] | None = None


class JournalSection(Section):
    """``[journal]``: how long events stay that headquarters has, and how large the journal may grow."""

    keep_days: Annotated[int, Field(ge=0, le=36_500, strict=True)] = 90
    most_bytes: Annotated[int, BeforeValidator(_size)] = 1 << 30

    @field_validator("most_bytes")
    @classmethod
    def _large_enough(cls, value: int) -> int:
        if value < SMALLEST_JOURNAL_BYTES:
            raise problem('must be "4MiB" or more')
        return value


class RosterSection(Section):
    """``[roster]``: who may tap."""

    file: Path = Path("/etc/guardpost/roster.toml")


class CheckinSection(Section):
    """``[checkin]``: how taps are judged."""

    repeat_after: Duration = timedelta(seconds=10)


class ReaderSection(Section):
    """``[[reader]]``: a badge reader; each driver has keys of its own besides these."""

    name: Slug
    driver: str

    def pins(self) -> Iterable[tuple[int, str]]:
        """BCM pins that are this reader's alone, and the key or the use of each."""
        return ()

    def shared(self) -> Iterable[tuple[int, str]]:
        """BCM pins of a bus, which others on the same bus name in the same way."""
        return ()

    def ports(self) -> Iterable[tuple[str, str]]:
        """Ports, and the user of each; readers that share a port name one user."""
        return ()

    def devices(self) -> Iterable[tuple[Path, str]]:
        """Device files that the driver opens, and what to do where one is not there."""
        return ()

    def libraries(self) -> Iterable[tuple[str, str]]:
        """Modules that the driver imports as it opens them, and how each is installed."""
        return ()


def _reader(value: object) -> object:
    """A section with the keys of its driver."""
    if not isinstance(value, dict):
        return value
    name = value.get("driver")
    try:
        section: type[ReaderSection] = reader_driver(name if isinstance(name, str) else "").section
    except LookupError:
        raise problem(f"driver {name!r} is not known; there are {', '.join(sorted(reader_names()))}") from None
    except ImportError as error:
        raise problem(f"driver {name!r} needs {error.name}; install it, see the README") from None
    return section.model_validate(value)


AnyReader = Annotated[SerializeAsAny[ReaderSection], BeforeValidator(_reader)]


class ContactSection(Section):
    """A contact between ``pin`` and ground. ``normally``: while the door is shut, or all is well."""

    name: Slug
    pin: Pin
    normally: Literal["closed", "open"] = "closed"


class DoorSection(ContactSection):
    """``[[door]]``: a door's contact."""

    held_after: Duration = timedelta(seconds=60)
    forced_without_checkin: Duration | None = None


class ButtonSection(Section):
    """``[[button]]``: a push button between ``pin`` and ground."""

    name: Slug
    pin: Pin
    does: Literal["checkin"]


class TamperSection(ContactSection):
    """``[[tamper]]``: a lid's contact, or a tamper line: an alarm each time it leaves its normal state."""


def _hours(value: object) -> object:
    """``"22:00-06:00"``: from when until when."""
    clock = r"([01]\d|2[0-3]):([0-5]\d)"
    found = re.fullmatch(f"{clock}-{clock}", value) if isinstance(value, str) else None
    if found is not None:
        begins, ends = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
        if begins != ends:
            return begins, ends
    raise problem(f'{value!r} are no hours; write from and until, local time, in quotes, like "22:00-06:00"')


Hours = Annotated[tuple[time, time], BeforeValidator(_hours)]
Percent = Annotated[int, Field(ge=10, le=100, strict=True)]


class IndicatorSection(Section):
    """``[indicator]``: lights and buzzer.

    ``lit_by``, ``buzzer_by``: the level of the pin that switches them on. ``tone_hz``: of a passive buzzer.
    ``volume``, ``night_volume``: percent; an active buzzer beeps for so much of its time instead.
    """

    green: Pin
    red: Pin
    lit_by: Literal["high", "low"] = "high"
    buzzer: Pin | None = None
    buzzer_kind: Literal["active", "passive"] = "active"
    buzzer_by: Literal["high", "low"] = "high"
    tone_hz: Annotated[int, Field(ge=100, le=10_000, strict=True)] = 2_000
    volume: Percent = 100
    night: Hours | None = None
    night_volume: Percent = 30

    @model_validator(mode="after")
    def _tone_can_be_given(self) -> "IndicatorSection":
        if "tone_hz" in self.model_fields_set and self.buzzer_kind == "active":
            raise problem('an active buzzer has a tone of its own; drop tone_hz, or write buzzer_kind = "passive"')
        return self


class UpsSection(Section):
    """``[ups]``: a UPS's line that tells whether there are mains. ``mains_when``: its level while there are.

    ``stop_after``: without mains for so long, the post stops and the machine is switched off; absent: never.
    """

    pin: Pin
    mains_when: Literal["high", "low"]
    stop_after: Duration | None = None


def _time_of_day(value: object) -> object:
    """``"05:55"``."""
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", value) if isinstance(value, str) else None
    if found is None:
        raise problem(f'{value!r} is no time of day; write it in quotes, like "05:55"')
    return time(int(found[1]), int(found[2]))


class SelftestSection(Section):
    """``[selftest]``: when the post tests itself, by the time of day in its own time zone."""

    at: tuple[Annotated[time, BeforeValidator(_time_of_day)], ...] = ()


CameraEvent = Literal["checkin", "door", "duress", "missed", "order"]
LARGEST_SIDE = 8_192
SMALLEST_SIDE = 64
LONGEST_BEFORE = timedelta(seconds=30)


def _seal_key(value: object) -> object:
    """An X25519 public key, base64url without padding: its 32 bytes."""
    mend = "write the 43 characters that guardpost-provision picture-key printed"
    if not isinstance(value, str) or re.fullmatch(r"[A-Za-z0-9_-]{43}", value) is None:
        raise problem(f"{value!r} is no X25519 public key; {mend}")
    key = base64.urlsafe_b64decode(value + "=")
    if base64.urlsafe_b64encode(key).decode().rstrip("=") != value or not _agrees(key):
        raise problem(f"{value!r} is no X25519 public key; {mend}")
    return key


def _agrees(key: bytes) -> bool:
    """Whether a secret can be agreed on with a key: not with one of small order (RFC 7748, section 6.1)."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError:
        return False
    return True


Side = Annotated[int, Field(ge=SMALLEST_SIDE, le=LARGEST_SIDE, multiple_of=2, strict=True)]
Edge = Annotated[int, Field(ge=0, strict=True)]
Length = Annotated[int, Field(ge=1, strict=True)]


class CameraSection(Section):
    """``[camera]``: what it looks at, when it takes pictures, and how long these are kept.

    ``size``: width and height, pixels. ``rate``: frames a second that are kept for ``before``. ``masks``: left,
    top, width and height of what is painted over, pixels. ``controls``: libcamera's, by name. ``seal_to``: the
    X25519 public key of headquarters, which alone can open the pictures then.
    """

    number: Annotated[int, Field(ge=0, le=7, strict=True)] = 0
    size: tuple[Side, Side] = (1920, 1080)
    on: tuple[CameraEvent, ...] = ("checkin", "door", "duress", "missed", "order")
    before: Duration = timedelta(seconds=3)
    after: Duration = timedelta(seconds=1)
    rate: Annotated[int, Field(ge=1, le=15, strict=True)] = 4
    quality: Annotated[int, Field(ge=10, le=100, strict=True)] = 85
    most_a_minute: Annotated[int, Field(ge=1, le=600, strict=True)] = 30
    masks: tuple[tuple[Edge, Edge, Length, Length], ...] = ()
    controls: dict[str, bool | int | float | str | tuple[float, ...]] = {}
    seal_to: Annotated[bytes, BeforeValidator(_seal_key)] | None = None
    keep_days: Annotated[int, Field(ge=0, le=36_500, strict=True)] = 30
    most_bytes: Annotated[int, BeforeValidator(_size)] = 1 << 30

    @field_validator("before", "after")
    @classmethod
    def _near(cls, value: timedelta) -> timedelta:
        if value > LONGEST_BEFORE:
            raise problem('must be "30s" or less: so many frames are held in memory')
        return value

    @field_validator("most_bytes")
    @classmethod
    def _room_for_some(cls, value: int) -> int:
        if value < SMALLEST_STORE_BYTES:
            raise problem('must be "4MiB" or more')
        return value

    @model_validator(mode="after")
    def _masks_inside(self) -> "CameraSection":
        width, height = self.size
        for left, top, wide, high in self.masks:
            if left + wide > width or top + high > height:
                raise problem(
                    f"mask [{left}, {top}, {wide}, {high}] (left, top, width, height) is not inside the picture, "
                    f"which is {width} x {height}; make it smaller"
                )
        return self


class Config(Section):
    """The whole file."""

    post: PostSection
    link: LinkSection
    journal: JournalSection = JournalSection()
    time: TimeSection = TimeSection()
    roster: RosterSection = RosterSection()
    checkin: CheckinSection = CheckinSection()
    reader: tuple[AnyReader, ...] = ()
    door: tuple[DoorSection, ...] = ()
    button: tuple[ButtonSection, ...] = ()
    tamper: tuple[TamperSection, ...] = ()
    indicator: IndicatorSection | None = None
    ups: UpsSection | None = None
    camera: CameraSection | None = None
    selftest: SelftestSection = SelftestSection()

    _written_ms: int = PrivateAttr(default=0)

    @property
    def written_ms(self) -> int:
        """When the file was last written, milliseconds since 1970 UTC: on a new card, when that was made."""
        return self._written_ms

    @cached_property
    def source(self) -> str:
        """The CloudEvents source, which is the topic root with a slash before it."""
        return f"/{self.link.root}/{self.post.site}/{self.post.name}"

    @property
    def timezone(self) -> ZoneInfo:
        """The time zone of dates in the roster and of what people are shown."""
        return ZoneInfo(self.post.timezone)

    @model_validator(mode="after")
    def _one_owner_each(self) -> "Config":
        for owners, what, mend in (
            (self._pins(), "pin", "give each its own pin"),
            (self._ports(), "port", "give each its own"),
            (self._names(), "name", "give each its own name, since it becomes an event's subject"),
        ):
            taken: dict[object, str] = {}
            for value, owner in owners:
                if value in taken:
                    raise problem(f"{what} {value} is used by {taken[value]} and by {owner}; {mend}")
                taken[value] = owner
        return self

    def _names(self) -> Iterator[tuple[str, str]]:
        yield "post", "the post itself"
        yield "camera", "the camera"
        for kind in ("reader", "door", "button", "tamper"):
            for index, section in enumerate(getattr(self, kind)):
                yield section.name, f"{kind}[{index}]"

    def _ports(self) -> Iterator[tuple[str, str]]:
        yield from dict.fromkeys(port for reader in self.reader for port in reader.ports())

    def _pins(self) -> Iterator[tuple[int, str]]:
        yield from {(pin, use) for reader in self.reader for pin, use in reader.shared()}
        for kind in ("reader", "door", "button", "tamper"):
            for index, section in enumerate(getattr(self, kind)):
                yield from _pins_of(section, f"{kind}[{index}]")
        if self.ups is not None:
            yield self.ups.pin, "ups.pin"
        if self.indicator is not None:
            for light in ("green", "red", "buzzer"):
                if (pin := getattr(self.indicator, light)) is not None:
                    yield pin, f"indicator.{light}"


def _pins_of(section: Section, owner: str) -> Iterator[tuple[int, str]]:
    if isinstance(section, ReaderSection):
        yield from ((pin, f"{owner}.{use}") for pin, use in section.pins())
    if isinstance(section, ContactSection | ButtonSection):
        yield section.pin, f"{owner}.pin"


def load(file: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError, one line a problem."""
    try:
        content, written_ns = file.read_bytes(), file.stat().st_mtime_ns
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); name another with --config") from None
    config = parse(parse_toml(content, file), file)
    config._written_ms = written_ns // 1_000_000
    return config


def parse(content: dict[str, Any], file: Path) -> Config:
    """The tree from a file's content; relative paths are relative to the file. Raises ConfigError."""
    return _resolved(validated(Config, content, file), file.resolve().parent)


def _resolved(section: _S, folder: Path) -> _S:
    """The same section with every path made absolute."""
    changed: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Path):
            changed[name] = folder / value
        elif isinstance(value, Section):
            changed[name] = _resolved(value, folder)
        elif isinstance(value, tuple):
            changed[name] = tuple(_resolved(item, folder) if isinstance(item, Section) else item for item in value)
    return section.model_copy(update=changed) if changed else section

"""What the outside told the post: every reading carries the instant at which its worker saw it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, Protocol

ClockState = Literal["synced", "holdover", "unsynced"]
Assurance = Literal["none", "uid", "sun", "mutual", "osdp-sc"]


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment as the post knows it.

    ``uptime_ms``: milliseconds since boot (CLOCK_BOOTTIME), what deadlines are measured in.
    ``wall_ms``: milliseconds since 1970-01-01 UTC, what people read; it may step.
    ``clock``: how far ``wall_ms`` may be believed. ``error_ms``: bound of its error, None where unknown.
    """

    uptime_ms: int
    wall_ms: int
    clock: ClockState = "synced"
    error_ms: int | None = None

    def earlier(self, ms: int) -> "Instant":
        """The instant ``ms`` milliseconds before this one."""
        return replace(self, uptime_ms=self.uptime_ms - ms, wall_ms=self.wall_ms - ms)


class Clock(Protocol):
    """Where instants come from."""

    def now(self) -> Instant:
        """The present instant."""
        ...


@dataclass(frozen=True, slots=True)
class BadgeRead:
    """A badge was held to a reader. ``uid``: its number, 3 to 10 bytes; a UID as the card sent it."""

    at: Instant
    reader: str
    uid: bytes
    assurance: Assurance = "uid"


@dataclass(frozen=True, slots=True)
class Garbled:
    """What came from a part was refused: broken frames, or more than anybody could tap. ``part`` as in PartBlind.

    ``count``: how often since the last reading of this kind, which is at most one a minute for each part.
    """

    at: Instant
    part: str
    why: str
    count: int


@dataclass(frozen=True, slots=True)
class ButtonPressed:
    """A button went from released to pressed, debounced."""

    at: Instant
    button: str


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """A door's, lid's or tamper line's debounced state: ``open`` is the door's, whatever the wiring.

    ``unseen``: how it stands as the program starts, or once its line can be believed again; when it moved was
    not seen.
    """

    at: Instant
    contact: str
    open: bool
    unseen: bool = False


@dataclass(frozen=True, slots=True)
class PartBlind:
    """A part stopped answering. ``part`` names it as ``reader gate``; ``why`` is one line for people."""

    at: Instant
    part: str
    why: str


@dataclass(frozen=True, slots=True)
class PartSighted:
    """A part answers: for the first time since the start, or again."""

    at: Instant
    part: str


class Trouble(StrEnum):
    """What was found wrong while opening the state folder and the roster; ``system`` events name it."""

    ROSTER = "roster"
    JOURNAL = "journal"
    SIGNING_KEY = "signing key"
    SITE_KEY = "site key"
    SNAPSHOT = "snapshot"
    BROKER = "broker"
    CAMERA = "camera"
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True)
class Refused:
    """Something handed to the post was unusable and set aside. ``why``: one line: what, where, the mend."""

    at: Instant
    what: Trouble
    why: str


@dataclass(frozen=True, slots=True)
class Started:
    """The program started. ``same_boot``: the kernel has not restarted since the last recorded event."""

    at: Instant
    same_boot: bool
    firmware: str


@dataclass(frozen=True, slots=True)
class RosterLoaded:
    """A roster is in force. ``sha256``: lower-case hex of the file's bytes, empty for no file."""

    at: Instant
    sha256: str
    officers: int


class Room(StrEnum):
    """What the journal has room for: everything, or what the reserve is kept for."""

    FREE = "free"
    RESERVED = "reserved"


@dataclass(frozen=True, slots=True)
class CommitFailed:
    """Durable commits failed, or there was no room for them, since ``at``.

    ``unrecorded``: how many taps were shown red for it. ``dropped``: how many other readings were
    more than could be kept for a later commit. ``room``: what there is room for now.
    """

    at: Instant
    why: str
    unrecorded: int
    dropped: int
    room: Room = Room.FREE


@dataclass(frozen=True, slots=True)
class Removed:
    """Headquarters lacks what it had receipted and what was removed here: ``first`` to ``last`` of a chain."""

    at: Instant
    chain: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class MainsChanged:
    """The UPS's line: ``on`` while there are mains. Told once at the start, then at each change, debounced."""

    at: Instant
    on: bool


UNDERVOLTAGE = "under-voltage: see power supply and cable"
"""What people are told where the machine tells of it."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the machine tells of itself; None for what it does not.

    ``temperature_c``: the processor's, degrees Celsius. ``undervoltage``, ``throttled``: so now.
    ``disk_free``, ``disk_size``: bytes of the disk that the state folder is on, free for this user, and in all.
    """

    at: Instant
    temperature_c: float | None
    undervoltage: bool | None
    throttled: bool | None
    disk_free: int | None
    disk_size: int | None


@dataclass(frozen=True, slots=True)
class Photo:
    """What came from the camera for the event ``why`` (its id), before it is stored; no rule hears of it.

    ``jpeg``: with its EXIF, masks painted over. ``size``: width and height in pixels. ``taken``: the instant of the
    frame. ``offset_ms``: from the event to it. ``urgent``: as it was asked for.
    """

    why: str
    jpeg: bytes
    size: tuple[int, int]
    taken: Instant
    offset_ms: int
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class PictureTaken:
    """A picture is stored, for the event ``why`` (its id). ``size``: width and height in pixels.

    ``sha256``: of the ``length`` bytes that are stored and sent. ``plain_sha256``: of the JPEG inside where these
    are sealed, else None. ``taken``: the instant of the frame. ``offset_ms``: from the event to it.
    ``replaces``: the sha256 of the same picture, which was too large for the broker.
    """

    at: Instant
    why: str | None
    sha256: str
    length: int
    plain_sha256: str | None
    size: tuple[int, int]
    taken: Instant
    offset_ms: int
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class PictureFailed:
    """A picture for the event ``event`` (its id) could not be taken or stored. ``why``: one line for people."""

    at: Instant
    event: str
    why: str


@dataclass(frozen=True, slots=True)
class PictureGone:
    """A picture that was announced cannot be handed over any more."""

    at: Instant
    sha256: str
    why: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Someone asked the program to end (a signal), or a rule did. ``power_off``: the machine should end as well."""

    at: Instant
    why: str
    power_off: bool = False


@dataclass(frozen=True, slots=True)
class Crashed:
    """A worker thread died of an exception nobody expected; the program ends and is started again."""

    at: Instant
    thread: str
    why: str


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker accepted connection ``generation``.

    ``receive_maximum``, ``maximum_packet`` (bytes, None for no limit): MQTT 5, sections 3.2.2.3.3 and 3.2.2.3.6.
    """

    at: Instant
    generation: int
    receive_maximum: int
    maximum_packet: int | None = None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Connection ``generation`` ended or never came up.

    ``speaks_other``: the broker refused this protocol version (CONNACK 0x01 or 0x84).
    ``mute``: it closed before any CONNACK, as a server that speaks another version may.
    """

    at: Instant
    generation: int
    why: str
    speaks_other: bool = False
    mute: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """A PUBACK. ``reason``: its MQTT 5 reason code, 0x00 where MQTT 3.1.1 has none."""

    at: Instant
    generation: int
    mid: int
    reason: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message from headquarters. ``mid``: to be acknowledged once what comes of it is on disk."""

    at: Instant
    generation: int
    mid: int
    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed order. ``sha256``: of its bytes, so that the same order again is known as the same.

    ``replay``, ``picture``: the events, or the picture by its SHA-256, that a ``replay`` asks for.
    """

    at: Instant
    name: str
    id: str
    expires_ms: int
    sha256: str
    replay: "ReplayRange | None"
    ack: tuple[int, int]
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class ReplayRange:
    """Events ``first`` to ``last`` (inclusive) of a chain."""

    chain: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Misasked:
    """An order that cannot be obeyed as it is. ``id``: where it could be read."""

    at: Instant
    name: str
    id: str | None
    why: str
    ack: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replay order was worked off: ``reply`` is what headquarters is told."""

    at: Instant
    id: str
    reply: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Headquarters has receipted what this journal does not hold: its disk lied, or an old image was restored."""

    at: Instant
    why: str


LinkReading = Connected | Disconnected | Delivered | Arrived
RuleReading = (
    BadgeRead
    | Garbled
    | ButtonPressed
    | ContactChanged
    | PartBlind
    | PartSighted
    | Refused
    | Started
    | RosterLoaded
    | CommitFailed
    | StopRequested
    | Crashed
    | Asked
    | Misasked
    | Replayed
    | RolledBack
    | Removed
    | MainsChanged
    | Vitals
    | PictureTaken
    | PictureFailed
    | PictureGone
)
Reading = RuleReading | LinkReading

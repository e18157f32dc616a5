"""What the loop needs of the journal, the panel, the link and the clock."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from device.addresses import Broker
from device.effects import Answer, TakePicture
from device.readings import Instant, LinkReading, ReplayRange, RuleReading
from device.record.chain import Sealed
from device.record.journal import Sent
from device.record.upkeep import Delivery


class Journal(Protocol):
    """What the loop needs of the journal."""

    def append(self, events: Sequence[Sealed], snapshots: Mapping[str, str], sent: Sent) -> int:
        """Commit durably, all or nothing; the newest position. Raises NotRecorded."""
        ...

    def short(self) -> str | None:
        """Why there is room for no more than the last words; None while there is."""
        ...

    def unreadable(self) -> str | None:
        """Why the disk does not give the journal back; None if it does, be it damaged or not."""
        ...


class Upkeep(Protocol):
    """What the journal needs between events."""

    def work(self, now: Instant, delivery: Delivery, *, idle: bool) -> None:
        """Do what is due; ``idle``: no reading waits. Raises JournalDamaged, NotReadable."""
        ...


class Watcher(Protocol):
    """What looks on from beside the loop, in the loop's own thread."""

    def passed(self, now: Instant, status: Callable[[], str]) -> None:
        """A real pass has been made. ``status``: how the post stands, in a line for people; made when called."""
        ...

    def stopping(self, why: str) -> None:
        """The loop works no more; what follows is the farewell."""
        ...


class Panel(Protocol):
    """What the loop needs of lights and buzzer."""

    def show(self, answer: Answer, reader: str | None = None) -> None:
        """Answer the officer who held a badge to ``reader``, or pressed a button; returns at once."""
        ...

    def line(self, up: bool) -> None:
        """Whether the control room can be reached."""
        ...


class Link(Protocol):
    """What the loop needs of the way to the control room. All calls return at once."""

    @property
    def up(self) -> bool:
        """A broker is connected."""
        ...

    @property
    def through(self) -> tuple[Broker, str] | None:
        """The broker that is connected, and the MQTT version spoken with it."""
        ...

    @property
    def done(self) -> int:
        """Every event up to this position was acknowledged by a broker."""
        ...

    def take(self, reading: LinkReading) -> Sequence[RuleReading]:
        """Something happened on the line; what the rules have to know of it."""
        ...

    def known(self) -> Sent:
        """What the next commit should keep."""
        ...

    def freed(self) -> int:
        """Every event up to this position may be removed: headquarters has it, and nothing sends it again."""
        ...

    def recorded(self, ack: tuple[int, int]) -> None:
        """What came of a message from headquarters is on disk: acknowledge it (generation, mid)."""
        ...

    def reply(self, order: str, members: Mapping[str, object]) -> None:
        """Answer an order."""
        ...

    def replay(self, order: str, wanted: ReplayRange, now: Instant) -> None:
        """Send events again; the result comes back as ``Replayed``."""
        ...

    def work(self, now: Instant, newest: int, holds: Callable[[], Mapping[str, Any]]) -> None:
        """Dial, publish what waits, renew the retained messages: as far as it goes now."""
        ...

    def due(self) -> int | None:
        """Uptime in milliseconds at which ``work`` has something to do without a reading."""
        ...

    @property
    def quiet(self) -> bool:
        """Nothing waits for an acknowledgement."""
        ...

    def say_goodbye(self, why: str, now: Instant) -> None:
        """Tell that the post stops."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class Pictures(Protocol):
    """What the loop needs of the camera and of where its pictures go. All calls return at once."""

    def take(self, wanted: TakePicture) -> None:
        """Take pictures; each comes back as ``PictureTaken`` or ``PictureFailed``."""
        ...

    def announced(self, sha256: str, event: str, position: int) -> None:
        """The event (its id) that announces a picture is on disk, at ``position`` or before."""
        ...

    def again(self, order: str, sha256: str) -> None:
        """Send a picture again; the result comes back as ``Replayed``."""
        ...

    def work(self, done: int, through: tuple[Broker, str] | None) -> None:
        """How far events are acknowledged, and by which broker, over which MQTT version; None without a line."""
        ...

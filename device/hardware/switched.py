"""One switched input, pure: edges and levels in, readings out."""

from collections.abc import Iterator
from dataclasses import dataclass

from device.errors import GuardpostError
from device.hardware.chatter import Chatter
from device.hardware.debounce import Debounce
from device.hardware.hearing import Heard, Hearing
from device.readings import ButtonPressed, ContactChanged, Instant, MainsChanged, PartBlind, PartSighted, Reading


@dataclass(frozen=True, slots=True)
class DoorContact:
    """The contact of a door or lid, or a tamper line. ``open_when_low``: closed while the door is open."""

    name: str
    pin: int
    open_when_low: bool


@dataclass(frozen=True, slots=True)
class Button:
    """A button to ground."""

    name: str
    pin: int


@dataclass(frozen=True, slots=True)
class MainsLine:
    """A UPS's line. ``on_when_low``: its level while there are mains. A cut wire reads high."""

    pin: int
    on_when_low: bool
    name: str = "UPS line"


Input = DoorContact | Button | MainsLine


class InputDeaf(GuardpostError):
    """Edges of an input came, come no more, and opening it again did not help: only a new program can."""


class Switched:
    """An input as it is known: settled changes are told, unless it chatters; blind and sighted, once each."""

    def __init__(self, what: Input, low: bool, now: Instant) -> None:
        """``low``: the level at the start."""
        self.what = what
        self._hearing = Hearing()
        self._debounce = Debounce(low)
        self._chatter = Chatter(low, now.uptime_ms, sticks=isinstance(what, Button))
        self._told = low
        self._ms = self._edge_ms = now.uptime_ms
        self._heard = False
        self._deaf: str | None = None
        self._blind: bool | None = None
        """None until it is known: it may have been blind when the program last ended."""

    @property
    def part(self) -> str:
        """What it is called where it is blind."""
        return f"input {self.what.name}"

    @property
    def due_ms(self) -> int | None:
        """When to sample again, while the level is not settled."""
        return self._debounce.due_ms

    def stands(self, now: Instant) -> list[Reading]:
        """How it stands, where nobody saw it change; a button that is held is no press."""
        return [] if isinstance(self.what, Button) else [self._say(now, seen=False)]

    def edge(self, at_ms: int) -> None:
        """An edge came, to be sampled later. Called in the driver's thread, all else in ours: it only notes."""
        self._hearing.edge(at_ms)
        self._edge_ms = at_ms

    def sample(self, low: bool, at: Instant) -> list[Reading]:
        """An edge, or a level that was read: the change that it settles."""
        # An edge that had to wait may be older than a level that was read meanwhile, and others may still wait.
        self._ms = ms = max(self._ms, at.uptime_ms)
        self._debounce.edge(self._edge_ms)
        began_ms = self._debounce.sample(low, ms)
        if began_ms is None:
            return []
        self._hearing.changed(began_ms, ms)
        self._chatter.changed(low, ms)
        if self._chatter.noisy:
            return []
        self._told = low
        if isinstance(self.what, Button) and not low:
            return []
        return [self._say(at.earlier(at.uptime_ms - began_ms))]

    def look(self, now: Instant) -> tuple[list[Reading], bool]:
        """Called every second or more often: whether it can be believed, and what it says if it can again.

        The second value: its edges do not come, so open it again. Raises InputDeaf where that was of no use.
        """
        heard = self._hearing.look(now.uptime_ms)
        if heard is Heard.STAYS_DEAF:
            raise InputDeaf(f"{self.part}: edges came before, and do not come since it was opened again")
        if heard is Heard.WELL:
            self._heard, self._deaf = True, None
        elif heard is Heard.DEAF:
            self._deaf = "a change came without its edges; it is opened again, and its level is read"
        self._chatter.look(now.uptime_ms, self._debounce.moving_since_ms)
        return [*self._sight(now), *self._catch_up(now)], heard is Heard.DEAF

    def _sight(self, now: Instant) -> Iterator[Reading]:
        why = self._chatter.why or self._deaf
        if why is not None and not self._blind:
            self._blind = True
            yield PartBlind(now, self.part, why)
        elif why is None and (self._blind or (self._blind is None and self._heard)):
            self._blind = False
            yield PartSighted(now, self.part)

    def _catch_up(self, now: Instant) -> list[Reading]:
        """What changed while it was noisy."""
        if self._told == self._debounce.settled or self._chatter.noisy:
            return []
        self._told = self._debounce.settled
        return self.stands(now)

    def _say(self, at: Instant, *, seen: bool = True) -> Reading:
        low, what = self._told, self.what
        if isinstance(what, DoorContact):
            return ContactChanged(at, what.name, low == what.open_when_low, unseen=not seen)
        if isinstance(what, MainsLine):
            return MainsChanged(at, low == what.on_when_low)
        return ButtonPressed(at, what.name)

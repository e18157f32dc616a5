"""Door contacts, buttons, the UPS's line: gpiozero's edges, our debounce, and every level read again and again."""

import logging
import queue
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from gpiozero import DigitalInputDevice
from gpiozero.pins import Factory

from device.errors import GuardpostError
from device.hardware.debounce import Debounce
from device.hardware.hearing import Heard, Hearing
from device.hardware.worker import Worker
from device.readings import (
    ButtonPressed,
    Clock,
    ContactChanged,
    Instant,
    MainsChanged,
    PartBlind,
    PartSighted,
    Reading,
)

REREAD_MS = 200
"""A change whose edges the driver lost is found within this: a quarter second on a deaf button is a press."""

MOST_EDGES = 1_000
"""Edges that wait at once. What more a humming line makes tells nothing that its level, read again, does not."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DoorContact:
    """A contact to ground. ``open_when_low``: the door is open while the contact is closed."""

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


@dataclass(slots=True)
class _Input:
    what: Input
    device: DigitalInputDevice
    debounce: Debounce
    hearing: Hearing = field(default_factory=Hearing)

    @property
    def part(self) -> str:
        """What it is called where it is deaf."""
        return f"input {self.what.name}"


@dataclass(frozen=True, slots=True)
class _Edge:
    input: _Input
    low: bool
    at: Instant


class InputDeaf(GuardpostError):
    """Edges of an input came, come no more, and opening it again did not help: only a new program can."""


class Contacts:
    """All switched inputs of the post, in one thread, which ends with InputDeaf where it has to."""

    def __init__(
        self,
        inputs: Sequence[Input],
        factory: Factory,
        clock: Clock,
        inbox: "queue.SimpleQueue[Reading]",
    ) -> None:
        """Take the pins, with their pull-ups on."""
        self._factory = factory
        self._clock = clock
        self._inbox = inbox
        self._edges: queue.SimpleQueue[_Edge | None] = queue.SimpleQueue()
        self._inputs = [self._first(what) for what in inputs]
        self.worker = Worker("contacts", clock, inbox)

    def start(self) -> None:
        """Say how every door and the mains stand, then follow the changes."""
        now = self._clock.now()
        for an_input in self._inputs:
            low = an_input.debounce.settled
            if isinstance(what := an_input.what, DoorContact):
                self._inbox.put(ContactChanged(now, what.name, low == what.open_when_low, at_start=True))
            elif isinstance(what, MainsLine):
                self._say(what, low, now)
        self.worker.start(self._run)

    def stop(self) -> None:
        """End the thread and free the pins."""
        self._edges.put(None)
        if self.worker.ended():
            for an_input in self._inputs:
                an_input.device.close()

    def _first(self, what: Input) -> _Input:
        device = self._device(what)
        an_input = _Input(what, device, Debounce(device.is_active))
        self._listen(an_input)
        return an_input

    def _device(self, what: Input) -> DigitalInputDevice:
        # With the pull-up on, "active" is low: the contact or button connects the pin to ground.
        return DigitalInputDevice(what.pin, pull_up=True, pin_factory=self._factory)

    def _listen(self, an_input: _Input) -> None:
        an_input.device.when_activated = partial(self._edge, an_input, True)
        an_input.device.when_deactivated = partial(self._edge, an_input, False)

    def _edge(self, an_input: _Input, low: bool) -> None:
        """Called in the factory's thread, where an exception would make every pin deaf: only note and put."""
        now = self._clock.now()
        an_input.hearing.edge(now.uptime_ms)
        if self._edges.qsize() < MOST_EDGES:
            self._edges.put(_Edge(an_input, low, now))

    def _run(self) -> None:
        reread_ms = self._clock.now().uptime_ms + REREAD_MS
        while True:
            if self.worker.beat():
                self.worker.sighted()
            due = (an_input.debounce.due_ms for an_input in self._inputs)
            wake_ms = min((reread_ms, *(ms for ms in due if ms is not None)))
            try:
                edge = self._edges.get(timeout=max(0, wake_ms - self._clock.now().uptime_ms) / 1000)
            except queue.Empty:
                pass
            else:
                if edge is None:
                    return
                self._sample(edge.input, edge.low, edge.at)
            # Looked at after every edge too: one humming line must not keep the others waiting.
            now = self._clock.now()
            everyone = now.uptime_ms >= reread_ms
            if everyone:
                reread_ms = now.uptime_ms + REREAD_MS
            for an_input in self._inputs:
                due_ms = an_input.debounce.due_ms
                if everyone or (due_ms is not None and now.uptime_ms >= due_ms):
                    self._sample(an_input, an_input.device.is_active, now)
                if everyone:
                    self._look(an_input, now)

    def _sample(self, an_input: _Input, low: bool, at: Instant) -> None:
        began_ms = an_input.debounce.sample(low, at.uptime_ms)
        if began_ms is None:
            return
        self._say(an_input.what, low, at.earlier(at.uptime_ms - began_ms))
        an_input.hearing.changed(began_ms, at.uptime_ms)

    def _look(self, an_input: _Input, now: Instant) -> None:
        """Whether its edges are heard; where they are not, what can be done about it."""
        match an_input.hearing.look(now.uptime_ms):
            case Heard.WELL:
                self._inbox.put(PartSighted(now, an_input.part))
            case Heard.DEAF:
                why = f"a change came without its edges; it is opened again, and read every {REREAD_MS} ms"
                log.error("%s: %s", an_input.part, why)
                self._inbox.put(PartBlind(now, an_input.part, why))
                an_input.device.close()
                an_input.device = self._device(an_input.what)
                self._listen(an_input)
            case Heard.STAYS_DEAF:
                raise InputDeaf(f"{an_input.part}: edges came before, and do not come since it was opened again")

    def _say(self, what: Input, low: bool, at: Instant) -> None:
        if isinstance(what, DoorContact):
            self._inbox.put(ContactChanged(at, what.name, low == what.open_when_low))
        elif isinstance(what, MainsLine):
            self._inbox.put(MainsChanged(at, low == what.on_when_low))
        elif low:
            self._inbox.put(ButtonPressed(at, what.name))

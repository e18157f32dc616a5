"""Door contacts and buttons: gpiozero's edges, our debounce, and every level read again each second."""

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from gpiozero import DigitalInputDevice
from gpiozero.pins import Factory

from device.hardware.debounce import Debounce
from device.readings import ButtonPressed, Clock, ContactChanged, Instant, Reading

REREAD_MS = 1_000
"""An edge that the driver lost heals within this."""


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


@dataclass(slots=True)
class _Input:
    what: DoorContact | Button
    device: DigitalInputDevice
    debounce: Debounce


@dataclass(frozen=True, slots=True)
class _Edge:
    input: _Input
    low: bool
    at: Instant


class Contacts:
    """All switched inputs of the post, in one thread."""

    def __init__(
        self,
        inputs: Sequence[DoorContact | Button],
        factory: Factory,
        clock: Clock,
        inbox: "queue.SimpleQueue[Reading]",
    ) -> None:
        """Take the pins, with their pull-ups on."""
        self._clock = clock
        self._inbox = inbox
        self._edges: queue.SimpleQueue[_Edge | None] = queue.SimpleQueue()
        self._inputs = [self._open(what, factory) for what in inputs]
        self._thread = threading.Thread(target=self._run, name="contacts")

    def start(self) -> None:
        """Say how every door stands, then follow the changes."""
        now = self._clock.now()
        for an_input in self._inputs:
            if isinstance(what := an_input.what, DoorContact):
                is_open = an_input.debounce.settled == what.open_when_low
                self._inbox.put(ContactChanged(now, what.name, is_open, at_start=True))
        self._thread.start()

    def stop(self) -> None:
        """End the thread and free the pins."""
        self._edges.put(None)
        self._thread.join()
        for an_input in self._inputs:
            an_input.device.close()

    def _open(self, what: DoorContact | Button, factory: Factory) -> _Input:
        # With the pull-up on, "active" is low: the contact or button connects the pin to ground.
        device = DigitalInputDevice(what.pin, pull_up=True, pin_factory=factory)
        an_input = _Input(what, device, Debounce(device.is_active))
        device.when_activated = partial(self._edge, an_input, True)
        device.when_deactivated = partial(self._edge, an_input, False)
        return an_input

    def _edge(self, an_input: _Input, low: bool) -> None:
        """Called in the factory's thread, where an exception would make every pin deaf: only put."""
        self._edges.put(_Edge(an_input, low, self._clock.now()))

    def _run(self) -> None:
        reread_ms = self._clock.now().uptime_ms + REREAD_MS
        while True:
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

    def _sample(self, an_input: _Input, low: bool, at: Instant) -> None:
        began_ms = an_input.debounce.sample(low, at.uptime_ms)
        if began_ms is None:
            return
        self._say(an_input.what, low, at.earlier(at.uptime_ms - began_ms))

    def _say(self, what: DoorContact | Button, low: bool, at: Instant) -> None:
        if isinstance(what, DoorContact):
            self._inbox.put(ContactChanged(at, what.name, low == what.open_when_low))
        elif low:
            self._inbox.put(ButtonPressed(at, what.name))

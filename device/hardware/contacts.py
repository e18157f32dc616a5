"""Contacts of doors and lids, buttons, the UPS's line: gpiozero's edges, and every level read again and again."""

import logging
import queue
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from gpiozero import DigitalInputDevice
from gpiozero.pins import Factory

from device.hardware.switched import Input, Switched
from device.hardware.worker import Worker
from device.readings import Clock, Instant, PartBlind, Reading

REREAD_MS = 200
"""A change whose edges the driver lost is found within this: a quarter second on a deaf button is a press."""

MOST_EDGES = 1_000
"""Edges that wait at once. What more a humming line makes tells nothing that its level, read again, does not."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Input:
    switched: Switched
    device: DigitalInputDevice


@dataclass(frozen=True, slots=True)
class _Edge:
    input: _Input
    low: bool
    at: Instant


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
        """Say how every contact stands, then follow the changes."""
        now = self._clock.now()
        for an_input in self._inputs:
            self._put(an_input.switched.stands(now))
        self.worker.start(self._run)

    def stop(self) -> None:
        """End the thread and free the pins."""
        self._edges.put(None)
        if self.worker.ended():
            for an_input in self._inputs:
                an_input.device.close()

    def _first(self, what: Input) -> _Input:
        device = self._device(what)
        an_input = _Input(Switched(what, device.is_active, self._clock.now()), device)
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
        an_input.switched.edge(now.uptime_ms)
        if self._edges.qsize() < MOST_EDGES:
            self._edges.put(_Edge(an_input, low, now))

    def _run(self) -> None:
        reread_ms = self._clock.now().uptime_ms + REREAD_MS
        while True:
            if self.worker.beat():
                self.worker.sighted()
            due = (an_input.switched.due_ms for an_input in self._inputs)
            wake_ms = min((reread_ms, *(ms for ms in due if ms is not None)))
            try:
                edge = self._edges.get(timeout=max(0, wake_ms - self._clock.now().uptime_ms) / 1000)
            except queue.Empty:
                pass
            else:
                if edge is None:
                    return
                self._put(edge.input.switched.sample(edge.low, edge.at))
            # Looked at after every edge too: one humming line must not keep the others waiting.
            now = self._clock.now()
            everyone = now.uptime_ms >= reread_ms
            if everyone:
                reread_ms = now.uptime_ms + REREAD_MS
            for an_input in self._inputs:
                due_ms = an_input.switched.due_ms
                if everyone or (due_ms is not None and now.uptime_ms >= due_ms):
                    self._put(an_input.switched.sample(an_input.device.is_active, now))
                if everyone:
                    self._look(an_input, now)

    def _look(self, an_input: _Input, now: Instant) -> None:
        readings, reopen = an_input.switched.look(now)
        self._put(readings)
        if reopen:
            an_input.device.close()
            an_input.device = self._device(an_input.switched.what)
            self._listen(an_input)

    def _put(self, readings: Iterable[Reading]) -> None:
        for reading in readings:
            if isinstance(reading, PartBlind):
                log.error("%s: %s", reading.part, reading.why)
            self._inbox.put(reading)

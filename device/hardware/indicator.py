"""Two lights and a buzzer: one thread plays the patterns, the newest answer replaces the one before."""

import queue
import time
from collections import deque

from gpiozero import DigitalOutputDevice
from gpiozero.pins import Factory

from device.effects import Answer
from device.hardware.buzzer import Buzzer, Sound, open_buzzer
from device.hardware.patterns import DARK_BETWEEN_MS, NO_LINE, NO_LINE_EVERY_MS, PATTERNS, Moment
from device.hardware.worker import Worker
from device.readings import Clock, Reading

_DARK = Moment(0)


class Indicator:
    """Plays answers on ``green``, ``red`` and ``buzzer`` (BCM pins)."""

    def __init__(
        self,
        green: int,
        red: int,
        buzzer: int | None,
        factory: Factory,
        clock: Clock,
        inbox: "queue.SimpleQueue[Reading]",
        *,
        lit_by_low: bool = False,
        sound: Sound | None = None,
    ) -> None:
        """Take the pins; dark. ``lit_by_low``: the lights hang on a board that switches on with a low pin."""
        self._clock = clock
        self._sound = sound or Sound()
        self._lights = {
            name: DigitalOutputDevice(pin, active_high=not lit_by_low, pin_factory=factory)
            for name, pin in (("green", green), ("red", red))
        }
        self._buzzer: Buzzer | None = None if buzzer is None else open_buzzer(buzzer, self._sound, factory)
        self._wanted: queue.SimpleQueue[Answer | bool | None] = queue.SimpleQueue()
        self._lit = _DARK
        self._moments: deque[Moment] = deque()
        self._line = False
        self.worker = Worker("indicator", clock, inbox)

    def start(self) -> None:
        """Begin to play."""
        self.worker.start(self._run)

    def show(self, answer: Answer, reader: str | None = None) -> None:  # noqa: ARG002
        """Answer the officer; returns at once."""
        self._wanted.put(answer)

    def line(self, up: bool) -> None:
        """Whether the control room can be reached; while it cannot, a red flash now and then says so."""
        self._wanted.put(up)

    def stop(self) -> None:
        """Dark, and the pins are free again."""
        self._wanted.put(None)
        if self.worker.ended():
            for light in self._lights.values():
                light.close()
            if self._buzzer is not None:
                self._buzzer.close()

    def _run(self) -> None:
        until_s = time.monotonic()
        while True:
            if self.worker.beat():
                self.worker.sighted()
            try:
                wanted = self._wanted.get(timeout=max(0.0, until_s - time.monotonic()))
            except queue.Empty:
                until_s = time.monotonic() + self._next() / 1000
                continue
            if wanted is None:
                self._light(_DARK)
                return
            if isinstance(wanted, bool):
                self._line = wanted
                if wanted:
                    self._moments = deque(moment for moment in self._moments if moment is not NO_LINE)
            else:
                self._begin(wanted)
                until_s = time.monotonic()

    def _begin(self, answer: Answer) -> None:
        self._moments = deque(PATTERNS[answer])
        if self._buzzer is not None:
            percent = self._sound.loudness.percent(self._clock.now())
            self._moments = deque(self._buzzer.at(percent, PATTERNS[answer]))
        if self._lit != _DARK:
            self._moments.appendleft(Moment(DARK_BETWEEN_MS))  # an answer of its own, not more of the last one

    def _next(self) -> int:
        """Light the next moment; how long it lasts, in milliseconds."""
        if self._moments:
            moment = self._moments.popleft()
            self._light(moment)
            return moment.ms
        self._light(_DARK)
        if not self._line:
            self._moments.append(NO_LINE)
        return NO_LINE_EVERY_MS

    def _light(self, moment: Moment) -> None:
        # In this order a light never rises before its beep, so the first edge already tells the answer.
        if self._buzzer is not None and moment.buzzer != self._lit.buzzer:
            self._buzzer.sound(moment.buzzer)
        for name, light in self._lights.items():
            level = getattr(moment, name)
            if level != getattr(self._lit, name):
                light.value = level
        self._lit = moment

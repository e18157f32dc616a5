"""The whole board of one post, from its configuration: readers, doors, buttons, and an officer before it."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime
from typing import TypeVar

from device.config import Config
from device.config_wired import ContactSection
from device.hardware.readers.driver import Copper
from simulator.contacts import Switch
from simulator.errors import CommandError
from simulator.factory import Change, SimFactory
from simulator.far_ends import FarEnd, Site, far_end
from simulator.officer import BUZZER, LOOKS, OUTPUTS, Officer, Seen
from simulator.scenery import Scenery

START_WITHIN_S = 15.0
_LOOK_S = 0.2
PATIENCE_S = 3.0
"""How long an officer holds a card before a reader, and then waits for an answer."""
AWAY_S = 0.7
"""How long a card is away before the same one is held there again: a reader takes less for a flicker."""
PRESSED_S = 0.15
"""How long a finger stays on a button: well beyond the 40 ms of debounce."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Response:
    """What came of a tap or a press. ``seen`` is None where no answer came in time."""

    seen: Seen | None
    note: str

    def __str__(self) -> str:
        """In words, as a person at the post would say it."""
        return f"{self.seen.sign} ({LOOKS[self.seen.sign]})" if self.seen else self.note


class Board:
    """A post's copper. Hand ``factory`` to the device program; then tap, press, open and close."""

    def __init__(
        self, config: Config, *, log: Path | None = None, seed: int = 0, patience_s: float = PATIENCE_S
    ) -> None:
        """``log``: where changes of outputs are written. ``seed``: of the contacts' bounces.

        Raises OSError, and SimulatorError where the camera's scene cannot be written.
        """
        self._outputs = _outputs(config)
        names = {
            pin: f"{use.removesuffix('_pin')}-{reader.name}"
            for reader in config.reader
            for pin, use in reader.pins()
        }
        self.factory = SimFactory(self._outputs | names, log)
        self._by_low = _by_low(config)
        for pin in self._by_low:
            self.factory.hold(pin, True)  # what is switched on by a low pin has a pull-up of its own
        site = Site(self.factory, state_dir=config.post.state_dir)
        self._scenery = Scenery(config)
        self.copper = Copper(self.factory, open_input=site.open_input, camera=self._scenery.command)
        self._readers = {reader.name: far_end(reader, site) for reader in config.reader}
        contacts: tuple[ContactSection, ...] = (*config.door, *config.tamper)
        self._doors = {
            contact.name: (contact, self._switch(contact.pin, contact.normally == "closed", seed))
            for contact in contacts
        }
        self._buttons = {button.name: self._switch(button.pin, False, seed) for button in config.button}
        self._ups = config.ups
        if config.ups is not None:
            self.mains(True)
        self._officer = Officer(has_buzzer=BUZZER in self._outputs.values())
        self._patience_s = patience_s
        self._inputs: set[int | str] = {
            *(contact.pin for contact in contacts),
            *(button.pin for button in config.button),
            *([] if config.ups is None else [config.ups.pin]),
        }
        self._gone = threading.Event()
        self._sees = threading.Condition()
        self._hands = threading.Lock()
        self._last_card: dict[str, tuple[bytes, float]] = {}
        self.factory.listen(self._changed)

    def wait_ready(self) -> None:
        """Until the device program looks after every input. Raises CommandError if it does not, or has ended."""
        until_s = time.monotonic() + START_WITHIN_S
        waits: list[Callable[[float], bool]] = [partial(self.factory.wait_taken, self._inputs)]
        waits += [reader.wait_ready for reader in self._readers.values()]
        for taken in waits:
            while not taken(_LOOK_S):
                if self._gone.is_set():
                    raise CommandError("the post has ended; see what it said")
                if time.monotonic() >= until_s:
                    why = f"the post has not taken its pins within {START_WITHIN_S:g} s"
                    raise CommandError(f"{why}; see what it says")

    def gone(self) -> None:
        """The device program has ended: no command waits for it any more."""
        self._gone.set()

    def tap(self, uid: bytes, reader: str | None = None) -> Response:
        """Hold a card before a reader until it was read; the answer that follows. Raises CommandError."""
        name, chip = self._reader(reader)
        with self._hands, self._scenery.someone(name):  # one officer at a time stands before the lights
            last, removed_s = self._last_card.get(name, (b"", 0.0))
            if uid == last:
                time.sleep(max(0.0, removed_s + AWAY_S - time.monotonic()))
            placed_s = clock_gettime(CLOCK_BOOTTIME)
            chip.place(uid)
            try:
                was_read = chip.wait_read(uid, self._patience_s)
            finally:
                chip.remove(uid)
                self._last_card[name] = uid, time.monotonic()
            if not was_read:
                return Response(None, f"not read within {self._patience_s:g} s")
            return self._answer(placed_s)

    def lay(self, uid: bytes, reader: str | None = None) -> None:
        """Leave a card at a reader, beside those that lie there. Raises CommandError."""
        self._reader(reader)[1].place(uid)

    def take(self, uid: bytes, reader: str | None = None) -> None:
        """Take it away again. Raises CommandError."""
        self._reader(reader)[1].remove(uid)

    def press(self, button: str) -> Response:
        """Press a button and let it go; the answer that follows. Raises CommandError."""
        switch = _known(self._buttons, button, "button")
        with self._hands, self._scenery.someone(button):
            pressed_s = clock_gettime(CLOCK_BOOTTIME)
            switch.move(True)
            time.sleep(PRESSED_S)
            switch.move(False)
            return self._answer(pressed_s)

    def open_door(self, door: str) -> None:
        """Open a door or lid; returns once its contact rests. Raises CommandError."""
        section, switch = _known(self._doors, door, "door")
        self._scenery.door(door, is_open=True)
        switch.move(section.normally == "open")

    def close_door(self, door: str) -> None:
        """Shut a door or lid; returns once its contact rests. Raises CommandError."""
        section, switch = _known(self._doors, door, "door")
        self._scenery.door(door, is_open=False)
        switch.move(section.normally == "closed")

    def hum(self, name: str, on: bool) -> None:
        """The line of a door, lid or button hums at 50 Hz, or is quiet again. Raises CommandError."""
        switches = {door: switch for door, (_, switch) in self._doors.items()} | self._buttons
        _known(switches, name, "input").hum(on)

    def hold(self, button: str, down: bool) -> None:
        """Keep a button pressed, or let it go. Raises CommandError."""
        _known(self._buttons, button, "button").move(down)

    def mains(self, on: bool) -> None:
        """The UPS's line says whether there are mains. Raises CommandError."""
        if self._ups is None:
            raise CommandError("no UPS in this post's configuration; write its [ups] section")
        self.factory.hold(self._ups.pin, on is (self._ups.mains_when == "high"))

    def camera(self, fault: str) -> str:
        """The camera fails, or is ``well`` again; what it does then. Raises CommandError."""
        return self._scenery.camera(fault)

    def reader(self, name: str) -> FarEnd:
        """A reader, for its faults. Raises CommandError."""
        return self._reader(name)[1]

    def lights(self) -> str:
        """What is lit now, and the last answer with its age."""
        with self._sees:
            lit = ", ".join(
                f"{output} {'on' if self._officer.lit[output] else 'off'}"
                for output in OUTPUTS
                if output in self._outputs.values()
            )
            last = self._officer.last
        if last is None:
            return f"{lit or 'no lights'}; no answer yet"
        age_s = clock_gettime(CLOCK_BOOTTIME) - last.began_s
        return f"{lit}; last answer: {last.sign} {age_s:.1f} s ago"

    def close(self) -> None:
        """Free the pins and close the log; stop the device program first."""
        for reader in self._readers.values():
            reader.close()
        self._scenery.close()
        for switch in (*(switch for _, switch in self._doors.values()), *self._buttons.values()):
            switch.hum(False)
        self.factory.close()

    def _switch(self, pin: int, closed: bool, seed: int) -> Switch:
        return Switch(lambda level: self.factory.hold(pin, level), closed, f"{seed}/{pin}")

    def _reader(self, name: str | None) -> tuple[str, FarEnd]:
        if name is None:
            name = next(iter(self._readers), "")
        return name, _known(self._readers, name, "reader")

    def _changed(self, change: Change) -> None:
        """An output changed: the officer sees it."""
        output = self._outputs.get(change.pin)
        if output is not None:
            with self._sees:
                on = change.tone_hz > 0 or change.level != (change.pin in self._by_low)
                self._officer.feed(change.at_s, output, on)
                self._sees.notify_all()

    def _answer(self, since_s: float) -> Response:
        """The first answer whose light rose after ``since_s``."""
        if not self._outputs:
            return Response(None, "done; this post has no lights to answer with")

        def answered() -> Seen | None:
            last = self._officer.last
            return last if last and last.began_s >= since_s else None

        with self._sees:
            self._sees.wait_for(answered, self._patience_s)
            return Response(answered(), f"no answer within {self._patience_s:g} s")


def _outputs(config: Config) -> dict[int, str]:
    """Each output's pin and name."""
    if config.indicator is None:
        return {}
    pins = {output: getattr(config.indicator, output) for output in OUTPUTS}
    return {pin: output for output, pin in pins.items() if pin is not None}


def _by_low(config: Config) -> set[int]:
    """The pins of what a low level switches on."""
    wired = config.indicator
    if wired is None:
        return set()
    lights = {wired.green, wired.red} if wired.lit_by == "low" else set()
    return lights | ({wired.buzzer} if wired.buzzer is not None and wired.buzzer_by == "low" else set())


def _known(things: Mapping[str, _T], name: str, kind: str) -> _T:
    if name not in things:
        known = ", ".join(things) or "none"
        raise CommandError(f"no {kind} {name!r} in this post's configuration; there is: {known}")
    return things[name]

"""The whole board of one post, from its configuration: readers, doors, buttons, and an officer before it."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime
from typing import TypeVar

from device.config import Config
from simulator.contacts import Switch
from simulator.errors import CommandError
from simulator.factory import Change, SimFactory, chip_select
from simulator.officer import BUZZER, LOOKS, OUTPUTS, Officer, Seen
from simulator.rc522 import Rc522

START_WITHIN_S = 15.0
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
        """``log``: where changes of outputs are written. ``seed``: of the contacts' bounces. Raises OSError."""
        self._outputs = _outputs(config)
        names = self._outputs | {
            reader.reset_pin: f"reset-{reader.name}" for reader in config.reader if reader.reset_pin
        }
        self.factory = SimFactory(names, log)
        self._readers = {reader.name: Rc522() for reader in config.reader}
        self._resets = {
            reader.reset_pin: self._readers[reader.name] for reader in config.reader if reader.reset_pin is not None
        }
        for reader in config.reader:
            self.factory.connect(reader.chip_select, self._readers[reader.name])
        self._doors = {
            door.name: (door, self._switch(door.pin, door.normally == "closed", seed)) for door in config.door
        }
        self._buttons = {button.name: self._switch(button.pin, False, seed) for button in config.button}
        self._ups = config.ups
        if config.ups is not None:
            self.mains(True)
        self._officer = Officer(has_buzzer=BUZZER in self._outputs.values())
        self._patience_s = patience_s
        self._inputs: set[int | str] = {
            *(door.pin for door in config.door),
            *(button.pin for button in config.button),
            *([] if config.ups is None else [config.ups.pin]),
            *(chip_select(reader.chip_select) for reader in config.reader),
        }
        self._sees = threading.Condition()
        self._hands = threading.Lock()
        self._last_card: dict[str, tuple[bytes, float]] = {}
        self.factory.listen(self._changed)

    def wait_ready(self) -> None:
        """Until the device program looks after every input. Raises CommandError if it does not."""
        if not self.factory.wait_taken(self._inputs, START_WITHIN_S):
            raise CommandError(f"the post has not taken its pins within {START_WITHIN_S:g} s; see what it says")

    def tap(self, uid: bytes, reader: str | None = None) -> Response:
        """Hold a card before a reader until it was read; the answer that follows. Raises CommandError."""
        name, chip = self._reader(reader)
        with self._hands:  # one officer at a time stands before the lights
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

    def press(self, button: str) -> Response:
        """Press a button and let it go; the answer that follows. Raises CommandError."""
        switch = _known(self._buttons, button, "button")
        with self._hands:
            pressed_s = clock_gettime(CLOCK_BOOTTIME)
            switch.move(True)
            time.sleep(PRESSED_S)
            switch.move(False)
            return self._answer(pressed_s)

    def open_door(self, door: str) -> None:
        """Open a door; returns once its contact rests. Raises CommandError."""
        section, switch = _known(self._doors, door, "door")
        switch.move(section.normally == "open")

    def close_door(self, door: str) -> None:
        """Shut a door; returns once its contact rests. Raises CommandError."""
        section, switch = _known(self._doors, door, "door")
        switch.move(section.normally == "closed")

    def mains(self, on: bool) -> None:
        """The UPS's line says whether there are mains. Raises CommandError."""
        if self._ups is None:
            raise CommandError("no UPS in this post's configuration; write its [ups] section")
        self.factory.hold(self._ups.pin, on is (self._ups.mains_when == "high"))

    def reader(self, name: str) -> Rc522:
        """A reader's chip, for faults of other kinds. Raises CommandError."""
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
        self.factory.close()

    def _switch(self, pin: int, closed: bool, seed: int) -> Switch:
        return Switch(lambda level: self.factory.hold(pin, level), closed, f"{seed}/{pin}")

    def _reader(self, name: str | None) -> tuple[str, Rc522]:
        if name is None:
            name = next(iter(self._readers), "")
        return name, _known(self._readers, name, "reader")

    def _changed(self, change: Change) -> None:
        """An output changed: the officer sees it, or a chip feels its reset line."""
        output = self._outputs.get(change.pin)
        if output is not None:
            with self._sees:
                self._officer.feed(change.at_s, output, change.level)
                self._sees.notify_all()
        elif change.pin in self._resets and not change.level:
            self._resets[change.pin].reset()

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


def _known(things: Mapping[str, _T], name: str, kind: str) -> _T:
    if name not in things:
        known = ", ".join(things) or "none"
        raise CommandError(f"no {kind} {name!r} in this post's configuration; there is: {known}")
    return things[name]

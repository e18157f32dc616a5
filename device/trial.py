"""Every part of an open post tried, one after the other, with the hands and eyes of whoever stands before it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from gpiozero import DigitalOutputDevice

from device.config import Config
from device.errors import StateError
from device.hardware.buzzer import open_buzzer
from device.hardware.readers.driver import Copper
from device.hardware.worker import Workers
from device.heard import Heard
from device.parts import Ends, inputs, pins_named, readers, sound
from device.readings import UNDERVOLTAGE
from device.result import Result

_CHECK_CONTACT = "check its pin, both wires, and that it switches at all"


def _say(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True)
class Person:
    """Whoever stands there. ``say``: a line to read. ``ask``: a question, and the line that is answered."""

    say: Callable[[str], None] = _say
    ask: Callable[[str], str] = input


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited until a part says how it stands, for a badge, and for a contact or button."""

    stands_s: float = 3.0
    badge_s: float = 20.0
    move_s: float = 30.0


Lamp = tuple[str, Callable[[bool], object]]
"""A light or the buzzer: its name, and what switches it."""


class Trial:
    """The parts of one post, opened as the post opens them."""

    def __init__(self, config: Config, copper: Copper, ends: Ends, person: Person, patience: Patience) -> None:
        """Nothing is opened yet."""
        self._config, self._copper, self._ends = config, copper, ends
        self._person, self._patience = person, patience
        self._heard = Heard(ends.inbox)

    def results(self) -> Iterator[Result]:
        """What is found of each. Raises what ``Person.ask`` does, and KeyboardInterrupt."""
        config, copper, ends = self._config, self._copper, self._ends
        lamps: list[Lamp] = []
        with ExitStack() as stack:
            # All are open before one is asked for, as in a post that runs: so it shows who disturbs whom.
            dark = _refused("indicator", lambda: lamps.extend(self._lamps(stack)))
            deaf = _refused("contacts", lambda: inputs(config, copper, ends, Workers(), stack))
            blind = _refused("readers", lambda: readers(config, copper, ends, Workers(), stack))
            yield from (refused for refused in (dark, deaf, blind) if refused is not None)
            for lamp in lamps:
                yield self._lamp(*lamp)
            if blind is None:
                yield from (self._reader(reader.name) for reader in config.reader)
            if deaf is None:
                yield from (self._contact(contact.name) for contact in (*config.door, *config.tamper))
                yield from (self._button(button.name) for button in config.button)
                yield from self._machine()

    def _lamps(self, stack: ExitStack) -> Iterator[Lamp]:
        wired, factory = self._config.indicator, self._copper.factory
        if wired is None:
            return
        with pins_named("indicator", self._copper):
            for light, pin in (("green", wired.green), ("red", wired.red)):
                device = DigitalOutputDevice(pin, active_high=wired.lit_by == "high", pin_factory=factory)
                stack.callback(device.close)
                yield f"{light} light", partial(setattr, device, "value")
            if wired.buzzer is not None:
                buzzer = open_buzzer(wired.buzzer, sound(wired, self._config.timezone), factory)
                stack.callback(buzzer.close)
                yield "buzzer", buzzer.sound

    def _lamp(self, name: str, switch: Callable[[bool], object]) -> Result:
        switch(True)
        try:
            seen = self._yes("does the buzzer sound?" if name == "buzzer" else f"is the {name} on?")
        finally:
            switch(False)
        if seen:
            return Result(name, True, "confirmed by the person there")
        keys = "buzzer_kind and buzzer_by" if name == "buzzer" else "lit_by"
        mend = f"check its pin, its wires and its polarity, and {keys}"
        return Result(name, False, f"denied by the person there: {mend}")

    def _yes(self, question: str) -> bool:
        while (answer := self._person.ask(f"{question} [y/n] ").strip().lower()) not in ("y", "yes", "n", "no"):
            self._person.say("answer y or n")
        return answer.startswith("y")

    def _reader(self, name: str) -> Result:
        part, heard, patience = f"reader {name}", self._heard, self._patience
        heard.wait(patience.stands_s, lambda: heard.blind.get(part) == "")
        if heard.blind.get(part) != "":
            return Result(part, False, self._trouble(part) or "it says nothing; check its wires and its power")
        if name not in heard.badges:
            self._person.say(f"hold a badge to reader {name} within {patience.badge_s:g} s")
            heard.wait(patience.badge_s, lambda: name in heard.badges or heard.blind[part])
        if name in heard.badges:
            return Result(part, True, f"read a badge whose number has {heard.badges[name]} bytes")
        why = f"read no badge within {patience.badge_s:g} s"
        if part in heard.garbled:
            why = f"{why}, but refused: {heard.garbled[part]}"
        mend = "hold one flat against it; then check its antenna, its power and its data wires"
        return Result(part, False, self._trouble(part) or f"{why}; {mend}")

    def _contact(self, name: str) -> Result:
        part, heard, patience = f"input {name}", self._heard, self._patience
        opened = heard.opened[name]
        if len(opened) < 2:
            self._person.say(f"move {name}: open and close it within {patience.move_s:g} s")
            heard.wait(patience.move_s, lambda: len(opened) == 2 or heard.blind.get(part))
        if len(opened) == 2:
            return Result(part, True, "seen to open and to close")
        seen = "seen to open alone" if True in opened else "seen to close alone" if opened else "not seen to move"
        return Result(part, False, self._trouble(part) or f"{seen} within {patience.move_s:g} s; {_CHECK_CONTACT}")

    def _button(self, name: str) -> Result:
        # A press is told as it begins: only a second one shows that the button also comes up again.
        part, heard, patience = f"input {name}", self._heard, self._patience
        if heard.presses[name] < 2:
            self._person.say(f"press {name} twice within {patience.move_s:g} s")
            heard.wait(patience.move_s, lambda: heard.presses[name] >= 2 or heard.blind.get(part))
        if heard.presses[name] >= 2:
            return Result(part, True, "pressed twice")
        why = f"pressed {heard.presses[name]} times of 2 within {patience.move_s:g} s; {_CHECK_CONTACT}"
        return Result(part, False, self._trouble(part) or why)

    def _machine(self) -> Iterator[Result]:
        heard, patience = self._heard, self._patience
        if self._config.ups is not None:
            heard.wait(patience.stands_s, lambda: heard.mains is not None)
            why = "there" if heard.mains else "none, or the wire of the UPS line is cut; see ups.mains_when"
            yield Result("mains", heard.mains is True, why)
        heard.wait(patience.stands_s, lambda: heard.vitals is not None)
        if heard.vitals is not None and heard.vitals.undervoltage is not None:
            low = heard.vitals.undervoltage
            yield Result("supply", not low, UNDERVOLTAGE if low else "enough")

    def _trouble(self, part: str) -> str:
        return self._heard.blind.get(part, "") or self._heard.died


def _refused(what: str, begin: Callable[[], object]) -> Result | None:
    """What to say where it could not begin."""
    try:
        begin()
    except StateError as error:
        return Result(what, False, str(error))
    return None

"""What lights and buzzer do for each answer: told apart by colour, and by sound alone.

| answer       | light                       | buzzer                    |
|--------------|-----------------------------|---------------------------|
| accepted     | green, 2 s                  | one short beep, at once   |
| repeated     | green, 2 s                  | two short beeps, later    |
| refused      | red, 2 s                    | one long beep, at once    |
| not recorded | red, 2.6 s                  | eight quick beeps         |
| self-test    | green, 1 s, then red, 1 s   | one short beep each       |
| no line      | red flash every 5 s         | none                      |

Each answer to an officer begins differently: green or red rises with the buzzer already on or still off. The
self-test, which is shown to whoever asked for it, begins like an accepted tap; no other has red rise beside green.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from device.effects import Answer


@dataclass(frozen=True, slots=True)
class Moment:
    """One stretch of a pattern, in milliseconds."""

    ms: int
    green: bool = False
    red: bool = False
    buzzer: bool = False


PATTERNS: dict[Answer, tuple[Moment, ...]] = {
    Answer.ACCEPTED: (Moment(120, green=True, buzzer=True), Moment(1880, green=True)),
    Answer.REPEATED: (
        Moment(150, green=True),
        Moment(100, green=True, buzzer=True),
        Moment(100, green=True),
        Moment(100, green=True, buzzer=True),
        Moment(1550, green=True),
    ),
    Answer.REFUSED: (Moment(800, red=True, buzzer=True), Moment(1200, red=True)),
    Answer.NOT_RECORDED: (
        *(Moment(100, red=True, buzzer=beep) for _ in range(8) for beep in (False, True)),
        Moment(1000, red=True),
    ),
    Answer.SELFTEST: (
        Moment(120, green=True, buzzer=True),
        Moment(880, green=True),
        Moment(120, green=True, red=True, buzzer=True),
        Moment(880, red=True),
    ),
}

DARK_BETWEEN_MS = 25
NO_LINE = Moment(60, red=True)
NO_LINE_EVERY_MS = 5_000

SHORTEST_BEEP_MS = 20
"""What an active buzzer needs to be heard at all: its own oscillator has to start."""


def shortened(moments: tuple[Moment, ...], percent: int) -> Iterator[Moment]:
    """The same lights for the same time, with beeps of ``percent`` of their length."""
    for moment in moments:
        beep_ms = min(moment.ms, max(SHORTEST_BEEP_MS, moment.ms * percent // 100))
        if not moment.buzzer or beep_ms == moment.ms:
            yield moment
        else:
            yield replace(moment, ms=beep_ms)
            yield replace(moment, ms=moment.ms - beep_ms, buzzer=False)

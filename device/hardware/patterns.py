"""What lights and buzzer do for each answer: told apart by colour, and by sound alone.

| answer       | light                       | buzzer                    |
|--------------|-----------------------------|---------------------------|
| accepted     | green, 2 s                  | one short beep, at once   |
| repeated     | green, 2 s                  | two short beeps, later    |
| refused      | red, 2 s                    | one long beep, at once    |
| not recorded | red, 2.6 s                  | eight quick beeps         |
| no line      | red flash every 5 s         | none                      |

Each begins differently: green or red rises with the buzzer already on or still off.
"""

from dataclasses import dataclass

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
}

DARK_BETWEEN_MS = 25
NO_LINE = Moment(60, red=True)
NO_LINE_EVERY_MS = 5_000

"""What an OSDP reader's own light and buzzer do for each answer, pure, from the patterns of the post's own."""

from dataclasses import dataclass

from device.effects import Answer
from device.hardware.patterns import PATTERNS

_TICK_MS = 100
"""The unit of every time in osdp_LED and osdp_BUZ (SIA OSDP 2.2)."""


@dataclass(frozen=True, slots=True)
class ReaderSign:
    """``light``, ``beep``, ``pause``: in units of 100 ms, at least one. ``beeps``: how many."""

    green: bool
    light: int
    beeps: int
    beep: int
    pause: int = 1


def reader_sign(answer: Answer) -> ReaderSign:
    """The same colour for the same time, and as many beeps as long."""
    moments = PATTERNS[answer]
    beeps = [moment.ms for moment in moments if moment.buzzer]
    return ReaderSign(
        green=any(moment.green for moment in moments),
        light=_ticks(sum(moment.ms for moment in moments)),
        beeps=len(beeps),
        beep=_ticks(max(beeps)),
    )


def _ticks(ms: int) -> int:
    return max(1, round(ms / _TICK_MS))

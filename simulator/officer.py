"""What an officer sees and hears, purely: changes of lights and buzzer in, answers out."""

from dataclasses import dataclass, field
from enum import StrEnum

GREEN, RED, BUZZER = "green", "red", "buzzer"
OUTPUTS = (GREEN, RED, BUZZER)

_FLASH_S = 0.5
"""A red light shorter than this is the flash of a post without a line (60 ms), not a silent answer (2 s)."""


class Sign(StrEnum):
    """What the lights and the buzzer said. The first four are the answers to a tap."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    REFUSED = "refused"
    NOT_RECORDED = "not recorded"
    SELFTEST = "self-test"
    NO_LINE = "no line"
    GREEN = "green"
    RED = "red"


LOOKS = {
    Sign.ACCEPTED: "green, one short beep",
    Sign.REPEATED: "green, two short beeps",
    Sign.REFUSED: "red, one long beep",
    Sign.NOT_RECORDED: "red, eight quick beeps",
    Sign.SELFTEST: "green, then red, one short beep each",
    Sign.NO_LINE: "a red flash",
    Sign.GREEN: "this post has no buzzer to say more",
    Sign.RED: "this post has no buzzer to say more",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A sign, and when its light rose."""

    sign: Sign
    began_s: float


@dataclass
class Officer:
    """Someone who watches the lights and listens.

    The post writes its outputs in the order buzzer, green, red, so a rising light already tells:

    | rises | buzzer | it is                                                            |
    |-------|--------|------------------------------------------------------------------|
    | green | on     | accepted                                                         |
    | green | off    | repeated                                                         |
    | red   | on     | refused                                                          |
    | red   | off    | not recorded, once it beeps; the no-line flash, once it is dark  |

    A self-test looks like an accepted tap until red rises beside its green.
    """

    has_buzzer: bool = True
    last: Seen | None = None
    lit: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(OUTPUTS, False))
    _green_since_s: float = 0.0
    _red_since_s: float | None = None

    def feed(self, at_s: float, output: str, level: bool) -> Seen | None:
        """One change of an output at ``at_s`` seconds. Returns the sign that is clear from now on, if one is.

        ``last`` remembers answers only, not the no-line flash.
        """
        self.lit[output] = level
        seen = self._seen(at_s, output, level)
        if seen and seen.sign != Sign.NO_LINE:
            self.last = seen
        return seen

    def _seen(self, at_s: float, output: str, level: bool) -> Seen | None:
        if output == GREEN and level:
            self._green_since_s = at_s
            return Seen(self._green(), at_s)
        if output == RED and level:
            if self.lit[GREEN]:
                return Seen(Sign.SELFTEST, self._green_since_s)
            if self.lit[BUZZER]:
                return Seen(Sign.REFUSED, at_s)
            self._red_since_s = at_s
        elif output == BUZZER and level and self._red_since_s is not None:
            return Seen(Sign.NOT_RECORDED, self._red_ends())
        elif output == RED and self._red_since_s is not None:
            began_s = self._red_ends()
            silent = not self.has_buzzer and at_s - began_s >= _FLASH_S
            return Seen(Sign.RED if silent else Sign.NO_LINE, began_s)
        return None

    def _green(self) -> Sign:
        if not self.has_buzzer:
            return Sign.GREEN
        return Sign.ACCEPTED if self.lit[BUZZER] else Sign.REPEATED

    def _red_ends(self) -> float:
        """The silent red light is understood; when it rose."""
        began_s, self._red_since_s = self._red_since_s, None
        assert began_s is not None
        return began_s

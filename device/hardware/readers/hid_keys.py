"""What a USB reader types, pure: key events in, badge numbers out.

Types, codes and values are those of linux/input-event-codes.h; the kernel's Documentation/input/event-codes.rst
says what they mean.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from device.hardware.readers.reader import FrameRefused

EV_SYN, EV_KEY = 0x00, 0x01
SYN_REPORT, SYN_DROPPED = 0, 3
PRESSED = 1
"""A key's value; 0 is released, 2 the kernel's repeat of one that is held."""

KEY_1, KEY_ENTER = 2, 28
ENDS = frozenset({KEY_ENTER, 96, 15})
"""Enter, Enter of the keypad, Tab."""
SHIFTS = frozenset({42, 54})
_LOCKS = frozenset({58, 69})
"""Caps Lock and Num Lock change nothing here: A and a are one digit, and a keypad's digit is one either way."""
DIGITS = {
    **dict(zip((11, 2, 3, 4, 5, 6, 7, 8, 9, 10), "0123456789", strict=True)),
    **dict(zip((82, 79, 80, 81, 75, 76, 77, 71, 72, 73), "0123456789", strict=True)),
    **dict(zip((30, 48, 46, 32, 18, 33), "ABCDEF", strict=True)),
}
"""By key, of the US layout: the upper row, the keypad, A to F."""

BETWEEN_KEYS_S = 0.5
"""A reader's keys are some 20 ms apart at most (two USB reports of 10 ms); after so long the number has stopped."""
MOST_DIGITS = 32
BADGE_BYTES = (3, 4, 5, 7, 10)
"""As a roster takes them."""

_CHECK = "tap again; if it is so every time, check its cable, and the output format that it is set to"


class KeyEvent(NamedTuple):
    """One ``struct input_event``. ``at_s``: the kernel's time stamp, seconds."""

    at_s: float
    type: int
    code: int
    value: int


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a badge's number is typed.

    ``length``: its bytes; None for 4 where it is decimal, and for as many as are typed where it is hex.
    ``reversed``: the reader gives the last byte first.
    """

    base: Literal["decimal", "hex"] = "decimal"
    length: int | None = None
    reversed: bool = False

    def read(self, text: str) -> bytes:
        """The number of digits 0-9 and A-F. Raises FrameRefused."""
        number = self._decimal(text) if self.base == "decimal" else self._hex(text)
        return number[::-1] if self.reversed else number

    def _decimal(self, text: str) -> bytes:
        length = self.length or 4
        if not text.isdecimal():
            raise FrameRefused('letters in a decimal number: write number = "hex"')
        if (value := int(text)) >= 256**length:
            raise FrameRefused(
                f"{len(text)} digits, more than {length} bytes: write bytes = as many as a badge has"
            )
        return value.to_bytes(length, "big")

    def _hex(self, text: str) -> bytes:
        lengths = BADGE_BYTES if self.length is None else (self.length,)
        if len(text) not in {2 * length for length in lengths}:
            expected = " or ".join(str(2 * length) for length in lengths)
            raise FrameRefused(f"{len(text)} hex digits, not {expected}: {_CHECK}")
        return bytes.fromhex(text)


class Typing:
    """One reader's keyboard. What it refuses it refuses once: the rest, up to its end, is skipped.

    Lost keys of a hexadecimal number change its length. A decimal one has no fixed length, so there it counts that
    the kernel says when it lost something.
    """

    def __init__(self, number: NumberFormat) -> None:
        """Nothing was typed."""
        self._number = number
        self._text = ""
        self._skipping = False
        self._dropped = False
        self._shifts: set[int] = set()
        self._last_s: float | None = None

    def event(self, event: KeyEvent) -> bytes | None:
        """The number that it ends. Raises FrameRefused, after which the next event may be given."""
        if event.type == EV_SYN:
            self._syn(event)
        # After SYN_DROPPED, what comes before the next SYN_REPORT is the rest of a torn packet.
        elif event.type == EV_KEY and not self._dropped:
            if event.code in SHIFTS:
                (self._shifts.add if event.value else self._shifts.discard)(event.code)
            elif event.value == PRESSED and event.code not in _LOCKS:
                return self._pressed(event)
        return None

    def silent(self, for_s: float) -> None:
        """Nothing came ``for_s``. Raises FrameRefused for a number that stopped half way."""
        if for_s > BETWEEN_KEYS_S and (stopped := self._stopped()) is not None:
            raise stopped

    def _syn(self, event: KeyEvent) -> None:
        if event.code == SYN_REPORT:
            self._dropped = False
        elif event.code == SYN_DROPPED:
            self._dropped = True
            self._shifts.clear()
            self._last_s = event.at_s
            self._refuse("keys were lost, since the post did not read them in time: tap again")

    def _pressed(self, event: KeyEvent) -> bytes | None:
        # The clock of the time stamps may have been set back between two keys: that is no number to trust either.
        paused = self._last_s is not None and abs(event.at_s - self._last_s) > BETWEEN_KEYS_S
        stopped = self._stopped() if paused else None
        number = None
        if event.code in ENDS:
            number = self._end()
        else:
            self._digit(event)
        if stopped is not None:
            raise stopped
        return number

    def _end(self) -> bytes | None:
        text, skipping = self._text, self._skipping
        self._text, self._skipping, self._last_s = "", False, None
        # Some end a number twice: with CR and LF, or Tab and Enter.
        return None if skipping or not text else self._number.read(text)

    def _digit(self, event: KeyEvent) -> None:
        self._last_s = event.at_s
        if self._skipping:
            return
        digit = DIGITS.get(event.code, "")
        if not digit or (self._shifts and digit.isdecimal()):
            shift = "Shift and " if self._shifts else ""
            self._refuse(f"{shift}key {event.code} is no digit: set it to a US keyboard, digits and Enter alone")
        self._text += digit
        if len(self._text) > MOST_DIGITS:
            self._refuse(f"more than {MOST_DIGITS} digits without an end: let it send Enter after each number")

    def _stopped(self) -> FrameRefused | None:
        """A pause begins a new number; what was there of the one before is refused."""
        digits = len(self._text)
        self._text, self._skipping, self._last_s = "", False, None
        if not digits:
            return None
        return FrameRefused(f"a number stopped after {digits} digits, and no Enter or Tab came: {_CHECK}")

    def _refuse(self, why: str) -> None:
        self._text, self._skipping = "", True
        raise FrameRefused(why)

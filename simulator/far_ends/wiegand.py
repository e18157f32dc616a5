"""A reader on two Wiegand lines, what it sends, and what can happen to its cable."""

import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial

from device.hardware.readers.wiegand import WiegandSection
from simulator.factory import SimFactory
from simulator.far_ends import Fault, Site
from simulator.far_ends.again import Again

PULSE_S = 50e-6
BIT_S = 0.002
"""From pulse to pulse; SIA AC-01 allows 0.2 to 20 ms."""
LATEST_S = 0.020
HALF_WAVE_S = 0.010
"""Of 50 Hz."""
REST_S = 0.1
"""Between two numbers, or twice the pause that the post waits for, where that is more."""


class WiegandReader:
    """A ``far_ends.FarEnd``. It sends a card's number once, when the card comes."""

    def __init__(self, section: WiegandSection, factory: SimFactory) -> None:
        """It sends as the section expects; both lines rest high."""
        self._section = section
        self._factory = factory
        self._lines = (section.data0_pin, section.data1_pin)
        self._hand = threading.RLock()
        self._there: dict[bytes, bool] = {}
        self._fault = ""
        self._again = Again()
        self._rest_s = max(REST_S, 2 * section.gap.total_seconds())
        self._rested_s = 0.0
        for pin in self._lines:
            factory.hold(pin, True)

    @property
    def faults(self) -> Mapping[str, Fault]:
        """What a cable and its noise do, and a reader that never stops; one ends the one before."""
        return {
            "cut": Fault(partial(self._begin, "cut"), "its cable is cut"),
            "lose": Fault(partial(self._begin, "lose"), "loses a bit"),
            "flip": Fault(partial(self._begin, "flip"), "a bit is misread"),
            "touch": Fault(partial(self._begin, "touch"), "its lines touch"),
            "short": Fault(self._short, "DATA0 is shorted"),
            "hum": Fault(self._hum, "DATA0 hums at 50 Hz"),
            "repeat": Fault(self._repeat, "sends one number for ever"),
            "mend": Fault(partial(self._begin, ""), "mended"),
        }

    def place(self, uid: bytes) -> None:
        """Send its number, which takes a while. Raises ValueError for one that has no room in a frame."""
        bits = frame(self._section, uid)
        with self._hand:
            if uid not in self._there:
                self._there[uid] = self._send(bits)

    def remove(self, uid: bytes) -> None:
        """A Wiegand reader does not tell."""
        with self._hand:
            self._there.pop(uid, None)

    def wait_read(self, uid: bytes, timeout_s: float) -> bool:  # noqa: ARG002
        """Whether it was sent: that is done once, so there is nothing to wait for."""
        with self._hand:
            return self._there.get(uid, False)

    def wait_ready(self, timeout_s: float) -> bool:
        """Until the device program listens to both lines."""
        return self._factory.wait_taken(set(self._lines), timeout_s)

    def close(self) -> None:
        """It is still."""
        self._again.stop()

    def _begin(self, fault: str) -> None:
        self._again.stop()
        with self._hand:
            self._fault = fault
            self._hold((0, 1), True)

    def _short(self) -> None:
        self._begin("cut")
        self._hold((0,), False)

    def _hum(self) -> None:
        self._begin("")
        self._again.start(partial(self._pulse, (0,), HALF_WAVE_S), HALF_WAVE_S)

    def _repeat(self) -> None:
        self._begin("")
        bits = frame(self._section, bytes((self._section.bits + 5) // 8))

        def once() -> None:
            with self._hand:
                self._send(bits)

        self._again.start(once, self._rest_s)

    def _send(self, bits: list[int]) -> bool:
        """A reader is never late. Where this program was, it sends again, like for a card that came again."""
        if self._fault == "cut":
            return False
        in_time = False
        while not in_time:
            time.sleep(max(0.0, self._rested_s - time.monotonic()))
            in_time = self._in_time(bits)
            self._rested_s = time.monotonic() + self._rest_s
        return True

    def _in_time(self, bits: list[int]) -> bool:
        latest_s = 0.0
        last_s = time.monotonic()
        for index, bit in enumerate(bits):
            self._pulse(self._bent(bit) if index == len(bits) // 2 else (bit,), PULSE_S)
            time.sleep(BIT_S - PULSE_S)
            now_s = time.monotonic()
            latest_s, last_s = max(latest_s, now_s - last_s), now_s
        return latest_s < LATEST_S

    def _bent(self, bit: int) -> Sequence[int]:
        """On which lines the pulse in the middle comes."""
        return {"lose": (), "flip": (1 - bit,), "touch": (0, 1)}.get(self._fault, (bit,))

    def _pulse(self, lines: Sequence[int], low_s: float) -> None:
        self._hold(lines, False)
        time.sleep(low_s)
        self._hold(lines, True)

    def _hold(self, lines: Sequence[int], level: bool) -> None:
        for line in lines:
            self._factory.hold(self._lines[line], level)


def frame(section: WiegandSection, uid: bytes) -> list[int]:
    """A number between its parity bits, as ``wiegand_frames`` describes them. Raises ValueError."""
    width = section.bits - 2
    value = int.from_bytes(uid[::-1] if section.reversed else uid, "big")
    length = (width + 7) // 8
    if len(uid) != length or value >> width:
        raise ValueError(
            f"{uid.hex().upper()}; a frame of {section.bits} bits has room for {width} bits, {length} bytes"
        )
    data = [value >> place & 1 for place in reversed(range(width))]
    half = -(-width // 2)
    return [sum(data[:half]) % 2, *data, 1 - sum(data[-half:]) % 2]


def connect(section: WiegandSection, site: Site) -> WiegandReader:
    """Wire one up."""
    return WiegandReader(section, site.factory)

"""A USB reader that types: its keyboard, and what can be done to it."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from device.hardware.readers.hid import QUIET_S, HidSection
from device.hardware.readers.hid_keys import BADGE_BYTES, DIGITS, EV_KEY, EV_SYN, KEY_ENTER, SHIFTS, SYN_DROPPED
from simulator.errors import SimulatorError
from simulator.far_ends import Fault, Site
from simulator.far_ends.again import Again

if TYPE_CHECKING:
    from simulator.event_device import EventDevice, TypeCodeValue

REPORT_S = 0.001
"""From one USB report to the next: the shortest interval of a full-speed device (USB 2.0, 5.7.4)."""
_EV_MSC, _MSC_SCAN, _KEYBOARD_PAGE = 4, 4, 0x70000
_SHIFT = min(SHIFTS)
_KEYS = {digit: code for code, digit in reversed(DIGITS.items())}
"""By digit: the upper row's, and letters."""

Packet = tuple["TypeCodeValue", ...]


class WedgeReader:
    """A ``far_ends.FarEnd``. It types a card's number once, when the card comes. ``keyboard``: its device."""

    def __init__(self, section: HidSection, keyboard: "EventDevice") -> None:
        """It types as the section expects."""
        self.keyboard = keyboard
        self._section = section
        self._hand = threading.RLock()
        self._there: dict[bytes, bool] = {}
        self._fault = ""
        self._again = Again()
        self._ready = False

    @property
    def faults(self) -> Mapping[str, Fault]:
        """A cable that is pulled; a reader that is set up wrongly, or at fault."""
        return {
            "unplug": Fault(partial(self.keyboard.plug, False), "unplugged"),
            "plug": Fault(partial(self.keyboard.plug, True), "plugged in"),
            "half": Fault(partial(self._set, "half"), "stops half way"),
            "layout": Fault(partial(self._set, "layout"), "types with Shift"),
            "overflow": Fault(partial(self._set, "overflow"), "loses keys"),
            "jam": Fault(self._jam, "types one number for ever"),
            "mend": Fault(self._mend, "mended"),
        }

    def place(self, uid: bytes) -> None:
        """Type its number, which takes a while. Raises ValueError for one that it cannot type."""
        text = typed(self._section, uid)
        with self._hand:
            if uid not in self._there:
                self._there[uid] = self._send(packets(text, self._fault))

    def remove(self, uid: bytes) -> None:
        """A reader that types does not tell."""
        with self._hand:
            self._there.pop(uid, None)

    def wait_read(self, uid: bytes, timeout_s: float) -> bool:  # noqa: ARG002
        """Whether somebody had it open as it typed: it does so once, so there is nothing to wait for."""
        with self._hand:
            return self._there.get(uid, False)

    def wait_ready(self, timeout_s: float) -> bool:
        """Until the device program has grabbed it once, and has found that nobody types."""
        if not self._ready and self.keyboard.wait_grabbed(timeout_s):
            time.sleep(2 * QUIET_S)
            self._ready = True
        return self._ready

    def close(self) -> None:
        """Pull it out."""
        self._again.stop()
        self.keyboard.plug(False)

    def _set(self, fault: str) -> None:
        with self._hand:
            self._fault = fault

    def _jam(self) -> None:
        text = typed(self._section, bytes(self._section.bytes or 4))
        self._again.start(lambda: self._send_alone(packets(text)), REPORT_S)

    def _mend(self) -> None:
        self._again.stop()
        self._set("")

    def _send_alone(self, stream: Iterable[Packet]) -> None:
        with self._hand:
            self._send(stream)

    def _send(self, stream: Iterable[Packet]) -> bool:
        heard = True
        for packet in stream:
            heard &= self.keyboard.emit(*packet)
            time.sleep(REPORT_S)
        return heard


def typed(section: HidSection, uid: bytes) -> str:
    """A number as the reader types it. Raises ValueError for one that it has no room for."""
    lengths = (section.bytes,) if section.bytes else (4,) if section.number == "decimal" else BADGE_BYTES
    if len(uid) not in lengths:
        raise ValueError(f"{len(uid)} bytes; this reader gives {' or '.join(map(str, lengths))}")
    number = uid[::-1] if section.reversed else uid
    if section.number == "hex":
        return number.hex().upper()
    return str(int.from_bytes(number, "big")).zfill(len(str(256 ** len(uid) - 1)))


def packets(text: str, fault: str = "") -> Iterator[Packet]:
    """What the kernel makes of the reports for a number and Enter, each to be followed by a SYN_REPORT."""
    for index, digit in enumerate(text):
        if fault == "half" and index == len(text) // 2:
            return
        if fault == "overflow" and index == len(text) // 2:
            yield ((EV_SYN, SYN_DROPPED, 0),)
        else:
            yield from _stroke(_KEYS[digit], shift=fault == "layout" or digit.isalpha())
    yield from _stroke(KEY_ENTER)


def _stroke(code: int, *, shift: bool = False) -> Iterator[Packet]:
    keys = (_SHIFT, code) if shift else (code,)
    for down, order in ((1, keys), (0, keys[::-1])):
        for key in order:
            yield (_EV_MSC, _MSC_SCAN, _KEYBOARD_PAGE | key), (EV_KEY, key, down)


def connect(section: HidSection, site: Site) -> WedgeReader:
    """Plug one in. Raises SimulatorError where python-evdev is not installed."""
    try:
        from simulator.event_device import EventDevice
    except ImportError:
        raise SimulatorError(
            f"reader {section.name}: the simulator reads its events with python-evdev: pip install evdev-binary"
        ) from None
    keyboard = EventDevice(section.device, [*DIGITS, KEY_ENTER, *SHIFTS])
    site.inputs[section.device] = keyboard.open
    return WedgeReader(section, keyboard)

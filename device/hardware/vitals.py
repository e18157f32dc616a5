"""The machine's own state, as far as it tells: temperature, supply and throttling of a Pi, room on the disk."""

import os
import queue
import threading
from pathlib import Path

from device.hardware.worker import Worker
from device.readings import Clock, Reading, Vitals

LOOK_EVERY_S = 1.0
"""The kernel asks the firmware every 2 s (drivers/hwmon/raspberrypi-hwmon.c): no dip that it saw is missed."""
TELL_EVERY_MS = 30_000
"""Of what changes all the time: temperature and disk. Under-voltage and throttling are told at once."""

# get_throttled of the firmware, as vcgencmd(1) lists it: what is so now. In bits 16 to 19 is what has been so.
_UNDERVOLTAGE = 0b0001
_THROTTLED = 0b1110  # frequency capped, throttled, or the soft temperature limit is active


class VitalsWorker:
    """Looks every ``every_s`` in the thread ``vitals``, and tells what is new or old enough."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        inbox: "queue.SimpleQueue[Reading]",
        sysfs: Path = Path("/sys"),
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        """``folder``: on the disk that matters."""
        self._folder = folder
        self._clock = clock
        self._inbox = inbox
        self._sysfs = sysfs
        self._every_s = every_s
        self._stopping = threading.Event()
        self.worker = Worker("vitals", clock, inbox)

    def start(self) -> None:
        """Begin to look."""
        self.worker.start(self._run)

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self.worker.ended()

    def _run(self) -> None:
        told: Vitals | None = None
        while not self._stopping.is_set():
            if self.worker.beat():
                self.worker.sighted()
            seen = self._look()
            if told is None or worth_telling(seen, told):
                self._inbox.put(seen)
                told = seen
            self._stopping.wait(self._every_s)

    def _look(self) -> Vitals:
        undervoltage, throttled = supply(self._sysfs)
        free, total = _room(self._folder)
        return Vitals(self._clock.now(), temperature_c(self._sysfs), undervoltage, throttled, free, total)


def worth_telling(seen: Vitals, told: Vitals) -> bool:
    """The supply changed, or what was told last is old."""
    supply_changed = (seen.undervoltage, seen.throttled) != (told.undervoltage, told.throttled)
    return supply_changed or seen.at.uptime_ms - told.at.uptime_ms >= TELL_EVERY_MS


def temperature_c(sysfs: Path) -> float | None:
    """Of the processor, to a tenth; None where the machine does not tell (thermal/sysfs-api of the kernel)."""
    millidegrees = _number(sysfs / "class/thermal/thermal_zone0/temp", 10)
    return None if millidegrees is None else round(millidegrees / 1000, 1)


def supply(sysfs: Path) -> tuple[bool | None, bool | None]:
    """Under-voltage, and throttling for whatever reason; None for what the machine does not tell.

    The kernel's hwmon driver ``rpi_volt`` tells whether the voltage was low in the 2 s before it last asked the
    firmware. Throttling is told by kernels of Raspberry Pi OS alone, up to the Pi 4, as that driver last heard it;
    the kernel warns once in its log that it would rather not be asked for it.
    """
    bits = _number(sysfs / "devices/platform/soc/soc:firmware/get_throttled", 16)
    alarm = _voltage_alarm(sysfs / "class/hwmon")
    lows = [bool(told) for told in (alarm, bits if bits is None else bits & _UNDERVOLTAGE) if told is not None]
    return any(lows) if lows else None, None if bits is None else bool(bits & _THROTTLED)


def _voltage_alarm(drivers: Path) -> int | None:
    """Of the voltage driver; the number of its folder differs from Pi to Pi."""
    try:
        folders = sorted(drivers.iterdir())
    except OSError:
        return None
    for folder in folders:
        if _text(folder / "name") == "rpi_volt":
            return _number(folder / "in0_lcrit_alarm", 10)
    return None


def _number(file: Path, base: int) -> int | None:
    text = _text(file)
    try:
        return None if text is None else int(text, base)
    except ValueError:
        return None


def _text(file: Path) -> str | None:
    """A file of sysfs; None where it is missing, or its driver fails."""
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _room(folder: Path) -> tuple[int | None, int | None]:
    """Bytes that the post may still write, and the size of its disk; None where the disk fails."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None, None
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

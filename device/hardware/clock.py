"""The clock: uptime, wall time, and how far the kernel believes its wall time."""

import ctypes
import time
from pathlib import Path

from device.readings import ClockState, Instant

# adjtimex(2): the kernel lets maxerror grow by 500 ppm and sets STA_UNSYNC at 16 s. A clock that
# people compare with a camera's or a colleague's is wanted within a second.
_SYNCED_BELOW_US = 1_000_000
_KERNEL_GIVES_UP_US = 16_000_000


class KernelClock:
    """CLOCK_BOOTTIME, CLOCK_REALTIME and adjtimex(2), which needs no privilege to read."""

    def __init__(self) -> None:
        """Bind libc's adjtimex."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._was_synced = False

    def now(self) -> Instant:
        """The present instant. ``holdover``: it was synced in this run and the bound has grown since."""
        error_us = self._maximum_error_us()
        self._was_synced = self._was_synced or error_us < _SYNCED_BELOW_US
        state: ClockState = "synced" if error_us < _SYNCED_BELOW_US else "unsynced"
        return Instant(
            uptime_ms=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
            wall_ms=time.time_ns() // 1_000_000,
            clock="holdover" if state == "unsynced" and self._was_synced else state,
            error_ms=None if error_us >= _KERNEL_GIVES_UP_US else error_us // 1000,
        )

    def _maximum_error_us(self) -> int:
        timex = _Timex()
        if self._libc.adjtimex(ctypes.byref(timex)) < 0:
            return _KERNEL_GIVES_UP_US
        return int(timex.maxerror)


class _Timex(ctypes.Structure):
    """The head of struct timex (linux/timex.h); the rest is padding, larger than any architecture's."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    ]


def boot_id() -> str:
    """The kernel's id of this boot, a UUID (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()

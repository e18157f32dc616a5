"""The clock: uptime, wall time, how far the kernel believes its wall time, and the floor below it."""

import ctypes
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Protocol

from device.readings import Clock, ClockState, Instant

# adjtimex(2): maxerror starts at 16 s (NTP_PHASE_LIMIT, kernel/time/ntp.c), where setting the clock by hand puts
# it back. Only a time daemon lowers it, and it grows by 500 ppm: 1.024 s between two questions of
# systemd-timesyncd, which asks every 2048 s at the longest.
_SYNCED_BELOW_US = 2_000_000
_KERNEL_GIVES_UP_US = 16_000_000

_CLOSE_NS = 1_000_000
_READINGS = 20
_STOOD_NS = 250_000_000
"""More than two readings of a clock that stands can differ, and less than a step worth telling."""

_CREDIBLE = timedelta(days=20 * 365)
"""A firmware is in use for years: what claims to be from later than this after its build is no floor."""


class KernelCalls(Protocol):
    """The three things the kernel is asked."""

    def boottime_ns(self) -> int:
        """CLOCK_BOOTTIME."""
        ...

    def realtime_ns(self) -> int:
        """CLOCK_REALTIME."""
        ...

    def maximum_error_us(self) -> int:
        """The bound that adjtimex(2) gives for the error of CLOCK_REALTIME."""
        ...


class Kernel:
    """The real one. Reading needs no privilege."""

    def __init__(self) -> None:
        """Bind libc's adjtimex."""
        # PyDLL keeps the interpreter's lock: to get it back takes longer than the call, and each reading is dated.
        self._libc = ctypes.PyDLL(None, use_errno=True)

    def boottime_ns(self) -> int:
        """CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def realtime_ns(self) -> int:
        """CLOCK_REALTIME."""
        return time.time_ns()

    def maximum_error_us(self) -> int:
        """The bound that adjtimex(2) gives for the error of CLOCK_REALTIME."""
        timex = _Timex()
        if self._libc.adjtimex(ctypes.byref(timex)) < 0:
            return _KERNEL_GIVES_UP_US
        return int(timex.maxerror)


class KernelClock:
    """The kernel's clock.

    ``synced``: right within 2 s. ``holdover``: it was synced in this boot, the bound has grown since, and nobody
    has set it. After 16 s (9 hours) the kernel tells no bound; then the clock has to stand where this process saw
    it stand while there was one.
    """

    def __init__(self, kernel: KernelCalls | None = None) -> None:
        """``kernel``: whom to ask; the real one by default."""
        self._kernel = kernel or Kernel()
        self._stood_ns: int | None = None

    def now(self) -> Instant:
        """The present instant."""
        uptime_ns, wall_ns = self._together()
        error_us = self._kernel.maximum_error_us()
        state: ClockState = "synced" if error_us < _SYNCED_BELOW_US else "holdover"
        offset_ns = wall_ns - uptime_ns
        if error_us < _KERNEL_GIVES_UP_US:
            self._stood_ns = offset_ns
        elif self._stood_ns is None or abs(offset_ns - self._stood_ns) >= _STOOD_NS:
            state = "unsynced"
        return Instant(
            uptime_ms=uptime_ns // 1_000_000,
            wall_ms=wall_ns // 1_000_000,
            clock=state,
            error_ms=None if error_us >= _KERNEL_GIVES_UP_US else error_us // 1000,
        )

    def _together(self) -> tuple[int, int]:
        """Uptime and wall time of one moment.

        A thread can lose the processor between the two readings, which would look like a step of the clock; so
        the wall time is taken between two readings of the uptime, until these are close.
        """
        best: tuple[int, int, int] | None = None
        for _ in range(_READINGS):
            before = self._kernel.boottime_ns()
            wall = self._kernel.realtime_ns()
            apart = self._kernel.boottime_ns() - before
            if best is None or apart < best[0]:
                best = apart, before, wall
            if apart < _CLOSE_NS:
                break
        assert best is not None
        return best[1:]


class FlooredClock:
    """Another clock whose wall time, while nobody vouches for it, is never before what is known to have passed.

    A Pi without a battery for its clock starts where it was cut, or in 1970. Once the kernel is synced its time
    counts, whatever it says; the difference is a step like any other.
    """

    def __init__(self, inner: Clock, floor_ms: int, at_uptime_ms: int) -> None:
        """``floor_ms``: a wall time that had passed when the uptime was ``at_uptime_ms``."""
        self._inner = inner
        self._floor_offset_ms = floor_ms - at_uptime_ms

    def now(self) -> Instant:
        """The present instant."""
        now = self._inner.now()
        floor_ms = self._floor_offset_ms + now.uptime_ms
        if now.clock != "unsynced" or now.wall_ms >= floor_ms:
            return now
        return replace(now, wall_ms=floor_ms)

    def rise(self, floor_ms: int) -> None:
        """A wall time that has passed by now."""
        self._floor_offset_ms = max(self._floor_offset_ms, floor_ms - self._inner.now().uptime_ms)


def floored(inner: Clock, built: str, passed_ms: Iterable[int]) -> FlooredClock:
    """``inner`` on a floor: the latest moment that is known to have passed."""
    return FlooredClock(inner, latest_passed_ms(built, passed_ms), inner.now().uptime_ms)


def latest_passed_ms(built: str, passed_ms: Iterable[int]) -> int:
    """The latest of the firmware's build date and other moments known to have passed.

    ``built``: ``2026-11-24``. ``passed_ms``: milliseconds since 1970-01-01 UTC; those that a mistaken clock must
    have written, decades after the build, do not count.
    """
    build = datetime.combine(date.fromisoformat(built), datetime.min.time(), UTC)
    latest_ms = _ms(build + _CREDIBLE)
    return max([_ms(build), *(moment for moment in passed_ms if moment <= latest_ms)])


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


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

"""The clock a scenario can set: the kernel's uptime, its wall time with an offset, and a state to claim."""

import threading
import time

from device.readings import ClockState, Instant

_CLAIMED_ERROR_MS: dict[ClockState, int | None] = {"synced": 1, "holdover": 2_000, "unsynced": None}


class SimClock:
    """A ``device.hardware.clock.Clock``. It claims to be synced unless told otherwise, so that a badge's
    dates are judged on any machine.
    """

    def __init__(self, offset_ms: int = 0, state: ClockState = "synced") -> None:
        """``offset_ms``: how far the wall clock is ahead of the kernel's."""
        self._lock = threading.Lock()
        # One value, so that reading needs no lock: a signal handler reads the clock too, whoever holds the lock.
        self._shows = offset_ms, state

    def now(self) -> Instant:
        """The present instant."""
        offset_ms, state = self._shows
        return Instant(
            uptime_ms=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
            wall_ms=time.time_ns() // 1_000_000 + offset_ms,
            clock=state,
            error_ms=_CLAIMED_ERROR_MS[state],
        )

    def step(self, ms: int) -> None:
        """Step the wall clock forwards, or backwards where ``ms`` is negative."""
        with self._lock:
            offset_ms, state = self._shows
            self._shows = offset_ms + ms, state

    def claim(self, state: ClockState) -> None:
        """Say from now on that the wall clock is ``state``."""
        with self._lock:
            self._shows = self._shows[0], state

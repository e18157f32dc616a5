"""The simulator's clock runs on the kernel's and says what a scenario wants."""

import signal
import time

from device.readings import Clock, Instant
from simulator.clock import SimClock


def test_it_is_a_clock_that_claims_to_be_synced() -> None:
    clock: Clock = SimClock()
    before_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    now = clock.now()
    assert now.clock == "synced"
    assert now.error_ms == 1
    assert 0 <= now.uptime_ms - before_ms < 10_000
    assert abs(now.wall_ms - time.time_ns() // 1_000_000) < 10_000


def test_a_step_moves_the_wall_clock_and_not_the_uptime() -> None:
    clock = SimClock(offset_ms=3_600_000)
    first = clock.now()
    clock.step(-7_200_000)
    second = clock.now()
    assert -7_200_000 <= second.wall_ms - first.wall_ms < -7_190_000
    assert 0 <= second.uptime_ms - first.uptime_ms < 10_000


def test_an_unsure_clock_knows_no_bound() -> None:
    clock = SimClock(state="holdover")
    assert (clock.now().clock, clock.now().error_ms) == ("holdover", 2_000)
    clock.claim("unsynced")
    assert (clock.now().clock, clock.now().error_ms) == ("unsynced", None)


def test_a_signal_handler_may_read_it_while_its_own_thread_is_reading_it() -> None:
    """The device program's does: it notes when it was asked to stop."""
    clock = SimClock()
    read: list[Instant] = []
    before = signal.signal(signal.SIGALRM, lambda *_: read.append(clock.now()))
    signal.setitimer(signal.ITIMER_REAL, 0.000_5, 0.000_5)
    try:
        while len(read) < 500:
            clock.now()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

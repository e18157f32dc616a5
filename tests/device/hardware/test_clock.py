"""The clock: the kernel's own, read as one moment; what its bound means; the floor below one nobody vouches for."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import EPOCH_MS, at

from device import BUILT
from device.config import load
from device.hardware.clock import FlooredClock, KernelClock, boot_id, floored
from device.readings import Instant

BUILT_MS = 1_795_478_400_000
"""2026-11-24 00:00 UTC."""
YEAR_MS = 365 * 86_400_000
MINUTE_NS = 60_000_000_000


@dataclass
class ScriptedKernel:
    """A kernel whose time passes only between readings: ``delays_ns``, then none."""

    wall_ahead_ns: int = EPOCH_MS * 1_000_000
    error_us: int = 16_000_000
    uptime_ns: int = 0
    delays_ns: Iterator[int] = field(default_factory=lambda: iter(()))

    def boottime_ns(self) -> int:
        self.uptime_ns += next(self.delays_ns, 0)
        return self.uptime_ns

    def realtime_ns(self) -> int:
        self.uptime_ns += next(self.delays_ns, 0)
        return self.uptime_ns + self.wall_ahead_ns

    def maximum_error_us(self) -> int:
        return self.error_us


class Shown:
    """A clock that shows what the test says."""

    def __init__(self, now: Instant) -> None:
        self.instant = now

    def now(self) -> Instant:
        return self.instant


def state(kernel: ScriptedKernel, clock: KernelClock, error_us: int, *, step_ns: int = 0) -> tuple[str, int | None]:
    """What the clock says once the kernel's bound is ``error_us``, a minute later."""
    kernel.error_us = error_us
    kernel.wall_ahead_ns += step_ns
    kernel.uptime_ns += MINUTE_NS
    now = clock.now()
    return now.clock, now.error_ms


def test_uptime_is_the_kernels_and_never_goes_back() -> None:
    clock = KernelClock()
    instants = [clock.now() for _ in range(1_000)]
    uptimes = [instant.uptime_ms for instant in instants]
    assert uptimes == sorted(uptimes)
    kernel_s = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(kernel_s - uptimes[-1] / 1_000) < 5


def test_wall_time_is_the_systems_in_milliseconds() -> None:
    before, now, after = time.time(), KernelClock().now(), time.time()
    assert before - 0.002 <= now.wall_ms / 1_000 <= after + 0.002


def test_the_state_agrees_with_the_bound_that_the_kernel_gives() -> None:
    now = KernelClock().now()
    if now.error_ms is None:
        assert now.clock == "unsynced"
    else:
        assert 0 <= now.error_ms < 16_000
        assert now.clock == ("synced" if now.error_ms < 2_000 else "holdover")


def test_two_clocks_of_one_machine_agree() -> None:
    one, other = KernelClock().now(), KernelClock().now()
    assert 0 <= other.uptime_ms - one.uptime_ms < 1_000
    assert abs((other.wall_ms - other.uptime_ms) - (one.wall_ms - one.uptime_ms)) < 250


def test_the_boot_id_is_the_kernels_uuid_and_stays_the_same() -> None:
    assert boot_id() == boot_id()
    assert len(boot_id()) == 36
    assert boot_id() == boot_id().strip().lower()


@given(st.lists(st.integers(0, 2_000_000_000), max_size=12))
@settings(deadline=None)
def test_a_thread_that_loses_the_processor_between_two_readings_sees_no_step(delays_ns: list[int]) -> None:
    now = KernelClock(ScriptedKernel(delays_ns=iter(delays_ns))).now()
    assert abs(now.wall_ms - now.uptime_ms - EPOCH_MS) <= 1


def test_on_a_machine_that_never_lets_it_read_at_once_the_best_reading_counts() -> None:
    delays_ns = [300_000_000] * 30 + [2_000_000] * 3 + [300_000_000] * 60
    now = KernelClock(ScriptedKernel(delays_ns=iter(delays_ns))).now()
    assert abs(now.wall_ms - now.uptime_ms - EPOCH_MS) <= 3


def test_a_time_server_that_falls_silent_is_holdover_also_after_the_program_was_started_again() -> None:
    kernel = ScriptedKernel()
    clock = KernelClock(kernel)
    assert state(kernel, clock, 16_000_000) == ("unsynced", None)
    assert state(kernel, clock, 4_000) == ("synced", 4)
    assert state(kernel, clock, 1_999_999) == ("synced", 1_999)
    assert state(kernel, clock, 2_000_000) == ("holdover", 2_000)
    assert state(kernel, KernelClock(kernel), 15_999_999) == ("holdover", 15_999)


def test_after_nine_hours_without_a_time_server_only_who_saw_the_clock_synced_still_believes_it() -> None:
    kernel = ScriptedKernel(error_us=15_999_500)
    clock = KernelClock(kernel)
    clock.now()
    assert state(kernel, clock, 16_000_000) == ("holdover", None)
    assert state(kernel, clock, 16_000_000) == ("holdover", None)
    assert state(kernel, KernelClock(kernel), 16_000_000) == ("unsynced", None)


@pytest.mark.parametrize("step_ns", [3_600_000_000_000, -3_600_000_000_000, 250_000_000])
def test_a_clock_that_somebody_sets_by_hand_is_unsynced_from_then_on(step_ns: int) -> None:
    """clock_settime(2) puts the kernel's bound back to 16 s."""
    kernel = ScriptedKernel(error_us=4_000)
    clock = KernelClock(kernel)
    clock.now()
    assert state(kernel, clock, 16_000_000, step_ns=step_ns) == ("unsynced", None)
    assert state(kernel, clock, 16_000_000) == ("unsynced", None)
    assert state(kernel, clock, 4_000) == ("synced", 4)


def test_a_clock_of_1970_shows_its_floor_and_the_time_that_passed_since() -> None:
    inner = Shown(Instant(5_000, 5_000, "unsynced"))
    clock = floored(inner, BUILT, [EPOCH_MS])
    assert clock.now() == Instant(5_000, EPOCH_MS, "unsynced")
    inner.instant = Instant(65_000, 65_000, "unsynced")
    assert clock.now() == Instant(65_000, EPOCH_MS + 60_000, "unsynced")


def test_an_unsynced_clock_above_its_floor_is_shown_as_it_is() -> None:
    inner = Shown(at(5_000, clock="unsynced"))
    assert floored(inner, BUILT, [EPOCH_MS]).now() == inner.instant


@pytest.mark.parametrize("state", ["synced", "holdover"])
def test_once_the_kernel_is_synced_its_time_counts_whatever_it_says(state: str) -> None:
    inner = Shown(Instant(5_000, 5_000, "unsynced"))
    clock = floored(inner, BUILT, [EPOCH_MS])
    inner.instant = at(6_000, clock="synced" if state == "synced" else "holdover", step_ms=-86_400_000)
    assert clock.now() == inner.instant


@pytest.mark.parametrize(
    ("passed_ms", "floor_ms"),
    [
        ([], BUILT_MS),
        ([0, BUILT_MS - 1], BUILT_MS),
        ([EPOCH_MS, EPOCH_MS + 7], EPOCH_MS + 7),
        ([EPOCH_MS, BUILT_MS + 20 * YEAR_MS], BUILT_MS + 20 * YEAR_MS),
        ([EPOCH_MS, BUILT_MS + 20 * YEAR_MS + 1], EPOCH_MS),
    ],
)
def test_the_floor_is_the_latest_moment_that_can_be_believed(passed_ms: list[int], floor_ms: int) -> None:
    assert floored(Shown(Instant(0, 0, "unsynced")), "2026-11-24", passed_ms).now().wall_ms == floor_ms


def test_the_floor_rises_once_the_journal_is_open_and_never_sinks() -> None:
    inner = Shown(Instant(5_000, 5_000, "unsynced"))
    clock = floored(inner, BUILT, [EPOCH_MS])
    inner.instant = Instant(8_000, 8_000, "unsynced")
    clock.rise(EPOCH_MS + 86_400_000)
    assert clock.now().wall_ms == EPOCH_MS + 86_400_000
    clock.rise(EPOCH_MS)
    inner.instant = Instant(9_000, 9_000, "unsynced")
    assert clock.now().wall_ms == EPOCH_MS + 86_401_000


@given(st.integers(0, 2**41), st.lists(st.integers(0, 2**41), min_size=1), st.integers(0, 2**41))
@settings(deadline=None)
def test_an_unsynced_clock_that_is_not_set_never_goes_back(
    floor_ms: int, uptimes: list[int], ahead_ms: int
) -> None:
    inner = Shown(Instant(0, ahead_ms, "unsynced"))
    clock = FlooredClock(inner, floor_ms, 0)
    shown = []
    for uptime_ms in sorted(uptimes):
        inner.instant = Instant(uptime_ms, ahead_ms + uptime_ms, "unsynced")
        shown.append(clock.now().wall_ms)
    assert shown == sorted(shown)
    assert shown[0] >= floor_ms + min(uptimes)


def test_the_build_is_dated() -> None:
    assert date.fromisoformat(BUILT) >= date(2026, 11, 24)


def test_a_configuration_knows_when_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "post.toml"
    file.write_text('[post]\nsite = "a"\nname = "b"\n[link]\nbrokers = ["mqtt://127.0.0.1"]\n')
    os.utime(file, ns=(0, 1_795_482_900_123_456_789))
    assert load(file).written_ms == EPOCH_MS

"""The kernel's clock: uptime and wall time as the kernel has them, and how far it believes its own."""

import time
from pathlib import Path

from device.hardware.clock import KernelClock, boot_id


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
        assert now.clock == ("synced" if now.error_ms < 1_000 else "unsynced")


def test_two_clocks_of_one_machine_agree() -> None:
    one, other = KernelClock().now(), KernelClock().now()
    assert 0 <= other.uptime_ms - one.uptime_ms < 1_000
    assert abs((other.wall_ms - other.uptime_ms) - (one.wall_ms - one.uptime_ms)) < 250


def test_the_boot_id_is_the_kernels_uuid_and_stays_the_same() -> None:
    assert boot_id() == boot_id()
    assert len(boot_id()) == 36
    assert boot_id() == boot_id().strip().lower()

"""The machine's vitals: a folder as /sys has them on a Pi, what is missing or broken in it, and a real disk."""

import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import RunningClock, at
from waiting import until

from device.hardware.vitals import TELL_EVERY_MS, VitalsWorker, supply, temperature_c, worth_telling
from device.hardware.worker import LOOKS
from device.readings import PartBlind, PartSighted, Reading, Vitals

THERMAL = "class/thermal/thermal_zone0/temp"
THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    """What /sys holds on a Pi 4 with Raspberry Pi OS."""
    hwmon = tmp_path / "class/hwmon"
    write(hwmon / "hwmon0/name", "cpu_thermal\n")
    write(hwmon / "hwmon0/temp1_input", "48312\n")
    write(hwmon / "hwmon1/name", "rpi_volt\n")
    write(hwmon / "hwmon1/in0_lcrit_alarm", "0\n")
    write(tmp_path / THERMAL, "48312\n")
    write(tmp_path / THROTTLED, "0\n")
    return tmp_path


def write(file: Path, text: str) -> None:
    """At once, as a driver's answer changes: nobody sees the file half written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name("new")
    new.write_text(text)
    new.replace(file)


def test_a_pi_that_is_well(pi: Path) -> None:
    assert temperature_c(pi) == 48.3
    assert supply(pi) == (False, False)


@pytest.mark.parametrize(("text", "degrees"), [("-5250\n", -5.2), ("0\n", 0.0), ("85000\n", 85.0), ("7", 0.0)])
def test_the_temperature_is_told_to_a_tenth(pi: Path, text: str, degrees: float) -> None:
    write(pi / THERMAL, text)
    assert temperature_c(pi) == degrees


@pytest.mark.parametrize(
    ("bits", "told"),
    [
        ("0", (False, False)),
        ("1", (True, False)),
        ("2", (False, True)),
        ("4", (False, True)),
        ("8", (False, True)),
        ("5", (True, True)),
        ("50000", (False, False)),  # it was so once since the start, and is no more
        ("50005", (True, True)),
    ],
)
def test_what_the_firmware_says_of_now_counts_and_what_has_been_does_not(
    pi: Path, bits: str, told: tuple[bool, bool]
) -> None:
    write(pi / THROTTLED, f"{bits}\n")
    assert supply(pi) == told


def test_a_dip_that_only_the_voltage_driver_saw_counts(pi: Path) -> None:
    write(pi / "class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    assert supply(pi) == (True, False)


def test_a_pi_5_or_a_kernel_of_debian_tells_of_the_voltage_alone(pi: Path) -> None:
    (pi / THROTTLED).unlink()
    assert supply(pi) == (False, None)
    write(pi / "class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    assert supply(pi) == (True, None)


def test_the_voltage_driver_may_have_any_number(pi: Path) -> None:
    (pi / "class/hwmon/hwmon1").rename(pi / "class/hwmon/hwmon12")
    write(pi / "class/hwmon/hwmon12/in0_lcrit_alarm", "1\n")
    assert supply(pi)[0] is True


def test_a_machine_that_is_no_pi_tells_nothing(tmp_path: Path) -> None:
    assert temperature_c(tmp_path) is None
    assert supply(tmp_path) == (None, None)


def test_this_machines_own_sysfs_is_read_without_complaint() -> None:
    sysfs = Path("/sys")
    degrees = temperature_c(sysfs)
    assert degrees is None or -60 < degrees < 150
    assert supply(sysfs) in [(low, throttled) for low in (None, False, True) for throttled in (None, False, True)]


@given(st.binary(max_size=40), st.sampled_from([THERMAL, THROTTLED, "class/hwmon/hwmon1/in0_lcrit_alarm"]))
@settings(deadline=None)
def test_no_bytes_in_any_file_make_it_fall_over(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, file: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "bytes"
    write(folder / "class/hwmon/hwmon1/name", "rpi_volt\n")
    write(folder / file, "")
    (folder / file).write_bytes(content)
    temperature_c(folder)
    supply(folder)


def test_a_driver_that_fails_when_it_is_read_tells_nothing(pi: Path) -> None:
    """/proc/self/mem cannot be read at 0: EIO, as a sensor that does not answer gives."""
    with pytest.raises(OSError, match="Input/output error"):
        Path("/proc/self/mem").read_bytes()
    for file in (THERMAL, THROTTLED, "class/hwmon/hwmon1/in0_lcrit_alarm", "class/hwmon/hwmon0/name"):
        (pi / file).unlink()
        (pi / file).symlink_to("/proc/self/mem")
    assert temperature_c(pi) is None
    assert supply(pi) == (None, None)


def test_folders_where_files_should_be_and_a_whole_tree_that_cannot_be_listed_tell_nothing(pi: Path) -> None:
    (pi / THERMAL).unlink()
    (pi / THERMAL).mkdir()
    assert temperature_c(pi) is None
    assert supply(pi / ("x" * 300)) == (None, None)  # ENAMETOOLONG


@contextmanager
def running(
    sysfs: Path, folder: Path, every_s: float = 0.001
) -> "Iterator[tuple[VitalsWorker, queue.SimpleQueue[Reading]]]":
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    worker = VitalsWorker(folder, RunningClock(), inbox, sysfs, every_s)
    worker.start()
    try:
        yield worker, inbox
    finally:
        worker.stop()


def next_vitals(inbox: "queue.SimpleQueue[Reading]") -> Vitals:
    while not isinstance(reading := inbox.get(timeout=20), Vitals):
        assert isinstance(reading, PartSighted)
    return reading


def test_the_first_look_is_told_at_once_with_the_disk_that_the_folder_is_on(pi: Path, tmp_path: Path) -> None:
    with running(pi, tmp_path, every_s=3_600) as (_, inbox):
        seen = next_vitals(inbox)
    disk = os.statvfs(tmp_path)
    assert (seen.temperature_c, seen.undervoltage, seen.throttled) == (48.3, False, False)
    assert seen.disk_size == disk.f_blocks * disk.f_frsize
    assert seen.disk_free is not None and 0 < seen.disk_free <= disk.f_bfree * disk.f_frsize


def test_what_a_post_may_no_longer_write_is_told_as_full(pi: Path) -> None:
    with running(pi, Path("/proc"), every_s=3_600) as (_, inbox):
        assert next_vitals(inbox).disk_free == 0


def test_a_disk_that_fails_is_not_told_and_ends_nothing(pi: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with running(pi, folder) as (_, inbox):
        seen = next_vitals(inbox)
        assert (seen.disk_free, seen.disk_size) == (None, None)
        write(pi / THROTTLED, "1\n")
        assert next_vitals(inbox).undervoltage is True


def test_the_supply_is_told_when_it_changes_and_a_sensor_that_dies_is_told_as_unknown(pi: Path) -> None:
    with running(pi, pi) as (_, inbox):
        assert next_vitals(inbox).undervoltage is False
        write(pi / "class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
        assert next_vitals(inbox).undervoltage is True
        for file in (pi / "class/hwmon/hwmon1/in0_lcrit_alarm", pi / THROTTLED):
            file.unlink()
        until(lambda: next_vitals(inbox).undervoltage is None)


def seen_at(uptime_ms: int, low: bool | None = False, temperature: float | None = 40.0) -> Vitals:
    return Vitals(at(uptime_ms), temperature, low, None, 1, 2)


def test_temperature_and_disk_are_told_now_and_then_and_the_supply_at_once() -> None:
    told = seen_at(1_000)
    assert not worth_telling(seen_at(1_000 + TELL_EVERY_MS - 1, temperature=80.0), told)
    assert worth_telling(seen_at(1_000 + TELL_EVERY_MS), told)
    assert worth_telling(seen_at(1_001, low=True), told)
    assert worth_telling(seen_at(1_001, low=None), told)


def test_a_sensor_that_never_answers_is_blind_vitals_and_holds_up_nothing(
    pi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that nobody writes to: opening it blocks, as a driver that waits for its chip does."""
    monkeypatch.setattr("device.hardware.worker.END_WITHIN_S", 0.01)
    (pi / THERMAL).unlink()
    os.mkfifo(pi / THERMAL)
    with running(pi, pi) as (vitals, inbox):
        assert isinstance(inbox.get(timeout=20), PartSighted)
        for _ in range(LOOKS + 1):
            vitals.worker.look(at())
        blind = inbox.get(timeout=20)
        assert isinstance(blind, PartBlind) and blind.part == "vitals"
        vitals.stop()
        assert "vitals" in [thread.name for thread in threading.enumerate()]
        (pi / THERMAL).write_text("50000\n")  # the chip answers
        until(vitals.worker.ended)

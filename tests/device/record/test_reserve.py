"""The megabyte held back, on a real disk that is filled and emptied again."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from volatile_disk import VolatileDisk, unusable, volatile_disk

from device.record.reserve import RESERVE_BYTES, Reserve


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[VolatileDisk]:
    if (why := unusable()) is not None:
        pytest.skip(why)
    with volatile_disk(tmp_path / "rig") as disk:
        yield disk


def reserve(folder: Path) -> Reserve:
    return Reserve.of(folder / "journal")


def test_it_is_a_megabyte_of_real_blocks_that_only_its_owner_may_read(tmp_path: Path) -> None:
    assert not reserve(tmp_path).held
    assert reserve(tmp_path).take()
    found = (tmp_path / "journal.reserve").stat()
    assert (found.st_size, found.st_mode & 0o777) == (RESERVE_BYTES, 0o600)
    assert found.st_blocks * 512 >= RESERVE_BYTES


def test_it_is_held_over_restarts_until_it_is_given_away_once(tmp_path: Path) -> None:
    assert reserve(tmp_path).take()
    assert reserve(tmp_path).held
    assert reserve(tmp_path).spend()
    assert not reserve(tmp_path).held
    assert not reserve(tmp_path).spend()


def test_to_hold_it_is_to_write_nothing(tmp_path: Path) -> None:
    held = reserve(tmp_path)
    held.take()
    before = (tmp_path / "journal.reserve").stat()
    assert held.take()
    assert (tmp_path / "journal.reserve").stat() == before


def test_it_is_taken_from_a_disk_with_plenty_and_not_from_one_at_its_brim(disk: VolatileDisk) -> None:
    held = reserve(disk.mount)
    disk.fill(4 * RESERVE_BYTES - 1)
    assert not held.take()
    assert not (disk.mount / "journal.reserve").exists()
    disk.fill(4 * RESERVE_BYTES)
    assert held.take()


def test_what_it_gives_up_on_a_full_disk_can_be_written(disk: VolatileDisk) -> None:
    held = reserve(disk.mount)
    assert held.take()
    disk.fill(0)
    with pytest.raises(OSError, match="No space left"):
        (disk.mount / "more").write_bytes(bytes(RESERVE_BYTES))
    assert held.held
    assert held.spend()
    (disk.mount / "more").write_bytes(bytes(RESERVE_BYTES))
    assert not held.take()


def test_one_that_somebody_cut_short_is_not_held_and_made_whole_where_there_is_room(tmp_path: Path) -> None:
    held = reserve(tmp_path)
    held.take()
    os.truncate(tmp_path / "journal.reserve", RESERVE_BYTES - 1)
    assert not held.held
    assert held.take()
    assert (tmp_path / "journal.reserve").stat().st_size == RESERVE_BYTES


@pytest.mark.parametrize("trouble", ["write", "read-only"])
def test_a_dying_disk_only_says_no_and_nothing_half_made_stays(disk: VolatileDisk, trouble: str) -> None:
    held = reserve(disk.mount)
    if trouble == "write":
        disk.fail("write")
    else:
        disk.read_only()
    assert not held.take()
    assert not held.spend()
    disk.well()
    assert not held.held
    assert held.take()

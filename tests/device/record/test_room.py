"""The marks at which a journal gets narrow: remove what may go, the last words alone, nothing."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from device.record.reserve import RESERVE_BYTES, Reserve
from device.record.room import Room, Tables

MIB = 1 << 20
LIMIT = 10 * MIB


@dataclass
class Journal:
    """A journal whose tables are as large as it is told."""

    folder: Path
    most_bytes: int | None = LIMIT
    used: int = 0
    free: int = 0
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        self.file = self.folder / "journal"
        self.room = Room(self.file, self.most_bytes, Reserve.of(self.file), lambda: Tables(self.used, self.free))

    def at(self, used: int) -> tuple[bool, bool, bool]:
        """Pressed, short, over."""
        self.used = used
        return self.room.pressed(), self.room.short() is not None, self.room.over() is not None


def test_three_marks_follow_each_other_below_the_limit(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.at(0) == (False, False, False)
    assert journal.at(8 * MIB - 1) == (False, False, False)
    assert journal.at(8 * MIB) == (True, False, False)
    assert journal.at(9 * MIB - 1) == (True, False, False)
    assert journal.at(9 * MIB) == (True, True, False)
    assert journal.at(10 * MIB - 1) == (True, True, False)
    assert journal.at(10 * MIB) == (True, True, True)


def test_what_was_short_stays_so_until_half_as_much_again_is_free(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.at(9 * MIB)[1]
    assert journal.at(9 * MIB - 1)[1]
    assert journal.at(9 * MIB - MIB // 2)[1]
    assert not journal.at(9 * MIB - MIB // 2 - 1)[1]
    assert not journal.at(9 * MIB - 1)[1]


def test_without_a_limit_only_the_disk_counts(tmp_path: Path) -> None:
    assert Journal(tmp_path, most_bytes=None).at(1 << 50) == (False, False, False)


def test_the_line_names_the_file_the_limit_and_the_mend(tmp_path: Path) -> None:
    journal = Journal(tmp_path, used=LIMIT)
    assert journal.room.short() == (
        f"{tmp_path}/journal: full, its limit is 10485760 bytes; "
        "run a recorder, whose receipts let old events go, or raise journal.most_bytes"
    )
    assert journal.room.over() == f"{tmp_path}/journal: 10485760 bytes, its limit is 10485760"


@pytest.fixture(name="crowded")
def _crowded(tmp_path: Path) -> Journal:
    """On a disk where no megabyte can be held back: somebody made a folder where it belongs."""
    (tmp_path / "journal.reserve").mkdir()
    return Journal(tmp_path)


def test_a_full_disk_is_short_and_what_was_removed_makes_room_in_the_file(crowded: Journal) -> None:
    assert crowded.at(MIB) == (True, True, False)
    assert crowded.room.short() == f"{crowded.file}: the disk is full; make room"
    crowded.free = RESERVE_BYTES * 3 // 2
    assert crowded.at(MIB) == (True, False, False)
    crowded.free = RESERVE_BYTES
    assert crowded.at(MIB) == (True, False, False)
    crowded.free = RESERVE_BYTES - 1
    assert crowded.at(MIB) == (True, True, False)
    crowded.free = 2 * RESERVE_BYTES
    assert crowded.at(MIB) == (False, False, False)

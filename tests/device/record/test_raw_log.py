"""The write-ahead log without SQLite: which commits were completed, and whether it breaks off before the last."""

import errno
import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from postkit import acknowledged, began, new_key, sealed_all, tapped

from device.record.chain import Chain
from device.record.journal import Journal
from device.record.journal_reader import JournalReader
from device.record.raw_log import Counted, Log, beside, frames_counted, log_broke_off, page_at

KEY = new_key()
FRAME = 24 + 4096
HEADER = 32


class Killed:
    """A journal whose process is gone: files as they are, and how they came about."""

    def __init__(self, folder: Path, commits: int = 6) -> None:
        self.file = folder / "journal"
        self.ends: list[int] = []
        with closing(Journal.open(self.file)) as journal:
            chain, events = sealed_all([began(KEY)], KEY)
            journal.append(events, {}, acknowledged(0))
            journal._database.execute("PRAGMA wal_checkpoint(RESTART)")
            self.chain: Chain = chain
            for _ in range(commits):
                self.commit(journal, 1)
            names = ("", "-wal", "-shm")
            self.files = {name: beside(self.file, name).read_bytes() for name in names}
        self.index = folder / "index"
        self.index.write_bytes(self.files["-shm"])

    def commit(self, journal: Journal, taps: int) -> None:
        self.chain, events = sealed_all([tapped()] * taps, KEY, self.chain)
        journal.append(events, {}, acknowledged(0))
        counted = frames_counted(beside(self.file, "-shm"))
        assert counted is not None
        self.ends.append(counted.frames)

    def put(self, log: bytes, index: bytes | None = None) -> Path:
        """Lay the files out, with this log; without an index unless given."""
        self.file.write_bytes(self.files[""])
        beside(self.file, "-wal").write_bytes(log)
        beside(self.file, "-shm").unlink(missing_ok=True)
        if index is not None:
            beside(self.file, "-shm").write_bytes(index)
        return beside(self.file, "-wal")


@pytest.fixture(name="killed")
def _killed(tmp_path: Path) -> Iterator[Killed]:
    yield Killed(tmp_path)


def committed(log: Path, counted: Counted | None = None) -> int:
    with closing(Log(log, counted)) as opened:
        return max((frame.number for frame in opened.committed()), default=0)


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def broke_off(killed: Killed, counted: Counted | None = None) -> bool:
    """As the opening asks: while SQLite has the file open to read."""
    with closing(JournalReader.open(killed.file)) as journal:
        journal.newest()
        return log_broke_off(killed.file, counted)


def test_a_whole_log_is_committed_to_its_end_and_behind_it_are_remains_of_an_earlier_life(killed: Killed) -> None:
    log = killed.put(killed.files["-wal"])
    assert committed(log) == killed.ends[-1]
    assert not broke_off(killed)


def test_the_index_of_a_killed_process_tells_how_much_was_committed(killed: Killed) -> None:
    counted = frames_counted(killed.index)
    assert counted is not None
    assert counted.frames == killed.ends[-1]
    assert counted.salts == killed.files["-wal"][16:24]


@pytest.mark.parametrize("place", [0, 13, 16, 40, 47, 60])
def test_an_index_that_is_not_what_was_written_tells_nothing(killed: Killed, place: int) -> None:
    killed.index.write_bytes(flipped(killed.files["-shm"], place))
    assert frames_counted(killed.index) is None


@pytest.mark.parametrize("content", [b"", bytes(32_768), b"\x0e(" * 16_384, b"short"])
def test_an_index_of_anything_tells_nothing(killed: Killed, content: bytes) -> None:
    killed.index.write_bytes(content)
    assert frames_counted(killed.index) is None
    killed.index.unlink()
    assert frames_counted(killed.index) is None


def test_a_flipped_bit_in_the_middle_hides_commits_from_sqlite_and_is_noticed(killed: Killed) -> None:
    log = killed.put(flipped(killed.files["-wal"], HEADER + killed.ends[2] * FRAME + 500))
    with closing(JournalReader.open(killed.file)) as journal:
        assert journal.newest() == 4  # of 7
    assert broke_off(killed)
    assert committed(log) == killed.ends[5]


def test_a_last_commit_that_is_damaged_was_completed_only_if_the_index_says_so(killed: Killed) -> None:
    log = killed.put(flipped(killed.files["-wal"], HEADER + (killed.ends[5] - 1) * FRAME + 500))
    assert not broke_off(killed)
    assert committed(log) == killed.ends[4]
    assert committed(log, frames_counted(killed.index)) == killed.ends[5]
    assert broke_off(killed, frames_counted(killed.index))


def test_a_power_cut_leaves_half_a_commit_and_that_is_no_damage(killed: Killed) -> None:
    log = killed.put(killed.files["-wal"][: HEADER + (killed.ends[5] - 1) * FRAME + 77])
    assert committed(log) == killed.ends[4]
    assert not broke_off(killed)


def test_a_log_that_is_cut_off_or_gone_is_noticed_by_the_index(killed: Killed) -> None:
    counted = frames_counted(killed.index)
    killed.put(killed.files["-wal"][: HEADER + killed.ends[2] * FRAME])
    assert not broke_off(killed)
    assert broke_off(killed, counted)
    killed.put(bytes(FRAME - 1))
    assert broke_off(killed, counted)
    killed.put(b"").unlink()
    assert broke_off(killed, counted)


@pytest.mark.parametrize("place", [0, 16, 24])
def test_a_damaged_header_hides_the_whole_log_from_sqlite_and_is_noticed(killed: Killed, place: int) -> None:
    log = killed.put(flipped(killed.files["-wal"], place))
    assert broke_off(killed)
    assert committed(log) == killed.ends[5]


def test_header_and_first_frame_are_gone_and_the_index_knows_which_life_it_is(killed: Killed) -> None:
    log = killed.put(bytes(FRAME) + killed.files["-wal"][FRAME:])
    assert committed(log, frames_counted(killed.index)) == killed.ends[5]


@pytest.mark.parametrize("spoilt", [bytes(FRAME), b"\xff" * FRAME, b"\xff" * 3 * FRAME])
def test_header_and_first_frames_are_gone_without_an_index_and_the_next_ones_tell_the_life(
    killed: Killed, spoilt: bytes
) -> None:
    log = killed.put(spoilt + killed.files["-wal"][len(spoilt) :])
    assert broke_off(killed)
    assert committed(log) == killed.ends[5]


def test_an_index_of_another_life_says_nothing_of_this_one(killed: Killed) -> None:
    log = killed.put(killed.files["-wal"])
    other = Counted(1_000_000, b"12345678")
    assert committed(log, other) == killed.ends[5]
    assert not broke_off(killed, other)


class BadSector(io.BytesIO):
    """A file whose second half the disk does not give back."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= len(self.getvalue()) // 2:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


def test_a_sector_that_the_disk_does_not_give_back_reads_as_zeros_and_the_others_as_they_are() -> None:
    file = BadSector(b"x" * 8_192)
    assert page_at(file, 0) == b"x" * 4_096
    assert page_at(file, 4_096) == bytes(4_096)


def test_what_is_left_of_a_failed_commit_behind_a_shorter_one_is_no_damage_and_was_not_committed(
    killed: Killed,
) -> None:
    """A commit of many rows reaches the disk and fails; the next one is shorter, and is written over it."""
    killed.put(killed.files["-wal"], killed.files["-shm"])
    with closing(Journal.open(killed.file)) as journal:
        before = killed.chain
        killed.commit(journal, 60)
        failed = beside(killed.file, "-wal").read_bytes()
    killed.put(killed.files["-wal"], killed.files["-shm"])
    killed.chain = before
    with closing(Journal.open(killed.file)) as journal:
        killed.commit(journal, 1)
        end = HEADER + killed.ends[-1] * FRAME
        written = beside(killed.file, "-wal").read_bytes()
    assert failed[:end] != written[:end]
    log = killed.put(written[:end] + failed[end:])
    assert log.stat().st_size > end
    assert committed(log) == killed.ends[-1]
    assert not broke_off(killed)
    damaged = killed.put(flipped(written[:end], HEADER + killed.ends[2] * FRAME + 500) + failed[end:])
    assert broke_off(killed)
    assert committed(damaged) == killed.ends[-1]

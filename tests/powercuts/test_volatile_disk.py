"""The mounted disk: the kernel's own calls on it, its troubles, and the power."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from volatile_disk import VolatileDisk, unusable, volatile_disk

pytestmark = pytest.mark.skipif(unusable() is not None, reason=str(unusable()))

_DURABLY = """
import os, sys
folder = os.open(sys.argv[1], os.O_DIRECTORY)
for number in range(1000):
    file = os.open(f"{sys.argv[1]}/{number}", os.O_WRONLY | os.O_CREAT)
    os.write(file, b"whole")
    os.fsync(file)
    os.close(file)
    os.fsync(folder)
    print(number, flush=True)
"""


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[VolatileDisk]:
    with volatile_disk(tmp_path / "rig") as disk:
        yield disk


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _flushed(path: Path, content: bytes) -> None:
    with _opened(path, os.O_WRONLY | os.O_CREAT) as file:
        os.write(file, content)
        os.fsync(file)


def _flush(folder: Path) -> None:
    with _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)


def test_only_what_was_flushed_with_its_name_survives_a_drive_that_had_written_nothing(disk: VolatileDisk) -> None:
    _flushed(disk.mount / "whole", b"content")
    _flush(disk.mount)
    _flushed(disk.mount / "unnamed", b"content")
    (disk.mount / "whole").write_bytes(b"written over, not flushed")
    disk.cut(0.0)
    assert disk.was_cut is not None
    with pytest.raises(OSError, match="Input/output error"):
        (disk.mount / "whole").read_bytes()
    disk.power_on()
    assert {path.name: path.read_bytes() for path in disk.mount.iterdir()} == {"whole": b"content"}


def test_whoever_is_in_the_operation_in_which_the_power_goes_dies_and_was_told_only_what_is_durable(
    disk: VolatileDisk,
) -> None:
    disk.cut_after(100)
    writer = subprocess.run([sys.executable, "-c", _DURABLY, str(disk.mount)], stdout=subprocess.PIPE, check=False)
    assert writer.returncode == -signal.SIGKILL
    told = {line.decode() for line in writer.stdout.split()}
    assert 20 <= len(told) <= 30
    assert disk.was_cut not in (None, "at rest")
    disk.power_on()
    found = {path.name: path.read_bytes() for path in disk.mount.iterdir()}
    assert told <= found.keys() and all(found[name] == b"whole" for name in told)


def test_a_lying_disk_loses_what_it_said_was_flushed(disk: VolatileDisk) -> None:
    disk.lie(drains=0.0)
    _flushed(disk.mount / "file", b"content")
    _flush(disk.mount)
    disk.cut(0.0)
    disk.power_on()
    assert list(disk.mount.iterdir()) == []


def test_a_full_disk_takes_nothing_more_and_again_what_was_made_room_for(disk: VolatileDisk) -> None:
    (disk.mount / "old").write_bytes(bytes(5_000))
    disk.fill(1_000)
    with pytest.raises(OSError, match="No space left"):
        (disk.mount / "new").write_bytes(bytes(2_000))
    with _opened(disk.mount / "old", os.O_WRONLY) as file:
        assert os.write(file, b"over what is there") == 18
    assert os.statvfs(disk.mount).f_bavail == 0
    (disk.mount / "old").unlink()
    (disk.mount / "new").write_bytes(bytes(5_500))
    disk.well()
    (disk.mount / "new").write_bytes(bytes(100_000))


def test_a_disk_turned_read_only_refuses_every_change_and_can_be_read(disk: VolatileDisk) -> None:
    (disk.mount / "file").write_bytes(b"content")
    with _opened(disk.mount / "file", os.O_WRONLY) as before:
        disk.read_only()
        for change in (
            lambda: os.write(before, b"x"),
            lambda: os.open(disk.mount / "file", os.O_RDWR),
            lambda: (disk.mount / "other").write_bytes(b""),
            (disk.mount / "file").unlink,
        ):
            with pytest.raises(OSError) as refused:
                change()
            assert refused.value.errno == errno.EROFS
        assert (disk.mount / "file").read_bytes() == b"content"


def test_a_failing_disk_says_eio_for_what_fails_alone(disk: VolatileDisk) -> None:
    (disk.mount / "cold").write_bytes(b"content")
    with _opened(disk.mount / "file", os.O_RDWR | os.O_CREAT) as file:
        disk.fail("fsync")
        os.write(file, b"content")
        with pytest.raises(OSError) as failed:
            os.fsync(file)
        assert failed.value.errno == errno.EIO
        disk.well()
        disk.fail("write")
        with pytest.raises(OSError) as failed:
            os.write(file, b"more")
        assert failed.value.errno == errno.EIO
        disk.well()
        disk.fail("read")
        os.fsync(file)
        disk.forget_cached("cold")
        with pytest.raises(OSError) as failed:
            (disk.mount / "cold").read_bytes()
        assert failed.value.errno == errno.EIO
    disk.well()
    assert (disk.mount / "cold").read_bytes() == b"content"


def test_what_a_failed_fsync_had_in_hand_is_never_written_although_the_next_one_succeeds(
    disk: VolatileDisk,
) -> None:
    with _opened(disk.mount / "file", os.O_RDWR | os.O_CREAT) as file:
        _flush(disk.mount)
        disk.fail("fsync")
        os.write(file, b"content")
        with pytest.raises(OSError, match="Input/output error"):
            os.fsync(file)
        disk.well()
        os.fsync(file)
        assert os.pread(file, 7, 0) == b"content"
    disk.cut(0.0)
    disk.power_on()
    assert (disk.mount / "file").read_bytes() == b""


def test_sqlite_keeps_its_log_and_shared_memory_on_it(disk: VolatileDisk) -> None:
    with closing(sqlite3.connect(disk.mount / "database", isolation_level=None)) as database:
        assert database.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE numbers (number)")
        _flush(disk.mount)
        for number in range(50):
            database.execute("INSERT INTO numbers VALUES (?)", (number,))
        with closing(sqlite3.connect(disk.mount / "database")) as beside:
            assert beside.execute("SELECT count(*) FROM numbers").fetchone() == (50,)
        assert disk.operations > 50
        disk.cut(0.0)
    disk.power_on()
    with closing(sqlite3.connect(disk.mount / "database")) as database:
        assert database.execute("SELECT count(*) FROM numbers").fetchone() == (50,)


def test_a_disk_that_is_still_in_use_can_be_stopped(tmp_path: Path) -> None:
    with volatile_disk(tmp_path / "rig") as disk:
        held = os.open(disk.mount / "file", os.O_RDWR | os.O_CREAT)
    with pytest.raises(OSError, match="not connected"):
        os.close(held)
    assert not os.path.ismount(disk.mount)

"""A disk that does not give the journal back, for a while or for good: SQLite says that its bytes are wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from loopkit import KNOWN, OTHER, Bench
from volatile_disk import VolatileDisk, unusable, volatile_disk

from device.effects import Answer
from device.errors import JournalDamaged
from device.record.opening import JOURNAL
from device.record.readback import Readback
from device.unread import UNREAD_MS

pytestmark = pytest.mark.skipif(unusable() is not None, reason=str(unusable()))


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[VolatileDisk]:
    with volatile_disk(tmp_path / "rig") as disk:
        yield disk


@contextmanager
def silent(disk: VolatileDisk, bench: Bench) -> Iterator[None]:
    """Nothing of the journal can be read, from memory either, while the block runs."""
    database = bench.record.journal._database
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("PRAGMA cache_size = 0")
    database.execute("PRAGMA shrink_memory")
    disk.fail("read")
    disk.forget_cached(f"state/{JOURNAL}")
    yield
    disk.well()


@pytest.fixture(name="bench")
def _bench(disk: VolatileDisk) -> Iterator[Bench]:
    made = Bench(disk.mount / "state")
    made.start()
    yield made
    made.stop()


def test_a_tap_is_red_while_the_disk_gives_nothing_back_and_the_next_is_green_once_it_does(
    disk: VolatileDisk, bench: Bench
) -> None:
    before = len(bench.events())
    with silent(disk, bench):
        assert bench.tap(KNOWN) is Answer.NOT_RECORDED
        assert bench.tap(OTHER) is Answer.NOT_RECORDED
    assert bench.tap(KNOWN) is Answer.ACCEPTED
    bench.clock.pass_ms(1_000)
    bench.post.turn([bench.inbox.get_nowait() for _ in range(bench.inbox.qsize())])
    told = bench.told()[before:]
    assert sorted(told) == ["checkin accepted", "system blind", "system sighted", "system storage"]
    storage = next(event["data"] for event in bench.events() if event["data"].get("change") == "storage")
    assert storage["unrecorded"] == 2 and "Input/output error" in storage["why"]


def test_a_disk_that_gives_nothing_back_for_a_minute_has_damaged_the_journal(
    disk: VolatileDisk, bench: Bench
) -> None:
    with silent(disk, bench):
        assert bench.tap(KNOWN) is Answer.NOT_RECORDED
        bench.clock.pass_ms(UNREAD_MS - 1)
        assert bench.tap(KNOWN) is Answer.NOT_RECORDED
        bench.clock.pass_ms(1)
        with pytest.raises(JournalDamaged) as damaged:
            bench.tap(KNOWN)
        assert damaged.value.unrecorded == 3


def test_after_an_outage_damage_is_believed_at_the_second_look(disk: VolatileDisk, bench: Bench) -> None:
    """What failed may have failed a moment before the disk came back."""
    with silent(disk, bench):
        assert bench.tap(KNOWN) is Answer.NOT_RECORDED
    file = disk.mount / "state" / JOURNAL
    file.write_bytes(file.read_bytes()[:4096] + b"\xa5" * 4096)
    assert bench.tap(KNOWN) is Answer.NOT_RECORDED
    with pytest.raises(JournalDamaged):
        bench.tap(KNOWN)


def test_files_are_read_back_from_the_disk_and_not_from_memory(disk: VolatileDisk) -> None:
    file, gone = disk.mount / "file", disk.mount / "gone"
    file.write_bytes(bytes(3 << 20))
    back = Readback([gone, file])
    assert back.trouble() is None
    disk.fail("read")
    for _ in range(2):
        assert back.trouble() == f"{file}: Input/output error"
    disk.well()
    assert back.trouble() is None

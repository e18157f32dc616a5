"""A journal on a disk that does not give it back: what cannot be read is not taken for lost."""

from contextlib import closing
from pathlib import Path

import pytest
from postkit import acknowledged, began, new_key, sealed_all, tapped
from volatile_disk import unusable, volatile_disk

from device.errors import StateError
from device.record.journal import Journal
from device.record.journal_reader import JournalReader
from device.record.replacing import finish_replacing, replace

KEY = new_key()


@pytest.mark.skipif(unusable() is not None, reason=str(unusable()))
def test_a_journal_of_which_the_disk_gives_nothing_back_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    with volatile_disk(tmp_path / "rig") as disk:
        file = disk.mount / "journal"
        with closing(Journal.open(file)) as journal:
            journal.append(sealed_all([began(KEY), *[tapped()] * 9], KEY)[1], {}, acknowledged(0))
        disk.fail("read")
        disk.forget_cached("journal")
        with pytest.raises(StateError, match="journal: a new journal cannot be written"):
            replace(file, KEY.jwk(), "a read failed", None)
        disk.well()
        finish_replacing(file)
        assert [found.name for found in disk.mount.iterdir()] == ["journal"]
        with closing(JournalReader.open(file)) as journal:
            assert journal.newest() == 10


def test_a_new_journal_that_cannot_be_written_leaves_the_damaged_one_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"damaged")
    (tmp_path / "journal.new").mkdir()
    with pytest.raises(OSError):
        replace(tmp_path / "journal", KEY.jwk(), "a test", None)
    assert (tmp_path / "journal").read_bytes() == b"damaged"

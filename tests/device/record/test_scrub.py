"""The look at every row after a start: at those that were there then, and at no other."""

from contextlib import closing
from pathlib import Path

from postkit import BOOT, SOURCE, began, new_key, sealed_all, tapped

from device.record.chain import Chain, Head
from device.record.journal import Journal, Sent
from device.record.scrub import Scrub


def test_a_chain_that_begins_after_the_start_is_not_looked_at(tmp_path: Path) -> None:
    key = new_key()
    with closing(Journal.open(tmp_path / "journal")) as journal:
        journal.append(sealed_all([began(key), tapped()], key)[1], {}, Sent({}))
        scrub = Scrub(journal)
        other = Chain(SOURCE, BOOT, key, Head("6f1e0a52-8c35-4d3b-9a70-2f6d1c0b7e94"))
        journal.append(sealed_all([began(key), tapped()], key, other)[1], {}, Sent({}))
        scrub.work()
        assert scrub.done

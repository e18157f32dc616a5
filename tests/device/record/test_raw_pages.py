"""Rows out of bare pages: what SQLite reads, and what it cannot reach any more."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import acknowledged, began, blind, new_key, sealed_all, tapped

from device.record.journal import Journal
from device.record.raw_log import Log, beside
from device.record.raw_pages import Found, Pages

KEY = new_key()
PAGE = 4096


def bare(file: Path) -> set[Found]:
    log = Log(beside(file, "-wal"))
    with closing(log), closing(Pages(file, log)) as pages:
        return set(pages.rows())


def kept(file: Path) -> set[Found]:
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
        return {Found(*row) for row in database.execute("SELECT position, event, hash FROM events")}


def fill(file: Path, events: list[bytes]) -> None:
    """Rows of any content: what is on a page is not asked what it says."""
    Journal.open(file).close()
    with closing(sqlite3.connect(file)) as database, database:
        rows = [(position, event, hashlib.sha256(event).digest()) for position, event in enumerate(events, 1)]
        database.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)


def test_every_row_is_found_in_the_database_and_in_its_log(tmp_path: Path) -> None:
    with closing(Journal.open(tmp_path / "journal")) as journal:
        chain, events = sealed_all([began(KEY), *[tapped()] * 30], KEY)
        journal.append(events, {"doors": "{}"}, acknowledged(3))
        journal._database.execute("PRAGMA wal_checkpoint(RESTART)")
        for _ in range(10):
            chain, events = sealed_all([tapped(), blind("è" * 300)], KEY, chain)
            journal.append(events, {"doors": "{}"}, acknowledged(9))
        assert bare(tmp_path / "journal") == kept(tmp_path / "journal")
        assert len(kept(tmp_path / "journal")) == 51


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.integers(1, 1_500), st.integers(3_900, 8_192)), min_size=1, max_size=30))
def test_rows_of_any_size_are_found_also_those_that_overflow_their_page(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    file = tmp_path_factory.mktemp("sizes") / "journal"
    fill(file, [bytes([number]) * size for number, size in enumerate(sizes)])
    assert bare(file) == kept(file)


def test_the_page_that_leads_to_the_others_is_destroyed_and_they_are_found_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    fill(file, [b"%d" % number * 200 for number in range(100)])
    rows = kept(file)
    with closing(sqlite3.connect(file)) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
    content = file.read_bytes()
    file.write_bytes(content[: (root - 1) * PAGE] + bytes(PAGE) + content[root * PAGE :])
    with pytest.raises(sqlite3.DatabaseError):
        kept(file)
    assert bare(file) == rows


def test_a_row_that_was_removed_is_not_found(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    fill(file, [b"%d" % number * 200 for number in range(100)])
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DELETE FROM events WHERE position = 50")
    assert bare(file) == kept(file)
    assert len(bare(file)) == 99


def test_no_file_and_a_file_of_anything_give_nothing(tmp_path: Path) -> None:
    assert bare(tmp_path / "journal") == set()
    (tmp_path / "journal").write_bytes(b"anything" * 5_000)
    assert bare(tmp_path / "journal") == set()


@settings(max_examples=300, deadline=None)
@given(page=st.binary(max_size=200), cells=st.integers(0, 65_535), kind=st.sampled_from([0x0D, 0x05, 0]))
def test_a_page_of_anything_is_read_to_its_end(
    tmp_path_factory: pytest.TempPathFactory, page: bytes, cells: int, kind: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "anything"
    content = (bytes([kind, 0, 0]) + cells.to_bytes(2, "big") + page * (PAGE // max(len(page), 1))).ljust(
        PAGE, b"\0"
    )
    file.write_bytes(bytes(PAGE) + content[:PAGE] * 2)
    assert all(isinstance(found.event, bytes) for found in bare(file))


def test_a_chain_of_overflow_pages_that_leads_back_into_itself_ends(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    fill(file, [b"x" * 8_192])
    content = file.read_bytes()
    places = [place for place in range(PAGE, len(content), PAGE) if b"x" * 4_000 in content[place : place + PAGE]]
    last = places[-1]
    file.write_bytes(content[:last] + (last // PAGE + 1).to_bytes(4, "big") + content[last + 4 :])
    assert list(_events(bare(file))) == [b"x" * 8_192]


def _events(rows: set[Found]) -> Iterator[bytes]:
    return (found.event for found in rows)

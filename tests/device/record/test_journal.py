"""The journal: all of a commit or nothing of it, on a real file and a really failing disk."""

import hashlib
import logging
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count, islice
from pathlib import Path

import pytest
from limits import files_limited_to
from postkit import BOOT, CHAIN, SOURCE, acknowledged, began, blind, new_key, sealed_all, tapped
from volatile_disk import unusable, volatile_disk

from device.errors import JournalDamaged, NotRecorded, StateError
from device.events import Door, Draft
from device.record.chain import Chain, Head, Sealed
from device.record.journal import CHECKPOINT_IDLE_BYTES, Journal, Sent
from device.record.journal_reader import DONE, ChainRow, JournalReader, Row
from device.record.journal_schema import VERSION

KEY = new_key()


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    with closing(Journal.open(folder / "journal")) as journal:
        yield journal


def log_of(folder: Path) -> int:
    return (folder / "journal-wal").stat().st_size


def taps(count: int, chain: Chain | None = None) -> tuple[Chain, list[Sealed]]:
    return sealed_all([tapped()] * count, KEY, chain)


def test_a_new_journal_is_empty(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert (journal.newest(), journal.oldest(), journal.cursors().get(DONE, 0)) == (0, 0, 0)
        assert (journal.rows(0, 10), list(journal.all_rows()), journal.chains()) == ([], [], [])
        assert (journal.snapshots(), journal.public_jwks()) == ({}, [])


def test_what_is_committed_is_there_after_a_restart_byte_for_byte(tmp_path: Path) -> None:
    _, events = taps(3)
    with opened(tmp_path) as journal:
        assert journal.append(events, {"doors": "{}", "health": "1"}, acknowledged(0)) == 3
    with opened(tmp_path) as journal:
        assert journal.rows(0, 10) == [Row(n, sealed.event) for n, sealed in enumerate(events, 1)]
        assert (journal.newest(), journal.oldest()) == (3, 1)
        assert journal.snapshots() == {"doors": "{}", "health": "1"}
        assert journal.chains() == [ChainRow(CHAIN, 0)]


def test_the_commit_is_a_durable_one(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        database = journal._database
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_cursor_and_the_snapshots_are_those_of_the_last_commit(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        chain, first = taps(2)
        journal.append(first, {"doors": "old", "health": "kept"}, acknowledged(0))
        journal.append(taps(1, chain)[1], {"doors": "new"}, acknowledged(2))
    with opened(tmp_path) as journal:
        assert journal.cursors().get(DONE, 0) == 2
        assert journal.snapshots() == {"doors": "new", "health": "kept"}


def test_keys_are_named_newest_first_and_once(tmp_path: Path) -> None:
    other = new_key()
    with opened(tmp_path) as journal:
        chain, events = sealed_all([began(KEY), tapped(), began(other), began(KEY)], KEY)
        journal.append(events, {}, acknowledged(0))
        journal.append(sealed_all([began(other)], KEY, chain)[1], {}, acknowledged(0))
        assert journal.public_jwks() == [other.jwk().model_dump_json(), KEY.jwk().model_dump_json()]


def test_an_alarm_is_open_until_a_commit_says_that_it_was_acknowledged(tmp_path: Path) -> None:
    forced = Draft(subject="front", data=Door(door="front", change="forced", since=None))
    with opened(tmp_path) as journal:
        chain, events = sealed_all([tapped(), forced, tapped(), forced], KEY)
        journal.append(events, {}, acknowledged(0))
        assert journal.alarms() == [2, 4]
        chain, events = sealed_all([tapped()], KEY, chain)
        with files_limited_to(log_of(tmp_path)), pytest.raises(NotRecorded):
            journal.append(events, {}, Sent({DONE: 4}, alarms=[2]))
        assert journal.alarms() == [2, 4]
        journal.append(events, {}, Sent({DONE: 4}, alarms=[2]))
    with opened(tmp_path) as journal:
        assert journal.alarms() == [4]


def test_a_second_chain_begins_behind_the_first(tmp_path: Path) -> None:
    other = Chain(SOURCE, BOOT, KEY, Head(BOOT))
    with opened(tmp_path) as journal:
        journal.append(taps(3)[1], {}, acknowledged(0))
        journal.append(taps(2, other)[1], {}, acknowledged(0))
        assert journal.chains() == [ChainRow(BOOT, 3), ChainRow(CHAIN, 0)]
        assert [row.position for row in journal.rows(3, 10)] == [4, 5]


def test_rows_begin_behind_a_position_and_are_no_more_than_asked_for(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(taps(10)[1], {}, acknowledged(0))
        assert [row.position for row in journal.rows(4, 3)] == [5, 6, 7]
        assert [row.position for row in journal.rows(8, 3)] == [9, 10]
        assert journal.rows(10, 3) == []
        assert [row.position for row in journal.rows(-22, 2)] == [1, 2]


def test_the_disk_is_full_nothing_of_the_commit_holds_and_the_next_one_works(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        chain, first = taps(1)
        journal.append(first, {"doors": "old"}, acknowledged(0))
        chain, second = taps(3, chain)
        for _attempt in range(3):
            with files_limited_to(log_of(tmp_path)), pytest.raises(NotRecorded) as refused:
                journal.append(second, {"doors": "new"}, acknowledged(1))
            assert str(refused.value).startswith(f"{tmp_path / 'journal'}: ")
            assert str(refused.value).endswith("; make room or mend the disk")
            assert (journal.newest(), journal.cursors().get(DONE, 0)) == (1, 0)
            assert (journal.snapshots(), journal.alarms()) == ({"doors": "old"}, [])
        with closing(JournalReader.open(tmp_path / "journal")) as beside:
            assert beside.newest() == 1
        assert journal.append(second, {"doors": "new"}, acknowledged(1)) == 4
    with opened(tmp_path) as journal:
        assert [row.event for row in journal.all_rows()] == [sealed.event for sealed in first + second]


def test_the_disk_fills_in_the_middle_of_a_large_commit_and_nothing_of_it_holds(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        chain, first = taps(1)
        journal.append(first, {}, acknowledged(0))
        many = sealed_all([blind("é" * 300)] * 400, KEY, chain)[1]
        with files_limited_to(log_of(tmp_path) + 100_000), pytest.raises(NotRecorded):
            journal.append(many, {}, acknowledged(0))
        assert journal.newest() == 1
        assert journal.append(many, {}, acknowledged(0)) == 401


def test_a_commit_that_contradicts_the_journal_leaves_nothing_half_done(tmp_path: Path) -> None:
    chain, events = taps(2)
    with opened(tmp_path) as journal:
        journal.append(events, {}, acknowledged(0))
        with pytest.raises(NotRecorded, match="UNIQUE"):
            journal.append(events, {"doors": "x"}, acknowledged(1))
        assert (journal.newest(), journal.snapshots(), journal.cursors().get(DONE, 0)) == (2, {}, 0)
        assert journal.append(taps(1, chain)[1], {}, acknowledged(0)) == 3


def test_a_database_at_its_largest_takes_nothing_of_a_commit_and_the_next_one_once_there_is_room(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as journal:
        chain, first = taps(1)
        journal.append(first, {}, acknowledged(0))
        (pages,) = journal._database.execute("PRAGMA page_count").fetchone()
        journal._database.execute(f"PRAGMA max_page_count = {pages + 3}")
        many = taps(100, chain)[1]
        with pytest.raises(NotRecorded, match="full"):
            journal.append(many, {}, acknowledged(0))
        assert journal.newest() == 1
        journal._database.execute("PRAGMA max_page_count = 100000")
        assert journal.append(many, {}, acknowledged(0)) == 101


def test_a_database_that_someone_else_locks_is_not_recorded_and_then_is(tmp_path: Path) -> None:
    with opened(tmp_path) as journal, closing(sqlite3.connect(tmp_path / "journal")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotRecorded, match="locked"):
            journal.append(taps(1)[1], {}, acknowledged(0))
        other.rollback()
        assert journal.append(taps(1)[1], {}, acknowledged(0)) == 1


def test_a_reader_beside_the_writer_sees_what_is_committed_and_cannot_write(tmp_path: Path) -> None:
    with opened(tmp_path) as journal, closing(JournalReader.open(tmp_path / "journal")) as beside:
        journal.append(taps(2)[1], {"doors": "{}"}, acknowledged(0))
        assert (beside.newest(), beside.snapshots()) == (2, {"doors": "{}"})
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            beside._database.execute("DELETE FROM events")


def test_a_journal_on_a_disk_that_takes_nothing_is_read_where_its_post_has_closed_it(tmp_path: Path) -> None:
    """As from a card in another machine, behind a switch that keeps it from being written."""
    if (why := unusable()) is not None:
        pytest.skip(why)
    with volatile_disk(tmp_path / "rig") as disk:
        with opened(disk.mount) as journal:
            journal.append(taps(3)[1], {}, acknowledged(2))
        for trouble in ("room 0", "read-only"):
            disk.do(trouble)
            with closing(JournalReader.open(disk.mount / "journal")) as beside:
                assert (beside.newest(), beside.cursors()) == (3, {DONE: 2})
            disk.well()


def test_a_reader_that_takes_its_time_holds_up_no_commit_and_sees_one_moment(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        chain, first = taps(2)
        journal.append(first, {}, acknowledged(0))
        with closing(JournalReader.open(tmp_path / "journal")) as beside:
            rows = beside.all_rows()
            assert next(rows).position == 1
            assert journal.append(taps(2, chain)[1], {}, acknowledged(0)) == 4


def test_no_journal_and_a_file_that_is_none_are_one_line_each(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    with pytest.raises(StateError, match="no journal there; has this post ever run") as refused:
        JournalReader.open(file)
    assert str(refused.value).startswith(f"{file}: ")
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalDamaged, match=r"^cannot be read as a journal: file is not a database$"):
        JournalReader.open(file)


def test_a_journal_of_a_newer_program_is_refused_by_both_ways_in_with_one_line(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(taps(1)[1], {}, acknowledged(0))
        journal._database.execute("ALTER TABLE events ADD COLUMN more")
        journal._database.execute(f"PRAGMA user_version = {VERSION + 1}")
    for way in (Journal.open, JournalReader.open):
        with pytest.raises(StateError) as refused:
            way(tmp_path / "journal")
        assert str(refused.value) == (
            f"{tmp_path / 'journal'}: journal version {VERSION + 1}, this program knows {VERSION}; "
            "update the firmware"
        )


def test_a_version_that_its_own_tables_contradict_is_damage(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(taps(1)[1], {}, acknowledged(0))
        journal._database.execute("PRAGMA user_version = 77")
    for way in (Journal.open, JournalReader.open):
        with pytest.raises(sqlite3.DatabaseError, match=f"of version {VERSION}, its header says 77"):
            way(tmp_path / "journal")


FIRST_TABLES = """
CREATE TABLE events (position INTEGER PRIMARY KEY, event BLOB NOT NULL);
CREATE TABLE chains (chain TEXT PRIMARY KEY, before INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE snapshots (rule TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE alarms (position INTEGER PRIMARY KEY);
CREATE TABLE keys (kid TEXT PRIMARY KEY, jwk TEXT NOT NULL, since INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


def test_a_journal_of_the_first_version_is_brought_up_to_date_with_every_row_as_it_was(tmp_path: Path) -> None:
    chain, events = taps(3)
    with closing(sqlite3.connect(tmp_path / "journal")) as database:
        database.executescript(FIRST_TABLES)
        rows = [(position, sealed.event) for position, sealed in enumerate(events, 1)]
        database.executemany("INSERT INTO events VALUES (?, ?)", rows)
        database.execute("INSERT INTO chains VALUES (?, 0)", (CHAIN,))
        database.commit()
    with pytest.raises(StateError, match=r"journal version 1, .*; start the post once, which brings it up to date"):
        JournalReader.open(tmp_path / "journal")
    with opened(tmp_path) as journal:
        assert [row.event for row in journal.rows(0, 10)] == [sealed.event for sealed in events]
        assert journal.append(taps(1, chain)[1], {}, acknowledged(0)) == 4


def test_a_place_without_a_write_ahead_log_is_refused() -> None:
    with pytest.raises(StateError, match="no write-ahead log"):
        Journal.open(Path(":memory:"))


def test_an_event_whose_kind_of_value_has_flipped_is_damage_and_no_crash(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(taps(3)[1], {}, acknowledged(0))
        journal._database.execute("UPDATE events SET event = CAST(event AS TEXT) WHERE position = 2")
        assert journal.rows(2, 1)[0].position == 3
        with pytest.raises(sqlite3.DatabaseError):
            journal.rows(0, 10)


def test_a_hundred_thousand_rows_are_read_without_holding_them_all(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        numbers = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
        digest = hashlib.sha256(bytes(600)).hexdigest()
        journal._database.execute(f"{numbers} INSERT INTO events SELECT i, zeroblob(600), x'{digest}' FROM n")
        tracemalloc.start()
        try:
            count = sum(1 for _ in journal.all_rows())
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert count == 100_000
    assert peak_bytes < 5_000_000


def test_a_long_log_is_folded_into_the_database_at_an_idle_moment_and_a_short_one_never(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    with opened(tmp_path) as journal:
        chain, events = sealed_all([blind("é" * 300)] * 200, KEY)
        journal.append(events, {}, acknowledged(0))
        journal.checkpoint(idle=True)
        assert file.stat().st_size < 10_000
        while log_of(tmp_path) < 2 * CHECKPOINT_IDLE_BYTES:
            chain, events = sealed_all([blind("é" * 300)] * 2_000, KEY, chain)
            journal.append(events, {}, acknowledged(0))
        journal.checkpoint(idle=False)
        assert file.stat().st_size < 10_000
        journal.checkpoint(idle=True)
        assert file.stat().st_size > CHECKPOINT_IDLE_BYTES


def test_a_disk_too_full_to_fold_the_log_loses_nothing_and_kills_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as journal:
        _, events = sealed_all([blind("é" * 300)] * (CHECKPOINT_IDLE_BYTES // 700), KEY)
        journal.append(events, {}, acknowledged(0))
        with files_limited_to(100_000), caplog.at_level(logging.WARNING):
            journal.checkpoint(idle=True)
        assert "its write-ahead log stays long" in caplog.text
        assert journal.newest() == len(events)
        assert journal.rows(len(events) - 1, 1)[0].event == events[-1].event
    with opened(tmp_path) as journal:
        assert journal.newest() == len(events)


def chain_ids() -> Iterator[str]:
    for number in count():
        yield f"0f4a3f52-7a5e-4d2f-9a51-{number:012x}"


def test_removed_events_are_gone_and_positions_go_on(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        chain, events = taps(10)
        journal.append(events, {}, acknowledged(10))
        journal.keep(acknowledged(10), remove_to=4)
        assert (journal.oldest(), journal.newest()) == (5, 10)
        assert [row.event for row in journal.all_rows()] == [sealed.event for sealed in events[4:]]
        assert list(journal.holes()) == []
        assert journal.append(taps(1, chain)[1], {}, acknowledged(10)) == 11
    with opened(tmp_path) as journal:
        assert (journal.oldest(), journal.newest()) == (5, 11)


def test_the_newest_event_is_never_removed_nor_is_anything_of_an_empty_journal(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.keep(acknowledged(0), remove_to=7)
        chain, events = taps(3)
        journal.append(events, {}, acknowledged(0))
        journal.keep(acknowledged(3), remove_to=2**60)
        assert (journal.oldest(), journal.newest()) == (3, 3)
        assert journal.append(taps(1, chain)[1], {}, acknowledged(3)) == 4


def test_what_the_link_knows_and_what_is_removed_are_one_commit(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        forced = Draft(subject="front", data=Door(door="front", change="forced", since=None))
        journal.append(sealed_all([tapped(), forced, tapped()], KEY)[1], {}, acknowledged(0))
        with files_limited_to(log_of(tmp_path)), pytest.raises(NotRecorded):
            journal.keep(Sent({DONE: 3}, alarms=[2]), remove_to=2)
        assert (journal.oldest(), journal.alarms(), journal.cursors()) == (1, [2], {DONE: 0})
        journal.keep(Sent({DONE: 3}, alarms=[2]), remove_to=2)
        assert (journal.oldest(), journal.alarms(), journal.cursors()) == (3, [], {DONE: 3})


def test_the_file_does_not_grow_while_as_much_is_removed_as_recorded(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        chain, events = taps(1_000)
        sizes = []
        for _ in range(6):
            journal.append(events, {}, acknowledged(0))
            journal.keep(acknowledged(0), remove_to=journal.newest() - 1_000)
            journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            sizes.append((tmp_path / "journal").stat().st_size)
            chain, events = taps(1_000, chain)
        assert sizes[-1] <= sizes[1] + 4 * 4096
        assert journal.used_bytes() < 1_000 * 1_200


def test_chains_without_events_are_remembered_as_far_as_headquarters_may_ask(tmp_path: Path) -> None:
    """What was removed of them is told for as long: 16 chains, each begun by damage or a rollback."""
    ids = list(islice(chain_ids(), 20))
    with opened(tmp_path) as journal:
        for number, chain in enumerate(ids):
            journal.append(taps(2, Chain(SOURCE, BOOT, KEY, Head(chain)))[1], {}, Sent({chain: 2 * number + 2}))
        journal.keep(Sent({}), remove_to=33)
        assert journal.chains() == [ChainRow(chain, 2 * number) for number, chain in reversed([*enumerate(ids)])]
        journal.keep(Sent({}), remove_to=39)
        assert [chain for chain, _ in journal.chains()] == ids[:2:-1]
        assert set(journal.cursors()) == set(ids[3:])

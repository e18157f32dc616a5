"""Salvage: what verifies of a damaged journal, at its old positions; what does not verify stays behind."""

import sqlite3
from contextlib import closing
from pathlib import Path

from postkit import BOOT, CHAIN, SOURCE, acknowledged, began, new_key, sealed_all, tapped

from device.record.chain import Chain, Head, Sealed
from device.record.journal import DONE, ChainRow, Journal, Row
from device.record.keys import SigningKey
from device.record.salvage import salvage

KEY = new_key()


def journal_of(
    file: Path, *commits: list[Sealed], done: int = 0, keys: tuple[SigningKey, ...] = (KEY,)
) -> list[Row]:
    with closing(Journal.open(file)) as journal:
        for events in commits:
            journal.append(events, {}, acknowledged(done))
        return list(journal.all_rows())


def salvaged(folder: Path, key: SigningKey = KEY) -> Journal:
    line = salvage(folder / "old", folder / "new", key.jwk(), lambda rows: f"{rows} saved")
    fresh = Journal.open(folder / "new")
    assert line == f"{len(list(fresh.all_rows()))} saved" == fresh.salvaged()
    return fresh


def changed(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(statement)


def test_a_sound_journal_is_saved_whole_with_cursor_chains_and_keys(tmp_path: Path) -> None:
    first = sealed_all([began(KEY), tapped(), tapped()], KEY)[1]
    second = sealed_all([began(KEY), tapped()], KEY, Chain(SOURCE, BOOT, KEY, Head(BOOT)))[1]
    rows = journal_of(tmp_path / "old", first, second, done=4)
    with closing(salvaged(tmp_path)) as fresh:
        assert list(fresh.all_rows()) == rows
        assert fresh.chains() == [ChainRow(BOOT, 3), ChainRow(first[0].head.chain, 0)]
        assert fresh.cursors()[DONE] == 4
        assert fresh.public_jwks() == [KEY.jwk().model_dump_json()]


def test_rows_that_do_not_verify_stay_behind_and_the_others_keep_their_positions(tmp_path: Path) -> None:
    rows = journal_of(tmp_path / "old", sealed_all([began(KEY), *[tapped()] * 5], KEY)[1])
    changed(
        tmp_path / "old", "UPDATE events SET event = replace(event, 'officer-1', 'officer-2') WHERE position = 3"
    )
    changed(tmp_path / "old", "UPDATE events SET event = x'00' WHERE position = 5")
    with closing(salvaged(tmp_path)) as fresh:
        assert list(fresh.all_rows()) == [rows[0], rows[1], rows[3], rows[5]]
        assert fresh.chains()[0].before == 0


def test_events_of_a_key_that_neither_the_journal_nor_the_post_knows_stay_behind(tmp_path: Path) -> None:
    stranger = new_key()
    own = sealed_all([began(KEY)], KEY)[1]
    foreign = sealed_all([tapped()], stranger, Chain(SOURCE, BOOT, stranger, Head(BOOT)))[1]
    rows = journal_of(tmp_path / "old", own, foreign)
    with closing(salvaged(tmp_path)) as fresh:
        assert list(fresh.all_rows()) == rows[:1]
        assert [chain.chain for chain in fresh.chains()] == [own[0].head.chain]


def test_a_journal_that_lost_its_keys_is_verified_by_the_posts_own(tmp_path: Path) -> None:
    rows = journal_of(tmp_path / "old", sealed_all([tapped(), tapped()], KEY)[1])
    changed(tmp_path / "old", "DROP TABLE keys")
    with closing(salvaged(tmp_path)) as fresh:
        assert list(fresh.all_rows()) == rows
    with closing(salvaged(tmp_path, new_key())) as fresh:
        assert list(fresh.all_rows()) == []


def test_a_journal_that_lost_its_keys_is_verified_by_those_that_its_own_events_announce(tmp_path: Path) -> None:
    rows = journal_of(tmp_path / "old", sealed_all([began(KEY), tapped()], KEY)[1])
    changed(tmp_path / "old", "DROP TABLE keys")
    with closing(salvaged(tmp_path, new_key())) as fresh:
        assert list(fresh.all_rows()) == rows
        assert fresh.public_jwks() == [KEY.jwk().model_dump_json()]


def test_events_of_a_past_key_are_verified_by_the_key_that_the_journal_kept(tmp_path: Path) -> None:
    rows = journal_of(tmp_path / "old", sealed_all([began(KEY), tapped()], KEY)[1])
    with closing(salvaged(tmp_path, new_key())) as fresh:
        assert list(fresh.all_rows()) == rows


def test_numbers_that_are_missing_are_named_by_their_chain_up_to_the_newest_that_was_committed(
    tmp_path: Path,
) -> None:
    first = sealed_all([began(KEY), *[tapped()] * 5], KEY)[1]
    second = sealed_all([began(KEY), *[tapped()] * 4], KEY, Chain(SOURCE, BOOT, KEY, Head(BOOT)))[1]
    journal_of(tmp_path / "old", first, second)
    changed(tmp_path / "old", "DELETE FROM events WHERE position IN (1, 3, 4, 6, 7, 11)")
    with closing(salvaged(tmp_path)) as fresh:
        assert fresh.holes() == [(CHAIN, 1, 1), (CHAIN, 3, 4), (CHAIN, 6, 6), (BOOT, 1, 1), (BOOT, 5, 5)]
        assert fresh.bounds() == (1, 10)


def test_a_cursor_beyond_what_was_saved_falls_back_to_the_last_saved_row(tmp_path: Path) -> None:
    journal_of(tmp_path / "old", sealed_all([began(KEY), *[tapped()] * 5], KEY)[1], done=6)
    changed(tmp_path / "old", "DELETE FROM events WHERE position > 3")
    with closing(salvaged(tmp_path)) as fresh:
        assert fresh.cursors()[DONE] == 3


def test_nothing_of_garbage_is_saved_and_the_new_journal_works(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"garbage" * 1_000)
    with closing(salvaged(tmp_path)) as fresh:
        assert (fresh.newest(), fresh.cursors()[DONE], fresh.chains(), fresh.public_jwks()) == (0, 0, [], [])
        assert fresh.append(sealed_all([began(KEY)], KEY)[1], {}, acknowledged(0)) == 1


def test_a_lost_cursor_sends_everything_again_rather_than_nothing(tmp_path: Path) -> None:
    journal_of(tmp_path / "old", sealed_all([began(KEY), tapped()], KEY)[1], done=2)
    changed(tmp_path / "old", "DROP TABLE cursors")
    with closing(salvaged(tmp_path)) as fresh:
        assert (fresh.newest(), fresh.cursors()[DONE]) == (2, 0)


def test_the_damaged_journal_itself_is_only_read(tmp_path: Path) -> None:
    journal_of(tmp_path / "old", sealed_all([began(KEY), tapped()], KEY)[1])
    changed(tmp_path / "old", "UPDATE events SET event = x'00' WHERE position = 2")
    before = (tmp_path / "old").read_bytes()
    salvaged(tmp_path).close()
    assert (tmp_path / "old").read_bytes() == before

"""Salvage: what verifies of a damaged journal, at its old positions; what does not verify stays behind."""

import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

from postkit import BOOT, CHAIN, SOURCE, acknowledged, began, new_key, sealed_all, tapped

from device.events import Door, Draft
from device.record.chain import Chain, Head, Sealed
from device.record.journal import Journal, Sent
from device.record.journal_reader import DONE, SALVAGED, ChainRow, Row
from device.record.keys import SigningKey
from device.record.raw_log import frames_counted
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


def killed(folder: Path, *commits: list[Sealed]) -> dict[str, bytes]:
    """The files of a journal whose process was killed: most of it is in the log."""
    with closing(Journal.open(folder / "old")) as journal:
        for events in commits:
            journal.append(events, {"doors": f'{{"of":{len(events)}}}'}, acknowledged(0))
        return {name: (folder / name).read_bytes() for name in ("old", "old-wal", "old-shm")}


def put(folder: Path, files: dict[str, bytes]) -> None:
    for file in folder.iterdir():
        file.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def committed_frames(folder: Path) -> int:
    counted = frames_counted(folder / "old-shm")
    assert counted is not None
    return counted.frames


def test_commits_behind_a_damaged_place_in_the_log_are_saved(tmp_path: Path) -> None:
    """SQLite stops there, and says nothing."""
    events = sealed_all([began(KEY), *[tapped()] * 19], KEY)[1]
    files = killed(tmp_path, *([sealed] for sealed in events))
    log = bytearray(files["old-wal"])
    log[len(log) // 2] ^= 0xFF
    put(tmp_path, {**files, "old-wal": bytes(log)})
    counted = frames_counted(tmp_path / "old-shm")
    salvage(tmp_path / "old", tmp_path / "new", KEY.jwk(), str, counted)
    with closing(Journal.open(tmp_path / "new")) as fresh:
        assert [row.event for row in fresh.all_rows()] == [sealed.event for sealed in events]


def test_the_rows_of_a_failed_commit_are_not_saved_whether_or_not_another_stands_in_their_place(
    tmp_path: Path,
) -> None:
    """What was signed and not recorded was shown red, and other events have its numbers since."""
    chain, first = sealed_all([began(KEY), *[tapped()] * 9], KEY)
    failed = sealed_all([tapped("unknown")] * 60, KEY, chain)[1]
    then = sealed_all([tapped()], KEY, chain)[1]
    before = [[sealed] for sealed in first]
    base = killed(tmp_path, *before)
    put(tmp_path, base)
    with_failed = killed(tmp_path, failed)["old-wal"]
    put(tmp_path, base)
    files = killed(tmp_path, then)
    put(tmp_path, files)
    end = 32 + (24 + 4096) * committed_frames(tmp_path)
    files["old-wal"] = files["old-wal"][:end] + with_failed[end:]
    for spoilt, kept in ((len(base["old-wal"]) // 2, 11), (end - 3_000, 10)):
        log = bytearray(files["old-wal"])
        log[spoilt : spoilt + 3_000] = bytes(3_000)
        put(tmp_path, {"old": files["old"], "old-wal": bytes(log)})  # the power went: there is no index
        salvage(tmp_path / "old", tmp_path / "new", KEY.jwk(), str)
        with closing(Journal.open(tmp_path / "new")) as fresh:
            assert [row.event for row in fresh.all_rows()] == [sealed.event for sealed in [*first, *then][:kept]]


def test_a_journal_whose_first_page_is_destroyed_costs_what_stands_beside_the_events_alone(tmp_path: Path) -> None:
    rows = journal_of(tmp_path / "old", sealed_all([began(KEY), *[tapped()] * 50], KEY)[1], done=20)
    content = (tmp_path / "old").read_bytes()
    (tmp_path / "old").write_bytes(bytes(4096) + content[4096:])
    with closing(salvaged(tmp_path)) as fresh:
        assert list(fresh.all_rows()) == rows
        assert fresh.cursors()[DONE] == 0


def test_a_journal_that_is_cut_off_names_what_was_behind(tmp_path: Path) -> None:
    rows = journal_of(tmp_path / "old", sealed_all([began(KEY), *[tapped()] * 50], KEY)[1], done=20)
    content = (tmp_path / "old").read_bytes()
    (tmp_path / "old").write_bytes(content[: len(content) - 3 * 4096])
    with closing(salvaged(tmp_path)) as fresh:
        kept = list(fresh.all_rows())
        assert kept == rows[: len(kept)]
        assert 20 < len(kept) < 51
        assert fresh.holes() == [(CHAIN, len(kept) + 1, 51)]
        assert fresh.cursors()[DONE] == 20


def test_open_alarms_and_the_memory_of_the_rules_are_saved_where_they_are_what_was_written(tmp_path: Path) -> None:
    with closing(Journal.open(tmp_path / "old")) as journal:
        forced = Draft(subject="front", data=Door(door="front", change="forced", since=None))
        events = sealed_all([began(KEY), forced, tapped(), forced], KEY)[1]
        journal.append(events, {"doors": '{"open":1}', "checkin": "{}"}, Sent({DONE: 3, CHAIN: 2}))
    changed(tmp_path / "old", "UPDATE snapshots SET state = '{\"open\":2}' WHERE rule = 'doors'")
    changed(tmp_path / "old", "UPDATE cursors SET position = 4 WHERE name = 'done'")
    changed(tmp_path / "old", "INSERT INTO alarms VALUES (77)")
    with closing(salvaged(tmp_path)) as fresh:
        assert fresh.alarms() == [2, 4]
        assert fresh.snapshots() == {"checkin": "{}", SALVAGED: "4 saved"}
        assert fresh.cursors() == {DONE: 0, CHAIN: 2}


def test_memory_does_not_grow_with_the_journal(tmp_path: Path) -> None:
    peaks = []
    for rows in (500, 5_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        with closing(Journal.open(folder / "old")) as journal:
            journal.append(sealed_all([began(KEY), *[tapped()] * rows], KEY)[1], {}, acknowledged(0))
        tracemalloc.start()
        try:
            salvage(folder / "old", folder / "new", KEY.jwk(), str)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000  # the larger one has 3 MB of events


def test_the_damaged_journal_itself_is_only_read(tmp_path: Path) -> None:
    journal_of(tmp_path / "old", sealed_all([began(KEY), tapped()], KEY)[1])
    changed(tmp_path / "old", "UPDATE events SET event = x'00' WHERE position = 2")
    before = (tmp_path / "old").read_bytes()
    salvaged(tmp_path).close()
    assert (tmp_path / "old").read_bytes() == before

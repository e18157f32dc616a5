"""Opening the state folder: what was damaged is set aside and saved, what is sound is never touched."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from postkit import BOOT, LATER_BOOT, SOURCE, acknowledged, at, tapped

from device.errors import JournalDamaged, StateError
from device.events import ChainBegan, Lost
from device.readings import Trouble
from device.record.chain import Chain, event_hash
from device.record.journal import Journal
from device.record.journal_reader import DONE, Row
from device.record.opening import JOURNAL, SIGNING_KEY, SITE_KEY, Record, open_record
from device.record.verification import VERIFIED_AT_OPEN, public_keys, verified

ASIDE = f"{JOURNAL}.damaged-1"


@contextmanager
def opened(folder: Path, bootid: str = BOOT) -> Iterator[Record]:
    record = open_record(folder, SOURCE, bootid)
    try:
        yield record
    finally:
        record.close()


def works(record: Record, taps: int, done: int = 0) -> None:
    """One start of the post: the chain's first event where it has begun one, and some taps, each its own commit."""
    chain = record.chain
    for number, draft in enumerate([*record.began, *[tapped()] * taps]):
        chain, sealed = chain.seal(draft, at(100_000 + number))
        record.journal.append([sealed], {"doors": "{}"}, acknowledged(done))


def night(folder: Path, taps: int = 100, done: int = 0) -> list[Row]:
    """A first night, well ended; the rows of its journal."""
    with opened(folder) as record:
        works(record, taps, done)
        return list(record.journal.all_rows())


def damage(folder: Path, place: int, length: int) -> None:
    """Flip every bit of some bytes of the journal's file."""
    with (folder / JOURNAL).open("r+b") as file:
        file.seek(place)
        content = file.read(length)
        file.seek(place)
        file.write(bytes(byte ^ 0xFF for byte in content))


def place_of(folder: Path, row: Row) -> int:
    """Where in the file an event's bytes are."""
    return (folder / JOURNAL).read_bytes().index(row.event[:600])


def began(record: Record) -> dict[str, Any]:
    data: dict[str, Any] = record.began[0].data.model_dump()
    return data


def troubles(record: Record) -> list[Trouble]:
    assert all(len(why.splitlines()) == 1 for _, why in record.troubles)
    return [what for what, _ in record.troubles]


def all_verify(journal: Journal) -> list[Row]:
    return [row for row, _ in verified(journal.all_rows(), public_keys(journal.public_jwks()))]


def test_the_first_start_begins_the_first_chain_with_a_key_of_its_own(tmp_path: Path) -> None:
    with opened(tmp_path / "new" / "state") as record:
        assert began(record) == {
            "change": "chain",
            "why": "first",
            "previous": None,
            "jwk": record.key.jwk().model_dump(),
        }
        assert (record.chain.head.seq, record.same_boot, record.troubles) == (0, False, ())
        assert (tmp_path / "new" / "state").stat().st_mode & 0o777 == 0o700


def test_the_second_start_goes_on_with_the_chain_where_it_was(tmp_path: Path) -> None:
    rows = night(tmp_path, taps=3)
    with opened(tmp_path) as record:
        assert (record.began, record.troubles, record.same_boot) == ((), (), True)
        assert (record.chain.head.seq, record.chain.head.hash) == (4, event_hash(rows[-1].event))
        works(record, 2)
        assert [row.position for row in all_verify(record.journal)] == [1, 2, 3, 4, 5, 6]
    with opened(tmp_path, LATER_BOOT) as record:
        assert (record.began, record.same_boot) == ((), False)
        assert record.chain.bootid == LATER_BOOT


def test_a_start_that_died_before_its_first_commit_is_a_first_start_again(tmp_path: Path) -> None:
    with opened(tmp_path) as record:
        kid = record.key.kid
    with opened(tmp_path) as record:
        assert (began(record)["why"], record.key.kid, record.troubles) == ("first", kid, ())


def test_a_second_process_is_refused_with_one_line_until_the_first_is_gone_even_by_kill(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from device.record.opening import open_record\n"
        f"record = open_record(Path(sys.argv[1]), {SOURCE!r}, {BOOT!r})\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StateError) as refused, opened(tmp_path):
            pass
        assert str(refused.value) == f"{tmp_path}: another guardpost is running on it; stop that one first"
        other.send_signal(signal.SIGKILL)
    with opened(tmp_path) as record:
        assert record.troubles == ()


def test_a_refused_second_opening_in_one_process_leaves_the_first_its_lock(tmp_path: Path) -> None:
    with opened(tmp_path):
        for _ in range(2):
            with pytest.raises(StateError, match="another guardpost"), opened(tmp_path):
                pass
    with opened(tmp_path):
        pass


# A damaged journal.


@pytest.mark.parametrize(
    "garbage", [b"garbage" * 1_000, b"\xff" * 4_096, bytes(8_192), b"SQLite format 3\x00" + bytes(90)]
)
def test_a_file_of_garbage_is_set_aside_and_a_new_chain_says_damaged(tmp_path: Path, garbage: bytes) -> None:
    night(tmp_path, taps=3)
    (tmp_path / JOURNAL).write_bytes(garbage)
    with opened(tmp_path) as record:
        assert (began(record)["why"], began(record)["previous"]) == ("damaged", None)
        assert troubles(record) == [Trouble.JOURNAL]
        assert (tmp_path / ASIDE).read_bytes() == garbage
        works(record, 2)
    with opened(tmp_path) as record:
        assert (record.began, record.troubles, record.chain.head.seq) == ((), (), 3)


def test_a_newest_event_that_was_changed_is_noticed_and_all_before_it_saved_byte_for_byte(tmp_path: Path) -> None:
    rows = night(tmp_path)
    damage(tmp_path, place_of(tmp_path, rows[-1]) + 300, 3)
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.JOURNAL]
        assert "row 101 " in record.troubles[0][1]
        assert "100 sound events of it kept" in record.troubles[0][1]
        assert list(record.journal.all_rows()) == rows[:-1]
        head = json.loads(rows[-2].event)
        assert began(record)["why"] == "damaged"
        assert began(record)["previous"] == {
            "chain": head["chain"],
            "seq": 100,
            "hash": event_hash(rows[-2].event),
        }
        assert record.chain.head.chain != head["chain"]
        assert record.chain.head.seq == 0


@pytest.mark.parametrize("flipped", range(0, VERIFIED_AT_OPEN, 10))
def test_a_change_in_any_of_the_newest_rows_is_noticed_at_the_next_start(tmp_path: Path, flipped: int) -> None:
    rows = night(tmp_path, taps=60)
    damage(tmp_path, place_of(tmp_path, rows[-1 - flipped]) + 200, 1)
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.JOURNAL]
        kept = [row for row in rows if row is not rows[-1 - flipped]]
        assert list(record.journal.all_rows()) == kept


def test_pages_in_the_middle_are_destroyed_and_what_is_on_both_sides_is_saved(tmp_path: Path) -> None:
    rows = night(tmp_path, taps=300)
    middle = place_of(tmp_path, rows[150]) // 4_096 * 4_096
    damage(tmp_path, middle, 2 * 4_096)
    damage(tmp_path, place_of(tmp_path, rows[-1]) + 300, 1)
    with opened(tmp_path) as record:
        kept = list(record.journal.all_rows())
        positions = [row.position for row in kept]
        assert set(kept) < set(rows)
        assert positions[0] == 1
        assert positions[-1] == 300
        assert 250 < len(kept) < 299
        assert positions == sorted(positions)
        missing = sorted(set(range(1, 302)) - set(positions))
        lost = [draft.data for draft in record.began[1:]]
        assert all(isinstance(data, Lost) for data in lost)
        named = [number for data in lost if isinstance(data, Lost) for number in range(data.from_, data.to + 1)]
        assert named == missing
        works(record, 3)
        assert len(all_verify(record.journal)) == len(kept) + len(record.began) + 3


def test_a_salvaged_journal_with_a_hole_among_its_newest_rows_opens_without_trouble_ever_after(
    tmp_path: Path,
) -> None:
    rows = night(tmp_path, taps=60)
    damage(tmp_path, place_of(tmp_path, rows[-10]) + 300, 1)
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.JOURNAL]
        chain = record.chain.head.chain
        works(record, 2)
    for _start in range(3):
        with opened(tmp_path) as record:
            assert (record.began, record.troubles, record.chain.head.chain) == ((), (), chain)
            works(record, 1)
    assert not (tmp_path / f"{JOURNAL}.damaged-2").exists()


def test_events_of_the_new_chain_are_not_taken_for_sent_where_the_lost_ones_were(tmp_path: Path) -> None:
    rows = night(tmp_path, taps=60, done=55)
    for row in rows[50:]:
        damage(tmp_path, place_of(tmp_path, row) + 300, 1)
    with opened(tmp_path) as record:
        assert (record.journal.newest(), record.journal.cursors()[DONE]) == (50, 50)


def test_the_cursor_survives_a_salvage_so_that_a_sent_backlog_is_not_sent_again(tmp_path: Path) -> None:
    rows = night(tmp_path, taps=60, done=40)
    damage(tmp_path, place_of(tmp_path, rows[-1]) + 300, 1)
    with opened(tmp_path) as record:
        assert record.journal.cursors()[DONE] == 40


def test_a_row_whose_type_flipped_from_bytes_to_text_is_damage_and_no_crash(tmp_path: Path) -> None:
    rows = night(tmp_path, taps=5)
    with closing(sqlite3.connect(tmp_path / JOURNAL)) as database, database:
        database.execute("UPDATE events SET event = CAST(event AS TEXT) WHERE position = 4")
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.JOURNAL]
        assert list(record.journal.all_rows()) == [*rows[:3], *rows[4:]]


@pytest.mark.parametrize("jwk", ["CAST(x'ff7b7d' AS TEXT)", "'nonsense'", "'{}'", "5"])
def test_a_key_that_is_no_longer_utf8_or_no_jwk_is_damage_and_no_crash(tmp_path: Path, jwk: str) -> None:
    rows = night(tmp_path, taps=5)
    with closing(sqlite3.connect(tmp_path / JOURNAL)) as database, database:
        database.execute("UPDATE keys SET jwk = " + jwk)
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.JOURNAL]
        assert list(record.journal.all_rows()) == rows


def test_a_description_of_the_tables_that_is_no_text_is_damage_and_no_crash(tmp_path: Path) -> None:
    rows = night(tmp_path)
    place = (tmp_path / JOURNAL).read_bytes().index(b"CREATE TABLE")
    for length in (4, 12):
        damage(tmp_path, place + 8, length)
        with opened(tmp_path) as record:
            assert troubles(record) == [Trouble.JOURNAL]
            assert list(record.journal.all_rows()) == rows


@pytest.mark.parametrize("table", ["snapshots", "cursors", "chains", "keys", "alarms"])
def test_a_destroyed_page_of_any_table_is_noticed_at_the_start_and_the_events_saved(
    tmp_path: Path, table: str
) -> None:
    rows = night(tmp_path)
    with closing(sqlite3.connect(tmp_path / JOURNAL)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    damage(tmp_path, (page - 1) * 4_096, 4_096)
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.JOURNAL]
        assert list(record.journal.all_rows()) == rows
        works(record, 1)
    with opened(tmp_path) as record:
        assert record.troubles == ()


def test_a_journal_of_a_version_nobody_knows_is_a_state_error_and_is_not_set_aside(tmp_path: Path) -> None:
    night(tmp_path)
    with closing(sqlite3.connect(tmp_path / JOURNAL)) as database:
        database.execute("CREATE TABLE more (of TEXT)")
        database.execute("PRAGMA user_version = 77")
    with pytest.raises(StateError, match="journal version 77"), opened(tmp_path):
        pass
    assert not (tmp_path / ASIDE).exists()


def test_a_version_that_the_tables_contradict_is_damage_and_costs_no_event(tmp_path: Path) -> None:
    rows = night(tmp_path)
    damage(tmp_path, 60, 4)  # user_version
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.JOURNAL]
        assert list(record.journal.all_rows()) == rows


def test_two_damaged_nights_leave_both_journals_aside(tmp_path: Path) -> None:
    for content in (b"first" * 1_000, b"second" * 1_000):
        night(tmp_path, taps=2)
        (tmp_path / JOURNAL).write_bytes(content)
    with opened(tmp_path) as record:
        assert began(record)["why"] == "damaged"
    assert (tmp_path / ASIDE).read_bytes() == b"first" * 1_000
    assert (tmp_path / f"{JOURNAL}.damaged-2").read_bytes() == b"second" * 1_000


def killed(folder: Path, taps: int) -> list[Row]:
    """A night that ends by SIGKILL; the rows of its journal."""
    record = open_record(folder, SOURCE, BOOT)
    works(record, taps)
    rows = list(record.journal.all_rows())
    files = {file: file.read_bytes() for file in folder.iterdir()}
    record.close()
    for file, content in files.items():
        file.write_bytes(content)
    return rows


def flip(file: Path, share: float) -> None:
    content = bytearray(file.read_bytes())
    content[int(len(content) * share)] ^= 0x10
    file.write_bytes(content)


def test_a_log_that_is_damaged_in_the_middle_loses_nothing_though_sqlite_stops_there(tmp_path: Path) -> None:
    rows = killed(tmp_path, taps=60)
    flip(tmp_path / f"{JOURNAL}-wal", 0.3)
    damaged = (tmp_path / f"{JOURNAL}-wal").read_bytes()
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.JOURNAL]
        assert "its log is damaged" in record.troubles[0][1]
        assert list(record.journal.all_rows()) == rows
        assert (tmp_path / f"{ASIDE}-wal").read_bytes() == damaged
        works(record, 1)
    with opened(tmp_path) as record:
        assert record.troubles == ()


def test_a_log_that_is_gone_after_a_kill_is_told(tmp_path: Path) -> None:
    killed(tmp_path, taps=10)
    (tmp_path / f"{JOURNAL}-wal").unlink()
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.JOURNAL]
        assert began(record)["why"] == "damaged"


def test_half_a_commit_at_the_end_of_the_log_is_what_a_power_cut_leaves_and_no_damage(tmp_path: Path) -> None:
    rows = killed(tmp_path, taps=10)
    log = tmp_path / f"{JOURNAL}-wal"
    log.write_bytes(log.read_bytes()[:-1_000])
    (tmp_path / f"{JOURNAL}-shm").unlink()
    with opened(tmp_path) as record:
        assert (record.began, record.troubles) == ((), ())
        assert list(record.journal.all_rows()) == rows[:-1]


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_database_that_is_gone_or_empty_is_saved_out_of_its_log_which_sqlite_would_delete(
    tmp_path: Path, how: str
) -> None:
    rows = killed(tmp_path, taps=20)
    if how == "gone":
        (tmp_path / JOURNAL).unlink()
    else:
        (tmp_path / JOURNAL).write_bytes(b"")
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.JOURNAL]
        assert list(record.journal.all_rows()) == rows


def test_an_empty_database_of_a_post_that_has_keys_is_one_that_is_gone(tmp_path: Path) -> None:
    night(tmp_path, taps=3)
    (tmp_path / JOURNAL).write_bytes(b"")
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.JOURNAL]
        assert (began(record)["why"], began(record)["previous"]) == ("damaged", None)


def test_newest_events_that_are_no_longer_where_sqlite_looks_are_missed_by_their_number(tmp_path: Path) -> None:
    """The last page of events is an old one again: the card has forgotten a write."""
    rows = night(tmp_path, taps=60)
    last, other = (place_of(tmp_path, rows[-1]) // 4_096, place_of(tmp_path, rows[20]) // 4_096)
    content = (tmp_path / JOURNAL).read_bytes()
    page = content[other * 4_096 : (other + 1) * 4_096]
    (tmp_path / JOURNAL).write_bytes(content[: last * 4_096] + page + content[(last + 1) * 4_096 :])
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.JOURNAL]
        kept = list(record.journal.all_rows())
        assert kept == rows[: len(kept)]
        lost = [draft.data for draft in record.began[1:]]
        assert [(data.from_, data.to) for data in lost if isinstance(data, Lost)] == [(len(kept) + 1, 61)]


def test_damage_that_is_found_while_the_post_runs_is_closed_as_it_stands_and_saved(tmp_path: Path) -> None:
    rows = night(tmp_path, taps=60)
    with pytest.raises(JournalDamaged, match=r"^row 11 \(") as found, opened(tmp_path) as record:
        works(record, 5)
        damage(tmp_path, place_of(tmp_path, rows[10]) + 300, 1)
        rows = [*rows[:10], *rows[11:], *record.journal.rows(61, 5)]
        list(record.journal.all_rows())
    assert (tmp_path / f"{JOURNAL}-wal").stat().st_size > 0
    record = open_record(tmp_path, SOURCE, BOOT, found_damaged=str(found.value))
    with closing(record):
        assert str(found.value) in record.troubles[0][1]
        assert list(record.journal.all_rows()) == rows
        (lost,) = (draft.data for draft in record.began[1:])
        assert isinstance(lost, Lost)
        assert (lost.from_, lost.to) == (11, 11)


# Keys.


def test_a_signing_key_that_the_journal_does_not_know_is_told_and_signs_a_new_chain(tmp_path: Path) -> None:
    """A flipped bit makes another key of it."""
    night(tmp_path / "one", taps=3)
    night(tmp_path / "two", taps=3)
    (tmp_path / "one" / SIGNING_KEY).write_bytes((tmp_path / "two" / SIGNING_KEY).read_bytes())
    with opened(tmp_path / "one") as record:
        assert troubles(record) == [Trouble.SIGNING_KEY]
        assert (began(record)["why"], began(record)["previous"]["seq"]) == ("damaged", 4)
        works(record, 1)
    with opened(tmp_path / "one") as record:
        assert record.troubles == ()


def test_a_damaged_signing_key_begins_a_new_chain_that_names_the_old_head(tmp_path: Path) -> None:
    rows = night(tmp_path, taps=3)
    (tmp_path / SIGNING_KEY).write_bytes(b"")
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.SIGNING_KEY]
        assert began(record)["why"] == "damaged"
        assert began(record)["previous"]["hash"] == event_hash(rows[-1].event)
        assert began(record)["previous"]["seq"] == 4
        works(record, 1)
        assert len(all_verify(record.journal)) == 6
        assert len(record.journal.public_jwks()) == 2
    with opened(tmp_path) as record:
        assert (record.began, record.troubles) == ((), ())


def test_a_signing_key_that_is_gone_begins_a_new_chain_too(tmp_path: Path) -> None:
    night(tmp_path, taps=3)
    (tmp_path / SIGNING_KEY).unlink()
    with opened(tmp_path) as record:
        assert began(record)["why"] == "damaged"
        assert began(record)["previous"]["seq"] == 4


def test_key_and_journal_both_damaged_begin_a_chain_that_names_nothing(tmp_path: Path) -> None:
    night(tmp_path, taps=3)
    (tmp_path / SIGNING_KEY).write_bytes(b"")
    (tmp_path / JOURNAL).write_bytes(b"garbage" * 1_000)
    with opened(tmp_path) as record:
        assert troubles(record) == [Trouble.SIGNING_KEY, Trouble.JOURNAL]
        assert (began(record)["why"], began(record)["previous"]) == ("damaged", None)


def test_a_key_and_a_row_damaged_together_cost_only_that_row(tmp_path: Path) -> None:
    rows = night(tmp_path, taps=60)
    (tmp_path / SIGNING_KEY).write_bytes(b"")
    damage(tmp_path, place_of(tmp_path, rows[-1]) + 300, 1)
    with opened(tmp_path) as record:
        assert list(record.journal.all_rows()) == rows[:-1]
        assert began(record)["previous"]["hash"] == event_hash(rows[-2].event)


def test_a_damaged_site_key_is_no_reason_for_a_new_chain(tmp_path: Path) -> None:
    night(tmp_path, taps=3)
    (tmp_path / SITE_KEY).write_bytes(b"")
    with opened(tmp_path) as record:
        assert (troubles(record), record.began) == ([Trouble.SITE_KEY], ())


# Trouble around a sound journal.


def sound(folder: Path, rows: list[Row]) -> None:
    assert not list(folder.glob("*.damaged-*"))
    with opened(folder) as record:
        assert (record.began, record.troubles) == ((), ())
        assert list(record.journal.all_rows()) == rows


def test_a_database_that_another_program_locks_is_a_state_error_and_is_not_set_aside(tmp_path: Path) -> None:
    rows = night(tmp_path, taps=3)
    with closing(sqlite3.connect(tmp_path / JOURNAL, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StateError, match="locked"), opened(tmp_path):
            pass
    sound(tmp_path, rows)


def test_a_folder_that_is_a_file_and_one_that_cannot_be_made_are_state_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(StateError) as refused, opened(folder):
            pass
        assert str(refused.value).startswith(f"{folder}: cannot be used as state_dir (")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_that_this_user_may_only_read_is_a_state_error_and_nothing_is_set_aside(tmp_path: Path) -> None:
    rows = night(tmp_path, taps=3)
    tmp_path.chmod(0o755)
    for file in tmp_path.iterdir():
        file.chmod(0o644 if file.name != "lock" else 0o666)
    program = (
        "import os, sys; from pathlib import Path; from device.record.opening import open_record\n"
        f"os.chdir(sys.argv[1]); os.setuid(65534); open_record(Path('.'), {SOURCE!r}, {BOOT!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "device.errors.StateError" in done.stderr
    sound(tmp_path, rows)


def test_the_process_is_killed_in_the_middle_of_the_night_and_everything_committed_is_there(tmp_path: Path) -> None:
    record = open_record(tmp_path, SOURCE, BOOT)
    works(record, 5)
    os.close(record.lock)  # what a kill leaves: no lock, a log that nobody folded in
    with closing(sqlite3.connect(tmp_path / JOURNAL)):
        assert (tmp_path / f"{JOURNAL}-wal").stat().st_size > 0
        with opened(tmp_path) as again:
            assert (again.chain.head.seq, again.troubles) == (6, ())
    record.journal.close()
    assert isinstance(record.chain, Chain)


@pytest.mark.parametrize(
    ("lost", "trouble"),
    [("journal.sqlite3", Trouble.JOURNAL), ("signing.key", Trouble.SIGNING_KEY), ("site.key", Trouble.SITE_KEY)],
)
def test_a_post_that_lost_one_of_its_files_says_so(tmp_path: Path, lost: str, trouble: Trouble) -> None:
    with opened(tmp_path) as record:
        works(record, 3)
    for file in tmp_path.glob(f"{lost}*"):
        file.unlink()
    with opened(tmp_path) as record:
        ((what, why),) = record.troubles
        assert what is trouble and "gone" in why and "\n" not in why
        if lost != "site.key":
            assert isinstance(record.began[0].data, ChainBegan)
            assert record.began[0].data.why == "damaged"


def test_a_start_that_dies_between_salvage_and_its_first_commit_loses_nothing(tmp_path: Path) -> None:
    """The pins were taken, the power went: the next start still knows that a new chain has to begin, and why."""
    rows = night(tmp_path, 300, done=100)
    spoil_last(tmp_path)
    for _ in range(2):
        with opened(tmp_path) as record:
            assert [what for what, _ in record.troubles] == [Trouble.JOURNAL]
            assert isinstance(record.began[0].data, ChainBegan) and record.began[0].data.why == "damaged"
            assert record.chain.head.seq == 0
            assert record.journal.cursors()[DONE] == 100
            assert len(list(record.journal.all_rows())) >= len(rows) - 2
    with opened(tmp_path) as record:
        works(record, 1)
    with opened(tmp_path) as record:
        assert record.began == () and record.troubles == ()


def test_a_start_whose_disk_is_full_in_the_middle_of_salvage_begins_it_again(tmp_path: Path) -> None:
    rows = night(tmp_path, 300, done=100)
    spoil_last(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
    try:
        with pytest.raises(StateError, match="a new journal cannot be written"), opened(tmp_path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with opened(tmp_path) as record:
        assert len(list(record.journal.all_rows())) >= len(rows) - 2
        assert record.journal.cursors()[DONE] == 100
    assert (tmp_path / ASIDE).exists() and not (tmp_path / f"{JOURNAL}.new").exists()


def test_a_start_that_dies_after_the_damaged_journal_moved_away_finishes_the_move(tmp_path: Path) -> None:
    rows = night(tmp_path, 300, done=100)
    spoil_last(tmp_path)
    with opened(tmp_path):
        pass
    journal = tmp_path / JOURNAL
    journal.rename(tmp_path / f"{JOURNAL}.new")
    (tmp_path / f"{JOURNAL}-wal").write_bytes(b"the log of another database")
    with opened(tmp_path) as record:
        assert len(list(record.journal.all_rows())) >= len(rows) - 2
        assert [what for what, _ in record.troubles] == [Trouble.JOURNAL]


def spoil_last(folder: Path) -> None:
    """Flip one character within the last event but one."""
    with closing(sqlite3.connect(folder / JOURNAL)) as database, database:
        (last,) = database.execute("SELECT max(position) FROM events").fetchone()
        query = (
            "UPDATE events SET event = CAST(replace(event, 'guardpost.', 'guardpast.') AS BLOB) WHERE position = ?"
        )
        database.execute(query, (last - 1,))

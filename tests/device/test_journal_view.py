"""What ``guardpost journal`` prints: for people, for programs, and when something is wrong."""

import sqlite3
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from postkit import BOOT, CHAIN, SOURCE, acknowledged, at, began, new_key, tapped

from device.errors import StateError
from device.events import Door, Draft, rfc3339
from device.journal_view import show, verify
from device.record.chain import Chain, Head
from device.record.journal import Journal
from device.record.opening import JOURNAL

KEY = new_key()
JAKARTA = ZoneInfo("Asia/Jakarta")


def night(folder: Path) -> list[bytes]:
    """Three events: the chain, a tap by an unsure clock, a door; their bytes."""
    chain = Chain(SOURCE, BOOT, KEY, Head(CHAIN))
    door = Draft(subject="front", data=Door(door="front", change="opened", since=rfc3339(at(2_000).wall_ms)))
    events = []
    for draft, now in ((began(KEY), at(0)), (tapped(), at(1_000, clock="unsynced")), (door, at(2_000))):
        chain, sealed = chain.seal(draft, now)
        events.append(sealed)
    with closing(Journal.open(folder / JOURNAL)) as journal:
        journal.append(events, {}, acknowledged(0))
    return [sealed.event for sealed in events]


def changed(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / JOURNAL)) as database, database:
        database.execute(statement)


def test_events_are_shown_in_the_posts_own_time_oldest_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night(tmp_path)
    assert show(tmp_path, JAKARTA, 20, as_json=False) == 0
    assert capsys.readouterr().out.splitlines() == [
        "       1  2026-11-24 08:15:00 WIB  system   post         change chain, why first",
        "       2  2026-11-24 08:15:01 WIB (unsynced clock)  checkin  gate         "
        "verdict accepted, officer officer-1, method badge",
        "       3  2026-11-24 08:15:02 WIB  door     front        change opened",
    ]


def test_only_the_newest_are_shown_where_fewer_are_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night(tmp_path)
    show(tmp_path, JAKARTA, 1, as_json=False)
    (line,) = capsys.readouterr().out.splitlines()
    assert "door     front" in line


def test_the_exact_bytes_are_shown_a_line_each(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    events = night(tmp_path)
    show(tmp_path, JAKARTA, 2, as_json=True)
    assert capfdbinary.readouterr().out == events[1] + b"\n" + events[2] + b"\n"


def test_a_whole_journal_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night(tmp_path)
    assert verify(tmp_path) == 0
    assert capsys.readouterr().out == "3 events in 1 chain verified\n"


def test_a_changed_event_is_named_and_those_before_it_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night(tmp_path)
    changed(tmp_path, "UPDATE events SET event = CAST(replace(event, 'officer-1', 'officer-2') AS BLOB)")
    assert verify(tmp_path) == 1
    assert capsys.readouterr().out == (
        f"1 events verified, then: row 2: event {CHAIN}/2: the signature does not belong to these bytes; "
        f"save a copy of {tmp_path} and tell headquarters\n"
    )


def test_events_taken_out_of_the_middle_are_counted_as_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night(tmp_path)
    changed(tmp_path, "DELETE FROM events WHERE position = 2")
    assert verify(tmp_path) == 1
    assert "1 between them are missing" in capsys.readouterr().out


@pytest.mark.parametrize("event", ["x'00'", "'text'", "CAST('{}' AS BLOB)", 'CAST(\'{"type":"x"}\' AS BLOB)'])
def test_a_damaged_row_is_a_line_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], event: str
) -> None:
    night(tmp_path)
    changed(tmp_path, f"UPDATE events SET event = {event} WHERE position = 2")
    assert verify(tmp_path) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "tell headquarters" in line
    if event == "'text'":
        with pytest.raises(StateError, match="damaged"):
            show(tmp_path, JAKARTA, 20, as_json=False)
    else:
        show(tmp_path, JAKARTA, 20, as_json=False)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3
        assert "row 2: " in lines[1]


def test_a_destroyed_page_is_a_line_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night(tmp_path)
    with closing(sqlite3.connect(tmp_path / JOURNAL)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
    with (tmp_path / JOURNAL).open("r+b") as file:
        file.seek((page - 1) * 4_096)
        file.write(b"\xff" * 4_096)
    assert verify(tmp_path) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("0 events verified, then: ")
    with pytest.raises(StateError, match="damaged"):
        show(tmp_path, JAKARTA, 20, as_json=False)


def test_a_journal_whose_keys_are_damaged_is_a_line_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night(tmp_path)
    changed(tmp_path, "UPDATE keys SET jwk = 'nonsense'")
    assert verify(tmp_path) == 1
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_post_that_never_ran_has_no_journal(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no journal there"):
        verify(tmp_path)
    with pytest.raises(StateError, match="no journal there"):
        show(tmp_path, JAKARTA, 1, as_json=False)


def test_looking_while_the_post_writes_holds_nobody_up(tmp_path: Path) -> None:
    night(tmp_path)
    with closing(Journal.open(tmp_path / JOURNAL)) as journal:
        assert verify(tmp_path) == 0
        chain = Chain(SOURCE, BOOT, KEY, Head(BOOT))
        assert journal.append([chain.seal(began(KEY), at())[1]], {}, acknowledged(0)) == 4
        assert verify(tmp_path) == 0

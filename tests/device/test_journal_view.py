"""What ``guardpost journal`` prints: for people, for programs, and when something is wrong."""

import sqlite3
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from postkit import BOOT, CHAIN, SOURCE, acknowledged, at, began, new_key, tapped

from device.errors import StateError
from device.events import Door, Draft, PartTest, Picture, PictureLost, SelfTested, rfc3339
from device.journal_view import show, verify
from device.record.chain import Chain, Head, event_hash
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


def test_of_a_self_test_only_what_failed_is_shown_at_length(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = PartTest(what="reader gate", ok=True, why="answers")
    lights = PartTest(what="lights", ok=None, why="look and listen")
    door = PartTest(what="input front", ok=False, why="its line hums: check its wire")
    chain = Chain(SOURCE, BOOT, KEY, Head(CHAIN))
    sealed = []
    for parts in ((reader, lights), (reader, lights, door)):
        data = SelfTested(why="shift", order=None, passed=door not in parts, parts=parts)
        chain, tested = chain.seal(Draft(subject="post", data=data), at(0))
        sealed.append(tested)
    with closing(Journal.open(tmp_path / JOURNAL)) as journal:
        journal.append(sealed, {}, acknowledged(0))
    show(tmp_path, JAKARTA, 2, as_json=False)
    assert [line.partition("post         ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "selftest passed (shift): 2 parts, 1 to look at",
        "selftest FAILED (shift): 3 parts, 1 to look at, input front: its line hums: check its wire",
    ]


def test_a_picture_is_shown_by_what_finds_it_at_headquarters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = Picture(
        sha256="07b53af6" + "0" * 56,
        bytes=300_000,
        sealed=False,
        plain_sha256=None,
        width=1920,
        height=1080,
        taken=rfc3339(at(0).wall_ms),
        offset="-2.960",
        why=f"{CHAIN}/7",
        replaces=None,
    )
    lost = PictureLost(picture=picture.sha256, why="no room")
    chain = Chain(SOURCE, BOOT, KEY, Head(CHAIN))
    sealed = []
    for draft in (Draft(subject="camera", data=picture), Draft(subject="post", data=lost)):
        chain, event = chain.seal(draft, at(0))
        sealed.append(event)
    with closing(Journal.open(tmp_path / JOURNAL)) as journal:
        journal.append(sealed, {}, acknowledged(0))
    show(tmp_path, JAKARTA, 2, as_json=False)
    assert [line.partition("WIB  ")[2] for line in capsys.readouterr().out.splitlines()] == [
        f"picture  camera       picture 07b53af6, offset -2.960, why {CHAIN}/7",
        "system   post         picture 07b53af6, change lost, why no room",
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
        f"1 events verified, then: row 2 ({CHAIN}/2) is not what was written; "
        f"save a copy of {tmp_path} and tell headquarters\n"
    )


def test_an_event_that_was_changed_with_its_checksum_is_found_by_its_signature(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = night(tmp_path)
    event = events[1].replace(b"officer-1", b"officer-2")
    changed(
        tmp_path, f"UPDATE events SET event = x'{event.hex()}', hash = x'{event_hash(event)}' WHERE position = 2"
    )
    assert verify(tmp_path) == 1
    assert capsys.readouterr().out == (
        f"1 events verified, then: row 2: event {CHAIN}/2: the signature does not belong to these bytes; "
        f"save a copy of {tmp_path} and tell headquarters\n"
    )


def test_an_event_that_is_gone_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night(tmp_path)
    changed(tmp_path, "DELETE FROM events WHERE position = 2")
    assert verify(tmp_path) == 1
    assert f"1 events verified, then: row 2 ({CHAIN}/2) is missing; " in capsys.readouterr().out


def test_the_newest_event_that_is_gone_is_named_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night(tmp_path)
    changed(tmp_path, "DELETE FROM events WHERE position = 3")
    assert verify(tmp_path) == 1
    assert f"2 events verified, then: row 3 ({CHAIN}/3) is missing; " in capsys.readouterr().out


def test_what_was_told_as_lost_is_only_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night(tmp_path)
    changed(tmp_path, "DELETE FROM events WHERE position = 2")
    changed(tmp_path, f"INSERT INTO lost VALUES ('{CHAIN}', 2, 2)")
    assert verify(tmp_path) == 0
    assert capsys.readouterr().out == "2 events in 1 chain verified, 1 are known to be lost\n"


@pytest.mark.parametrize("event", ["x'00'", "'text'", "CAST('{}' AS BLOB)", 'CAST(\'{"type":"x"}\' AS BLOB)'])
def test_a_damaged_row_is_a_line_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], event: str
) -> None:
    night(tmp_path)
    changed(tmp_path, f"UPDATE events SET event = {event} WHERE position = 2")
    assert verify(tmp_path) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "tell headquarters" in line
    show(tmp_path, JAKARTA, 20, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "row 2: " in lines[1]


def spoil(folder: Path, place: int, content: bytes) -> None:
    with (folder / JOURNAL).open("r+b") as file:
        file.seek(place)
        file.write(content)


def test_a_file_that_sqlite_refuses_is_said_to_hold_every_event_or_which_is_the_first_to_be_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = night(tmp_path)
    spoil(tmp_path, 0, b"no database")
    assert verify(tmp_path) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(
        "0 events verified, then: cannot be read as a journal: file is not a database, but every "
    )
    spoil(tmp_path, (tmp_path / JOURNAL).read_bytes().index(events[1]) + 200, b"???")
    before = (tmp_path / JOURNAL).read_bytes()
    assert verify(tmp_path) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(
        f"0 events verified, then: row 2 ({CHAIN}/2): cannot be read as a journal: file is not a"
    )
    assert (tmp_path / JOURNAL).read_bytes() == before


def test_a_log_that_breaks_off_in_the_middle_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SQLite says nothing of the commits behind the damage."""
    night(tmp_path)
    with closing(Journal.open(tmp_path / JOURNAL)) as journal:
        chain = Chain(SOURCE, BOOT, KEY, Head(BOOT))
        for number in range(5):
            chain, sealed = chain.seal(began(KEY) if number == 0 else tapped(), at())
            journal.append([sealed], {}, acknowledged(0))
        files = {name: (tmp_path / name).read_bytes() for name in (JOURNAL, f"{JOURNAL}-wal")}
    log = bytearray(files[f"{JOURNAL}-wal"])
    log[len(log) // 2] ^= 1
    files[f"{JOURNAL}-wal"] = bytes(log)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert verify(tmp_path) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "its log is damaged, but every row can be read" in line


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

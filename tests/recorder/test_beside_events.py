"""Notes, patrols, alarms and silence, as people and cron see them."""

import csv
import io
import json
import sqlite3
import time
from pathlib import Path

import pytest
from far_ends import SOURCE, Desk, Key, Post, alarm

from device.events import Checkin, Door
from recorder.__main__ import main
from recorder.intake import Message
from recorder.schema import _FIRST_BUILD, SCHEMA_VERSION
from recorder.store import Store

NOW_MS = time.time_ns() // 1_000_000


def out(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


@pytest.fixture
def taps(desk: Desk, post: Post) -> Path:
    """Three taps, an event of a key that nobody trusts, and a door."""
    desk.take(post.identity(), post.message(post.sealed[0]), *post.checkins(2))
    odd = Checkin(method="badge", officer="-1", badge=None, verdict="unknown", assurance="uid", reader="gate")
    desk.take(post.seal(odd))
    desk.take(post.seal(Door(door="front", change="opened", since=None), "front"))
    post.key = Key()
    post.begin("damaged", post.here)
    desk.take(post.checkin())
    return desk.path


def test_patrols_tell_who_tapped_where_and_when(taps: Path, post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(out(capsys, "patrols", "--json", "--store", taps))
    assert [(row["officer"], row["verdict"], row["verified"]) for row in told] == [
        ("o1", "accepted", True),
        ("o2", "accepted", True),
        ("-1", "unknown", True),
        ("o1", "accepted", False),
    ]
    assert {row["post"] for row in told} == {"jember/kpu-gate"}
    assert told[0]["time"].endswith("Z")
    assert told[0]["event"] == post.sealed[1].id
    table = out(capsys, "patrols", "--store", taps, "--officer", "o2").splitlines()
    assert len(table) == 2
    assert table[1].split("\t")[1:7] == ["synced", "jember/kpu-gate", "gate", "o2", "accepted", "uid"]


def test_patrols_of_a_time_in_a_time_zone(taps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = [row["time"] for row in json.loads(out(capsys, "patrols", "--json", "--store", taps))]
    jakarta = json.loads(out(capsys, "patrols", "--json", "--store", taps, "--timezone", "Asia/Jakarta"))
    assert jakarta[0]["time"].endswith("+07:00")
    some = out(capsys, "patrols", "--json", "--store", taps, "--since", times[1], "--until", times[2])
    assert [row["time"] for row in json.loads(some)] == [times[1]]
    local = [row["time"][:23] for row in jakarta]
    words = ("--since", local[1], "--until", local[2], "--timezone", "Asia/Jakarta")
    assert len(json.loads(out(capsys, "patrols", "--json", "--store", taps, *words))) == 1
    assert json.loads(out(capsys, "patrols", "--json", "--store", taps, "--source", "/guardpost/a/b")) == []


def test_a_spreadsheet_never_runs_a_cell(taps: Path, post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    out(capsys, "note", post.sealed[1].id, "=1+1", "--by", "@wati", "--store", taps)
    rows = list(csv.DictReader(io.StringIO(out(capsys, "patrols", "--csv", "--store", taps))))
    assert [row["officer"] for row in rows] == ["o1", "o2", "'-1", "o1"]
    assert rows[0]["notes"].startswith("'=1+1 (@wati, ")


def test_notes_stand_beside_their_event_in_order(
    taps: Path, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    event = post.sealed[1].id
    before = out(capsys, "export", "--store", taps)
    for text, author in (("tapped for\n a colleague", "Wati"), ("no, it was him", "Budi")):
        assert "noted beside" in out(capsys, "note", event, text, "--by", author, "--store", taps)
    (row, *_) = json.loads(out(capsys, "patrols", "--json", "--store", taps))
    assert [(n["text"], n["by"]) for n in row["notes"]] == [
        ("tapped for a colleague", "Wati"),
        ("no, it was him", "Budi"),
    ]
    assert out(capsys, "export", "--store", taps) == before
    lines = out(capsys, "export", "--notes", "--store", taps).splitlines()
    assert lines[1].startswith('{"event":' + post.sealed[1].event.decode() + ',"notes":[{"at": "')
    assert [len(json.loads(line)["notes"]) for line in lines] == [0, 2, 0, 0, 0]
    assert main(["verify", "--store", str(taps)]) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense", "text", "--by", "me"),
        ("00000000-0000-0000-0000-000000000000/1", "text", "--by", "me"),
        ("EVENT", " \n ", "--by", "me"),
        ("EVENT", "text", "--by", ""),
        ("EVENT", "x" * 2001, "--by", "me"),
    ],
)
def test_a_note_that_cannot_be_written_is_one_line(
    taps: Path, post: Post, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    named = [post.sealed[1].id if word == "EVENT" else word for word in words]
    assert main(["note", *named, "--store", str(taps)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_alarms_are_shown_as_they_came(desk: Desk, post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    forced = post.seal(Door(door="front", change="forced", since=None), "front")
    ahead = alarm(Message(forced.topic, forced.payload, NOW_MS))
    desk.take(ahead)
    (row,) = json.loads(out(capsys, "alarms", "--json", "--store", desk.path))
    assert (row["kind"], row["what"], row["verified"], row["streamed"]) == ("door", "front", False, False)
    desk.take(post.identity(), post.message(post.sealed[0]), forced)
    (row,) = json.loads(out(capsys, "alarms", "--json", "--store", desk.path))
    assert (row["verified"], row["streamed"], row["data"]["change"]) == (True, True, "forced")
    assert out(capsys, "alarms", "--store", desk.path).splitlines()[1].endswith("yes\tyes")


def test_silent_posts_are_listed(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """What a broker kept and a will are no signs of life; an event, a state and "online" are."""
    long_ago = NOW_MS - 3_600_000
    posts = [Post(f"/guardpost/jember/p{number}") for number in range(5)]
    for post in posts:
        desk.take(Message(f"{post.source[1:]}/status", b'{"online": true}', long_ago))
    signs = [
        posts[1].message(posts[1].sealed[0]),
        posts[2].state(1),
        posts[3].retained("status", {"online": True}),
        posts[4].retained("status", {"online": False}),
    ]
    desk.take(*(Message(sign.topic, sign.payload, NOW_MS) for sign in signs))
    desk.take(Message(f"{posts[0].source[1:]}/state", posts[0].state(1).payload, NOW_MS, live=False))
    assert main(["absent", "--after", "15m", "--json", "--store", str(desk.path)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [row["source"][-2:] for row in told] == ["p0", "p4"]
    assert main(["absent", "--after", "2h", "--store", str(desk.path)]) == 0


@pytest.mark.parametrize("text", ["0s", "15", "1w", "-5m", "99999d"])
def test_a_duration_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["absent", "--after", text, "--store", "x"])
    assert ended.value.code == 2


def test_a_store_of_the_first_build_is_brought_up_to_date(
    tmp_path: Path, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its events keep their kind; a question before that is told what to do."""
    path, checkin = tmp_path / "old.db", post.checkin()
    db = sqlite3.connect(path)
    db.executescript(f"{_FIRST_BUILD} PRAGMA application_id=0x47505231; PRAGMA user_version=1;")
    db.execute("INSERT INTO chain (source, uuid) VALUES (?, ?)", (SOURCE, post.here.chain))
    row = (1, 2, post.here.hash, "0" * 64, post.key.kid, None, 1, 7, checkin.payload)
    db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    db.commit()
    db.close()
    assert main(["patrols", "--store", str(path)]) == 2
    assert "start `run` on it once" in capsys.readouterr().err
    with Store.open(path) as store:
        assert store.number("PRAGMA user_version") == SCHEMA_VERSION
        assert store.number("SELECT at_ms FROM seen") == 7
    assert len(json.loads(out(capsys, "patrols", "--json", "--store", path))) == 1

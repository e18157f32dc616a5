"""A dead post's card: its journal goes through the same intake; the card itself is never written."""

import hashlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from far_ends import Desk, Key, Post

from device.record.chain import Sealed
from recorder.__main__ import main


@pytest.fixture
def card(tmp_path: Path, post: Post) -> Path:
    """A journal of 301 events whose log was not worked in: the plug was pulled."""
    post.checkins(300)
    return write(tmp_path / "live", tmp_path / "card", post, post.sealed)


def write(live: Path, card: Path, post: Post, events: list[Sealed]) -> Path:
    """A journal as a post leaves it, its log beside it."""
    live.mkdir()
    card.mkdir()
    journal = opened(live / "journal.sqlite3")
    journal.executemany("INSERT INTO events (event) VALUES (?)", [(sealed.event,) for sealed in events])
    journal.execute("INSERT INTO keys VALUES (?, ?, 0)", (post.key.kid, post.key.jwk.model_dump_json()))
    journal.commit()
    for name in ("journal.sqlite3", "journal.sqlite3-wal"):
        shutil.copyfile(live / name, card / name)
    journal.close()
    return card / "journal.sqlite3"


def keep(card: Path, folder: str, name: str, content: bytes) -> None:
    """A picture in the post's store, beside its journal."""
    file = card.parent / "pictures" / folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def opened(path: Path) -> sqlite3.Connection:
    """An empty journal."""
    journal = sqlite3.connect(path)
    journal.execute("PRAGMA journal_mode = WAL")
    journal.execute("CREATE TABLE events (position INTEGER PRIMARY KEY, event BLOB NOT NULL)")
    journal.execute("CREATE TABLE keys (kid TEXT PRIMARY KEY, jwk TEXT NOT NULL, since INTEGER NOT NULL)")
    return journal


def told(capsys: pytest.CaptureFixture[str], code: int, *words: object) -> dict[str, object]:
    assert main(["import", "--json", *map(str, words)]) == code
    result: dict[str, object] = json.loads(capsys.readouterr().out)
    return result


def test_a_card_fills_what_was_missing_and_stays_as_it_was(
    card: Path, desk: Desk, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.take(post.identity(), *map(post.message, post.sealed[:100]))
    before = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in card.parent.iterdir()}
    first = told(capsys, 0, card, "--store", desk.path)
    assert first == {"new": 201, "known": 100, "held": 0, "refused": 0, "pictures": 0, "damage": ""}
    assert told(capsys, 0, card, "--store", desk.path)["known"] == 301
    assert desk.chain().whole == 301
    assert {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in card.parent.iterdir()} == before
    assert main(["verify", "--store", str(desk.path)]) == 0


def test_a_post_never_heard_of_needs_a_persons_word(
    card: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "new.db"
    assert main(["import", str(card), "--store", str(store)]) == 2
    assert "--trust-first" in capsys.readouterr().err
    assert told(capsys, 0, card, "--store", store, "--trust-first")["new"] == 301


def test_the_cards_keys_do_not_replace_known_ones(
    tmp_path: Path, desk: Desk, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.take(post.identity())
    forger = Post(key=Key())
    card = write(tmp_path / "live", tmp_path / "card", forger, forger.sealed)
    assert told(capsys, 0, card, "--store", desk.path, "--trust-first")["held"] == 1
    assert desk.chain().whole == 0


def test_damaged_rows_are_refused_and_the_rest_is_taken(
    card: Path, desk: Desk, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.take(post.identity())
    db = sqlite3.connect(card)
    db.execute("UPDATE events SET event = 'a text' WHERE position = 7")
    db.execute("UPDATE events SET event = substr(event, 1, 100) WHERE position = 9")
    db.commit()
    db.close()
    assert told(capsys, 1, card, "--store", desk.path) == {
        "new": 299, "known": 0, "held": 0, "refused": 2, "pictures": 0, "damage": ""
    }  # fmt: skip


def test_a_damaged_file_gives_what_can_be_read(
    card: Path, desk: Desk, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.take(post.identity())
    db = sqlite3.connect(card)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    content = bytearray(card.read_bytes())
    content[60 * 4096 : 62 * 4096] = b"\xff" * 8192
    card.write_bytes(content)
    result = told(capsys, 1, card, "--store", desk.path)
    assert result["damage"]
    assert 0 < int(str(result["new"])) < 301


def test_the_cards_pictures_are_taken_where_its_events_announce_them(
    tmp_path: Path, desk: Desk, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    """One was sent and never came, one still waited, one has rotted, one nobody knows, one was half written."""
    pictures = []
    for number in range(3):
        _, picture = post.picture(bytes([number]) * 1000)
        pictures.append((picture.topic[-64:], post.last.replace("/", "."), picture.payload))
    card = write(tmp_path / "live", tmp_path / "card", post, post.sealed)
    keep(card, "sent", f"{pictures[0][0]}.{pictures[0][1]}", pictures[0][2])
    keep(card, "waiting", f"{pictures[1][0]}.{pictures[1][1]}", pictures[1][2])
    keep(card, "waiting", f"{pictures[2][0]}.{pictures[2][1]}", pictures[2][2][:-1])
    keep(card, "new", hashlib.sha256(b"unknown").hexdigest(), b"unknown")
    keep(card, "new", f"{pictures[2][0]}.new", b"half")
    desk.take(post.identity())
    result = told(capsys, 1, card, "--store", desk.path)
    assert (result["pictures"], result["refused"]) == (2, 1)
    assert sorted(desk.pictures().values()) == ["mismatch", "stored", "stored"]
    assert desk.flaws() == {"wrong picture": 1}
    keep(card, "waiting", f"{pictures[2][0]}.{pictures[2][1]}", pictures[2][2])
    again = told(capsys, 0, card, "--store", desk.path)
    assert (again["new"], again["pictures"], again["refused"]) == (0, 1, 0)


@pytest.mark.parametrize("spoil", ["missing", "text", "foreign", "empty"])
def test_what_is_no_journal_is_one_line(
    tmp_path: Path, desk: Desk, capsys: pytest.CaptureFixture[str], spoil: str
) -> None:
    path = tmp_path / "card.sqlite3"
    if spoil == "text":
        path.write_text("no database at all, but long enough to look at " * 10)
    if spoil == "foreign":
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE guests (name)")
        db.close()
    if spoil == "empty":
        opened(path).close()
    assert main(["import", str(path), "--store", str(desk.path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1

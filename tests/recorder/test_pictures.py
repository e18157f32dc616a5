"""Pictures as they come, a commit each: only what a verified event announced is stored, and only its very bytes."""

import json
import sqlite3
from pathlib import Path

import pytest
import rfc8785
from far_ends import SOURCE, Desk, Post
from limits import files_limited_to

from device.events import MOST_PICTURE_BYTES
from device.record.chain import base64url
from recorder.errors import Damaged, NotStored
from recorder.intake import Message
from recorder.ledger import Ledger
from recorder.picture_files import PictureFiles
from recorder.schema import _FIRST_BUILD, _RECEIPTS
from recorder.store import Store
from recorder.summary import PictureCount

JPEG = b"\xff\xd8" + bytes(range(256)) * 4 + b"\xff\xd9"


@pytest.fixture
def known(desk: Desk, post: Post) -> Desk:
    """A desk that trusts the post."""
    desk.take(post.identity(), post.message(post.sealed[0]))
    return desk


def sha(picture: Message) -> str:
    return picture.topic.rsplit("/", 1)[1]


def held(desk: Desk, picture: Message) -> bytes:
    return PictureFiles(desk.path).read(SOURCE, sha(picture))


def states(desk: Desk) -> list[str]:
    return list(desk.pictures().values())


def told(desk: Desk) -> str | None:
    row = desk.store.row("SELECT told FROM picture")
    assert row is not None
    told: str | None = row["told"]
    return told


def test_a_picture_after_its_event_is_stored_byte_for_byte(known: Desk, post: Post) -> None:
    event, picture = post.picture(JPEG)
    known.take(event)
    assert states(known) == ["lacking"]
    known.take(picture)
    assert states(known) == ["stored"]
    assert held(known, picture) == JPEG
    assert known.summary().pictures == PictureCount(stored=1, lacking=0, lost=0)
    assert known.flaws() == {}


def test_a_picture_before_its_event_waits_in_memory(known: Desk, post: Post) -> None:
    event, picture = post.picture(JPEG)
    known.take(picture)
    assert states(known) == []
    known.take(event)
    assert states(known) == ["stored"]
    assert held(known, picture) == JPEG


def test_it_waits_while_nobody_trusts_the_key_of_its_event(desk: Desk, post: Post) -> None:
    event, picture = post.picture(JPEG)
    desk.take(post.message(post.sealed[0]), event, picture)
    assert states(desk) == []
    assert not PictureFiles(desk.path).folder.exists()
    desk.take(post.identity())
    assert states(desk) == ["stored"]


def test_a_duplicate_changes_nothing(known: Desk, post: Post) -> None:
    event, picture = post.picture(JPEG)
    known.take(event, picture)
    before = PictureFiles(known.path).path(SOURCE, sha(picture)).stat()
    known.take(picture, event, picture)
    after = PictureFiles(known.path).path(SOURCE, sha(picture)).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert states(known) == ["stored"]


def test_wrong_bytes_are_a_finding_and_the_right_ones_are_taken_after_all(known: Desk, post: Post) -> None:
    event, picture = post.picture(JPEG)
    known.take(event, post.picture_bytes(sha(picture), JPEG[:-1]))
    assert states(known) == ["mismatch"]
    assert known.flaws() == {"wrong picture": 1}
    assert known.summary().pictures.lacking == 1
    known.take(picture)
    assert states(known) == ["stored"]
    assert held(known, picture) == JPEG


def test_one_that_nobody_announced_is_never_on_the_disk(known: Desk, post: Post) -> None:
    other = Post(source="/guardpost/jember/gate-2")
    event, picture = other.picture(JPEG)
    known.take(other.identity(), event, post.picture_bytes(sha(picture), JPEG))
    assert states(known) == ["lacking"]
    assert not PictureFiles(known.path).folder.exists()


def test_early_ones_push_out_the_oldest_of_the_same_post_and_no_other(known: Desk, post: Post) -> None:
    """A post that floods us with strange pictures takes nothing from its neighbours."""
    other = Post(source="/guardpost/jember/gate-2")
    theirs, their_picture = other.picture(JPEG)
    known.take(other.identity(), other.message(other.sealed[0]), their_picture)
    ours = [post.picture(bytes([number]) * (MOST_PICTURE_BYTES // 3)) for number in range(10)]
    known.take(*(picture for _, picture in ours))
    known.take(*(event for event, _ in ours), theirs)
    assert states(known) == ["lacking"] * 7 + ["stored"] * 4


@pytest.mark.parametrize("order", ["event first", "lost first"])
def test_one_that_the_post_has_lost_is_named_and_not_asked_for(known: Desk, post: Post, order: str) -> None:
    event, picture = post.picture(JPEG)
    lost = post.lose_picture(sha(picture), "the store was full")
    known.take(*((event, lost) if order == "event first" else (lost, event)))
    assert states(known) == ["lost"]
    assert told(known) == "the store was full"
    assert known.flaws() == {"lost": 1}
    assert known.store.number("SELECT count(*) FROM picture WHERE since_ms NOT NULL") == 0
    assert known.chain().lost == ()
    known.take(picture)
    assert states(known) == ["stored"]
    assert known.flaws() == {}


def test_one_that_is_here_is_not_lost_by_what_happens_at_the_post(known: Desk, post: Post) -> None:
    event, picture = post.picture(JPEG)
    known.take(event, picture, post.lose_picture(sha(picture)))
    assert states(known) == ["stored"]
    assert known.flaws() == {}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_one_that_was_too_large_for_the_broker_is_replaced(known: Desk, post: Post, order: tuple[int, int]) -> None:
    large, picture = post.picture(JPEG * 100)
    small, bytes_of_small = post.picture(JPEG, replaces=sha(picture))
    known.take(*((large, small)[at] for at in order), bytes_of_small)
    assert known.pictures() == {sha(picture)[:8]: "replaced", sha(bytes_of_small)[:8]: "stored"}
    assert known.store.number("SELECT count(*) FROM picture WHERE since_ms NOT NULL") == 0


def test_an_event_that_says_another_length_is_unclear(known: Desk, post: Post) -> None:
    event, picture = post.picture(JPEG)
    known.take(event)
    with known.store.transaction():
        known.store.run("UPDATE picture SET bytes = bytes + 1")
    known.take(picture)
    assert states(known) == ["mismatch"]
    assert known.flaws() == {"unclear": 1}
    assert not PictureFiles(known.path).folder.exists()


def test_a_disk_that_takes_none_is_told_once_and_the_event_is_recorded_all_the_same(
    known: Desk, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    large = [post.picture(bytes([number]) * 2_000_000) for number in range(2)]
    small = post.picture(JPEG)
    with files_limited_to(1_000_000):
        for event, picture in (*large, small):
            known.take(event, picture, post.checkin())
    assert states(known) == ["lacking", "lacking", "stored"]
    assert known.chain().whole == 7
    assert caplog.text.count("no picture is stored") == 1
    row = known.store.row("SELECT told, since_ms, asked FROM picture")
    assert row is not None
    assert "File too large" in row["told"]
    assert row["asked"] == 1
    known.take(large[0][1], large[1][1])
    assert states(known) == ["stored"] * 3
    assert held(known, large[1][1]) == b"\x01" * 2_000_000
    assert not list(PictureFiles(known.path).folder.rglob("*.part"))


def test_one_post_that_has_used_up_its_share_takes_nothing_from_the_others(
    known: Desk, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once, its events go on, and with a larger share the pictures are taken after all."""
    known.ledger = Ledger(known.store, "guardpost", 2 * len(JPEG) + 1)
    ours = [post.picture(JPEG.replace(b"\x07", bytes([number]), 1)) for number in range(4)]
    other = Post(source="/guardpost/jember/gate-2")
    theirs, their_picture = other.picture(JPEG)
    for event, picture in ours:
        known.take(event, picture, post.checkin())
    known.take(other.identity(), other.message(other.sealed[0]), theirs, their_picture)
    assert states(known) == ["stored", "stored", "lacking", "lacking", "stored"]
    assert known.flaws() == {"no room for pictures": 2}
    assert [chain.whole for chain in known.summary().chains] == [2, 9]
    assert caplog.text.count("are used up: none is stored; give more with --pictures-per-post") == 1
    row = known.store.row("SELECT told, asked FROM picture WHERE state = 'lacking'")
    assert row is not None
    assert (row["told"], row["asked"]) == (f"the {2 * len(JPEG) + 1} bytes for pictures of one post are used up", 1)
    known.ledger = Ledger(known.store, "guardpost", 4 * len(JPEG))
    known.take(ours[2][1], ours[3][1])
    assert states(known) == ["stored"] * 5
    assert known.flaws() == {}


def test_pictures_leave_room_to_events(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path / "r.db", left_free_bytes=1 << 60)
    with pytest.raises(NotStored, match="left to events"):
        files.put(SOURCE, "ab" * 32, JPEG)
    assert not files.has_room()
    assert PictureFiles(tmp_path / "r.db").has_room()


def test_a_file_that_changed_or_is_gone_is_damaged(known: Desk, post: Post) -> None:
    event, picture = post.picture(JPEG)
    known.take(event, picture)
    file = PictureFiles(known.path).path(SOURCE, sha(picture))
    file.write_bytes(JPEG.replace(b"\x07", b"\x08", 1))
    with pytest.raises(Damaged, match="changed on the disk"):
        held(known, picture)
    file.unlink()
    with pytest.raises(Damaged, match="No such file"):
        held(known, picture)


def test_a_picture_event_that_cannot_be_used_is_unclear_and_stored(known: Desk, post: Post) -> None:
    """Signed and linked, and its data is none that we know: an event like every other."""
    event, picture = post.picture(JPEG)
    members = json.loads(event.payload.replace(b'"width":1920', b'"width":-192'))
    del members["signature"]
    members["signature"] = base64url(post.key.sign(rfc8785.dumps(members)))
    known.take(Message(event.topic, rfc8785.dumps(members), 1), picture)
    assert known.chain().whole == 2
    assert states(known) == []
    assert known.flaws() == {"unclear": 1}


@pytest.mark.parametrize("topic", ["picture/abc", "picture/" + "AB" * 32, "picture", "reply/x", "picture/a/b"])
def test_topics_that_are_none_are_refused(known: Desk, post: Post, topic: str) -> None:
    known.take(Message(f"{SOURCE[1:]}/{topic}", JPEG, 1))
    assert known.flaws() == {"topic mismatch": 1}


def test_a_picture_larger_than_any_is_refused_and_its_announcement_told(known: Desk, post: Post) -> None:
    event, picture = post.picture(bytes(MOST_PICTURE_BYTES + 1))
    known.take(event, picture)
    assert known.flaws() == {"unclear": 1, "wrong picture": 1}
    assert known.store.number("SELECT count(*) FROM picture WHERE since_ms NOT NULL") == 0


def test_an_older_store_that_holds_picture_events_asks_for_them(tmp_path: Path, post: Post) -> None:
    path = tmp_path / "old.db"
    event, picture = post.picture(JPEG)
    db = sqlite3.connect(path)
    db.executescript(f"{_FIRST_BUILD}{_RECEIPTS} PRAGMA application_id=0x47505231; PRAGMA user_version=2;")
    db.execute("INSERT INTO chain (source, uuid) VALUES (?, ?)", (SOURCE, post.here.chain))
    row = (1, 2, post.here.hash, "0" * 64, post.key.kid, None, 1, 7, event.payload, "picture", 0)
    db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    db.commit()
    db.close()
    Store.open(path).close()
    desk = Desk(path)
    assert states(desk) == ["lacking"]
    desk.take(picture)
    assert states(desk) == ["stored"]
    desk.store.close()

"""Pictures over a real Mosquitto: how they come, how they are asked for, and what becomes of the line."""

import json
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from brokers import Mosquitto, listening
from far_ends import SOURCE, Post, publish
from picture_bench import CLIENT, bench, photo
from picture_post import PicturePost, picture_post
from programs import eager, recording
from waiting import until

from device.events import MOST_PICTURE_BYTES
from recorder.__main__ import main
from recorder.intake import Message
from recorder.picture_files import PictureFiles
from recorder.service import Recorder
from recorder.store import Store
from recorder.summary import PictureCount

JPEG = b"\xff\xd8" + bytes(range(256)) * 1200 + b"\xff\xd9"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r.db"


def nothing(far: PicturePost, order: dict[str, Any]) -> None:
    """The order is heard and not answered."""


def listens(broker: Mosquitto, times: int = 1) -> bool:
    """Whether the recorder's connection for pictures has got its SUBACK."""
    return broker.log().count("Sending SUBACK to guardpost-recorder-pictures") >= times


def stored(recorder: Recorder) -> int:
    return recorder.summary().pictures.stored


def row(path: Path) -> dict[str, Any]:
    """The one picture."""
    with Store.read(path) as store:
        found = store.row("SELECT * FROM picture")
    return {} if found is None else dict(found)


@pytest.fixture
def unlimited() -> Iterator[None]:
    """Whatever limits a test sets on files are taken back."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_pictures_come_by_a_connection_of_their_own(
    mosquitto: Mosquitto, path: Path, post: Post, protocol: Literal["5", "3.1.1"]
) -> None:
    small, large = post.picture(JPEG), post.picture(bytes(MOST_PICTURE_BYTES))
    with recording(mosquitto.url, path, protocol=protocol) as recorder:
        until(lambda: listens(mosquitto))
        publish(mosquitto, post.identity(), post.message(post.sealed[0]), large[1], small[0], large[0])
        until(lambda: stored(recorder) == 1)
        publish(mosquitto, small[1])
        until(lambda: stored(recorder) == 2)
        assert recorder.summary().findings == 0
    files = PictureFiles(path)
    assert files.read(SOURCE, large[1].topic[-64:]) == bytes(MOST_PICTURE_BYTES)
    assert files.read(SOURCE, small[1].topic[-64:]) == JPEG


def test_a_picture_waits_at_its_post_and_not_at_the_broker_while_the_recorder_is_away(
    mosquitto: Mosquitto, path: Path, tmp_path: Path
) -> None:
    """On MQTT 5 the broker says that nobody subscribes: the post keeps it as not sent, and tries again."""
    with bench(tmp_path / "post") as far:
        identity = {"keys": [json.loads(jwk) for jwk in far.record.journal.public_jwks()]}
        publish(mosquitto, Message(f"{SOURCE[1:]}/identity", json.dumps(identity).encode(), 0), retain=True)
        with recording(mosquitto.url, path):
            until(lambda: listens(mosquitto))
        far.taken(photo())
        for row in far.record.journal.rows(0, 9, as_written=False):
            kind = json.loads(row.event)["type"].split(".")[1]
            publish(mosquitto, Message(f"{SOURCE[1:]}/event/{kind}", row.event, 0))
        far.online(mosquitto.port)
        until(lambda: mosquitto.log().count(f"Received PUBLISH from {CLIENT}") >= 1)
        assert (len(far.names("waiting")), far.names("sent")) == (1, [])
        with recording(mosquitto.url, path) as recorder:
            until(lambda: stored(recorder) == 1)
            until(lambda: (far.names("waiting"), len(far.names("sent"))) == ([], 1))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_the_broker_took_while_the_recorder_was_away_is_asked_for(
    mosquitto: Mosquitto, path: Path, post: Post, protocol: Literal["5", "3.1.1"]
) -> None:
    """Somebody else listens, so the post believes that it has been heard."""
    first, (event, picture) = post.message(post.sealed[0]), post.picture(JPEG)

    def sends(far: PicturePost, order: dict[str, Any]) -> None:
        far.send(picture)
        far.reply(order, ok=True, sent=1)

    with recording(mosquitto.url, path, protocol=protocol):
        until(lambda: listens(mosquitto))
    with listening(mosquitto.port) as other, picture_post(mosquitto.port, post, sends) as far:

        def taken() -> int:
            return sum(heard.topic == picture.topic for heard in list(other.heard))

        far.send(first, event, picture)
        until(lambda: taken() == 1)
        with recording(mosquitto.url, path, protocol=protocol, picture_grace_s=0.1) as recorder:
            until(lambda: stored(recorder) == 1)
        assert {order["picture"] for order in far.orders} == {picture.topic[-64:]}
        until(lambda: taken() >= 2)


def test_killed_while_pictures_flow_it_has_every_one_that_it_says_it_has(
    mosquitto: Mosquitto, path: Path, post: Post, tmp_path: Path
) -> None:
    """Three times SIGKILL at some moment; what was not stored is asked for, and in the end all are here."""
    pictures = [post.picture(JPEG + bytes([number])) for number in range(40)]
    log = tmp_path / "log"

    def sends(far: PicturePost, order: dict[str, Any]) -> None:
        far.send(*(picture for _, picture in pictures if picture.topic.endswith(order["picture"])))
        far.reply(order, ok=True, sent=1)

    def files_there() -> int:
        if not path.exists():
            return 0
        with Store.read(path) as store:
            rows = [row["sha256"] for row in store.rows("SELECT sha256 FROM picture WHERE state = 'stored'")]
        for sha256 in rows:
            PictureFiles(path).read(SOURCE, sha256)
        return len(rows)

    with picture_post(mosquitto.port, post, sends) as far:
        for kill in range(3):
            with eager(mosquitto.url, path, log) as process:
                until(lambda: listens(mosquitto, kill + 1))  # noqa: B023
                if kill == 0:
                    far.send(post.message(post.sealed[0]))
                    far.send(*(message for both in pictures for message in both))
                until(lambda: files_there() > 10 * kill)  # noqa: B023
                process.send_signal(signal.SIGKILL)
                process.wait(10)
            files_there()
        with eager(mosquitto.url, path, log) as process:
            until(lambda: files_there() == 40)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
    assert main(["pictures", "verify", "--store", str(path)]) == 0
    assert "Traceback" not in log.read_text()


def test_one_that_never_came_is_asked_for_until_it_comes(mosquitto: Mosquitto, path: Path, post: Post) -> None:
    """Twice the post does not answer; the third time it sends."""
    first, (event, picture) = post.message(post.sealed[0]), post.picture(JPEG)

    def third_time(far: PicturePost, order: dict[str, Any]) -> None:
        if len(far.orders) == 3:
            far.send(picture)
            far.reply(order, ok=True, sent=1)

    with (
        recording(mosquitto.url, path, picture_grace_s=0.1) as recorder,
        picture_post(mosquitto.port, post, third_time) as far,
    ):
        far.send(first, event)
        until(lambda: stored(recorder) == 1)
    assert len(far.orders) >= 3  # and once more where the picture took its time
    assert all(set(order) == {"id", "expires", "picture"} for order in far.orders)
    assert {order["picture"] for order in far.orders} == {picture.topic[-64:]}
    assert len({order["id"] for order in far.orders}) == len(far.orders)
    assert row(path)["asked"] >= len(far.orders)


def test_a_post_that_is_away_is_not_asked(mosquitto: Mosquitto, path: Path, post: Post) -> None:
    first, (event, _) = post.message(post.sealed[0]), post.picture(JPEG)
    other = Post(source="/guardpost/jember/gate-2")
    other_event, _ = other.picture(JPEG)
    with (
        recording(mosquitto.url, path, picture_grace_s=0.1) as recorder,
        picture_post(mosquitto.port, post, nothing) as far,
        picture_post(mosquitto.port, other, nothing) as near,
    ):
        far.send(post.retained("status", {"online": False}), first, event)
        until(lambda: recorder.summary().online.get(SOURCE) is False)
        near.send(other.message(other.sealed[0]), other_event)
        until(lambda: len(near.orders) >= 2)
        assert far.orders == []
        far.send(post.retained("status", {"online": True}))
        until(lambda: far.orders)


def test_a_recorder_without_receipts_asks_for_nothing(mosquitto: Mosquitto, tmp_path: Path, post: Post) -> None:
    first, (event, _) = post.message(post.sealed[0]), post.picture(JPEG)
    quiet, speaking = tmp_path / "quiet.db", tmp_path / "speaking.db"
    more = {"picture_grace_s": 0.05}
    with picture_post(mosquitto.port, post, nothing) as far:
        with recording(mosquitto.url, quiet, receipts=False, client_id="second", **more) as recorder:
            far.send(first, event)
            until(lambda: recorder.summary().pictures.lacking == 1)
        with recording(mosquitto.url, speaking, **more) as recorder:
            until(lambda: recorder.connected)
            far.send(first, event)
            until(lambda: far.orders)
    assert row(quiet)["asked"] == 0


def test_what_a_post_says_is_noted_and_a_lost_event_ends_it(mosquitto: Mosquitto, path: Path, post: Post) -> None:
    first, (event, picture) = post.message(post.sealed[0]), post.picture(JPEG)
    lost = post.lose_picture(picture.topic[-64:], "removed")

    def refuses(far: PicturePost, order: dict[str, Any]) -> None:
        far.reply(order, ok=False, error="not here")

    with (
        recording(mosquitto.url, path, picture_grace_s=0.1) as recorder,
        picture_post(mosquitto.port, post, refuses) as far,
    ):
        far.send(first, event)
        until(lambda: row(path).get("told") == "the post: not here")
        until(lambda: len(far.orders) >= 2)
        far.send(lost)
        until(lambda: recorder.summary().pictures == PictureCount(stored=0, lacking=0, lost=1))
        assert recorder.summary().findings == 1
    assert (row(path)["state"], row(path)["told"], row(path)["since_ms"]) == ("lost", "removed", None)


def test_a_post_that_does_not_answer_is_asked_for_four_and_no_more(
    mosquitto: Mosquitto, path: Path, post: Post
) -> None:
    """Meanwhile its neighbour is asked again and again for its one; an answer makes room for the next."""
    other = Post(source="/guardpost/jember/gate-2")
    pictures = [post.picture(JPEG + bytes([number])) for number in range(7)]
    other_event, _ = other.picture(JPEG)
    with (
        recording(mosquitto.url, path, picture_grace_s=0.1) as recorder,
        picture_post(mosquitto.port, post, nothing) as far,
        picture_post(mosquitto.port, other, nothing) as near,
    ):
        far.send(post.message(post.sealed[0]), *(event for event, _ in pictures))
        until(lambda: len(far.orders) == 4)
        near.send(other.message(other.sealed[0]), other_event)
        until(lambda: len(near.orders) >= 3)
        assert len({order["picture"] for order in far.orders}) == len(far.orders) == 4
        far.reply(far.orders[1], ok=False, error="busy")
        until(lambda: len(far.orders) == 5)
        assert far.orders[4]["picture"] not in {order["picture"] for order in far.orders[:4]}
        assert recorder.failure is None


def test_a_full_disk_loses_no_picture(
    mosquitto: Mosquitto, path: Path, post: Post, unlimited: None, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once, the events go on, and when there is room again the post is asked."""
    caplog.set_level("INFO")
    content = JPEG * 10
    first, (event, picture) = post.message(post.sealed[0]), post.picture(content)
    later = post.checkin()

    def sends(far: PicturePost, order: dict[str, Any]) -> None:
        far.send(picture)
        far.reply(order, ok=True, sent=1)

    with (
        recording(mosquitto.url, path, picture_grace_s=0.2) as recorder,
        picture_post(mosquitto.port, post, sends) as far,
    ):
        until(lambda: listens(mosquitto))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
        far.send(first, event, picture, later)
        until(lambda: "File too large" in str(row(path).get("told")))
        until(lambda: recorder.summary().chains[0].whole == 3)
        assert stored(recorder) == 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        until(lambda: stored(recorder) == 1)
        assert recorder.failure is None
    assert caplog.text.count("no picture is stored") == 1
    assert "pictures are stored again" in caplog.text
    assert PictureFiles(path).read(SOURCE, picture.topic[-64:]) == content


def test_a_file_that_is_found_changed_is_asked_for_again_while_the_recorder_runs(
    mosquitto: Mosquitto, path: Path, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    first, (event, picture) = post.message(post.sealed[0]), post.picture(JPEG)

    def sends(far: PicturePost, order: dict[str, Any]) -> None:
        far.send(picture)
        far.reply(order, ok=True, sent=1)

    with (
        recording(mosquitto.url, path, picture_grace_s=1.0) as recorder,
        picture_post(mosquitto.port, post, sends) as far,
    ):
        until(lambda: listens(mosquitto))
        far.send(first, event, picture)
        until(lambda: stored(recorder) == 1)
        file = PictureFiles(path).path(SOURCE, picture.topic[-64:])
        file.write_bytes(JPEG[:-1])
        assert main(["pictures", "verify", "--store", str(path)]) == 1
        assert "its bytes have changed on the disk; it is asked for again" in capsys.readouterr().out
        until(lambda: stored(recorder) == 1)
        assert file.read_bytes() == JPEG
        assert recorder.summary().findings == 0
        assert main(["pictures", "verify", "--store", str(path)]) == 0

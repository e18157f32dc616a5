"""Pictures on their way to a real Mosquitto: each once its event is acknowledged, and again after every break."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import pytest
from brokers import Heard, Listener, Mosquitto, listening, mosquitto
from certificates import Authority
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from picture_bench import CLIENT, OFFSET_MS, WHY, Bench, bench, broker_at, noise, photo, sha256_of
from PIL import Image
from proxy import proxied
from volatile_disk import unusable, volatile_disk
from waiting import until

from device.config_link import LinkSection
from device.link.pacing import DEAD_AFTER_MS
from device.link.picture_line import IDLE_MS, LONGEST_PAUSE_MS
from device.pictures.handing import BREAKS, GONE_AN_HOUR, READ_AGAIN_MS
from device.readings import PartSighted, PictureGone, PictureTaken, Replayed
from device.record.pictures import LEFT_TO_JOURNAL_BYTES

FAST = 100_000_000
BASE = "guardpost/jember/kpu-gate"
ORDER = "6f1cf1a2-0f7c-4b0e-9d53-1d2f3a4b5c6d"
OTHER_ORDER = "7f1cf1a2-0f7c-4b0e-9d53-1d2f3a4b5c6d"


def sent(post: Bench, count: int = 1) -> None:
    """Wait until so many were taken by a broker."""
    until(lambda: len(post.names("sent")) == count, what=f"{count} pictures sent")


def arrived(far: Listener, count: int = 1) -> list[Heard]:
    """The pictures that a subscriber got, as soon as there are so many."""
    until(lambda: len(far.of("picture")) >= count, what=f"{count} pictures at the far end")
    return far.of("picture")


@pytest.fixture(name="long_pauses")
def _long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pause is as long as the last: no test waits for its end."""
    monkeypatch.setattr("device.link.picture_line.FIRST_PAUSE_MS", LONGEST_PAUSE_MS)


def pauses(caplog: pytest.LogCaptureFixture) -> None:
    """Wait until the post has heard that its picture is not taken: the broker's own log is ahead of it."""
    until(lambda: "the broker does not take pictures" in caplog.text, what="a pause")


def pause_over(post: Bench) -> None:
    post.clock.ahead_ms += LONGEST_PAUSE_MS


def seal_key() -> str:
    """A public key as the configuration has it."""
    key = X25519PrivateKey.generate().public_key().public_bytes_raw()
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def opened(broker: Mosquitto) -> int:
    """How often the pictures' line came up."""
    return broker.log().count(f" as {CLIENT} ")


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_picture_goes_out_once_its_event_is_acknowledged_and_is_kept_as_sent(
    tmp_path: Path, version: str
) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        bench(tmp_path / "state", rate=FAST) as post,
        listening(broker.port) as far,
    ):
        early, late = photo(1, 300_000), photo(2)
        [first] = post.taken(early)
        acknowledged = post.newest
        [second] = post.taken(late)
        post.worker.work(acknowledged, (broker_at(broker.port), version))
        sent(post)
        [heard] = arrived(far)
        assert (heard.topic, heard.retained) == (f"{BASE}/picture/{first}", False)
        assert heard.payload == early.jpeg
        assert [name.split(".")[0] for name in post.names("waiting")] == [second]
        post.online(broker.port, version)
        sent(post, 2)
        assert arrived(far, 2)[1].payload == late.jpeg
        spent = post.budget.today(post.clock.now())["picture"]
        assert 0 < spent - len(early.jpeg) - len(late.jpeg) < 300, "a metered line pays for pictures too"
        assert post.names("new") == post.names("waiting") == []


def test_what_was_not_handed_over_goes_out_after_a_restart_oldest_first(tmp_path: Path) -> None:
    photos = [photo(number) for number in range(5)]
    with bench(tmp_path / "state") as post:
        post.taken(*photos)
    with (
        mosquitto(tmp_path / "broker") as broker,
        bench(tmp_path / "state", rate=FAST) as post,
        listening(broker.port) as far,
    ):
        post.worker.work(post.newest - 1, (broker_at(broker.port), "5"))
        post.until_heard(PartSighted)
        post.online(broker.port)
        sent(post, 5)
        assert [heard.payload for heard in arrived(far, 5)] == [each.jpeg for each in photos]


def test_the_line_breaks_in_the_middle_of_a_picture_and_it_goes_again(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        proxied(broker.port) as line,
        bench(tmp_path / "state", rate=FAST) as post,
        listening(broker.port) as far,
    ):
        line.be(close_after=100_000)
        post.taken(photo(1, 300_000))
        post.online(line.port)
        sent(post)  # the first pause is a second at most
        assert line.taken == 2
        assert [heard.payload for heard in arrived(far)] == [photo(1, 300_000).jpeg]


def test_a_line_on_which_no_puback_comes_is_given_up_and_dialled_anew(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        proxied(broker.port) as line,
        bench(tmp_path / "state", rate=FAST) as post,
        listening(broker.port) as far,
    ):
        line.be(swallow=True)
        post.taken(photo(1, 1_000))
        post.online(line.port)
        until(lambda: line.pubacks == 1)
        line.heal()
        post.clock.ahead_ms += DEAD_AFTER_MS + 3_000
        until(lambda: line.taken == 2)
        sent(post)
        assert len(arrived(far, 2)) == 2, "what is not acknowledged goes again, and is the same bytes"


def test_nobody_subscribes_and_the_picture_waits_until_somebody_does(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker, bench(tmp_path / "state", rate=FAST) as post:
        post.taken(photo())
        post.online(broker.port)
        until(lambda: f"Sending PUBACK to {CLIENT} (m1, rc16)" in broker.log())
        assert post.names("sent") == []
        with listening(broker.port) as far:
            pause_over(post)
            sent(post)
            assert len(arrived(far)) == 1


@pytest.mark.usefixtures("long_pauses")
def test_an_order_ends_the_pause_after_nobody_had_subscribed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mosquitto(tmp_path / "broker") as broker, bench(tmp_path / "state", rate=FAST) as post:
        [sha256] = post.taken(photo())
        post.online(broker.port)
        pauses(caplog)
        with listening(broker.port) as far:
            post.worker.again(ORDER, sha256)
            assert post.until_heard(Replayed).reply == {"ok": True, "sent": 1}
            assert arrived(far)[0].payload == photo().jpeg


@pytest.mark.usefixtures("long_pauses")
def test_orders_end_no_pause_after_a_broker_had_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A refused picture costs a metered line its whole length each time, whoever asks for it."""
    rules = tmp_path / "acl"
    rules.write_text("topic write guardpost/nothing\ntopic read #\n")
    lines = ("allow_anonymous true", f"acl_file {rules}")
    with mosquitto(tmp_path / "broker", lines=lines) as broker, bench(tmp_path / "state", rate=FAST) as post:
        pictures = post.taken(*(photo(number) for number in range(5)))
        post.online(broker.port)
        pauses(caplog)
        spent = post.budget.today(post.clock.now())
        for sha256 in pictures:
            post.worker.again(ORDER, sha256)
        post.worker.again(OTHER_ORDER, "f" * 64)  # answered after what could be sent for the others was
        assert post.until_heard(Replayed).id == OTHER_ORDER
        assert post.budget.today(post.clock.now()) == spent


def test_a_full_store_that_meets_a_broker_of_small_packets_replaces_and_loses_nothing(tmp_path: Path) -> None:
    lines = ("allow_anonymous true", "max_packet_size 60000")
    large = replace(photo(), jpeg=noise() + bytes((4 << 20) - len(noise()) - 110_000))
    with (
        mosquitto(tmp_path / "broker", lines=lines) as broker,
        bench(tmp_path / "state", rate=FAST, camera={"most_bytes": "4MiB"}) as post,
        listening(broker.port) as far,
    ):
        replaced, *others = post.taken(large, photo(1, 50_000), photo(2, 50_000))
        post.online(broker.port)
        smaller = post.until_heard(PictureTaken, 4)
        post.announce(smaller)
        post.online(broker.port)
        assert smaller.replaces == replaced
        assert {heard.topic.rpartition("/")[2] for heard in arrived(far, 3)} == {*others, smaller.sha256}
        assert post.heard(PictureGone) == []


@pytest.mark.skipif(unusable() is not None, reason=str(unusable()))
def test_what_a_broker_cannot_take_waits_until_the_disk_has_room_for_smaller_ones(tmp_path: Path) -> None:
    lines = ("allow_anonymous true", "max_packet_size 60000")
    with (
        mosquitto(tmp_path / "broker", lines=lines) as broker,
        volatile_disk(tmp_path / "rig") as disk,
        bench(disk.mount, rate=FAST) as post,
        listening(broker.port) as far,
    ):
        large = post.taken(*(replace(photo(), jpeg=noise(640, 480 + 8 * number)) for number in range(3)))
        disk.fill(LEFT_TO_JOURNAL_BYTES)
        for sha256 in large:
            post.worker.again(ORDER, sha256)
        post.online(broker.port)
        for times in range(1, 4):
            post.clock.ahead_ms += READ_AGAIN_MS
            assert "larger than the broker takes" in str(post.until_heard(Replayed, times).reply["error"])
        assert post.heard(PictureGone) == []
        assert (len(post.names("waiting")), post.names("sent"), post.names("new")) == (3, [], [])
        disk.well()
        post.clock.ahead_ms += READ_AGAIN_MS
        post.until_heard(PictureTaken, 6)
        smaller = post.heard(PictureTaken)[3:]
        for taken in smaller:
            post.announce(taken)
        post.online(broker.port)
        assert {taken.replaces for taken in smaller} == set(large)
        assert {sha256_of(heard.payload) for heard in arrived(far, 3)} == {taken.sha256 for taken in smaller}
        assert post.heard(PictureGone) == []


def test_a_broker_that_refuses_pictures_keeps_neither_events_nor_the_next_picture_waiting_in_a_loop(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic write guardpost/nothing\ntopic read #\n")
    lines = ("allow_anonymous true", f"acl_file {rules}")
    with mosquitto(tmp_path / "broker", lines=lines) as broker, bench(tmp_path / "state", rate=FAST) as post:
        post.taken(photo(1), photo(2))
        post.online(broker.port)
        until(lambda: "rc135" in broker.log())
        rules.write_text("topic readwrite #\n")
        broker.reload()
        until(lambda: "Reloading config" in broker.log())
        before = broker.log().count("rc135")
        with listening(broker.port):
            pause_over(post)
            sent(post, 2)
        assert broker.log().count("rc135") == before < 5, "there is a pause after each"


def test_a_picture_changed_on_the_disk_is_told_as_lost_and_the_others_go_out(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        bench(tmp_path / "state", rate=FAST) as post,
        listening(broker.port) as far,
    ):
        changed, whole = post.taken(photo(1), photo(2))
        until(lambda: len(post.names("waiting")) == 2)
        [file] = (post.folder / "waiting").glob(f"{changed}.*")
        file.write_bytes(photo(3).jpeg)
        post.online(broker.port)
        sent(post)
        [gone] = post.heard(PictureGone)
        assert gone.sha256 == changed and "not what was stored" in gone.why
        assert [heard.topic.rpartition("/")[2] for heard in arrived(far)] == [whole]
        assert post.names("waiting") == [f"{file.name}.damaged-1"]


def test_an_order_sends_a_picture_again_and_is_answered_after_the_puback(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        bench(tmp_path / "state", rate=FAST) as post,
        listening(broker.port) as far,
    ):
        [sha256] = post.taken(photo())
        post.online(broker.port)
        sent(post)
        post.worker.again(ORDER, sha256)
        replied = post.until_heard(Replayed)
        assert (replied.id, replied.reply) == (ORDER, {"ok": True, "sent": 1})
        assert [heard.payload for heard in arrived(far, 2)] == [photo().jpeg] * 2


def test_an_order_for_what_is_not_there_is_answered_and_told_as_lost_but_not_without_end(tmp_path: Path) -> None:
    with bench(tmp_path) as post:
        for number in range(GONE_AN_HOUR + 10):
            post.worker.again(ORDER, f"{number:064x}")
        replied = post.until_heard(Replayed, GONE_AN_HOUR + 10)
        assert replied.reply["ok"] is False and "no such picture here" in str(replied.reply["error"])
        assert len(post.heard(PictureGone)) == GONE_AN_HOUR
        assert post.heard(PictureGone)[0].sha256 == "0" * 64
        post.clock.ahead_ms += 3_600_000
        post.worker.again(ORDER, "f" * 64)
        assert post.until_heard(PictureGone, GONE_AN_HOUR + 1).sha256 == "f" * 64


def test_what_was_removed_is_told_as_lost_only_when_it_is_asked_for(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        bench(tmp_path / "state", rate=FAST, camera={"keep_days": 1}) as post,
        listening(broker.port),
    ):
        [sha256] = post.taken(photo())
        post.online(broker.port)
        sent(post)
        post.clock.ahead_ms += 2 * 86_400_000
        sent(post, 0)
        assert post.heard(PictureGone) == []
        post.worker.again(ORDER, sha256)
        assert post.until_heard(PictureGone).sha256 == sha256


def test_a_picture_that_is_asked_for_while_it_is_on_its_way_goes_once(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        proxied(broker.port) as line,
        bench(tmp_path / "state", rate=FAST) as post,
        listening(broker.port) as far,
    ):
        sha256, behind = post.taken(photo(1), photo(2))
        line.be(puback_s=float("inf"))
        post.online(line.port)
        until(lambda: post.budget.today(post.clock.now()), what="it on its way")
        post.worker.again(ORDER, sha256)
        post.worker.again(OTHER_ORDER, "f" * 64)  # which is answered once the other has been heard
        assert post.until_heard(Replayed).id == OTHER_ORDER
        line.heal()
        assert post.until_heard(Replayed, 2).reply == {"ok": True, "sent": 1}
        assert [heard.topic.rpartition("/")[2] for heard in arrived(far, 2)] == [sha256, behind]


def test_what_is_on_its_way_for_an_order_is_not_what_makes_room(tmp_path: Path) -> None:
    large = 200_000
    with (
        mosquitto(tmp_path / "broker") as broker,
        proxied(broker.port) as line,
        bench(tmp_path / "state", rate=FAST, camera={"most_bytes": "4MiB"}) as post,
        listening(broker.port) as far,
    ):
        asked, other = post.taken(photo(1, large), photo(2, large))
        post.online(line.port)
        sent(post, 2)
        line.be(puback_s=float("inf"))
        post.worker.again(ORDER, asked)
        post.worker.again(OTHER_ORDER, other)
        until(lambda: post.budget.today(post.clock.now())["picture"] > 3 * large, what="a third one on its way")
        for number in range(3):
            post.store(photo(100 + number, 1_300_000))
        line.heal()
        post.until_heard(Replayed, 2)
        answers = {replied.id: replied.reply["ok"] for replied in post.heard(Replayed)}
        assert answers == {ORDER: True, OTHER_ORDER: False}
        assert [gone.sha256 for gone in post.heard(PictureGone)] == [other]
        assert sum(heard.topic.endswith(asked) for heard in arrived(far, 3)) == 2


@pytest.mark.parametrize("restart", [False, True])
def test_a_picture_that_the_broker_cannot_take_is_replaced_by_a_smaller_one(tmp_path: Path, restart: bool) -> None:
    lines = ("allow_anonymous true", "max_packet_size 60000")
    with mosquitto(tmp_path / "broker", lines=lines) as broker, listening(broker.port) as far:
        shot = replace(photo(), jpeg=noise())
        with bench(tmp_path / "state", rate=FAST) as post:
            large = post.store(shot)
            if restart:
                post.announce(large)
                until(lambda: post.names("waiting"))
        with bench(tmp_path / "state", rate=FAST) as post:
            if not restart:
                large = post.store(shot)
                post.announce(large)
            post.online(broker.port)
            small = post.until_heard(PictureTaken, 1 if restart else 2)
            assert (small.replaces, small.why, small.offset_ms) == (large.sha256, WHY, OFFSET_MS)
            assert small.taken.wall_ms == shot.taken.wall_ms
            post.announce(small)
            post.online(broker.port)
            sent(post, 2)
            [heard] = arrived(far)
            assert sha256_of(heard.payload) == small.sha256 and len(heard.payload) == small.length
            with Image.open(io.BytesIO(heard.payload)) as picture:
                assert picture.size == small.size
            assert len(post.fits) == 1 and small.length <= post.fits[0] < 60_000
            assert post.heard(PictureGone) == []


def test_the_longest_picture_that_fits_is_taken_to_the_byte(tmp_path: Path) -> None:
    lines = ("allow_anonymous true", "max_packet_size 60000")
    with (
        mosquitto(tmp_path / "broker", lines=lines) as broker,
        bench(tmp_path / "state", rate=FAST) as post,
        listening(broker.port) as far,
    ):
        post.taken(photo(1, 1_000))
        post.online(broker.port)
        until(lambda: post.fits)
        post.taken(photo(2, post.fits[0]))
        post.online(broker.port)
        sent(post, 2)
        assert len(arrived(far, 2)[1].payload) == post.fits[0]
        assert len(post.heard(PictureTaken)) == 2


def test_a_sealed_one_that_is_too_large_cannot_be_made_smaller_and_is_told_once(tmp_path: Path) -> None:
    lines = ("allow_anonymous true", "max_packet_size 60000")
    with (
        mosquitto(tmp_path / "broker", lines=lines) as broker,
        bench(tmp_path / "state", rate=FAST, camera={"seal_to": seal_key()}) as post,
        listening(broker.port) as far,
    ):
        [large] = post.taken(photo(1, 70_000))
        post.online(broker.port)
        gone = post.until_heard(PictureGone)
        assert gone.sha256 == large and "larger than the broker takes" in gone.why and "sealed" in gone.why
        [fits] = post.fits
        post.taken(photo(2, fits))
        post.online(broker.port)
        sent(post, 2)
        [heard] = arrived(far)
        assert len(heard.payload) == fits + 48
        post.worker.again(ORDER, large)
        assert "sealed" in str(post.until_heard(Replayed).reply["error"])
        assert len(post.heard(PictureGone)) == 1


@pytest.mark.parametrize(("version", "limit"), [("5", "message_size_limit"), ("3.1.1", "max_packet_size")])
def test_a_broker_that_hangs_up_on_what_is_too_large_gets_the_others_and_a_smaller_one(
    tmp_path: Path, version: str, limit: str
) -> None:
    lines = ("allow_anonymous true", f"{limit} 60000")
    with (
        mosquitto(tmp_path / "broker", lines=lines) as broker,
        bench(tmp_path / "state", rate=FAST) as post,
        listening(broker.port) as far,
    ):
        large = post.store(replace(photo(), jpeg=noise(320, 240)))
        post.announce(large)
        [other] = post.taken(photo(1))
        post.online(broker.port, version)
        until(lambda: _smaller_after_pauses(post), what="a smaller picture")
        small = post.heard(PictureTaken)[-1]
        post.announce(small)
        post.online(broker.port, version)
        sent(post, 3)
        assert [sha256_of(heard.payload) for heard in arrived(far, 2)] == [other, small.sha256]
        assert small.replaces == large.sha256 and post.heard(PictureGone) == []


def _smaller_after_pauses(post: Bench) -> bool:
    pause_over(post)
    return any(taken.replaces for taken in post.heard(PictureTaken))


def test_on_a_line_that_breaks_again_and_again_a_sealed_picture_is_tried_for_ever(tmp_path: Path) -> None:
    lines = ("allow_anonymous true", "message_size_limit 60000")
    with (
        mosquitto(tmp_path / "broker", lines=lines) as broker,
        bench(tmp_path / "state", rate=FAST, camera={"seal_to": seal_key()}) as post,
    ):
        post.taken(photo(1, 70_000))
        post.online(broker.port)
        until(lambda: _opened_after_pauses(post, broker) > BREAKS + 2, what="more tries than BREAKS")
        assert len(post.names("waiting")) == 1 and post.heard(PictureGone) == []


def _opened_after_pauses(post: Bench, broker: Mosquitto) -> int:
    pause_over(post)
    return opened(broker)


def test_a_line_without_work_is_let_go_and_dialled_again_for_the_next_picture(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        bench(tmp_path / "state", rate=FAST) as post,
        listening(broker.port),
    ):
        post.taken(photo(1))
        post.online(broker.port)
        sent(post)
        post.clock.ahead_ms += IDLE_MS
        until(lambda: f"Received DISCONNECT from {CLIENT}" in broker.log())
        post.taken(photo(2))
        post.online(broker.port)
        sent(post, 2)
        assert opened(broker) == 2


def test_events_go_to_another_broker_and_so_do_pictures(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "one") as one,
        mosquitto(tmp_path / "other") as other,
        bench(tmp_path / "state", rate=FAST) as post,
        listening(one.port),
        listening(other.port) as far,
    ):
        post.taken(photo(1))
        post.online(one.port)
        sent(post)
        post.worker.work(post.newest, None)
        post.taken(photo(2))
        post.online(other.port)
        pause_over(post)
        sent(post, 2)
        assert [heard.payload for heard in arrived(far)] == [photo(2).jpeg]


def test_without_a_line_nobody_is_dialled(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker, bench(tmp_path / "state", rate=FAST) as post:
        post.taken(photo(1))
        post.worker.work(post.newest, None)
        post.taken(photo(2))
        until(lambda: len(post.names("waiting")) == 2)
        assert opened(broker) == 0


def test_what_the_disk_does_not_give_back_lets_the_others_pass_and_is_lost_after_some_tries(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        bench(tmp_path / "state", rate=FAST) as post,
        listening(broker.port) as far,
    ):
        bad, _ = post.taken(photo(1), photo(2))
        until(lambda: len(post.names("waiting")) == 2)
        [file] = (post.folder / "waiting").glob(f"{bad}.*")
        file.unlink()
        file.mkdir()  # reading it is an error that is neither "not there" nor other bytes
        post.online(broker.port)
        for _ in range(5):
            post.worker.again(ORDER, "0" * 64)
            post.clock.ahead_ms += READ_AGAIN_MS
        until(lambda: _passes(post))
        assert [heard.payload for heard in arrived(far)] == [photo(2).jpeg]
        told = [gone for gone in post.heard(PictureGone) if gone.sha256 == bad]
        assert len(told) == 1 and "does not give it back" in told[0].why


def _passes(post: Bench) -> bool:
    post.clock.ahead_ms += READ_AGAIN_MS
    return any("does not give it back" in gone.why for gone in post.heard(PictureGone))


def test_a_large_picture_goes_through_tls(tmp_path: Path) -> None:
    fleet = Authority(tmp_path / "fleet")
    certificate, key = fleet.issue("broker", "localhost")
    lines = ("allow_anonymous true", f"cafile {fleet.file}", f"certfile {certificate}", f"keyfile {key}")
    with (
        mosquitto(tmp_path / "broker", lines=lines) as broker,
        bench(tmp_path / "state", rate=FAST, access={"ca_file": fleet.file}) as post,
        listening(broker.port, "guardpost/#", "5", "--cafile", str(fleet.file), "--insecure") as far,
    ):
        shot = photo(1, 300_000)
        post.taken(shot)
        [there] = LinkSection.model_validate({"brokers": [f"mqtts://localhost:{broker.port}"]}).brokers
        post.worker.work(post.newest, (there, "5"))
        sent(post)
        assert [heard.payload for heard in arrived(far)] == [shot.jpeg]

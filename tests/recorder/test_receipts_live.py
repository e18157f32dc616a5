"""Receipts over a real Mosquitto, heard by ``mosquitto_sub``."""

import shutil
import signal
import sqlite3
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import brokers
import pytest
from brokers import Heard, Mosquitto, listening
from far_ends import Desk, Post, publish, publish_lines
from online_post import online
from programs import program, recording, subscribed, whole
from waiting import until

from recorder.places import REMOVED
from recorder.service import read_summary
from recorder.verifying import verify_store

RECEIPTS = "guardpost/+/+/receipt"


def seqs(heard: list[Heard], chain: str | None = None) -> list[int]:
    """The numbers that were receipted, in order."""
    told = [each.json() for each in heard]
    return [each["seq"] for each in told if chain in (None, each["chain"])]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_receipt_follows_the_commit_and_stays_at_the_broker(
    mosquitto: Mosquitto, tmp_path: Path, post: Post, version: str
) -> None:
    spoken = {"5": "5", "3.1.1": "mqttv311"}[version]
    with recording(mosquitto.url, tmp_path / "r.db", protocol=version):
        with listening(mosquitto.port, RECEIPTS) as early:
            publish(mosquitto, post.identity(), post.message(post.sealed[0]), *post.checkins(2))
            until(lambda: 3 in seqs(early.heard))
        with listening(mosquitto.port, RECEIPTS, spoken) as listener:
            until(lambda: listener.heard)
            assert listener.heard[0].retained
            expected = f'{{"chain":"{post.here.chain}","hash":"{post.here.hash}","seq":3}}'
            assert listener.heard[-1].payload == expected.encode()
            assert listener.heard[-1].topic == "guardpost/jember/kpu-gate/receipt"
    assert read_summary(tmp_path / "r.db").findings == 0


def test_a_recorder_without_receipts_says_nothing(mosquitto: Mosquitto, tmp_path: Path, post: Post) -> None:
    """Another one may: the first receipt heard is its own, after all that the silent one has recorded."""
    quiet, speaking = tmp_path / "quiet.db", tmp_path / "speaking.db"
    with listening(mosquitto.port, RECEIPTS) as listener:
        with recording(mosquitto.url, quiet, receipts=False, client_id="second"):
            publish(mosquitto, post.identity(), post.state(1), retain=True)
            publish(mosquitto, post.message(post.sealed[0]))
            until(lambda: whole(quiet) == 1)
        with recording(mosquitto.url, speaking):
            until(lambda: listener.heard)
        assert seqs(listener.heard)[0] == 0


def test_every_state_that_differs_is_answered(mosquitto: Mosquitto, tmp_path: Path, post: Post) -> None:
    """Behind, beyond, beside; what agrees is not answered."""
    stored = [post.message(post.sealed[0]), *post.checkins(4)]
    here = post.here
    with recording(mosquitto.url, tmp_path / "r.db"), listening(mosquitto.port, RECEIPTS) as listener:
        publish(mosquitto, post.identity(), *stored)
        until(lambda: 5 in seqs(listener.heard))
        count = len(listener.heard)
        for seq, digest in ((5, here.hash), (9, "ab" * 32), (5, here.hash), (3, "cd" * 32), (5, "ef" * 32)):
            said = {"chain": here.chain, "seq": seq, "hash": digest, "first": 1, "sent": 1}
            publish(mosquitto, post.retained("state", {"chains": [said]}))
            count += (seq, digest) != (5, here.hash)
            until(lambda: len(listener.heard) >= count)  # noqa: B023
        strange = {"chain": "0" * 8 + here.chain[8:], "seq": 3, "hash": "ab" * 32, "first": 1, "sent": 3}
        publish(mosquitto, post.retained("state", {"chains": [strange]}))
        until(lambda: len(listener.heard) >= count + 1)
        assert seqs(listener.heard, here.chain)[-3:] == [5, 5, 5]
        nothing = f'{{"chain":"{strange["chain"]}","hash":"{"0" * 64}","seq":0}}'.encode()
        assert nothing in [each.payload for each in listener.heard]


def test_the_newest_chains_receipt_is_the_retained_one(mosquitto: Mosquitto, tmp_path: Path, post: Post) -> None:
    old, events = post.here.chain, [post.message(post.sealed[0]), *post.checkins(3)]
    last = post.here
    events += [post.begin("replaced", last), post.checkin()]
    with recording(mosquitto.url, tmp_path / "r.db"), listening(mosquitto.port, RECEIPTS) as listener:
        publish(mosquitto, post.identity(), *events[:2], *events[4:])
        until(lambda: 2 in seqs(listener.heard, post.here.chain))
        publish(mosquitto, *events[2:4])
        until(lambda: 4 in seqs(listener.heard, old))
        until(lambda: listener.heard[-1].json()["chain"] == post.here.chain)
    with listening(mosquitto.port, RECEIPTS) as late:
        until(lambda: late.heard)
        assert (late.heard[0].json()["chain"], late.heard[0].json()["seq"]) == (post.here.chain, 2)


def test_a_broker_that_forgot_is_told_again(tmp_path: Path, post: Post) -> None:
    """Mosquitto without persistence, killed: on the next connection the newest receipt goes out again."""
    with ExitStack() as stack:
        broker = stack.enter_context(brokers.mosquitto(tmp_path / "broker", persistent=False))
        recorder = stack.enter_context(recording(broker.url, tmp_path / "r.db"))
        publish(broker, post.identity(), post.message(post.sealed[0]))
        until(lambda: recorder.summary().verified == 1)
        broker.stop(signal.SIGKILL)
        until(lambda: not recorder.connected)
        broker.start()
        listener = stack.enter_context(listening(broker.port, RECEIPTS))
        until(lambda: seqs(listener.heard) == [1])


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_killed_at_any_moment_it_never_loses_what_it_receipted(
    mosquitto: Mosquitto, tmp_path: Path, post: Post, version: str
) -> None:
    """Four times SIGKILL while events flow; every receipt that anybody ever heard is true of the store."""
    path, log = tmp_path / "r.db", tmp_path / "log"
    events = post.checkins(1200)
    more = ("--protocol", version)
    with listening(mosquitto.port, RECEIPTS) as listener, online(mosquitto.port, post) as far:
        far.identity()
        with program(mosquitto.url, path, log, *more):
            until(lambda: subscribed(mosquitto))
        far.send_new()
        for kill in range(4):
            with program(mosquitto.url, path, log, *more) as process:
                until(lambda: whole(path) > 250 * kill)  # noqa: B023
                process.send_signal(signal.SIGKILL)
                process.wait(10)
            highest = max(seqs(listener.heard), default=0)
            assert whole(path) >= highest
        with program(mosquitto.url, path, log, *more) as process:
            until(lambda: whole(path) == len(events) + 1)
            until(lambda: len(events) + 1 in seqs(listener.heard))
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
    desk = Desk(path)
    assert [(verdict.good, verdict.summary.whole) for verdict in verify_store(desk.store)] == [(True, 1201)]
    held = {(row[0], row[1]) for row in desk.store.rows("SELECT seq, hash FROM event WHERE verified")}
    assert {(each.json()["seq"], each.json()["hash"]) for each in listener.heard} - {(0, "0" * 64)} <= held
    assert desk.flaws() == {}
    desk.store.close()
    assert "Traceback" not in log.read_text()


def test_a_store_restored_from_a_backup_goes_down_and_catches_up(
    mosquitto: Mosquitto, tmp_path: Path, post: Post
) -> None:
    path, backup = tmp_path / "r.db", tmp_path / "backup.db"
    with online(mosquitto.port, post) as far, listening(mosquitto.port, RECEIPTS) as listener:
        with recording(mosquitto.url, path):
            far.identity()
            post.checkins(99)
            far.send_new()
            until(lambda: 100 in seqs(listener.heard))
            with sqlite3.connect(path) as source, sqlite3.connect(backup) as target:
                source.backup(target)
            source.close()
            target.close()
            post.checkins(1200)
            far.send_new()
            far.state()
            until(lambda: 1300 in seqs(listener.heard))
        for file in tmp_path.glob("r.db*"):
            file.unlink()
        shutil.copyfile(backup, path)
        with recording(mosquitto.url, path):
            until(lambda: whole(path) == 1300, 30)
            until(lambda: seqs(listener.heard)[-1] == 1300)
    after = seqs(listener.heard)[seqs(listener.heard).index(1300) :]
    assert 100 in after
    assert far.resent >= 1200


def test_what_the_broker_dropped_is_named_and_comes_again(
    tmp_path: Path, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    """Away for 3,000 events, of which Mosquitto keeps 1,000: whole in the end, nothing asked for by hand."""
    path = tmp_path / "r.db"
    lines = ("allow_anonymous true", "max_queued_messages 1000")
    with brokers.mosquitto(tmp_path / "broker", lines=lines) as broker:
        with recording(broker.url, path, receipts=False):
            publish(broker, post.identity(), post.message(post.sealed[0]))
            until(lambda: whole(path) == 1)
        post.checkins(3000)
        with online(broker.port, post) as far:
            far.send_new()
            far.state()
            with recording(broker.url, path, receipts=False):
                until(lambda: " lacks " in caplog.text, 30)
            (gap,) = read_summary(path).chains[0].missing
            assert gap.last == 3001
            assert f"lacks {gap}" in caplog.text
            with recording(broker.url, path):
                until(lambda: whole(path) == 3001, 30)
    assert read_summary(path).chains[0].verdict == "whole"
    assert far.resent >= gap.last - gap.first + 1


def test_under_load_receipts_are_few_and_never_stall(
    mosquitto: Mosquitto, tmp_path: Path, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most ten a second to a post, the last says it all, and their PUBACKs stand behind no backlog of events."""
    monkeypatch.setattr("recorder.line.WINDOW", 2)
    post.checkins(3000)
    with recording(mosquitto.url, tmp_path / "r.db"), listening(mosquitto.port, RECEIPTS) as listener:
        publish(mosquitto, post.identity())
        begun = time.monotonic()
        payloads = [sealed.event for sealed in post.sealed]
        publish_lines(mosquitto, f"{post.source[1:]}/event/system", payloads[:1])
        publish_lines(mosquitto, f"{post.source[1:]}/event/checkin", payloads[1:])
        until(lambda: 3001 in seqs(listener.heard), 60)
        took_s = time.monotonic() - begun
    told = seqs(listener.heard)
    assert len(told) <= 10 * took_s + 2
    assert told == sorted(told)
    assert max(after - before for before, after in pairwise([0, *told])) <= 1500


def test_a_late_joiner_gives_receipts_from_what_the_post_keeps(
    mosquitto: Mosquitto, tmp_path: Path, post: Post
) -> None:
    post.checkins(9)
    with online(mosquitto.port, post) as far:
        far.identity()
        far.send_new()
        far.first, far.resend_after_s = 6, 0
        far.state()
        with (
            listening(mosquitto.port, RECEIPTS) as listener,
            recording(mosquitto.url, tmp_path / "r.db") as recorder,
        ):
            until(lambda: 0 in seqs(listener.heard))
            until(lambda: seqs(listener.heard)[-1] == 10)
            assert [gap.why for gap in recorder.summary().chains[0].gaps] == [REMOVED]


def test_a_broker_that_refuses_receipts_is_named(tmp_path: Path, post: Post) -> None:
    """The recorder goes on recording; once a connection it says what is wrong."""
    rules, log = tmp_path / "rules", tmp_path / "log"
    rules.write_text(
        "topic read guardpost/#\ntopic write guardpost/+/+/event/#\ntopic write guardpost/+/+/identity\n"
    )
    lines = ("allow_anonymous true", f"acl_file {rules}")
    path = tmp_path / "r.db"
    with brokers.mosquitto(tmp_path / "broker", lines=lines) as broker, program(broker.url, path, log):
        until(lambda: subscribed(broker))
        publish(broker, post.identity(), post.message(post.sealed[0]))
        until(lambda: "does not let us write receipts" in log.read_text())
        publish(broker, post.checkin())
        until(lambda: whole(path) == 2)
    assert log.read_text().count("does not let us write receipts") == 1

"""Receipts, orders and alarms on a real line: headquarters played by Mosquitto's own clients."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from brokers import Listener, Mosquitto, listening, mosquitto
from link_bench import BASE, Sending, sending
from waiting import until

from device.events import NO_HASH, Door, Draft
from device.readings import Arrived, Asked, Misasked, Refused, Replayed, RolledBack
from device.record.chain import event_hash

SOON = timedelta(minutes=5)
DAY_MS = 86_400_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "mosquitto") as running:
        yield running


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Listener]:
    with listening(broker.port) as listener:
        yield listener


@pytest.fixture
def post(tmp_path: Path, broker: Mosquitto, listener: Listener) -> Iterator[Sending]:
    with sending(tmp_path, broker.url, receipt_timeout="1s") as post:
        yield post


def tell(broker: Mosquitto, topic: str, content: Any, *, retain: bool = False) -> None:
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    subprocess.run(
        ["mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1",
         "-s" if payload else "-n", "-t", f"{BASE}/{topic}", *(["-r"] if retain else [])],
        input=payload, check=True, timeout=20,
    )  # fmt: skip


def receipt(post: Sending, seq: int) -> dict[str, Any]:
    rows = post.journal.rows(seq - 1, 1) if seq else []
    return {"chain": post.chain.head.chain, "seq": seq, "hash": event_hash(rows[0].event) if rows else NO_HASH}


def order(post: Sending, first: int, last: int, ahead: timedelta = SOON, **changed: Any) -> dict[str, Any]:
    expires = (datetime.now(UTC) + ahead).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "id": str(uuid4()),
        "expires": expires,
        "chain": post.chain.head.chain,
        "from": first,
        "to": last,
    } | changed


def seqs(listener: Listener) -> list[int]:
    return [heard.json()["seq"] for heard in listener.of("event/")]


def test_a_receipt_that_lags_makes_the_post_send_again_what_was_acknowledged_long_ago(
    post: Sending, broker: Mosquitto, listener: Listener
) -> None:
    post.record_taps(30)
    post.until_delivered()
    post.pass_ms(5_000)
    tell(broker, "receipt", receipt(post, 11))
    post.until(lambda: len(seqs(listener)) == 31 + 20)
    assert seqs(listener)[31:] == list(range(12, 32))
    first, again = listener.of("event/")[11], listener.of("event/")[31]
    assert first.payload == again.payload


def test_a_receipt_soon_after_the_puback_asks_for_nothing(
    tmp_path: Path, broker: Mosquitto, listener: Listener
) -> None:
    with sending(tmp_path, broker.url, receipt_timeout="1m") as post:
        post.record_taps(10)
        post.until_delivered()
        tell(broker, "receipt", receipt(post, 3))
        post.until(lambda: post.uplink.known().cursors.get(post.chain.head.chain) == 3)
        post.record_taps(1)
        post.until_delivered()
        until(lambda: len(seqs(listener)) >= 12)
        assert seqs(listener) == list(range(1, 13))


def test_a_retained_receipt_is_no_arrival(tmp_path: Path, broker: Mosquitto, listener: Listener) -> None:
    with sending(tmp_path, broker.url, receipt_timeout="1s") as post:
        post.record_taps(10)
        post.until_delivered()
        tell(broker, "receipt", receipt(post, 2), retain=True)
        post.until(lambda: post.uplink.known().cursors.get(post.chain.head.chain) == 2)
        post.pass_ms(5_000)
        post.restart_line()
        before = len(seqs(listener))
        post.until(lambda: post.uplink.known().cursors.get(post.chain.head.chain) == 2)
        post.record_taps(1)
        post.until_delivered()
        assert set(seqs(listener)[before:]) <= set(range(12, 13))


def test_a_dead_recorder_causes_no_storm(tmp_path: Path, broker: Mosquitto, listener: Listener) -> None:
    """Each receipt makes rows go again once; counted as acknowledged anew, they rest until the next time-out."""
    with sending(tmp_path, broker.url, receipt_timeout="20s") as post:
        post.record_taps(10)
        post.until_delivered()
        post.pass_ms(30_000)
        for _ in range(3):
            tell(broker, "receipt", receipt(post, 5))
        post.until(lambda: len(seqs(listener)) == 11 + 6)
        tell(broker, "receipt", receipt(post, 5))
        post.record_taps(1)
        post.until_delivered()
        until(lambda: seqs(listener)[-1] == 12)
        assert len(seqs(listener)) == 11 + 6 + 1


def test_while_receipts_arrive_at_most_500_rows_are_unreceipted(
    tmp_path: Path, broker: Mosquitto, listener: Listener
) -> None:
    with sending(tmp_path, broker.url, receipt_timeout="1m") as post:
        post.until(lambda: post.uplink.up)
        _at_most_500(post, broker)


def _at_most_500(post: Sending, broker: Mosquitto) -> None:
    tell(broker, "receipt", receipt(post, 0))
    post.until(lambda: post.uplink.known().cursors.get(post.chain.head.chain) == 0)
    post.record_taps(700)
    post.until(lambda: post.uplink.done == 500)
    post.settle()
    assert post.uplink.done == 500
    tell(broker, "receipt", receipt(post, 300))
    post.until(lambda: post.uplink.done == 701)
    post.record_taps(700)
    post.pass_ms(60_000)  # and when they stop coming, everything goes
    post.until_delivered()


def test_a_receipt_beyond_the_head_is_a_rollback_once(post: Sending, broker: Mosquitto) -> None:
    post.record_taps(3)
    post.until_delivered()
    ahead = receipt(post, 4) | {"seq": 9}
    tell(broker, "receipt", ahead)
    post.until(lambda: post.told)
    assert [type(reading) for reading in post.told] == [RolledBack]
    tell(broker, "receipt", ahead | {"seq": 10})
    post.until(lambda: len(post.told) == 2)
    assert isinstance(post.told[1], Refused)


def test_another_hash_under_a_held_number_is_a_rollback(post: Sending, broker: Mosquitto) -> None:
    post.record_taps(3)
    post.until_delivered()
    tell(broker, "receipt", receipt(post, 2) | {"hash": "ab" * 32})
    post.until(lambda: post.told)
    assert isinstance(post.told[0], RolledBack)


def test_a_cleared_receipt_is_nothing(post: Sending, broker: Mosquitto) -> None:
    post.until(lambda: post.uplink.up)
    tell(broker, "receipt", b"")
    tell(broker, "receipt", receipt(post, 1))
    post.until(lambda: post.uplink.known().cursors.get(post.chain.head.chain) == 1)
    assert post.told == []


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\x00",
        b"[]",
        b"{}",
        b'{"chain":"x","seq":1,"hash":"y"}',
        {"chain": str(uuid4()), "seq": 3, "hash": "ab" * 32},
        b"[" * 900,
        b'{"seq":' + b"9" * 900 + b"}",
    ],
)
def test_a_stray_receipt_is_told_once_and_changes_nothing(post: Sending, broker: Mosquitto, content: Any) -> None:
    post.record_taps(3)
    post.until_delivered()
    for _ in range(3):
        tell(broker, "receipt", content)
    tell(broker, "receipt", receipt(post, 2))
    post.until(lambda: post.uplink.known().cursors.get(post.chain.head.chain) == 2)
    assert len(post.told) == 1 and isinstance(post.told[0], Refused)


def test_a_flood_of_stray_receipts_is_a_handful_of_events(post: Sending, broker: Mosquitto) -> None:
    post.until(lambda: post.uplink.up)
    lines = b"\n".join(b'{"nonsense":%d}' % number for number in range(3_000))
    subprocess.run(
        ["mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-l",
         "-t", f"{BASE}/receipt"],
        input=lines, check=True, timeout=60,
    )  # fmt: skip
    tell(broker, "receipt", receipt(post, 1))
    post.until(lambda: post.uplink.known().cursors.get(post.chain.head.chain) == 1, 60)
    assert 0 < len(post.told) <= 10


def test_a_replay_is_sent_and_answered_after_its_last_puback(
    post: Sending, broker: Mosquitto, listener: Listener
) -> None:
    post.record_taps(30)
    post.until_delivered()
    wanted = order(post, 5, 9)
    tell(broker, "order/replay", wanted)
    post.until(lambda: post.asked)
    assert post.asked[0].id == wanted["id"]
    post.obey()
    post.until(lambda: post.replayed)
    assert post.replayed[0].reply == {"ok": True, "sent": 5, "missing": [], "next": None}
    until(lambda: seqs(listener)[31:] == [5, 6, 7, 8, 9])
    post.uplink.reply(wanted["id"], post.replayed[0].reply)
    post.until(lambda: listener.of("reply/"))
    (reply,) = listener.of("reply/")
    assert reply.topic == f"{BASE}/reply/{wanted['id']}" and not reply.retained
    assert reply.json() == {"id": wanted["id"], "ok": True, "sent": 5, "missing": [], "next": None}


def test_a_long_replay_comes_in_pages_and_never_beyond_what_was_sent(
    post: Sending, broker: Mosquitto, listener: Listener
) -> None:
    post.record_taps(1_200)
    post.until_delivered()
    tell(broker, "order/replay", order(post, 1, 2**53 - 1))
    post.until(lambda: post.asked)
    post.obey()
    post.until(lambda: post.replayed)
    assert post.replayed[0].reply == {"ok": True, "sent": 1000, "missing": [], "next": 1001}
    tell(broker, "order/replay", order(post, 1_001, 2**53 - 1))
    post.until(lambda: len(post.asked) == 2)
    post.obey()
    post.until(lambda: len(post.replayed) == 2)
    assert post.replayed[1].reply == {"ok": True, "sent": 201, "missing": [], "next": None}


def test_a_replay_of_an_unknown_chain_is_refused(post: Sending, broker: Mosquitto) -> None:
    post.until(lambda: post.uplink.up)
    tell(broker, "order/replay", order(post, 1, 5, chain=str(uuid4())))
    post.until(lambda: post.asked)
    post.obey()
    post.until(lambda: post.replayed)
    assert post.replayed[0].reply["ok"] is False


def test_live_rows_go_before_replayed_ones(post: Sending, broker: Mosquitto, listener: Listener) -> None:
    post.record_taps(900)
    post.until_delivered()
    tell(broker, "order/replay", order(post, 1, 900))
    post.until(lambda: post.asked)
    post.obey()
    post.work()
    post.record_taps(1)
    post.until(lambda: post.replayed)
    until(lambda: 902 in seqs(listener))
    assert seqs(listener).index(902) <= 901 + 20


TIMELESS = {"id": str(uuid4()), "expires": "2026-02-31T00:00:00.000Z", "chain": str(uuid4()), "from": 1, "to": 2}
BACKWARDS = {"id": str(uuid4()), "expires": "2026-11-24T00:00:00.000Z", "chain": str(uuid4()), "from": 3, "to": 2}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("replay", b"\xff", "not JSON"),
        ("replay", b'{"id":1}', "member id"),
        ("reboot", BACKWARDS, "knows no such order"),
        ("replay", TIMELESS, "expires"),
        ("replay", BACKWARDS, "smaller"),
        ("replay/x", b"{}", "knows no such order"),
    ],
)
def test_a_malformed_order_is_one_line(post: Sending, broker: Mosquitto, name: str, content: Any, why: str) -> None:
    post.until(lambda: post.uplink.up)
    tell(broker, f"order/{name}", content)
    post.until(lambda: post.told)
    (wrong,) = post.told
    assert isinstance(wrong, Misasked) and why in wrong.why and "\n" not in wrong.why


def test_orders_are_acknowledged_only_when_recorded_and_at_most_20_are_outstanding(
    post: Sending, broker: Mosquitto
) -> None:
    post.until(lambda: post.uplink.up)
    lines = b"\n".join(json.dumps(order(post, 1, 1)).encode() for _ in range(100))
    subprocess.run(
        ["mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-l",
         "-t", f"{BASE}/order/replay"],
        input=lines, check=True, timeout=60,
    )  # fmt: skip
    post.until(lambda: len(post.asked) == 20)
    post.settle()
    assert len(post.asked) == 20
    post.asked.clear()
    post.restart_line()  # none was acknowledged: all of them come again
    post.until(lambda: len(post.asked) == 20)
    while len(post.asked) < 100:
        before = len(post.asked)
        for asked in post.asked[before - 20 :]:
            post.uplink.recorded(asked.ack)
        post.until(lambda before=before: len(post.asked) > before)  # type: ignore[misc]
    assert len({asked.id for asked in post.asked}) == 100


def forced(post: Sending) -> None:
    data = Door(door="front", change="forced", since="2026-11-23T01:15:00.123Z")
    post.chain, sealed = post.chain.seal(Draft(subject="front", data=data), post.clock.now())
    post.journal.append([sealed], {}, post.uplink.known())


def test_an_alarm_goes_ahead_of_everything_that_waits_and_again_in_its_turn(
    post: Sending, broker: Mosquitto, listener: Listener
) -> None:
    broker.stop()
    post.record_taps(2_000)
    forced(post)
    post.record_taps(100)
    broker.start()
    with listening(broker.port) as late:
        post.until_delivered()
        until(lambda: len(late.of("event/")) >= 2_102)
        topics = [heard.topic for heard in late.heard if "/event/" in heard.topic or "/alarm/" in heard.topic]
        assert topics.index(f"{BASE}/alarm/door") <= 20
        (alarm,) = late.of("alarm/")
        assert alarm.payload in [heard.payload for heard in late.of("event/door")]
        assert [heard.json()["seq"] for heard in late.of("event/")] == list(range(1, 2_103))


def test_an_alarm_is_sent_on_every_connection_until_it_is_acknowledged(
    post: Sending, broker: Mosquitto, listener: Listener
) -> None:
    forced(post)
    post.until(lambda: listener.of("alarm/"))
    post.until_delivered()
    post.record_taps(1)  # the commit that keeps what is known: the alarm is closed
    assert post.journal.alarms() == []
    post.restart_line()
    post.until_delivered()
    assert len(listener.of("alarm/")) == 1


def test_an_alarm_nobody_has_acknowledged_survives_a_restart(tmp_path: Path, broker: Mosquitto) -> None:
    port = broker.port
    broker.stop()
    with sending(tmp_path, broker.url) as post:
        forced(post)
    broker.start()
    with listening(port) as listener, sending(tmp_path, broker.url) as post:
        post.until(lambda: listener.of("alarm/door"))
        post.until_delivered()


def test_replayed_is_not_lost_with_the_line(post: Sending, broker: Mosquitto, listener: Listener) -> None:
    post.record_taps(400)
    post.until_delivered()
    tell(broker, "order/replay", order(post, 1, 400))
    post.until(lambda: post.asked)
    post.obey()
    post.work()
    post.restart_line()
    post.until(lambda: post.replayed)
    assert isinstance(post.replayed[0], Replayed)
    until(lambda: set(range(1, 401)) <= set(seqs(listener)[401:]))


def test_an_asked_order_names_its_bytes(post: Sending, broker: Mosquitto) -> None:
    post.until(lambda: post.uplink.up)
    wanted = order(post, 1, 2)
    for _ in range(2):
        tell(broker, "order/replay", wanted)
    post.until(lambda: len(post.asked) == 2)
    one, two = post.asked
    assert isinstance(one, Asked) and one.sha256 == two.sha256


def test_an_idle_post_sends_less_than_10_kb_an_hour(tmp_path: Path, broker: Mosquitto, listener: Listener) -> None:
    """With the default settings; pings of 2 bytes each way come on top, twice a minute at the most."""
    with sending(tmp_path, broker.url) as post:
        post.until_delivered()
        post.until(lambda: not post.uplink._sender.flight)
        left_ms = DAY_MS - post.clock.now().wall_ms % DAY_MS
        if left_ms < 2 * 3_600_000:
            post.pass_ms(left_ms)  # what was spent is counted by the day: the hour must not lie across midnight
            post.work()
            post.until(lambda: not post.uplink._sender.flight)
        spent = sum(post.uplink._budget.today(post.clock.now()).values())
        day = post.clock.now().wall_ms // DAY_MS
        for _ in range(60):
            post.pass_ms(60_000)
            post.work()
            post.until(lambda: not post.uplink._sender.flight)
        assert post.clock.now().wall_ms // DAY_MS == day
        hour = sum(post.uplink._budget.today(post.clock.now()).values()) - spent
        assert 0 < hour + 2 * 120 < 10_000
        assert listener.of("state")[-1].json()["bytes"]["state"] > 0


def test_a_receipt_that_never_moves_makes_rows_go_again_ever_more_seldom(
    post: Sending, broker: Mosquitto, listener: Listener
) -> None:
    """As of a forked chain: an hour of the same receipt every second is a handful of re-sends."""
    post.record_taps(10)
    post.until_delivered()
    post.until(lambda: not post.uplink._sender.flight)
    rounds = 0
    stuck = Arrived(post.clock.now(), post.uplink._generation, 0, "", json.dumps(receipt(post, 5)).encode(), False)
    for _ in range(600):
        post.pass_ms(1_000)
        post.uplink._receipts.take(replace(stuck, at=post.clock.now()))
        if post.uplink._sender.again_waiting:
            rounds += 1
            post.until(lambda: not post.uplink._sender.again_waiting)
    assert 3 <= rounds <= 12

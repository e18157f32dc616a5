"""Orders that nobody should obey, and more of them than anybody could."""

import json
import queue
import time
import uuid
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from backlog import rows_of
from brokers import Listener, listening, mosquitto
from headquarters import REPLAY, as_bytes, flooding, order, publish
from posts import BASE, SimPost, post
from waiting import until

from device.addresses import Broker
from device.hardware.clock import KernelClock
from device.link.line import Access, Line
from device.readings import Arrived, Connected, Reading

ELSEWHERE = "9d1b7c1e-0000-4000-8000-000000000001"


def replay(**members: Any) -> dict[str, Any]:
    return order(**{"chain": ELSEWHERE, "from": 1, "to": 2, **members})


def orders_told(gate: SimPost) -> list[dict[str, Any]]:
    """The data of every ``system order`` event."""
    events = [json.loads(row) for row in rows_of(gate.state)]
    return [event["data"] for event in events if event["data"].get("change") == "order"]


def reply_to(listener: Listener, order_id: str) -> dict[str, Any]:
    """The one reply to an order."""
    (found,) = [heard for heard in listener.heard if heard.topic.endswith(f"/reply/{order_id}")]
    reply: dict[str, Any] = found.json()
    return reply


@pytest.mark.parametrize(
    ("topic", "made", "why"),
    [
        ("replay", replay(ahead=timedelta(minutes=-1)), "it has expired"),
        ("replay", replay(ahead=timedelta(hours=25)), "it expires more than 24 hours ahead"),
        ("replay", replay(expires="2026-02-31T00:00:00.000Z"), "expires is no time"),
        ("replay", replay(to=0), "member to: Input should be greater than or equal to 1"),
        ("replay", replay(**{"from": 3}), "Value error, to is smaller than from"),
        ("replay", replay(more=1), "member more: Extra inputs are not permitted"),
        ("open-sesame", replay(), "this firmware knows no such order; it knows replay, picture, selftest"),
        ("replay/deeper", replay(), "this firmware knows no such order; it knows replay, picture, selftest"),
    ],
)
def test_an_order_that_is_wrong_gets_an_event_and_a_reply_that_say_why(
    tmp_path: Path, topic: str, made: dict[str, Any], why: str
) -> None:
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        post(tmp_path / "post", broker.url) as gate,
    ):
        until(lambda: listener.of("state"))  # which comes behind its SUBSCRIBE
        publish(broker.port, f"{BASE}/order/{topic}", as_bytes(made))
        until(lambda: listener.of("reply/"))
        (told,) = orders_told(gate)
        assert reply_to(listener, made["id"]) == {"id": made["id"], "ok": False, "error": why}
        assert (told["ok"], told["id"], told["error"]) == (False, made["id"], why)


@pytest.mark.parametrize("level", ["order", "reply/x", "event/order"])
def test_an_order_on_a_strange_topic_leaves_no_trace(tmp_path: Path, level: str) -> None:
    with mosquitto(tmp_path / "mosquitto") as broker, post(tmp_path / "post", broker.url) as gate:
        until(lambda: "SUBACK to jember.kpu-gate" in broker.log())
        publish(broker.port, f"{BASE}/{level}", as_bytes(replay()))
        marker = replay()
        publish(broker.port, REPLAY, as_bytes(marker))
        until(lambda: orders_told(gate))
        assert [told["id"] for told in orders_told(gate)] == [marker["id"]]


NONSENSE = [
    b"",
    b"\xff",
    b"null",
    b"{" * 3_000,
    b'{"id": "../../status"}',
    b'{"id": "x", "id": "y"}',
    b'{"id": 1e999}',
    b"y" * 60_000,
    json.dumps({"id": "guardpost/#", "expires": "now"}).encode(),
    json.dumps({"id": str(uuid.uuid4()).upper(), "expires": "2026-11-24T00:00:00.000Z"}).encode(),
]


def test_nonsense_is_told_and_replied_to_nobody(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        post(tmp_path / "post", broker.url) as gate,
    ):
        until(lambda: listener.of("state"))
        for payload in NONSENSE:
            publish(broker.port, REPLAY, payload)
        until(lambda: len(orders_told(gate)) == len(NONSENSE))
        assert {(told["ok"], told["id"]) for told in orders_told(gate)} == {(False, None)}
        assert gate.tap(1).startswith("accepted")
        assert listener.of("reply/") == []
        assert gate.said().count("connected to") == 1


def test_the_same_order_again_gets_the_same_reply_also_after_a_restart_and_other_bytes_are_refused(
    tmp_path: Path,
) -> None:
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        post(tmp_path / "post", broker.url) as gate,
    ):
        until(lambda: listener.of("event/"))
        chain = gate.events()[0]["chain"]
        until(lambda: listener.of("state")[-1].json()["chains"][0]["sent"] >= 2)
        asked = replay(chain=chain, **{"from": 1, "to": 2})
        publish(broker.port, REPLAY, as_bytes(asked))
        until(lambda: listener.of("reply/"))
        assert gate.tap(1).startswith("accepted")  # its commit keeps the reply
        gate.end()
        gate.start()
        publish(broker.port, REPLAY, as_bytes(asked))
        until(lambda: len(listener.of("reply/")) == 2)
        first, second = (heard.payload for heard in listener.of("reply/"))
        assert first == second and json.loads(first) == {
            "id": asked["id"], "ok": True, "sent": 2, "missing": [], "next": None,
        }  # fmt: skip
        publish(broker.port, REPLAY, as_bytes({**asked, "to": 1}))
        until(lambda: len(listener.of("reply/")) == 3)
        assert listener.of("reply/")[-1].json()["error"] == "another order had this id already"
        assert [told["ok"] for told in orders_told(gate)] == [True, False]


def test_absurd_numbers_do_not_hang_a_replay(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        post(tmp_path / "post", broker.url) as gate,
    ):
        until(lambda: listener.of("event/"))
        chain = gate.events()[0]["chain"]
        for first, last in ((1, 2**53 - 1), (2**53 - 2, 2**53 - 1), (1_000_000, 2_000_000)):
            publish(broker.port, REPLAY, as_bytes(replay(chain=chain, **{"from": first, "to": last})))
        until(lambda: len(listener.of("reply/")) == 3)
        assert gate.tap(1).startswith("accepted")
        by_sent = sorted(heard.json()["sent"] for heard in listener.of("reply/"))
        assert by_sent[:2] == [0, 0] and by_sent[2] >= 2
        assert all(heard.json()["next"] is None for heard in listener.of("reply/"))


@pytest.mark.parametrize(
    ("what", "qos"), [("good", "1"), ("nonsense", "0"), ("nonsense", "1"), ("one replay again and again", "1")]
)
def test_a_storm_of_10000_orders_makes_few_events_and_replies(tmp_path: Path, what: str, qos: str) -> None:
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        post(tmp_path / "post", broker.url) as gate,
    ):
        until(lambda: listener.of("state"))
        same = as_bytes(replay(chain=gate.events()[0]["chain"]))
        payloads = {
            "good": (as_bytes(replay()) for _ in range(10_000)),
            "nonsense": (b"order %d" % number for number in range(10_000)),
            "one replay again and again": repeat(same, 10_000),
        }[what]
        began_s = time.monotonic()
        with flooding(broker.port, REPLAY, payloads, "-q", qos) as storm:
            waited_s = []
            for officer in range(1, 11):
                asked_s = time.monotonic()
                assert gate.tap(officer).startswith("accepted")
                waited_s.append(time.monotonic() - asked_s)
            until(lambda: storm.poll() is not None, 60)
        assert sorted(waited_s)[len(waited_s) // 2] < 3.0, waited_s
        assert gate.tap(11).startswith("accepted")
        marker = as_bytes({**replay(), "id": "no id"})
        publish(broker.port, REPLAY, marker)
        lasted_s = time.monotonic() - began_s
        bound = 30 + lasted_s / 2 + lasted_s / 60 + 3
        assert len(orders_told(gate)) <= bound
        if what != "one replay again and again":
            assert len(listener.of("reply/")) <= bound
        assert gate.said().count("connected to") == 1


@pytest.mark.parametrize("qos", ["0", "1"])
def test_20_messages_at_once_are_let_into_the_inbox(tmp_path: Path, qos: str) -> None:
    """Mosquitto 2.0.11 keeps Receive Maximum only until the first PUBACK; the line keeps it in any case."""
    clock, inbox = KernelClock(), queue.SimpleQueue[Reading]()
    with mosquitto(tmp_path / "mosquitto") as broker:
        line = Line(1, "5", Access("jember/kpu-gate", "jember.kpu-gate"), None, inbox, clock)
        line.dial(Broker(host="127.0.0.1", port=broker.port, tls=False), 60)
        assert isinstance(inbox.get(timeout=10), Connected)
        line.subscribe([f"{BASE}/order/+"])
        until(lambda: "SUBACK to jember.kpu-gate" in broker.log())
        with flooding(broker.port, REPLAY, (b"%d" % number for number in range(2_000)), "-q", qos):
            first = inbox.get(timeout=10)
            most = 0
            while isinstance(first, Arrived) and first.payload != b"1999":
                most = max(most, 1 + inbox.qsize())
                line.acknowledge(first.mid)
                try:
                    first = inbox.get(timeout=2 if qos == "0" else 20)
                except queue.Empty:
                    assert qos == "0", "only QoS 0 may get lost"
                    break
        line.close()
        assert line.wait_closed(5)
    assert 1 < most <= 20

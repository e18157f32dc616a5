"""Receipts that do not fit, from whoever can write them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from backlog import fill, rows_of
from brokers import Listener, Mosquitto, listening, mosquitto
from headquarters import NO_HASH, RECEIPT, flooding, publish, publish_all, receipt
from posts import BASE, SimPost, post
from waiting import until

from device.record.chain import event_hash

STRANGE = "9d1b7c1e-0000-4000-8000-00000000{:04x}"


@dataclass
class Gate:
    """A post, its broker, and a foreign listener to all of it."""

    post: SimPost
    broker: Mosquitto
    listener: Listener

    @property
    def rows(self) -> list[bytes]:
        return rows_of(self.post.state)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(row) for row in self.rows]

    @property
    def chain(self) -> str:
        return str(self.events[-1]["chain"])

    def told(self, change: str) -> list[dict[str, Any]]:
        """The data of ``system`` events of one change."""
        return [event["data"] for event in self.events if event["data"].get("change") == change]

    def say(self, payload: bytes, *more: str) -> None:
        publish(self.broker.port, RECEIPT, payload, *more)

    def until_heard(self) -> None:
        """Until the listener has every row of the journal."""
        until(lambda: set(self.rows) <= {heard.payload for heard in self.listener.of("event")}, 40)


@contextmanager
def gate_with(folder: Path, rows: int = 0, topic: str = "guardpost/#") -> Iterator[Gate]:
    if rows:
        fill(folder / "post" / "state", f"/{BASE}", rows)
    with (
        mosquitto(folder / "mosquitto") as broker,
        listening(broker.port, topic) as listener,
        post(folder / "post", broker.url, link='receipt_timeout = "1s"') as made,
    ):
        gate = Gate(made, broker, listener)
        assert made.tap(1).startswith("accepted")
        gate.until_heard()
        yield gate


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with gate_with(tmp_path) as made:
        yield made


def test_a_receipt_for_an_unknown_chain_is_told_once(gate: Gate) -> None:
    for _ in range(3):
        gate.say(receipt(STRANGE.format(1), 5, "ab" * 32))
    until(lambda: gate.told("refused"))
    assert gate.post.tap(2).startswith("accepted")
    (refused,) = gate.told("refused")
    assert refused["what"] == "receipt" and STRANGE.format(1) in refused["why"]
    assert gate.post.said().count("connected to") == 1


@pytest.mark.parametrize("how", ["beyond the head", "another hash"])
def test_a_receipt_that_knows_more_than_the_journal_begins_one_new_chain(gate: Gate, how: str) -> None:
    old = gate.events[-1]
    payload = receipt(old["chain"], 1_000 if how == "beyond the head" else 2, "ab" * 32)
    gate.say(payload)
    until(lambda: gate.chain != old["chain"])
    for _ in range(3):
        gate.say(payload)
    assert gate.post.tap(2).startswith("accepted")
    gate.until_heard()
    began = [event for event in gate.events if event["data"].get("why") == "rolled-back"]
    assert len({event["chain"] for event in gate.events}) == 2
    assert [event["data"]["previous"]["chain"] for event in began] == [old["chain"]]
    last = [row for row in gate.rows if json.loads(row)["chain"] == old["chain"]][-1]
    assert began[0]["data"]["previous"]["hash"] == event_hash(last)
    until(lambda: len(gate.listener.of("state")[-1].json()["chains"]) == 2)
    assert [each["chain"] for each in gate.listener.of("state")[-1].json()["chains"]] == [gate.chain, old["chain"]]


def test_after_a_rollback_a_restart_with_that_retained_receipt_begins_no_third_chain(gate: Gate) -> None:
    gate.say(receipt(gate.chain, 1_000, "ab" * 32), "-r")
    until(lambda: gate.told("chain")[-1]["why"] == "rolled-back")
    gate.post.end()
    gate.post.start()
    assert gate.post.tap(2).startswith("accepted")
    until(lambda: any("1000" in data["why"] for data in gate.told("refused")))
    assert len({event["chain"] for event in gate.events}) == 2


def test_a_receipt_with_a_hash_for_nothing_is_no_rollback(gate: Gate) -> None:
    gate.say(receipt(gate.chain, 0, "ab" * 32))
    until(lambda: gate.told("refused"))
    assert len({event["chain"] for event in gate.events}) == 1


def test_a_receipt_lower_than_before_makes_the_rows_go_again(gate: Gate) -> None:
    """A recorder that was restored from a backup goes down; what it lacks comes again, the same bytes."""
    rows = gate.rows
    # Its PUBACKs have come by then, and receipt_timeout begins with them.
    until(lambda: gate.listener.of("state")[-1].json()["chains"][0]["sent"] >= len(rows))
    gate.say(receipt(gate.chain, len(rows), event_hash(rows[-1])))
    time.sleep(1.2)  # the rows were PUBACKed longer ago than receipt_timeout
    before = len(gate.listener.of("event"))
    gate.say(receipt(gate.chain, 2, event_hash(rows[1])))
    until(lambda: len(gate.listener.of("event")) >= before + len(rows) - 2)
    again = [heard.payload for heard in gate.listener.of("event")[before:]]
    assert again[: len(rows) - 2] == rows[2:]
    assert gate.rows == rows, "what went again is no event"


def test_a_retained_receipt_makes_nothing_go_again(gate: Gate) -> None:
    gate.say(receipt(gate.chain, 0), "-r")
    until(lambda: gate.listener.of("receipt"))
    gate.post.end()
    before = len(gate.rows)
    gate.post.start()
    assert gate.post.tap(2).startswith("accepted")
    gate.until_heard()
    first_run = [heard.json()["seq"] for heard in gate.listener.of("event")]
    assert first_run.count(before) <= 2  # the stop event may go twice, its PUBACK came as the post ended


@pytest.mark.parametrize("retain", [(), ("-r",)])
def test_a_receipt_of_qos_0_costs_no_connection(gate: Gate, retain: tuple[str, ...]) -> None:
    """It has no packet identifier to acknowledge: Mosquitto hangs up on a PUBACK for number 0."""
    gate.say(receipt(STRANGE.format(7), 5, "ab" * 32), "-q", "0", *retain)
    until(lambda: gate.told("refused"))
    gate.say(receipt(STRANGE.format(8), 5, "ab" * 32))
    until(lambda: len(gate.told("refused")) == 2)
    assert "protocol error" not in gate.broker.log()
    assert gate.post.said().count("connected to") == 1


GARBAGE = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"{}",
    b'{"chain": 5}',
    b"[" * 5_000,
    b'{"chain": "x", "seq": -1, "hash": ""}',
    receipt(STRANGE.format(1), 2**53),
    receipt(STRANGE.format(1), 10**400),
    b'{"chain": NaN}',
    json.dumps({"chain": STRANGE.format(1), "seq": "1", "hash": NO_HASH}).encode(),
    json.dumps({"chain": STRANGE.format(1), "seq": True, "hash": NO_HASH}).encode(),
    b"x" * 60_000,
    '{"chain": "\ud800"}'.encode("utf-8", "surrogatepass"),
]


def test_garbage_is_told_a_few_times_and_obeyed_never(gate: Gate) -> None:
    for payload in GARBAGE:
        gate.say(payload)
    gate.say(receipt(gate.chain, 1, event_hash(gate.rows[0])))
    until(lambda: len(gate.told("refused")) == 10)
    assert gate.post.tap(2).startswith("accepted")
    assert len(gate.told("refused")) == 10
    assert len({event["chain"] for event in gate.events}) == 1
    assert gate.post.said().count("connected to") == 1


@pytest.mark.parametrize(
    ("what", "qos"),
    [("strange", "1"), ("nothing yet", "1"), ("rolled back", "1"), ("garbage", "1"), ("nothing yet", "0")],
)
def test_a_flood_of_receipts_makes_few_events_and_no_officer_waits(tmp_path: Path, what: str, qos: str) -> None:
    with gate_with(tmp_path, 2_000, f"{BASE}/event/#") as gate:
        chain, before = gate.chain, len(gate.rows)
        payloads = {
            "strange": (receipt(STRANGE.format(n % 0xFFFF), 5, "ab" * 32) for n in range(10_000)),
            "nothing yet": (receipt(chain, 0) for _ in range(10_000)),
            "rolled back": (receipt(chain, 5_000 + n, "ab" * 32) for n in range(10_000)),
            "garbage": (b"no receipt %d" % n for n in range(10_000)),
        }[what]
        with flooding(gate.broker.port, RECEIPT, payloads, "-q", qos) as flood:
            waited_s = []
            for officer in range(2, 12):
                asked_s = time.monotonic()
                assert gate.post.tap(officer).startswith("accepted")
                waited_s.append(time.monotonic() - asked_s)
            until(lambda: flood.poll() is not None, 30)
        assert sorted(waited_s)[len(waited_s) // 2] < 1.0, waited_s
        assert len(gate.rows) - before <= 10 + 10 + 2  # taps, strays an hour, a new chain
        assert gate.post.said().count("connected to") == 1
        gate.until_heard()


def test_a_flood_that_outlives_the_queue_is_read_to_its_end(gate: Gate) -> None:
    """Thousands of receipts in one go, and then a good one: it is heeded, so nothing stands still behind them."""
    publish_all(gate.broker.port, RECEIPT, (receipt(STRANGE.format(n), 5, "ab" * 32) for n in range(5_000)))
    rows = gate.rows
    gate.say(receipt(gate.chain, 1_000, "ab" * 32))
    until(lambda: gate.told("chain")[-1]["why"] == "rolled-back")
    assert len(gate.rows) <= len(rows) + 12

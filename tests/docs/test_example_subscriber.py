"""docs/example/subscriber.py, against a real broker and a post: what it keeps, what it says, what a kill costs."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import rfc8785
from brokers import Mosquitto, mosquitto
from paho.mqtt import publish
from posts import SimPost, post
from vectors import ACCEPTED, DUPLICATE, FORK, LINK, SIGNATURE, SOURCE, TOPIC, UNREADABLE, TestKey, Vector, vectors
from waiting import until

from device.link.topics import Topics
from device.record.chain import base64url

PROGRAM = Path(__file__).parents[2] / "docs" / "example" / "subscriber.py"
VECTORS = Path(__file__).parents[2] / "docs" / "vectors"
IDENTITY = (VECTORS / "identity.json").read_bytes()
TOPICS = Topics.of(SOURCE)


@dataclass
class Example:
    """The program as a process that can be killed and started again, with its store."""

    folder: Path
    broker: Mosquitto
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def store(self) -> Path:
        return self.folder / "example.sqlite3"

    def start(self) -> None:
        with (self.folder / "said").open("ab") as out:
            words = [str(PROGRAM), str(self.store), "127.0.0.1", str(self.broker.port)]
            self.process = subprocess.Popen([sys.executable, *words], stdout=out, stderr=out)

    def subscribed(self) -> None:
        until(lambda: "Sending SUBACK to example" in self.broker.log(), what="the subscription")

    def kill(self) -> None:
        assert self.process is not None and self.process.poll() is None, self.said()
        self.process.kill()
        self.process.wait(10)

    def said(self) -> list[str]:
        return (self.folder / "said").read_text().splitlines()

    def events(self) -> list[bytes]:
        """What it holds verified, by number."""
        if not self.store.exists():
            return []
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as database:
            try:
                found = database.execute("SELECT text FROM event WHERE ok = 1 ORDER BY seq").fetchall()
            except sqlite3.OperationalError:  # its tables are not there yet
                return []
        return [text.encode() for (text,) in found]

    def sent_again(self) -> int:
        """Messages that the broker marked as re-delivered."""
        return sum("Sending PUBLISH to example (d1," in line for line in self.broker.log().splitlines())


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    with mosquitto(tmp_path / "broker") as broker, running(Example(tmp_path, broker)) as made:
        yield made


@contextmanager
def running(example: Example) -> Iterator[Example]:
    example.start()
    try:
        example.subscribed()
        yield example
    finally:
        if example.process is not None:
            example.process.kill()
            example.process.wait(10)


def recorded(made: SimPost) -> list[bytes]:
    return [
        json.dumps(e, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() for e in made.events()
    ]


def test_it_is_a_page() -> None:
    assert len(PROGRAM.read_text(encoding="utf-8").splitlines()) <= 100


def test_it_keeps_every_event_of_a_post_and_tells_the_patrols(example: Example, tmp_path: Path) -> None:
    with post(tmp_path / "post", example.broker.url, door='forced_without_checkin = "1s"') as made:
        made.do("open front")
        until(lambda: "door forced" in made.told(), what="the forced door")
        for number in (1, 2, 3):
            made.tap(number)
        made.end(signal.SIGTERM)
        until(lambda: len(example.events()) == len(made.events()), what="every event")
        assert example.events() == recorded(made)
    assert "guardpost/jember/kpu-gate/alarm/door" in example.broker.log()
    patrols = [line.split()[1:] for line in example.said()]
    assert patrols == [["guardpost/jember/kpu-gate", "gate", f"officer-{number}"] for number in (1, 2, 3)]


def test_killed_before_its_commit_it_gets_the_message_again(example: Example, tmp_path: Path) -> None:
    """Its store is locked while events arrive: nothing is committed, so nothing may be acknowledged."""
    with post(tmp_path / "post", example.broker.url) as made:
        until(lambda: len(example.events()) == len(made.events()), what="the first events")
        with closing(sqlite3.connect(example.store)) as database:
            database.execute("BEGIN IMMEDIATE")
            made.tap(1)
            newest = made.events()[-1]["id"]
            delivered = "Sending PUBLISH to example"
            before = example.broker.log().count(delivered)
            made.tap(2)
            until(lambda: example.broker.log().count(delivered) > before, what="the delivery")
            example.kill()
        assert newest.encode() not in b"".join(example.events())
        example.start()
        until(lambda: len(example.events()) == len(made.events()), what="every event")
        assert example.events() == recorded(made)
        assert example.sent_again() > 0
        assert not [line for line in example.said() if "FINDING" in line or "GAP" in line]


def test_killed_again_and_again_in_the_middle_of_a_backlog_it_has_each_event_once(
    example: Example, tmp_path: Path
) -> None:
    example.kill()
    with post(tmp_path / "post", example.broker.url) as made:
        for number in range(40):
            made.tap(1 + number % 50)
        until(lambda: "/event/checkin" in example.broker.log(), what="the broker")
        for _ in range(4):
            example.start()
            known = len(example.events())
            until(lambda before=known: len(example.events()) > before, what="some events")  # type: ignore[misc]
            example.kill()
            if len(example.events()) == len(made.events()):
                break
        example.start()
        until(lambda: len(example.events()) == len(made.events()), what="every event")
        assert example.events() == recorded(made)
    assert not [line for line in example.said() if "FINDING" in line or "GAP" in line]


def sent(example: Example, *messages: tuple[str, bytes]) -> None:
    publish.multiple(
        [(topic, payload, 1, False) for topic, payload in messages],
        hostname="127.0.0.1", port=example.broker.port,
    )  # fmt: skip


def gist(vector: Vector) -> str | None:
    """How its word on a test vector begins."""
    if vector.expect in (UNREADABLE, TOPIC):
        return f"FINDING {vector.topic}: ValueError"
    words = {SIGNATURE: "bad signature", FORK: "fork", LINK: "broken link"}
    number = json.loads(vector.payload)["id"]
    return f"FINDING {number}: {words[vector.expect]}" if vector.expect in words else None


def test_of_each_test_vector_it_says_what_the_page_expects(example: Example) -> None:
    listed = vectors()
    assert {vector.expect for vector in listed} == {ACCEPTED, DUPLICATE, UNREADABLE, TOPIC, SIGNATURE, LINK, FORK}
    sent(example, (TOPICS.identity, IDENTITY), *((vector.topic, vector.payload) for vector in listed))
    good = [vector.payload for vector in listed if vector.expect in (ACCEPTED, FORK, LINK)]
    until(lambda: len(example.events()) == len(good), what="every event")
    assert sorted(example.events()) == sorted(good)
    findings = [line for line in example.said() if "FINDING" in line]
    expected = [word for vector in listed if (word := gist(vector)) is not None]
    beside_the_fork = [line for line in findings if line.endswith("/4: broken link")]
    told = [line for line in findings if line not in beside_the_fork]
    assert len(beside_the_fork) == 1, "number 4 follows one of the two number 3"
    assert [line[: len(word)] for line, word in zip(told, expected, strict=True)] == expected


def test_a_chain_that_does_not_begin_with_zeros_is_a_finding_and_kept(example: Example) -> None:
    key = TestKey("first key")
    began = json.loads(vectors()[0].payload)
    unsigned = {**began, "prev": "ab" * 32}
    del unsigned["signature"]
    signature = base64url(key.sign(rfc8785.dumps(unsigned)))
    sent(
        example,
        (TOPICS.identity, IDENTITY),
        (TOPICS.event("system"), rfc8785.dumps({**unsigned, "signature": signature})),
    )
    until(lambda: len(example.events()) == 1, what="the event")
    assert example.said() == [f"FINDING {began['id']}: no start"]


def test_it_holds_events_until_it_knows_the_key_and_then_trusts_announced_ones_alone(example: Example) -> None:
    events = [vector for vector in vectors() if vector.expect == ACCEPTED]
    first, second = json.loads(IDENTITY)["keys"][::-1]
    strange = json.dumps({"keys": [second]}).encode()
    sent(example, *((event.topic, event.payload) for event in events))
    sent(example, (TOPICS.state, b"{}"), (TOPICS.identity, b""))
    assert example.events() == []
    sent(example, (TOPICS.identity, json.dumps({"keys": [first]}).encode()), (TOPICS.identity, strange))
    until(lambda: len(example.events()) == len(events), what="every event, the second key announced by the first")
    assert not [line for line in example.said() if "FINDING" in line]


def test_it_names_a_gap_up_to_what_was_sent_and_a_replay_closes_it(example: Example) -> None:
    events = [vector for vector in vectors() if vector.expect == ACCEPTED]
    chain = json.loads(events[0].payload)["chain"]
    state = json.dumps({"chains": [{"chain": chain, "seq": 8, "hash": "0" * 64, "first": 1, "sent": 7}]}).encode()
    sent(example, (TOPICS.identity, IDENTITY))
    sent(
        example,
        *((event.topic, event.payload) for event in events if event.name not in ("event-2.json", "event-7.json")),
    )
    sent(example, (TOPICS.state, state))
    gaps = [f"GAP guardpost/jember/kpu-gate {chain} {number} {number}" for number in (2, 7)]
    until(lambda: [line for line in example.said() if line.startswith("GAP")] == gaps, what="both gaps")
    sent(
        example,
        *((event.topic, event.payload) for event in events if event.name in ("event-2.json", "event-7.json")),
    )
    sent(example, (TOPICS.state, state), (TOPICS.state, b'{"chains": [{"chain": 1, "first": 1e999, "sent": []}]}'))
    until(lambda: len(example.events()) == len(events), what="every event")
    until(lambda: any("FINDING" in line and "/state" in line for line in example.said()), what="the odd state")
    assert [line for line in example.said() if line.startswith("GAP")] == gaps

"""A whole post on a real state folder, turned by hand; broker and headquarters are played beyond its wire."""

import json
import queue
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from loopkit import Hands
from postkit import BOOT, SOURCE

from device.addresses import Broker
from device.config import Config
from device.effects import Answer
from device.events import NO_HASH, rfc3339
from device.link.budget import Budget
from device.link.hints import Hints
from device.link.line import MqttVersion
from device.link.topics import Topics
from device.link.uplink import Uplink
from device.post import Post
from device.readings import (
    Arrived,
    ButtonPressed,
    Connected,
    ContactChanged,
    Delivered,
    Disconnected,
    Reading,
    Started,
)
from device.record.chain import event_hash
from device.record.opening import open_record
from device.record.upkeep import Upkeep
from device.rules.checkin import CheckinRule
from device.rules.doors import DoorLimits, DoorsRule
from device.rules.health import HealthRule
from device.rules.orders import OrdersRule
from device.rules.removed import RemovedRule
from device.rules.roster import Roster
from device.rules.rule import Seat
from device.unread import JOURNAL as JOURNAL_PART

TOPICS = Topics.of(SOURCE)
Place = tuple[str, int]
"""Chain and number."""


@dataclass
class Wire:
    """One connection of the post, from its far end: what it published and has no PUBACK for, by packet id."""

    generation: int
    flying: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    published: list[tuple[str, bytes]] = field(default_factory=list)
    alive: bool = True

    def dial(self, broker: Broker, keepalive_s: int) -> None:
        pass

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, content_type: str | None = None) -> int:
        mid = len(self.published) + 1
        self.published.append((topic, payload))
        self.flying[mid] = topic, payload
        return mid

    def subscribe(self, topics: Sequence[str]) -> None:
        pass

    def acknowledge(self, mid: int) -> None:
        pass

    def close(self) -> None:
        self.alive = False

    def wait_closed(self, timeout_s: float) -> bool:
        return True


@dataclass
class Lights:
    """What the officer was shown."""

    shown: list[Answer] = field(default_factory=list)

    def show(self, answer: Answer, reader: str | None = None) -> None:
        self.shown.append(answer)

    def line(self, up: bool) -> None:
        pass


@dataclass
class Life:
    """``wire``: the newest connection; ``connected`` makes it one."""

    folder: Path
    keep_days: int = 90
    most_bytes: int | None = None
    link: Mapping[str, str] = field(default_factory=dict)
    clock: Hands = field(default_factory=Hands)
    mid: int = 0

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        self.record = open_record(self.folder, SOURCE, BOOT, self.most_bytes)
        self.journal = self.record.journal
        self.lamps = Lights()
        self.wire: Wire | None = None
        kept = self.journal.snapshots()
        rules: list[Any] = [
            HealthRule([JOURNAL_PART]),
            CheckinRule(Roster.of((), self.record.site_key, ZoneInfo("UTC")), 10_000),
            DoorsRule([DoorLimits("front", 86_400_000, 1_000)]),
            OrdersRule(),
            RemovedRule(),
        ]
        settings = Config.model_validate(
            {"post": {"site": "jember", "name": "kpu-gate"}, "link": {"brokers": ["mqtt://[::1]:1"], **self.link}}
        ).link
        hints = Hints(TOPICS, BOOT, self.record.key.jwk())
        self.uplink = Uplink(
            settings,
            hints,
            self.journal,
            self.journal.cursors(),
            self._dial,
            self.inbox.put,
            random.Random(1),
            Budget(),
        )
        self.post = Post(
            inbox=self.inbox,
            clock=self.clock,
            journal=self.journal,
            chain=self.record.chain,
            jwk=self.record.key.jwk(),
            began=self.record.began,
            seats=[Seat.restored(rule, kept.get(rule.name)) for rule in rules],
            panel=self.lamps,
            link=self.uplink,
            upkeep=Upkeep(self.journal, self.keep_days),
            newest=self.journal.newest(),
        )
        self.turn(Started(self.clock.now(), self.record.same_boot, "test"))

    def _dial(self, generation: int, version: MqttVersion) -> Wire:
        self.wire = Wire(generation)
        return self.wire

    def close(self) -> None:
        self.record.close()

    def restart(self) -> None:
        """As after a power cut: what no commit kept is forgotten."""
        self.close()
        self.open()

    def turn(self, *readings: Reading) -> None:
        """One pass of the loop, and those that it asks for itself."""
        batch = list(readings)
        while True:
            self.post.turn(batch)
            batch = [self.inbox.get_nowait() for _ in range(self.inbox.qsize())]
            if not batch:
                return

    def pass_ms(self, ms: int) -> None:
        self.clock.pass_ms(ms)
        self.turn()

    # What happens at the post

    def press(self, times: int = 1) -> Answer:
        """Check-ins in one pass; what was shown for the last."""
        self.turn(*[ButtonPressed(self.clock.now(), "bell")] * times)
        return self.lamps.shown[-1]

    def force_door(self) -> None:
        """An alarm: opened without a check-in; and shut again."""
        self.clock.pass_ms(2_000)
        self.turn(ContactChanged(self.clock.now(), "front", True))
        self.turn(ContactChanged(self.clock.now(), "front", False))

    # What the broker does

    def connect(self) -> None:
        """The broker accepts the next connection."""
        if self.uplink.up:
            return
        while self.wire is None or not self.wire.alive:
            self.pass_ms(60_000)
        self.turn(Connected(self.clock.now(), self.wire.generation, 65_535))

    def hang_up(self) -> None:
        """The broker closes the connection; PUBACKs on their way are lost."""
        if self.wire is not None and self.wire.alive:
            self.wire.alive = False
            self.turn(Disconnected(self.clock.now(), self.wire.generation, "the broker hung up"))

    def answer(self, count: int = 1, reason: int = 0) -> list[tuple[str, bytes]]:
        """PUBACKs for the oldest packets; their topics and payloads."""
        assert self.wire is not None
        return self.answer_these(list(self.wire.flying)[:count], reason)

    def answer_these(self, mids: Sequence[int], reason: int = 0) -> list[tuple[str, bytes]]:
        assert self.wire is not None
        answered = [self.wire.flying.pop(mid) for mid in mids]
        self.turn(*(Delivered(self.clock.now(), self.wire.generation, mid, reason) for mid in mids))
        return answered

    def answer_all(self) -> list[tuple[str, bytes]]:
        """PUBACKs until nothing is on its way any more."""
        answered: list[tuple[str, bytes]] = []
        while self.wire is not None and self.wire.flying:
            answered += self.answer(len(self.wire.flying))
        return answered

    # What headquarters does

    def send(self, topic: str, members: Mapping[str, Any], *, retained: bool = False) -> None:
        assert self.wire is not None
        self.mid += 1
        payload = json.dumps(members).encode()
        self.turn(Arrived(self.clock.now(), self.wire.generation, self.mid, topic, payload, retained))

    def receipt(self, chain: str, seq: int, event: bytes | None = None, *, retained: bool = False) -> None:
        """``event``: the one with that number; None for the one in the journal, or for number 0."""
        if event is None and seq:
            event = next(event for place, event in self.rows().items() if place == (chain, seq))
        digest = NO_HASH if event is None else event_hash(event)
        self.send(TOPICS.receipt, {"chain": chain, "seq": seq, "hash": digest}, retained=retained)

    def order_replay(self, chain: str, first: int, last: int) -> str:
        """Its id."""
        order = str(UUID(int=self.mid + 1))
        expires = rfc3339(self.clock.now().wall_ms + 60_000)
        members = {"id": order, "expires": expires, "chain": chain, "from": first, "to": last}
        self.send(f"{TOPICS.receipt.removesuffix('receipt')}order/replay", members)
        return order

    # What can be seen

    @property
    def chain(self) -> str:
        """The present one."""
        return self.journal.chains()[0].chain

    def rows(self) -> dict[Place, bytes]:
        """Every event in the journal, in order."""
        events = [row.event for row in self.journal.all_rows()]
        return {place_of(event): event for event in events}

    def told(self, change: str) -> list[dict[str, Any]]:
        """The data of every ``system`` event of this form."""
        events = map(json.loads, self.rows().values())
        return [event["data"] for event in events if event["data"].get("change") == change]

    def state(self) -> dict[str, Any]:
        """What is published of the chains."""
        hints = Hints(TOPICS, BOOT, self.record.key.jwk())
        found: dict[str, Any] = json.loads(hints.state(self.clock.now(), self.journal, self.uplink.done, {}))
        return found


def place_of(event: bytes) -> Place:
    members = json.loads(event)
    return members["chain"], members["seq"]

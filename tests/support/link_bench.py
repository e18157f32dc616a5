"""A journal and its link, worked by hand as the loop does."""

import queue
import random
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postkit import ShiftedClock
from waiting import until

from device.config import Config
from device.events import Checkin, Draft
from device.hardware.clock import boot_id
from device.link.budget import Budget
from device.link.hints import Hints
from device.link.line import Access, Line, MqttVersion, Will
from device.link.topics import Topics
from device.link.uplink import Uplink
from device.readings import (
    Arrived,
    Asked,
    Connected,
    Delivered,
    Disconnected,
    Reading,
    Replayed,
    RuleReading,
)
from device.record.chain import Chain
from device.record.journal import Journal, Sent
from device.record.opening import Record, open_record
from device.turn import Turn

SOURCE = "/guardpost/jember/kpu-gate"
BASE = SOURCE[1:]


@dataclass
class Sending:
    """A journal and its link, worked by hand as the loop does."""

    folder: Path
    link: dict[str, Any]
    access: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = ShiftedClock()
        self.told: list[RuleReading] = []
        self.asked: list[Asked] = []
        self.replayed: list[Replayed] = []
        self.inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        self.record: Record = open_record(self.folder, SOURCE, boot_id())
        self.journal: Journal = self.record.journal
        self.chain: Chain = self.record.chain
        turn = Turn([], self.chain)
        turn.begin(self.record.began, self.clock.now())
        if turn.sealed:
            self.journal.append(turn.sealed, {}, Sent({}))
            self.chain = turn.chain
        settings = Config.model_validate({"post": {"site": "jember", "name": "kpu-gate"}, "link": self.link}).link
        topics = Topics.of(SOURCE)
        hints = Hints(topics, boot_id(), self.record.key.jwk())
        who = Access("jember/kpu-gate", "jember.kpu-gate", **self.access)

        def dial(generation: int, version: MqttVersion) -> Line:
            self.versions.append(version)
            return Line(generation, version, who, Will(topics.status, hints.offline()), self.inbox, self.clock)

        self.versions: list[str] = []
        self.reasons: list[str] = []
        self.codes: list[int] = []
        self.in_flight: int = 0
        self.uplink = Uplink(
            settings, hints, self.journal, self.journal.cursors(), dial, self.inbox.put, random.Random(1), Budget()
        )

    def record_taps(self, count: int) -> None:
        data = Checkin(method="button", officer=None, badge=None, verdict="accepted", assurance="none", reader=None)
        sealed = []
        for _ in range(count):
            self.chain, event = self.chain.seal(Draft(subject="checkin", data=data), self.clock.now())
            sealed.append(event)
        self.journal.append(sealed, {}, self.uplink.known())

    def work(self) -> None:
        """One pass of the loop: what waits, at most a batch, and what the link has to do."""
        with suppress(queue.Empty):
            self.take(self.inbox.get(timeout=0.02))
            for _ in range(255):
                self.take(self.inbox.get_nowait())
        self.uplink.work(self.clock.now(), self.journal.newest(), dict)

    def take(self, reading: Reading) -> None:
        if isinstance(reading, Disconnected):
            self.reasons.append(reading.why)
        if isinstance(reading, Delivered):
            self.codes.append(reading.reason)
        heard = [reading]
        if isinstance(reading, Connected | Disconnected | Delivered | Arrived):
            heard = list(self.uplink.take(reading))
        for one in heard:
            if isinstance(one, Asked):
                self.asked.append(one)
            elif isinstance(one, Replayed):
                self.replayed.append(one)
            else:
                self.told.append(one)  # type: ignore[arg-type]

    def obey(self) -> None:
        """What the orders rule asks for, for the newest order."""
        asked = self.asked[-1]
        assert asked.replay is not None
        self.uplink.recorded(asked.ack)
        self.uplink.replay(asked.id, asked.replay, self.clock.now())

    def pass_ms(self, ms: int) -> None:
        """Time goes by without anybody waiting for it."""
        self.clock.ahead_ms += ms

    def settle(self) -> None:
        """Work until a second has brought nothing new."""
        quiet = 0
        while quiet < 50:
            quiet = 0 if not self.inbox.empty() else quiet + 1
            self.work()

    def restart_line(self) -> None:
        """The connection breaks, and a new one comes."""
        call = self.uplink._call
        assert call is not None
        generation = call.generation
        call.line.close()
        self.until(lambda: self.uplink.up and self.uplink._generation > generation)

    def until(self, condition: Callable[[], object], within_s: float = 20.0) -> None:
        def worked() -> object:
            self.work()
            return condition()

        until(worked, within_s)

    def until_delivered(self) -> None:
        self.until(lambda: self.uplink.done == self.journal.newest())

    def close(self) -> None:
        self.uplink.say_goodbye("test ends", self.clock.now())
        if self.uplink.up:
            self.until(lambda: self.uplink.quiet or not self.uplink.up)
        self.uplink.close()
        self.record.close()


@contextmanager
def sending(folder: Path, url: str, **link: Any) -> Iterator[Sending]:
    access = link.pop("access", {})
    with closing(Sending(folder / "state", {"brokers": [url], **link}, access)) as made:
        yield made

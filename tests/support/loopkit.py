"""The loop on a real state folder, turned by hand: no thread, no broker, no time but what is told."""

import json
import queue
import random
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from postkit import BOOT, SOURCE

from device.config import Config
from device.effects import Answer
from device.link.budget import Budget
from device.link.hints import Hints
from device.link.line import Access, Line, MqttVersion
from device.link.topics import Topics
from device.link.uplink import Uplink
from device.post import Post
from device.readings import BadgeRead, Instant, Reading, Started
from device.record.journal_reader import JournalReader
from device.record.opening import JOURNAL, Record, open_record
from device.record.upkeep import Upkeep
from device.rules.checkin import CheckinRule
from device.rules.doors import DoorLimits, DoorsRule
from device.rules.health import HealthRule
from device.rules.power import PowerRule
from device.rules.roster import Officer, Roster
from device.rules.rule import Seat
from device.rules.timekeeping import TimekeepingRule
from device.seams import Watcher
from device.unread import JOURNAL as JOURNAL_PART

KNOWN = bytes.fromhex("04A1B2C3D4E5F6")
OTHER = bytes.fromhex("0499887766554433"[:14])
STRANGER = bytes.fromhex("DEADBEEF")


@dataclass
class Hands:
    """A clock that moves when told to."""

    uptime_ms: int = 100_000
    wall_ms: int = 1_795_482_900_123

    def now(self) -> Instant:
        return Instant(self.uptime_ms, self.wall_ms, "synced", 5)

    def pass_ms(self, ms: int) -> Instant:
        self.uptime_ms += ms
        self.wall_ms += ms
        return self.now()


@dataclass
class Lamps:
    """Lights and buzzer: remembers what was shown, and how many events were on disk at that moment."""

    journal: Path
    shown: list[Answer] = field(default_factory=list)
    on_disk: list[int] = field(default_factory=list)

    def show(self, answer: Answer, reader: str | None = None) -> None:
        if answer is Answer.NOT_RECORDED:
            self.shown.append(answer)
            return  # the journal may be unreadable then
        beside = JournalReader.open(self.journal)
        self.on_disk.append(beside.newest())
        beside.close()
        self.shown.append(answer)

    def line(self, up: bool) -> None:
        pass


@dataclass
class Bench:
    """One post on a real state folder; no broker can be reached."""

    folder: Path
    clock: Hands = field(default_factory=Hands)
    bootid: str = BOOT
    most_bytes: int | None = None
    stop_after_ms: int | None = None
    watchers: Sequence[Watcher] = ()

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        self.record: Record = open_record(self.folder, SOURCE, self.bootid, self.most_bytes)
        self.lamps = Lamps(self.folder / JOURNAL)
        roster = Roster.of((Officer(id="officer-1", badges=(KNOWN.hex().upper(), OTHER.hex().upper())),),
                           self.record.site_key, ZoneInfo("UTC"))  # fmt: skip
        kept = self.record.journal.snapshots()
        rules: list[Any] = [
            HealthRule(["reader gate", JOURNAL_PART]),
            TimekeepingRule(),
            PowerRule(self.stop_after_ms),
            CheckinRule(roster, 10_000),
            DoorsRule([DoorLimits("front", 60_000, None)]),
        ]
        link = Config.model_validate(
            {"post": {"site": "jember", "name": "kpu-gate"}, "link": {"brokers": ["mqtt://127.0.0.1:1"]}}
        ).link

        def dial(generation: int, version: MqttVersion) -> Line:
            return Line(generation, version, Access("u", "u"), None, self.inbox, self.clock)

        hints = Hints(Topics.of(SOURCE), self.bootid, self.record.key.jwk())
        self.post = Post(
            inbox=self.inbox,
            clock=self.clock,
            journal=self.record.journal,
            chain=self.record.chain,
            jwk=self.record.key.jwk(),
            began=self.record.began,
            seats=[Seat.restored(rule, kept.get(rule.name)) for rule in rules],
            panel=self.lamps,
            link=Uplink(link, hints, self.record.journal, {}, dial, self.inbox.put, random.Random(1), Budget()),
            upkeep=Upkeep(self.record.journal, 90),
            newest=self.record.journal.newest(),
            watchers=self.watchers,
        )

    def start(self) -> None:
        self.post.turn([Started(self.clock.now(), self.record.same_boot, "test")])

    def stop(self) -> None:
        self.record.close()

    def restart(self, bootid: str = BOOT) -> None:
        self.stop()
        self.bootid = bootid
        self.open()
        self.start()

    def tap(self, uid: bytes = KNOWN) -> Answer:
        """Tap, and what was shown for it."""
        before = len(self.lamps.shown)
        self.post.turn([BadgeRead(self.clock.now(), "gate", uid)])
        assert len(self.lamps.shown) == before + 1
        return self.lamps.shown[-1]

    def events(self) -> list[dict[str, Any]]:
        beside = JournalReader.open(self.folder / JOURNAL)
        rows = [json.loads(row.event) for row in beside.all_rows()]
        beside.close()
        return rows

    def told(self) -> list[str]:
        """Every event in a few letters: kind and what it says."""
        return [
            f"{e['type'].split('.')[1]} {e['data'].get('verdict') or e['data'].get('change')}"
            for e in self.events()
        ]

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """No file may grow any more. Python ignores SIGXFSZ, so a write fails with EFBIG."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        log = self.folder / f"{JOURNAL}-wal"
        size = log.stat().st_size if log.exists() else 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

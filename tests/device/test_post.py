"""The loop: nothing is shown before it is on disk, and what could not be recorded is said so."""

import json
import queue
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from device.config import Config
from device.effects import Answer
from device.link.hints import Hints
from device.link.line import Access, Line, MqttVersion
from device.link.topics import Topics
from device.link.uplink import Uplink
from device.post import EXIT_CRASHED, EXIT_OK, KEPT_READINGS, Post
from device.readings import (
    BadgeRead,
    ButtonPressed,
    ContactChanged,
    Crashed,
    Instant,
    Reading,
    RosterLoaded,
    Started,
    StopRequested,
)
from device.record.journal import Journal
from device.record.opening import JOURNAL, Record, open_record
from device.rules.checkin import CheckinRule
from device.rules.doors import DoorLimits, DoorsRule
from device.rules.health import HealthRule
from device.rules.roster import Officer, Roster
from device.rules.rule import Seat
from device.rules.timekeeping import TimekeepingRule

BOOT = "3f0c8bb4-9d53-4b8e-b0a5-0d1f3a2c4e5f"
LATER_BOOT = "5a1d7c22-1111-4222-8333-944455556666"
SOURCE = "/guardpost/jember/kpu-gate"
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

    def show(self, answer: Answer) -> None:
        beside = Journal.read_only(self.journal)
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

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        self.record: Record = open_record(self.folder, SOURCE, self.bootid)
        self.lamps = Lamps(self.folder / JOURNAL)
        roster = Roster.of((Officer(id="officer-1", badges=(KNOWN.hex().upper(), OTHER.hex().upper())),),
                           self.record.site_key, ZoneInfo("UTC"))  # fmt: skip
        kept = self.record.journal.snapshots()
        rules: list[Any] = [
            HealthRule(["reader gate"]),
            TimekeepingRule(),
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
            link=Uplink(link, hints, self.record.journal, {}, dial, self.inbox.put, random.Random(1)),
            newest=self.record.journal.newest(),
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
        beside = Journal.read_only(self.folder / JOURNAL)
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


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "state")
    made.start()
    yield made
    made.stop()


def test_a_new_post_begins_its_chain_and_says_that_it_booted(bench: Bench) -> None:
    assert bench.told() == ["system chain", "system boot", "system clock"]
    assert [event["seq"] for event in bench.events()] == [1, 2, 3]
    assert bench.events()[0]["data"]["why"] == "first"


def test_green_comes_only_when_the_event_is_on_disk(bench: Bench) -> None:
    before = len(bench.events())
    assert bench.tap() is Answer.ACCEPTED
    assert bench.lamps.on_disk == [before + 1]
    assert bench.told()[-1] == "checkin accepted"


def test_several_taps_in_one_batch_are_all_on_disk_before_the_first_is_answered(bench: Bench) -> None:
    before = len(bench.events())
    now = bench.clock.now()
    bench.post.turn(
        [BadgeRead(now, "gate", KNOWN), BadgeRead(now, "gate", STRANGER), ButtonPressed(now, "checkin")]
    )
    assert bench.lamps.shown == [Answer.ACCEPTED, Answer.REFUSED, Answer.ACCEPTED]
    assert bench.lamps.on_disk == [before + 3] * 3


def test_a_tap_that_cannot_be_written_is_red_and_changes_nothing(bench: Bench) -> None:
    bench.tap(OTHER)
    before = bench.told()
    with bench.full_disk():
        assert bench.tap(KNOWN) is Answer.NOT_RECORDED
        assert bench.tap(KNOWN) is Answer.NOT_RECORDED
    assert bench.told() == before
    # Had the failed tap changed any state, this one would be "repeated".
    assert bench.tap(KNOWN) is Answer.ACCEPTED
    assert bench.told()[len(before) :] == ["system storage", "checkin accepted"]
    storage = bench.events()[-2]["data"]
    assert (storage["unrecorded"], storage["dropped"]) == (2, 0)
    assert "journal" in storage["why"]


def test_a_failed_tap_is_never_tried_again_behind_the_officers_back(bench: Bench) -> None:
    bench.tap(OTHER)
    before = len(bench.events())
    with bench.full_disk():
        bench.tap(KNOWN)
    bench.clock.pass_ms(1_500)
    bench.post.turn([])
    assert [event["type"] for event in bench.events()[before:]] == ["guardpost.system.v1"]
    assert bench.lamps.shown[-1] is Answer.NOT_RECORDED


def test_a_door_that_moves_while_the_disk_is_full_is_recorded_when_it_is_not(bench: Bench) -> None:
    bench.tap(OTHER)
    before = len(bench.events())
    with bench.full_disk():
        opened = bench.clock.now()
        bench.post.turn([ContactChanged(opened, "front", True)])
        bench.clock.pass_ms(5_000)
        bench.post.turn([ContactChanged(bench.clock.now(), "front", False)])
        assert len(bench.events()) == before
    bench.clock.pass_ms(1_000)
    bench.post.turn([])
    assert bench.told()[before:] == ["system storage", "door opened", "door closed"]
    closed = bench.events()[-1]
    assert closed["data"]["since"] == bench.events()[-2]["time"]
    assert bench.lamps.shown[-1] is Answer.ACCEPTED  # nobody stood there: nothing was shown


def test_what_does_not_fit_into_the_wait_for_the_disk_is_counted(bench: Bench) -> None:
    bench.tap(OTHER)
    before = len(bench.events())
    now = bench.clock.now()
    flapping = [ContactChanged(now, "front", bool(n % 2 == 0)) for n in range(KEPT_READINGS + 25)]
    with bench.full_disk():
        bench.post.turn(flapping)
    bench.clock.pass_ms(1_500)
    bench.post.turn([])
    assert len(bench.events()) == before + 1 + KEPT_READINGS
    assert bench.events()[before]["data"]["dropped"] == 25


def test_after_a_failure_only_a_tap_is_tried_at_once(bench: Bench) -> None:
    bench.tap(OTHER)
    before = len(bench.events())
    with bench.full_disk():
        bench.tap(KNOWN)
    bench.post.turn([ContactChanged(bench.clock.now(), "front", True)])
    assert len(bench.events()) == before
    assert bench.tap(KNOWN) is Answer.ACCEPTED
    assert bench.told()[before:] == ["system storage", "door opened", "checkin accepted"]


def test_a_post_whose_disk_is_full_from_the_start_begins_its_chain_later(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state")
    bench.stop()  # the schema is in the file; its log is empty now
    bench.open()
    with bench.full_disk():
        bench.start()
        assert bench.tap() is Answer.NOT_RECORDED
    assert bench.events() == []
    assert bench.tap() is Answer.ACCEPTED
    assert bench.told() == ["system chain", "system storage", "system boot", "system clock", "checkin accepted"]
    bench.stop()


def test_a_door_held_open_is_noticed_without_any_reading(bench: Bench) -> None:
    bench.post.turn([ContactChanged(bench.clock.now(), "front", True)])
    bench.clock.pass_ms(59_999)
    bench.post.turn([])
    assert bench.told()[-1] == "door opened"
    bench.clock.pass_ms(1)
    bench.post.turn([])
    assert bench.told()[-1] == "door held"


def test_a_door_closed_in_time_is_not_held_though_the_loop_hears_of_it_late(bench: Bench) -> None:
    bench.post.turn([ContactChanged(bench.clock.now(), "front", True)])
    closed = bench.clock.pass_ms(59_000)
    bench.clock.pass_ms(5_000)
    bench.post.turn([ContactChanged(closed, "front", False)])
    assert bench.told()[-2:] == ["door opened", "door closed"]


def test_a_restart_forgets_neither_the_open_door_nor_who_tapped(bench: Bench) -> None:
    bench.post.turn([ContactChanged(bench.clock.now(), "front", True)])
    bench.tap()
    bench.restart()
    bench.post.turn([ContactChanged(bench.clock.now(), "front", True)])
    assert bench.tap() is Answer.REPEATED
    assert bench.told()[3:] == ["door opened", "checkin accepted", "system boot", "checkin repeated"]
    bench.clock.pass_ms(60_000)
    bench.post.turn([])
    assert bench.told()[-1] == "door held"


def test_the_numbers_go_on_over_a_reboot(bench: Bench) -> None:
    bench.tap()
    bench.clock.uptime_ms = 3_000
    bench.restart(LATER_BOOT)
    bench.tap()
    events = bench.events()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["chain"] for event in events} == {events[0]["chain"]}
    assert [e["data"]["why"] for e in events if e["data"].get("change") == "boot"] == ["boot", "boot"]


def test_the_roster_in_force_is_recorded_once(bench: Bench) -> None:
    for _ in range(2):
        bench.post.turn([RosterLoaded(bench.clock.now(), "ab" * 32, 3)])
    bench.restart()
    bench.post.turn([RosterLoaded(bench.clock.now(), "ab" * 32, 3)])
    assert bench.told().count("system roster") == 1


def test_a_stop_is_the_last_thing_recorded(bench: Bench) -> None:
    now = bench.clock.now()
    bench.inbox.put(BadgeRead(now, "gate", KNOWN))
    bench.inbox.put(StopRequested(now, "SIGTERM"))
    assert bench.post.run() == EXIT_OK
    assert bench.told()[-2:] == ["checkin accepted", "system stop"]


def test_a_worker_that_dies_ends_the_program_and_is_named(bench: Bench) -> None:
    bench.inbox.put(Crashed(bench.clock.now(), "contacts", "ValueError: no"))
    assert bench.post.run() == EXIT_CRASHED
    assert bench.events()[-1]["data"]["why"] == "contacts died: ValueError: no"

"""Disks that fill up, turn read-only or fail while officers tap: green is recorded, red is not, and it goes on."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from backlog import fill
from brokers import Mosquitto, mosquitto
from disk_posts import DiskPost, post_on
from posts import BASE, recorder, recording
from volatile_disk import VolatileDisk, unusable, volatile_disk
from waiting import until

from device.record.opening import JOURNAL
from recorder.service import read_summary
from recorder.store import Store

pytestmark = pytest.mark.skipif(unusable() is not None, reason=str(unusable()))

ACCEPTED = "accepted (green, one short beep)"
NOT_RECORDED = "not recorded (red, eight quick beeps)"
OFFICERS = 1_000
"""More than can tap within the longest wait."""
CANNOT_USE_STATE = 3
_VERIFIED = "SELECT payload FROM event JOIN chain ON id = chain WHERE verified ORDER BY id, seq"


@dataclass
class Officers:
    """Those who come by, each once. ``answers``: what each saw."""

    gate: DiskPost
    answers: dict[str, str] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def tap(self) -> str:
        number = next(self._numbers)
        answer = self.answers[f"officer-{number}"] = self.gate.tap(number)
        return answer

    def saw(self, answer: str) -> list[str]:
        return [officer for officer, seen in list(self.answers.items()) if seen == answer]

    @contextmanager
    def tapping(self) -> Iterator[None]:
        """One after the other, all the while."""
        enough = threading.Event()

        def go_on() -> None:
            while not enough.is_set():
                self.tap()

        taps = threading.Thread(target=go_on)
        taps.start()
        try:
            yield
        finally:
            enough.set()
            taps.join()


@dataclass
class Scene:
    """A post on a disk, its broker, and what headquarters has stored."""

    disk: VolatileDisk
    broker: Mosquitto
    store: Path
    gate: DiskPost
    officers: Officers

    def log(self) -> list[dict[str, Any]]:
        """The recorder's log: every verified event."""
        if not self.store.exists():
            return []
        with Store.read(self.store) as store, store.snapshot():
            return [json.loads(row["payload"]) for row in store.rows(_VERIFIED)]

    def storage(self) -> list[dict[str, Any]]:
        """What the recorder's log says of the post's disk."""
        return [event["data"] for event in self.log() if event["data"].get("change") == "storage"]

    def all_is_told(self) -> None:
        """Every green tap is in the recorder's log, in one chain, no red one is, and nothing in it is missing."""
        until(lambda: self.log()[-1:] == self.gate.events()[-1:], 60, "the newest event at headquarters", 0.1)
        checkins = [event["data"] for event in self.log() if "verdict" in event["data"]]
        assert [data["officer"] for data in checkins] == self.officers.saw(ACCEPTED)
        assert set(self.officers.answers.values()) <= {ACCEPTED, NOT_RECORDED}
        assert [event["seq"] for event in self.log()] == list(range(1, len(self.log()) + 1))
        held = read_summary(self.store)
        assert held.findings == 0 and [chain.verdict for chain in held.chains] == ["whole"]

    def a_power_cut_takes_nothing(self) -> None:
        """However little of its cache the drive had written. What is receipted may have been removed before."""
        kept = self.gate.events()[-1]
        self.disk.cut(0.0)
        self.gate.buried()
        self.disk.power_on()
        self.gate.start()
        assert kept in self.gate.events()
        assert self.officers.tap() == ACCEPTED
        self.all_is_told()

    def shown(self) -> str:
        """The recorder's log of check-ins and of the disk, for people."""
        told = []
        for event in self.log():
            data = event["data"]
            if data.get("change") == "storage":
                told.append(f"{event['time']} DISK {data['room']}: {data['why']}; unrecorded {data['unrecorded']}")
            elif "verdict" in data:
                told.append(f"{event['time']} {data['officer']} {data['verdict']}")
        return "\n".join(told)


@contextmanager
def scene(folder: Path, **settings: Any) -> Iterator[Scene]:
    store = folder / "recorder.db"
    with (
        volatile_disk(folder / "rig") as disk,
        mosquitto(folder / "mosquitto") as broker,
        recording(store, broker.url),
        post_on(disk, folder / "post", broker.url, officers=OFFICERS, **settings) as gate,
    ):
        yield Scene(disk, broker, store, gate, Officers(gate))


def test_a_disk_filled_and_emptied_again_while_taps_go_on_is_shown_in_the_recorders_log(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        with at.officers.tapping():
            until(lambda: len(at.officers.saw(ACCEPTED)) >= 3)
            at.disk.fill()
            until(
                lambda: at.storage() and len(at.officers.saw(NOT_RECORDED)) >= 3, 30, "red, and the recorder told"
            )
            assert "last answer: not recorded" in at.gate.do("lights")
            before = len(at.officers.saw(ACCEPTED))
            at.disk.well()
            until(lambda: len(at.officers.saw(ACCEPTED)) >= before + 3)
        at.all_is_told()
        reserved, free = at.storage()
        assert (reserved["room"], free["room"]) == ("reserved", "free")
        assert "full" in reserved["why"] and reserved["since"] == free["since"]
        assert free["unrecorded"] == len(at.officers.saw(NOT_RECORDED))
        at.a_power_cut_takes_nothing()
        for question in ("verify", "gaps", "findings"):
            answer = recorder(question, "--store", str(at.store))
            assert answer.returncode == 0, answer.stdout + answer.stderr
        exported = recorder("export", "--store", str(at.store))
        assert [json.loads(line) for line in exported.stdout.splitlines()] == at.log()
        print(at.shown())


def test_what_waits_for_a_line_is_kept_while_the_disk_is_full_and_sent_from_there(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        at.broker.stop()
        for _ in range(20):
            assert at.officers.tap() == ACCEPTED
        at.disk.fill()
        for _ in range(3):
            assert at.officers.tap() == NOT_RECORDED
        until(lambda: at.gate.told()[-1] == "system storage")
        at.broker.start()
        until(at.storage, 30, "the full disk in the recorder's log")
        assert len(at.officers.saw(ACCEPTED)) == 20
        at.disk.well()
        until(lambda: at.officers.tap() == ACCEPTED)
        at.all_is_told()


def test_a_disk_so_full_that_even_the_last_words_find_no_room_is_told_of_later(tmp_path: Path) -> None:
    """The reserve was given up at an earlier start and taken by others."""
    with scene(tmp_path) as at:
        assert at.officers.tap() == ACCEPTED
        at.disk.fill()
        assert at.officers.tap() == NOT_RECORDED
        until(lambda: at.gate.told()[-1] == "system storage")
        at.disk.fill()  # others were quicker
        for _ in range(3):
            at.gate.do("reader gate freeze")
            assert at.gate.process is not None and at.gate.process.poll() is None
            at.gate.do("reader gate thaw")
            assert at.officers.tap() == NOT_RECORDED
        at.disk.well()
        until(lambda: at.officers.tap() == ACCEPTED)
        at.all_is_told()
        assert at.storage()[-1]["unrecorded"] == len(at.officers.saw(NOT_RECORDED))


Failing = Callable[[VolatileDisk], None]
TROUBLES: dict[str, Failing] = {
    "read-only": lambda disk: disk.read_only(),
    "I/O errors on writes": lambda disk: disk.fail("write"),
    "I/O errors on flushes": lambda disk: disk.fail("fsync"),
    "I/O errors on reads": lambda disk: disk.fail("read"),
    "I/O errors on everything": lambda disk: disk.fail("write", "fsync", "read"),
}


@pytest.mark.parametrize("trouble", sorted(TROUBLES.keys() - {"I/O errors on reads"}))
def test_a_failing_disk_makes_taps_red_and_the_post_goes_on_when_the_disk_does(
    tmp_path: Path, trouble: str
) -> None:
    with scene(tmp_path) as at:
        for _ in range(3):
            assert at.officers.tap() == ACCEPTED
        TROUBLES[trouble](at.disk)
        for _ in range(3):
            assert at.officers.tap() == NOT_RECORDED
        at.gate.do("open front")
        at.disk.well()
        until(lambda: at.officers.tap() == ACCEPTED)
        until(lambda: "door opened" in at.gate.told())
        at.all_is_told()
        (told,) = at.storage()
        assert (told["room"], told["unrecorded"]) == ("free", len(at.officers.saw(NOT_RECORDED)))
        at.a_power_cut_takes_nothing()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_tap_that_was_red_for_a_failed_flush_stands_in_nobodys_way_after_a_power_cut(
    tmp_path: Path, share: float
) -> None:
    """Whether the drive had written it after all or not: what was green is there, and the chain goes on."""
    with scene(tmp_path) as at:
        for _ in range(3):
            assert at.officers.tap() == ACCEPTED
        at.disk.fail("fsync")
        assert at.officers.tap() == NOT_RECORDED
        at.disk.cut(share)
        at.gate.buried()
        at.disk.power_on()
        at.gate.start()
        assert at.officers.tap() == ACCEPTED
        head = at.gate.events()[-1]
        until(lambda: head in at.log(), 30, "the newest event at headquarters", 0.1)
        told = [event["data"]["officer"] for event in at.log() if "verdict" in event["data"]]
        assert [officer for officer in told if officer != "officer-4"] == at.officers.saw(ACCEPTED)
        assert [chain.verdict for chain in read_summary(at.store).chains] == ["whole"]
        assert at.gate.command("journal", "verify").returncode == 0


def test_a_disk_that_gives_nothing_back_stops_sending_and_not_the_officers(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        at.gate.end()
        fill(at.gate.state, f"/{BASE}", 3_000)
        at.broker.stop()
        at.gate.start()
        assert at.officers.tap() == ACCEPTED
        at.disk.fail("read")
        at.disk.forget_cached(f"state/{JOURNAL}")
        at.disk.forget_cached(f"state/{JOURNAL}-wal")
        at.broker.start()
        until(
            lambda: "Input/output error; mend the disk" in at.gate.said(), 30, "the post's word that it cannot read"
        )
        assert at.officers.tap() == ACCEPTED
        at.disk.well()
        until(lambda: "system sighted" in at.gate.told(), 30, "the post's word that it can")
        assert "system blind" in at.gate.told()
        assert at.officers.tap() == ACCEPTED
        at.all_is_told()


@pytest.mark.parametrize("trouble", ["read-only", "I/O errors on reads", "I/O errors on everything"])
def test_a_post_that_cannot_start_on_its_disk_says_so_in_a_line_and_starts_once_that_is_mended(
    tmp_path: Path, trouble: str
) -> None:
    with scene(tmp_path) as at:
        for _ in range(3):
            assert at.officers.tap() == ACCEPTED
        at.disk.cut(1.0)
        at.gate.buried()
        at.disk.power_on()
        TROUBLES[trouble](at.disk)
        before = len(at.gate.said())
        for _ in range(2):  # systemd starts it again and again
            assert not at.gate.launch()
            assert at.gate.process is not None and at.gate.process.returncode == CANNOT_USE_STATE
        first, *rest = at.gate.said()[before:].strip().splitlines()
        assert rest == [first]
        assert re.fullmatch(r"/\S+: .+; .+", first), first
        at.disk.well()
        at.gate.start()
        assert at.officers.tap() == ACCEPTED
        at.all_is_told()
        assert not list(at.gate.state.glob("*damaged*"))


@pytest.mark.parametrize("killed", [True, False])
def test_a_post_starts_on_a_full_disk_and_its_light_is_red(tmp_path: Path, killed: bool) -> None:
    with scene(tmp_path) as at:
        for _ in range(3):
            assert at.officers.tap() == ACCEPTED
        if killed:
            at.gate.buried()
        else:
            at.gate.end()
        at.disk.fill()
        at.gate.start()
        for _ in range(3):
            assert at.officers.tap() == NOT_RECORDED
        at.disk.well()
        until(lambda: at.officers.tap() == ACCEPTED)
        at.all_is_told()


def test_a_journal_at_its_limit_takes_last_words_alone_until_headquarters_lets_old_events_go(
    tmp_path: Path,
) -> None:
    with scene(tmp_path, door='\n[journal]\nmost_bytes = "4MiB"\n') as at:
        at.gate.end()
        at.broker.stop()
        fill(at.gate.state, f"/{BASE}", 5_000)
        at.gate.start()
        for _ in range(3):
            assert at.officers.tap() == NOT_RECORDED
        until(lambda: "system storage" in at.gate.told())
        at.gate.do("reader gate freeze")
        until(lambda: at.gate.told()[-1] == "system blind")
        at.gate.do("reader gate thaw")
        until(lambda: at.gate.told()[-1] == "system sighted")
        at.gate.end()  # the stop and the next start are last words, too
        at.gate.start()
        assert at.officers.tap() == NOT_RECORDED
        assert [event["seq"] for event in at.gate.events()] == list(range(1, len(at.gate.events()) + 1))
        assert len(at.gate.events()) > 5_000
        at.broker.start()
        until(lambda: at.officers.tap() == ACCEPTED, 60, "room")
        at.all_is_told()
        reserved, free = at.storage()[0], at.storage()[-1]
        assert (reserved["room"], free["room"]) == ("reserved", "free")
        assert "most_bytes" in reserved["why"]

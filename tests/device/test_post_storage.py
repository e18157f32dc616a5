"""The loop without room, without a readable disk, without mains: what it says, and how it goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from loopkit import KNOWN, OTHER, Bench

from device.effects import Answer
from device.errors import JournalDamaged
from device.post import EXIT_OK, EXIT_POWER
from device.readings import BadgeRead, ContactChanged, Instant, MainsChanged, StopRequested, Vitals
from device.record.opening import JOURNAL
from device.record.reserve import RESERVE_BYTES

LIMIT = 4 << 20


@dataclass
class Passes:
    """A watcher that remembers."""

    statuses: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    def passed(self, now: Instant, status: Callable[[], str]) -> None:
        self.statuses.append(status())

    def stopping(self, why: str) -> None:
        self.stopped.append(why)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "state", most_bytes=LIMIT, stop_after_ms=600_000, watchers=[Passes()])
    made.start()
    yield made
    made.stop()


def watcher(bench: Bench) -> Passes:
    (found,) = bench.watchers
    assert isinstance(found, Passes)
    return found


def filled(bench: Bench, left: int = RESERVE_BYTES) -> None:
    """The journal has grown to ``left`` bytes below its limit, as if by rows that nobody has receipted."""
    database = bench.record.journal._database
    database.execute("CREATE TABLE IF NOT EXISTS rows_of_others (row BLOB)")
    while bench.record.journal.used_bytes() < LIMIT - left:
        database.execute("INSERT INTO rows_of_others VALUES (zeroblob(4000))")


def emptied(bench: Bench) -> None:
    bench.record.journal._database.execute("DELETE FROM rows_of_others")


def health(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = bench.post._holds()["health"]
    return found


def test_a_full_journal_is_red_for_taps_and_says_so_once_in_the_room_kept_for_that(bench: Bench) -> None:
    before = len(bench.events())
    filled(bench)
    assert bench.tap(KNOWN) is Answer.NOT_RECORDED
    assert bench.tap(OTHER) is Answer.NOT_RECORDED
    assert bench.told()[before:] == ["system storage"]
    assert bench.events()[-1]["data"]["room"] == "reserved"
    assert "its limit is 4194304 bytes" in bench.events()[-1]["data"]["why"]
    assert not health(bench)["recording"]


def test_once_there_is_room_again_the_red_taps_are_counted_and_the_next_is_green(bench: Bench) -> None:
    before = len(bench.events())
    filled(bench)
    bench.tap(KNOWN)
    bench.tap(OTHER)
    emptied(bench)
    assert bench.tap(KNOWN) is Answer.ACCEPTED
    assert bench.told()[before:] == ["system storage", "system storage", "checkin accepted"]
    last = bench.events()[-2]["data"]
    assert (last["room"], last["unrecorded"], last["dropped"]) == ("free", 2, 0)
    assert health(bench)["recording"]


def test_a_door_that_moves_while_the_journal_is_full_is_recorded_when_there_is_room(bench: Bench) -> None:
    before = len(bench.events())
    filled(bench)
    opened = bench.clock.now()
    bench.post.turn([ContactChanged(opened, "front", True)])
    bench.clock.pass_ms(5_000)
    bench.post.turn([ContactChanged(bench.clock.now(), "front", False)])
    assert bench.told()[before:] == ["system storage"]
    emptied(bench)
    bench.clock.pass_ms(1_000)
    bench.post.turn([])
    assert bench.told()[before:] == ["system storage", "system storage", "door opened", "door closed"]
    assert bench.post._holds()["doors"] == {"front": "closed"}


def test_a_door_held_open_while_the_journal_is_full_keeps_nothing_else_from_being_said(bench: Bench) -> None:
    bench.post.turn([ContactChanged(bench.clock.now(), "front", True)])
    filled(bench)
    bench.clock.pass_ms(61_000)
    bench.inbox.put(StopRequested(bench.clock.now(), "SIGTERM"))
    assert bench.post.run() == EXIT_OK
    assert bench.told()[-2:] == ["system storage", "system stop"]


def test_a_stop_is_recorded_though_the_journal_is_full(bench: Bench) -> None:
    filled(bench)
    bench.tap()
    bench.inbox.put(StopRequested(bench.clock.now(), "SIGTERM"))
    assert bench.post.run() == EXIT_OK
    assert bench.told()[-1] == "system stop"
    assert watcher(bench).stopped == ["SIGTERM"]


def test_the_whole_limit_takes_not_even_the_last_words_and_the_post_goes_on(bench: Bench) -> None:
    before = bench.told()
    filled(bench, left=0)
    assert bench.tap() is Answer.NOT_RECORDED
    assert bench.told() == before
    assert watcher(bench).statuses[-1].startswith("NO LINE")
    assert "NOT RECORDED" in watcher(bench).statuses[-1]
    emptied(bench)
    assert bench.tap() is Answer.ACCEPTED
    assert bench.told()[len(before) :] == ["system storage", "checkin accepted"]


@contextmanager
def garbled(bench: Bench) -> Iterator[None]:
    """Every page of the journal but the first is nonsense, in the database and in its log."""
    bench.record.journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file = bench.folder / JOURNAL
    sound = file.read_bytes()
    file.write_bytes(sound[:4096] + b"\xa5" * (len(sound) - 4096))
    bench.record.journal._database.execute("PRAGMA cache_size = 0")
    bench.record.journal._database.execute("PRAGMA shrink_memory")
    yield
    file.write_bytes(sound)


def test_a_tap_that_comes_upon_damage_is_red_before_the_journal_is_replaced(bench: Bench) -> None:
    with garbled(bench):
        with pytest.raises(JournalDamaged) as damaged:
            bench.tap()
        assert bench.lamps.shown == [Answer.NOT_RECORDED]
        assert damaged.value.unrecorded == 1


def test_no_mains_for_too_long_stops_the_post_and_has_the_machine_switched_off(bench: Bench) -> None:
    bench.post.turn([MainsChanged(bench.clock.now(), True)])
    bench.clock.pass_ms(5_000)
    bench.post.turn([MainsChanged(bench.clock.now(), False)])
    assert health(bench)["mains"] is False
    bench.clock.pass_ms(600_000)
    assert bench.post.run() == EXIT_POWER
    assert bench.events()[-1]["data"]["why"] == "no mains for 600 s"
    assert bench.told()[-2:] == ["system power", "system stop"]


def test_mains_that_come_back_in_time_stop_nothing(bench: Bench) -> None:
    bench.post.turn([MainsChanged(bench.clock.now(), False)])
    bench.clock.pass_ms(599_000)
    bench.post.turn([MainsChanged(bench.clock.now(), True)])
    bench.clock.pass_ms(600_000)
    bench.post.turn([])
    assert bench.told()[-2:] == ["system power", "system power"]
    assert [event["data"]["ok"] for event in bench.events()[-2:]] == [False, True]


def test_what_the_machine_tells_of_itself_stands_in_the_state_and_makes_no_event(bench: Bench) -> None:
    before = len(bench.events())
    bench.post.turn([Vitals(bench.clock.now(), 51.5, False, None, 1 << 30, 1 << 34)])
    assert len(bench.events()) == before
    assert health(bench) == {
        "backlog": before,
        "recording": True,
        "line_since": None,
        "temperature_c": 51.5,
        "undervoltage": False,
        "throttled": None,
        "disk_free": 1 << 30,
        "disk_size": 1 << 34,
        "mains": None,
    }


def test_under_voltage_is_an_event_the_first_time_it_is_seen(bench: Bench) -> None:
    bench.post.turn([Vitals(bench.clock.now(), 51.5, True, False, 1 << 30, 1 << 34)])
    told = bench.events()[-1]["data"]
    assert (told["change"], told["what"], told["ok"]) == ("power", "supply", False)
    assert told["why"].startswith("under-voltage")


def test_the_watchers_are_told_of_every_pass_and_of_nothing_else(bench: Bench) -> None:
    passes = len(watcher(bench).statuses)
    for _ in range(3):
        bench.post.turn([])
    assert len(watcher(bench).statuses) == passes + 3
    assert watcher(bench).statuses[-1] == f"NO LINE; {len(bench.events())} events wait for a broker"


def test_taps_in_a_batch_that_does_not_fit_are_each_red(bench: Bench) -> None:
    filled(bench)
    now = bench.clock.now()
    bench.post.turn([BadgeRead(now, "gate", KNOWN), BadgeRead(now, "gate", OTHER)])
    assert bench.lamps.shown == [Answer.NOT_RECORDED]
    emptied(bench)
    bench.tap()
    assert bench.events()[-2]["data"]["unrecorded"] == 2

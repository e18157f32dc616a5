"""Between events: old ones go once headquarters has them, cursors are kept, and nothing is written for nothing."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from postkit import BOOT, CHAIN, EPOCH_MS, SOURCE, at, blind, new_key, sealed_all, tapped
from volatile_disk import VolatileDisk, unusable, volatile_disk

from device.errors import NotRecorded
from device.events import Door, Draft, rfc3339
from device.readings import ClockState, Instant
from device.record.chain import Chain, Head, Sealed
from device.record.journal import Journal, Sent
from device.record.journal_reader import DONE
from device.record.upkeep import KEEP_EVERY_MS, LOOK_EVERY_MS, REMOVED_AT_ONCE, Delivery, Upkeep, newest_before
from device.record.verification import verified

KEY = new_key()
DAY_MS = 86_400_000
LIMIT = 4 << 20
FORCED = Draft(subject="front", data=Door(door="front", change="forced", since=None))


@dataclass
class Night:
    """A journal and its upkeep, called once a second as the loop calls it. ``freed``: what the link tells."""

    folder: Path
    keep_days: int = 90
    most_bytes: int | None = None
    chain: Chain = field(default_factory=lambda: Chain(SOURCE, BOOT, KEY, Head(CHAIN)))
    now_ms: int = 100_000
    wall_ms: int = 0
    clock: ClockState = "synced"
    freed: int = 0
    cursors: dict[str, int] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.open()

    def open(self) -> None:
        self.journal = Journal.open(self.folder / "journal", self.most_bytes)
        self.upkeep = Upkeep(self.journal, self.keep_days)
        self.work()

    def restart(self) -> None:
        self.journal.close()
        self.open()

    def close(self) -> None:
        self.journal.close()

    def now(self) -> Instant:
        return at(self.now_ms, clock=self.clock, step_ms=self.wall_ms)

    def record(self, count: int, draft: Draft | None = None) -> None:
        sealed: list[Sealed] = []
        for _ in range(count):
            self.chain, event = self.chain.seal(draft or tapped(), self.now())
            sealed.append(event)
        self.journal.append(sealed, {}, Sent(self.cursors))

    def days(self, count: float) -> None:
        self.wall_ms += int(count * DAY_MS)

    def second(self, *, idle: bool = True) -> None:
        self.now_ms += 1_000
        self.work(idle=idle)

    def work(self, *, idle: bool = True) -> None:
        """One pass of the loop."""
        delivery = Delivery(lambda: Sent(self.cursors, self.closed), lambda: self.freed)
        self.upkeep.work(self.now(), delivery, idle=idle)

    def minute(self, *, idle: bool = True) -> None:
        for _ in range(KEEP_EVERY_MS // 1_000):
            self.second(idle=idle)

    def kept(self) -> tuple[int, int]:
        """Positions of the oldest and the newest event."""
        return self.journal.oldest(), self.journal.newest()


@pytest.fixture(name="night")
def _night(tmp_path: Path) -> Iterator[Night]:
    with closing(Night(tmp_path / "state")) as night:
        yield night


@pytest.fixture(name="tight")
def _tight(tmp_path: Path) -> Iterator[Night]:
    """A journal of 4 MiB."""
    with closing(Night(tmp_path / "state", most_bytes=LIMIT)) as night:
        yield night


@contextmanager
def commits(folder: Path) -> Iterator[Callable[[], int]]:
    """Changes whenever another connection has committed (SQLite, "PRAGMA data_version")."""
    with closing(sqlite3.connect(f"{(folder / 'journal').as_uri()}?mode=ro", uri=True)) as beside:
        yield lambda: int(beside.execute("PRAGMA data_version").fetchone()[0])


# By age


def test_what_headquarters_has_stays_for_keep_days_and_then_goes_oldest_first(night: Night) -> None:
    night.record(10)
    night.days(1)
    night.record(10)
    night.freed = 20
    night.days(88.9)
    night.minute()
    assert night.kept() == (1, 20)
    night.days(0.2)
    night.now_ms += LOOK_EVERY_MS
    night.minute()
    assert night.kept() == (11, 20)


def test_nothing_goes_that_headquarters_lacks_however_old_it_is(night: Night) -> None:
    night.record(20)
    night.days(5_000)
    for freed in (0, 7):
        night.freed = freed
        night.now_ms += LOOK_EVERY_MS
        night.minute()
        assert night.kept() == (freed + 1, 20)


def test_the_newest_event_stays_and_the_chain_goes_on_from_it(night: Night) -> None:
    night.record(20)
    night.freed = 20
    night.days(100)
    night.minute()
    assert night.kept() == (20, 20)
    night.restart()
    night.record(2)
    assert night.kept() == (20, 22)
    events = list(verified(night.journal.all_rows(), {KEY.kid: KEY.public}))
    assert [head.seq for _, head in events] == [20, 21, 22]
    assert list(night.journal.holes()) == []


def test_an_event_of_a_clock_that_nobody_set_goes_with_those_after_it(night: Night) -> None:
    night.clock = "unsynced"
    night.record(5)
    night.clock = "synced"
    night.record(5)
    night.clock = "unsynced"
    night.record(5)
    night.clock = "synced"
    night.record(1)
    night.freed = 16
    night.days(91)
    night.record(1)
    night.minute()
    assert night.kept() == (17, 17)


def test_events_of_an_unset_clock_alone_stay(night: Night) -> None:
    night.clock = "unsynced"
    night.record(5)
    night.clock = "synced"
    night.freed = 5
    night.days(1_000)
    night.minute()
    assert night.kept() == (1, 5)


def test_a_clock_that_nobody_set_removes_nothing(night: Night) -> None:
    night.record(5)
    night.freed = 5
    night.days(1_000)
    night.clock = "unsynced"
    night.minute()
    assert night.kept() == (1, 5)
    night.clock = "holdover"
    night.minute()
    assert night.kept() == (5, 5)


def test_with_keep_days_0_an_event_goes_once_headquarters_has_it(tmp_path: Path) -> None:
    with closing(Night(tmp_path / "state", keep_days=0)) as night:
        night.record(5)
        night.freed = 3
        night.minute()
        assert night.kept() == (4, 5)


def test_under_a_tap_nothing_old_is_looked_for(night: Night) -> None:
    night.record(5)
    night.freed = 5
    night.days(100)
    night.minute(idle=False)
    night.minute(idle=False)
    assert night.kept() == (1, 5)
    night.second()
    assert night.kept() == (5, 5)


def test_a_hundred_thousand_old_events_go_a_thousand_a_minute_however_much_else_is_left(night: Night) -> None:
    """More than a post records in its busiest hour; each step is small enough to come between two taps."""
    event = sealed_all([tapped()], KEY)[1][0]
    numbers = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 100001)"
    night.journal._database.execute(f"INSERT INTO chains VALUES ('{CHAIN}', 0)")
    night.journal._database.execute(
        f"{numbers} INSERT INTO events SELECT i, ?, x'{event.head.hash}' FROM n", (event.event,)
    )
    night.freed = 100_001
    night.days(91)
    for minute in range(101):
        assert night.kept() == (1 + minute * REMOVED_AT_ONCE, 100_001)
        night.now_ms += KEEP_EVERY_MS - 1_000
        night.second()
    assert night.journal.used_bytes() < 100_000


def test_what_is_removed_counts_as_log_so_that_it_is_folded_into_the_database(night: Night) -> None:
    night.record(12_000, blind("é" * 300))
    night.freed = 12_000
    night.days(91)
    for _ in range(12):
        night.minute()
    assert night.kept() == (12_000, 12_000)
    assert (night.folder / "journal-wal").stat().st_size < 18 << 20


def test_where_nothing_was_old_it_is_looked_again_in_ten_minutes(night: Night) -> None:
    night.record(5)
    night.freed = 5
    night.minute()
    night.days(100)
    for _ in range(9):
        night.minute()
    assert night.kept() == (1, 5)
    night.minute()
    night.minute()
    assert night.kept() == (5, 5)


@pytest.mark.parametrize(("ms", "position"), [(0, 0), (1, 1), (1_001, 2), (9_999_999, 3)])
def test_events_before_a_time_are_those_up_to_the_newest_of_them(night: Night, ms: int, position: int) -> None:
    for _ in range(3):
        night.record(1)
        night.now_ms += 1_000
    moment = EPOCH_MS + 100_000 + ms
    assert newest_before(night.journal.rows(0, 10), rfc3339(moment)) == position
    assert newest_before([], rfc3339(moment)) == 0


# Where room is short


def test_a_journal_near_its_limit_removes_what_headquarters_has_however_young_and_no_more_than_needed(
    tight: Night,
) -> None:
    tight.record(3_500)
    assert tight.journal.pressed()
    tight.freed = 3_000
    tight.second()
    assert not tight.journal.pressed()
    assert tight.kept() == (REMOVED_AT_ONCE + 1, 3_500)
    tight.minute()
    assert tight.kept() == (REMOVED_AT_ONCE + 1, 3_500)


def test_what_headquarters_lacks_stays_in_a_full_journal_which_then_says_that_it_is_short(tight: Night) -> None:
    while tight.journal.short() is None:
        tight.record(500)
    newest = tight.journal.newest()
    tight.minute()
    assert tight.kept() == (1, newest)
    tight.freed = 10
    tight.second()
    assert tight.kept() == (11, newest)
    assert tight.journal.short() is not None
    tight.freed = newest
    for _ in range(5):
        tight.second()
    assert tight.journal.short() is None
    assert tight.kept()[1] == newest


def test_in_a_flood_removal_keeps_up_though_readings_wait_all_the_time(tight: Night) -> None:
    """256 taps a turn, each receipted at once: the journal never comes near red."""
    for _ in range(40):
        tight.record(256)
        tight.freed = tight.journal.newest()
        tight.work(idle=False)
        assert tight.journal.short() is None
    assert tight.kept()[0] > 5_000


def test_after_a_backlog_was_receipted_at_once_room_is_made_turn_by_turn(tight: Night) -> None:
    while tight.journal.short() is None:
        tight.record(500)
    tight.freed = tight.journal.newest()
    turns = 0
    while tight.journal.pressed():
        tight.work(idle=False)
        turns += 1
    assert turns <= 3


def test_a_journal_of_one_unmovable_event_is_not_written_to_for_ever(tmp_path: Path) -> None:
    """A disk that is full for other reasons: what could go has gone, and no second brings a commit."""
    (tmp_path / "state" / "journal.reserve").mkdir(parents=True)  # where it belongs, nothing can be held back
    with closing(Night(tmp_path / "state")) as night:
        night.record(5)
        night.freed = 5
        assert night.journal.pressed()
        night.second()
        assert night.kept() == (5, 5)
        with commits(night.folder) as committed:
            before = committed()
            night.minute()
            assert committed() == before


# A disk that is really full


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[VolatileDisk]:
    if (why := unusable()) is not None:
        pytest.skip(why)
    with volatile_disk(tmp_path / "rig") as disk:
        yield disk


def test_a_journal_that_has_filled_its_own_disk_goes_on_in_the_room_of_what_it_removed(disk: VolatileDisk) -> None:
    """Its file never grows smaller: what was removed is room all the same."""
    with closing(Night(disk.mount / "state")) as night:
        assert night.journal.short() is None
        disk.fill(6 << 20)
        with pytest.raises(NotRecorded, match="full"):
            while True:
                chain = night.chain
                night.record(200)
                night.second()
        night.chain = chain
        assert night.journal.short() == f"{night.folder / 'journal'}: the disk is full; make room"
        newest = night.journal.newest()
        assert newest > 3_000
        night.second()
        assert night.kept() == (1, newest)
        night.freed = newest
        for _ in range(60):
            night.second()
        assert night.journal.short() is None
        assert night.kept()[0] > 2_000
        night.record(200)
        assert night.kept()[1] == newest + 200
        list(verified(night.journal.all_rows(), {KEY.kid: KEY.public}))


def test_a_post_that_starts_on_a_full_disk_opens_its_journal_with_what_was_held_back(disk: VolatileDisk) -> None:
    night = Night(disk.mount / "state")
    night.record(5)
    assert night.journal.short() is None
    night.close()
    disk.fill(0)
    with closing(Night(disk.mount / "state", chain=night.chain)) as again:
        assert again.journal.short() is not None
        again.record(1, blind("the disk is full"))
        assert again.kept() == (1, 6)


# Cursors


def test_cursors_that_changed_are_kept_once_a_minute_and_those_that_did_not_never(night: Night) -> None:
    night.record(100)
    writes = []
    with commits(night.folder) as committed:
        for second in range(3_600):
            before = committed()
            if second < 1_800:
                night.cursors = {DONE: second // 20, CHAIN: second // 20}
            night.second()
            if committed() != before:
                writes.append(second)
    assert writes == list(range(59, 1_859, 60))
    night.restart()
    assert night.journal.cursors() == {DONE: 89, CHAIN: 89}


def test_an_alarm_that_a_broker_has_taken_is_closed_within_a_minute(night: Night) -> None:
    night.record(2, FORCED)
    night.closed = {1}
    night.minute()
    assert night.journal.alarms() == [2]


def test_a_disk_that_refuses_is_one_line_and_is_tried_again(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    night.record(5)
    night.cursors = {DONE: 4}
    with closing(sqlite3.connect(night.folder / "journal")) as other, caplog.at_level(logging.WARNING):
        other.execute("BEGIN IMMEDIATE")
        night.minute()
        night.minute()
        other.rollback()
    assert caplog.text.count("database is locked") == 1
    night.minute()
    assert night.journal.cursors() == {DONE: 4}

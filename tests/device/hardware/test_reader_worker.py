"""The reader's worker: taps become readings, a silent chip is told once, and a bug is not survived."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from waiting import until

from device.hardware.readers import osdp, osdp_bus, pn532_hsu
from device.hardware.readers.rc522 import Rc522
from device.hardware.readers.reader import (
    BUSY_FOR_MS,
    BUSY_S,
    REST_S,
    CardGarbled,
    ReaderSilent,
    ReaderWorker,
    poll_again_s,
)
from device.hardware.worker import END_WITHIN_S, LOOKS
from device.readings import Assurance, BadgeRead, Instant, PartBlind, PartSighted, Reading
from simulator.rc522 import Rc522 as Chip
from simulator.rc522_faults import Faults

BADGE, OTHER = b"\x01\x02\x03\x04", b"\x05\x06\x07\x08"
WITHIN_S = 20.0
SILENT = ReaderSilent("RC522 on SPI 0.0: no answer: check its wiring")


class Ticking:
    """A clock on which each look is half a second later: a card not seen in three polls is gone."""

    def __init__(self) -> None:
        self.uptime_ms = 0

    def now(self) -> Instant:
        self.uptime_ms += 500
        return Instant(self.uptime_ms, 1_700_000_000_000 + self.uptime_ms)

    def error_ms(self) -> int | None:
        return 0


Outcome = list[bytes] | Exception


class Script:
    """A reader with prepared outcomes; it ends its own worker's wait by ``done`` when they are used up."""

    assurance: Assurance = "uid"

    def __init__(
        self, polls: list[Outcome], starts: list[Exception | None] | None = None, rests: bool = True
    ) -> None:
        self.polls = polls
        self.rests = rests
        self.starts = starts or []
        self.started = 0
        self.closed = 0
        self.at_close: Exception | None = None
        self.done = threading.Event()

    def start(self) -> None:
        self.started += 1
        error = self.starts.pop(0) if self.starts else None
        if error is not None:
            raise error

    def cards(self) -> list[bytes]:
        if not self.polls:
            self.done.set()
            return []
        outcome = self.polls.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        self.closed += 1
        if self.at_close is not None:
            raise self.at_close


def readings(reader: Script) -> list[Reading]:
    """Run a worker until the script is used up; what it put."""
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    worker = ReaderWorker("gate", reader, Ticking(), inbox, retry_s=0.001)
    worker.start()
    assert reader.done.wait(WITHIN_S)
    worker.stop()
    until(worker.worker.ended)
    assert reader.closed == 1
    put = []
    while not inbox.empty():
        put.append(inbox.get())
    return put


def in_words(put: list[Reading]) -> list[str | bytes]:
    words: list[str | bytes] = []
    for reading in put:
        match reading:
            case BadgeRead(reader="gate", uid=uid, assurance="uid"):
                words.append(uid)
            case PartBlind(part="reader gate"):
                words.append("blind")
            case PartSighted(part="reader gate"):
                words.append("sighted")
            case _:
                raise AssertionError(reading)
    return words


def test_a_tap_is_one_reading_with_the_time_of_its_poll() -> None:
    put = readings(Script([[BADGE], [BADGE], [], [BADGE, OTHER]]))
    assert put == [
        PartSighted(Instant(500, 1_700_000_000_500), "reader gate"),
        BadgeRead(Instant(500, 1_700_000_000_500), "gate", BADGE),
        BadgeRead(Instant(2000, 1_700_000_002_000), "gate", OTHER),
    ]


def test_a_card_that_was_away_is_told_again_and_one_that_was_garbled_is_not() -> None:
    assert in_words(readings(Script([[BADGE], [], [], [], [BADGE]]))) == ["sighted", BADGE, BADGE]
    garbled = CardGarbled("a SAK does not match its CRC")
    assert in_words(readings(Script([[BADGE], garbled, garbled, garbled, garbled, [BADGE]]))) == ["sighted", BADGE]


def test_a_card_read_whole_in_a_garbled_poll_is_told() -> None:
    assert in_words(readings(Script([CardGarbled("bad", (BADGE,)), [BADGE]]))) == ["sighted", BADGE]


def test_a_chip_that_falls_silent_is_told_once_and_again_when_it_works() -> None:
    polls: list[Outcome] = [[], SILENT, []]
    put = readings(Script(polls, [None, SILENT, SILENT]))
    assert in_words(put) == ["sighted", "blind", "sighted"]
    assert isinstance(put[1], PartBlind)
    assert put[1].why == str(SILENT)


def test_a_reader_that_works_from_the_start_says_so_since_it_may_have_been_blind_before() -> None:
    assert in_words(readings(Script([[]]))) == ["sighted"]


def test_a_chip_that_is_silent_from_the_start_is_told() -> None:
    assert in_words(readings(Script([[BADGE]], [SILENT, SILENT]))) == ["blind", "sighted", BADGE]


def test_a_chip_that_can_be_started_but_not_polled_stays_blind() -> None:
    assert in_words(readings(Script([SILENT, SILENT, SILENT, []]))) == ["blind", "sighted"]


def test_a_garbled_card_proves_that_the_reader_sees() -> None:
    assert in_words(readings(Script([SILENT, CardGarbled("bad")]))) == ["blind", "sighted"]


def test_a_bus_that_fails_is_a_blind_reader() -> None:
    put = readings(Script([OSError(5, "Input/output error"), []]))
    assert in_words(put) == ["blind", "sighted"]
    assert isinstance(put[0], PartBlind)
    assert "Input/output error" in put[0].why
    assert "\n" not in put[0].why


def test_after_blindness_a_card_is_told_anew() -> None:
    assert in_words(readings(Script([[BADGE], SILENT, [BADGE]]))) == ["sighted", BADGE, "blind", "sighted", BADGE]


def test_stop_is_prompt_while_a_blind_reader_waits_to_be_retried() -> None:
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    reader = Script([], [SILENT])
    worker = ReaderWorker("gate", reader, Ticking(), inbox, retry_s=3600)
    worker.start()
    assert isinstance(inbox.get(timeout=WITHIN_S), PartBlind)
    worker.stop()
    until(worker.worker.ended)  # would last an hour, and the test's time-out does not
    assert (reader.started, reader.closed) == (1, 1)


def test_a_reader_that_cannot_be_closed_in_order_does_not_hinder_the_end() -> None:
    reader = Script([])
    reader.at_close = OSError(5, "Input/output error")
    assert in_words(readings(reader)) == ["sighted"]


def test_a_worker_that_never_ran_can_be_stopped() -> None:
    reader = Script([])
    ReaderWorker("gate", reader, Ticking(), queue.SimpleQueue()).stop()
    assert (reader.started, reader.closed) == (0, 0), "what opened no bus has none to close"


def test_an_unexpected_error_ends_the_thread_for_all_to_see(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: queue.SimpleQueue[threading.ExceptHookArgs] = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", seen.put)
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    worker = ReaderWorker("gate", Script([ZeroDivisionError("a bug")]), Ticking(), inbox)
    worker.start()
    args = seen.get(timeout=WITHIN_S)
    worker.stop()
    assert args.exc_type is ZeroDivisionError
    assert args.thread is not None
    assert (args.thread.name, args.thread.daemon) == ("reader-gate", True)
    assert inbox.empty()


class Blocking(Script):
    """A reader whose bus blocks at one of its polls, for as long as the test wants."""

    def __init__(self, polls: list[Outcome]) -> None:
        super().__init__(polls)
        self.blocked = threading.Event()
        self.unblock = threading.Event()

    def cards(self) -> list[bytes]:
        if not self.polls and not self.unblock.is_set():
            self.blocked.set()
            self.unblock.wait()
        return super().cards()


@contextmanager
def blocked(reader: Blocking) -> "Iterator[tuple[ReaderWorker, queue.SimpleQueue[Reading]]]":
    """A worker that hangs in its reader, until it is let go."""
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    worker = ReaderWorker("gate", reader, Ticking(), inbox, retry_s=0.001)
    worker.start()
    assert reader.blocked.wait(WITHIN_S)
    try:
        yield worker, inbox
    finally:
        reader.unblock.set()
        worker.stop()
        until(worker.worker.ended)


def test_a_bus_that_blocks_is_a_blind_reader_until_a_poll_comes_to_its_end() -> None:
    reader = Blocking([[]])
    with blocked(reader) as (worker, inbox):
        for _ in range(LOOKS + 1):
            worker.worker.look(Instant(0, 0))
        assert in_words([inbox.get(timeout=WITHIN_S) for _ in range(2)]) == ["sighted", "blind"]
        assert inbox.empty()
        reader.unblock.set()
        assert in_words([inbox.get(timeout=WITHIN_S)]) == ["sighted"]


def test_a_reader_that_is_silent_when_its_bus_no_longer_blocks_is_not_called_sighted() -> None:
    reader = Blocking([[]])
    with blocked(reader) as (worker, inbox):
        for _ in range(LOOKS + 1):
            worker.worker.look(Instant(0, 0))
        reader.polls = [SILENT]
        reader.unblock.set()
        words = in_words([inbox.get(timeout=WITHIN_S) for _ in range(4)])
        assert words == ["sighted", "blind", "blind", "sighted"]


def test_a_reader_is_closed_also_where_its_thread_dies_of_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    died: queue.SimpleQueue[threading.ExceptHookArgs] = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", died.put)
    reader = Script([[], ZeroDivisionError()])
    worker = ReaderWorker("gate", reader, Ticking(), queue.SimpleQueue())
    worker.start()
    assert died.get(timeout=WITHIN_S).exc_type is ZeroDivisionError
    assert reader.closed == 0  # a bus that blocks must not keep the fault from being told
    worker.stop()
    assert reader.closed == 1


def test_a_silent_reader_on_a_serial_line_is_closed_before_its_thread_is_left_behind() -> None:
    asked_twice_and_once_to_close_s = 3 * pn532_hsu.Waits().ack
    assert asked_twice_and_once_to_close_s < END_WITHIN_S
    assert osdp.START_WITHIN_S + osdp_bus.END_WITHIN_S < END_WITHIN_S


def test_a_reader_that_hangs_in_its_bus_is_not_closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing could hang as well; the thread ends with the process."""
    monkeypatch.setattr("device.hardware.worker.END_WITHIN_S", 0.01)
    reader = Blocking([])
    with blocked(reader) as (worker, _):
        worker.stop()
        assert reader.closed == 0


def test_a_bus_that_blocks_only_when_it_is_closed_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device.hardware.worker.END_WITHIN_S", 0.01)
    closes, goes_on = threading.Event(), threading.Event()

    class Stubborn(Script):
        def close(self) -> None:
            closes.set()
            goes_on.wait(WITHIN_S)
            super().close()

    reader = Stubborn([])
    worker = ReaderWorker("gate", reader, Ticking(), queue.SimpleQueue())
    worker.start()
    try:
        worker.stop()
        assert closes.wait(WITHIN_S)
        assert reader.closed == 0
    finally:
        goes_on.set()
    until(lambda: reader.closed == 1)


def test_polls_are_quick_for_half_a_second_after_a_card() -> None:
    assert poll_again_s(None, 10_000) == REST_S
    assert poll_again_s(10_000, 10_000) == BUSY_S
    assert poll_again_s(10_000, 10_000 + BUSY_FOR_MS - 1) == BUSY_S
    assert poll_again_s(10_000, 10_000 + BUSY_FOR_MS) == REST_S


@contextmanager
def real_reader(chip: Chip) -> "Iterator[queue.SimpleQueue[Reading]]":
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    worker = ReaderWorker("gate", Rc522(lambda: chip, "SPI 0.0", chip.reset), Ticking(), inbox, retry_s=0.001)
    worker.start()
    try:
        yield inbox
    finally:
        worker.stop()


def test_driver_and_chip_together_tell_a_tap_then_a_dead_chip_then_a_tap_again() -> None:
    chip = Chip()
    with real_reader(chip) as inbox:
        chip.place(BADGE)
        assert chip.wait_read(BADGE, WITHIN_S)
        assert in_words([inbox.get(timeout=WITHIN_S)]) == ["sighted"]
        first = inbox.get(timeout=WITHIN_S)
        chip.faults = Faults(dead=0xFF)
        chip.remove(BADGE)
        blind = inbox.get(timeout=WITHIN_S)
        chip.faults = Faults()
        sighted = inbox.get(timeout=WITHIN_S)
        chip.place(OTHER)
        second = inbox.get(timeout=WITHIN_S)
    assert in_words([first, blind, sighted, second]) == [BADGE, "blind", "sighted", OTHER]

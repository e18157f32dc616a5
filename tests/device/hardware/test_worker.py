"""Workers: one that hangs is told once, holds nobody up, and is told again when it goes on."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import RunningClock, at
from waiting import until

from device.hardware.worker import LOOK_EVERY_MS, LOOKS, Worker, Workers
from device.readings import PartBlind, PartSighted, Reading


class Watch:
    """A worker whose rounds the test makes, and the loop that looks at it."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        self.worker = Worker("reader gate", RunningClock(), self.inbox)
        self.workers = Workers()
        self.workers.watch(self.worker)
        self.uptime_ms = 100_000

    def beats(self) -> None:
        if self.worker.beat():
            self.worker.sighted()

    def passes(self, times: int = 1, every_ms: int = LOOK_EVERY_MS) -> list[str]:
        """Passes of the loop; what was said."""
        for _ in range(times):
            self.uptime_ms += every_ms
            self.workers.passed(at(self.uptime_ms), never)
        return self.said()

    def said(self) -> list[str]:
        words = {PartBlind: "blind", PartSighted: "sighted"}
        return [words[type(self.inbox.get())] for _ in range(self.inbox.qsize())]


def never() -> str:
    raise AssertionError("the status is none of its business")


def test_a_worker_says_in_its_first_round_that_its_part_works_and_then_no_more() -> None:
    watch = Watch()
    for _ in range(100):
        watch.beats()
    assert watch.said() == ["sighted"]


def test_a_worker_that_gives_no_sign_of_life_is_told_once_and_once_more_when_it_goes_on() -> None:
    watch = Watch()
    watch.beats()
    assert watch.passes(1) == ["sighted"]
    assert watch.passes(LOOKS - 1) == []
    assert watch.passes(1) == ["blind"]
    assert watch.passes(3_600) == []
    watch.beats()
    watch.beats()
    assert watch.said() == ["sighted"]
    watch.passes(1)
    assert watch.passes(LOOKS) == ["blind"]


def test_a_worker_that_hangs_before_its_first_round_is_told_too() -> None:
    assert Watch().passes(LOOKS) == ["blind"]


def test_what_is_told_names_the_part_and_says_why() -> None:
    watch = Watch()
    watch.uptime_ms = 0
    for _ in range(LOOKS):
        watch.worker.look(at(7))
    assert watch.inbox.get() == PartBlind(at(7), "reader gate", "its thread hangs: no sign of life in 8 looks")


def test_a_busy_loop_looks_no_more_often_than_once_a_second() -> None:
    watch = Watch()
    watch.beats()
    watch.passes(1)
    assert watch.passes(10 * (LOOKS - 1) + 9, every_ms=LOOK_EVERY_MS // 10) == []
    assert watch.passes(1, every_ms=LOOK_EVERY_MS // 10) == ["blind"]


def test_a_process_that_was_stopped_for_an_hour_does_not_take_its_workers_for_dead() -> None:
    watch = Watch()
    watch.beats()
    watch.passes(1)
    assert watch.passes(LOOKS - 1, every_ms=3_600_000) == []
    watch.beats()
    assert watch.passes(LOOKS, every_ms=3_600_000) == []


def test_while_the_post_says_goodbye_nobody_is_missed() -> None:
    watch = Watch()
    watch.workers.stopping("SIGTERM")
    assert watch.passes(2 * LOOKS) == []


@given(st.lists(st.integers(0, 3 * LOOKS), min_size=1))
@settings(deadline=None)
def test_blind_and_sighted_take_turns_whatever_the_pauses_between_two_rounds(looks: list[int]) -> None:
    """``looks``: how often the loop looks before each round. The first one after a round finds its sign of life."""
    watch = Watch()
    for number, quiet in enumerate(looks):
        is_blind = quiet >= LOOKS + (number > 0)
        assert watch.passes(quiet) == ["blind"] * is_blind
        watch.beats()
        assert watch.said() == ["sighted"] * (is_blind or number == 0)


@contextmanager
def hanging(within_s: float, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """A worker whose thread hangs, and that is waited for ``within_s`` at its end."""
    monkeypatch.setattr("device.hardware.worker.END_WITHIN_S", within_s)
    goes_on = threading.Event()
    hangs = threading.Event()
    worker = Worker("reader gate", RunningClock(), queue.SimpleQueue())

    def run() -> None:
        hangs.set()
        goes_on.wait()

    worker.start(run)
    hangs.wait()
    try:
        yield worker
    finally:
        goes_on.set()
        until(worker.ended)


def test_a_thread_that_hangs_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with hanging(0.01, monkeypatch) as worker:
        assert not worker.ended()
    assert "reader gate hangs, and is left behind" in caplog.text


def test_one_that_was_given_up_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with hanging(3_600, monkeypatch) as worker:
        for _ in range(LOOKS):
            worker.look(at())
        assert not worker.ended()  # would last an hour, and the test's time-out does not


def test_a_thread_is_named_after_its_part_and_ends_with_the_process() -> None:
    seen: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()
    worker = Worker("reader gate", RunningClock(), queue.SimpleQueue())
    worker.start(lambda: seen.put(threading.current_thread()))
    thread = seen.get(timeout=20)
    assert (thread.name, thread.daemon) == ("reader-gate", True)
    until(worker.ended)


def test_a_worker_that_was_never_started_has_ended() -> None:
    assert Worker("reader gate", RunningClock(), queue.SimpleQueue()).ended()

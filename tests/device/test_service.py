"""What systemd is told: what a pass of the loop tells, as seldom as it will do."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from loopkit import KNOWN, Bench, Hands
from notify import NotifySocket, notified
from postkit import at
from waiting import until

from device.readings import BadgeRead, StopRequested
from device.service import STATUS_EVERY_MS, Notifier

MINUTE_USEC = "60000000"
FED = "WATCHDOG=1"


@contextmanager
def listened_to(folder: Path, **more: str) -> Iterator[tuple[Notifier, NotifySocket]]:
    """A post's notifier, and what hears it."""
    with notified(folder / "notify") as systemd:
        notifier = Notifier({"NOTIFY_SOCKET": systemd.address, **more})
        yield notifier, systemd
        notifier.close()


def never() -> str:
    raise AssertionError("nobody listens, and the status was made all the same")


def test_the_first_pass_makes_the_post_ready_and_says_how_it_stands(tmp_path: Path) -> None:
    with listened_to(tmp_path) as (notifier, systemd):
        assert systemd.lines() == []
        notifier.passed(at(0), lambda: "all is\nwell")
        assert systemd.lines() == ["READY=1", "STATUS=all is well"]
        notifier.passed(at(1_000), lambda: "all is well")
        assert systemd.lines() == ["READY=1", "STATUS=all is well"]


def test_the_watchdog_is_fed_every_third_of_its_patience_and_not_at_every_pass(tmp_path: Path) -> None:
    with listened_to(tmp_path, WATCHDOG_USEC=MINUTE_USEC, WATCHDOG_PID=str(os.getpid())) as (notifier, systemd):
        for ms in range(0, 60_001, 500):
            notifier.passed(at(ms), lambda: "x")
        assert systemd.count(FED) == 4
        assert systemd.count("READY=1") == 1


def test_the_first_pass_after_a_long_one_feeds_at_once(tmp_path: Path) -> None:
    with listened_to(tmp_path, WATCHDOG_USEC=MINUTE_USEC) as (notifier, systemd):
        notifier.passed(at(0), lambda: "x")
        notifier.passed(at(45_000), lambda: "x")
        assert systemd.count(FED) == 2


@pytest.mark.parametrize(
    "watchdog", [{}, {"WATCHDOG_USEC": MINUTE_USEC, "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}]
)
def test_a_watchdog_that_is_off_or_waits_for_another_process_is_not_fed(
    tmp_path: Path, watchdog: dict[str, str]
) -> None:
    with listened_to(tmp_path, **watchdog) as (notifier, systemd):
        notifier.passed(at(0), lambda: "x")
        assert systemd.count(FED) == 0


def test_a_status_is_told_when_it_changed_and_looked_at_once_in_a_few_seconds(tmp_path: Path) -> None:
    with listened_to(tmp_path) as (notifier, systemd):
        made: list[int] = []

        def status() -> str:
            made.append(1)
            return f"look {len(made) // 2}"

        for ms in range(0, 4 * STATUS_EVERY_MS, 100):
            notifier.passed(at(ms), status)
        assert len(made) == 4
        assert systemd.statuses() == ["look 0", "look 1", "look 2"]


def test_the_end_is_told_with_its_reason(tmp_path: Path) -> None:
    with listened_to(tmp_path) as (notifier, systemd):
        notifier.stopping("SIGTERM")
        assert systemd.lines() == ["STOPPING=1", "STATUS=stops: SIGTERM"]


def test_a_socket_without_a_file_is_as_good(tmp_path: Path) -> None:
    with notified(f"@guardpost-test-{os.getpid()}") as systemd:
        notifier = Notifier({"NOTIFY_SOCKET": systemd.address})
        notifier.passed(at(0), lambda: "x")
        notifier.close()
        assert systemd.lines() == ["READY=1", "STATUS=x"]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_systemd_nothing_is_told_and_nothing_is_made(environment: dict[str, str]) -> None:
    notifier = Notifier({**environment, "WATCHDOG_USEC": MINUTE_USEC})
    notifier.passed(at(0), never)
    notifier.stopping("SIGTERM")
    notifier.close()


def test_what_systemd_could_not_take_is_told_by_the_next_pass(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": MINUTE_USEC})
    with caplog.at_level(logging.WARNING):
        notifier.passed(at(0), lambda: "x")
    assert "No such file or directory" in caplog.text
    with notified(tmp_path / "notify") as systemd:
        notifier.passed(at(1_000), lambda: "x")
        assert systemd.lines() == ["READY=1", FED]
        notifier.passed(at(1_000 + STATUS_EVERY_MS), lambda: "x")
        assert systemd.statuses() == ["x"]
    notifier.close()


def test_a_systemd_that_reads_nothing_does_not_hold_the_loop(tmp_path: Path) -> None:
    with listened_to(tmp_path, WATCHDOG_USEC="3000") as (notifier, systemd):
        for ms in range(5_000):  # more than the socket's queue takes
            notifier.passed(at(ms), lambda: "x")
        assert 0 < systemd.count(FED) < 5_000


class HangingDisk:
    """A commit that comes to no end while ``hangs``; then it is made as ever."""

    def __init__(self, append: Callable[..., int]) -> None:
        self._append = append
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.hangs = threading.Event()

    def __call__(self, *arguments: Any) -> int:
        if not self.goes_on.is_set():
            self.hangs.set()
        self.goes_on.wait()
        return self._append(*arguments)


class LoopInAThread:
    """A post whose loop runs in a thread of its own, with systemd watching; each reading is one pass."""

    def __init__(self, folder: Path, notifier: Notifier) -> None:
        self.clock = Hands()
        self.code: int | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(folder, notifier))
        self._thread.start()
        self._ready.wait()

    def _run(self, folder: Path, notifier: Notifier) -> None:
        self.bench = Bench(folder, self.clock, watchers=(notifier,))
        self.disk = HangingDisk(self.bench.record.journal.append)
        self.bench.record.journal.append = self.disk  # type: ignore[method-assign, assignment]
        self.bench.start()
        self._ready.set()
        self.code = self.bench.post.run()
        self.bench.stop()

    def hour_passes_and_somebody_taps(self) -> None:
        self.bench.inbox.put(BadgeRead(self.clock.pass_ms(3_600_000), "gate", KNOWN))

    def end(self) -> None:
        self.disk.goes_on.set()
        self.bench.inbox.put(StopRequested(self.clock.now(), "SIGTERM"))
        self._thread.join()


def test_a_loop_that_hangs_feeds_nobody_and_one_that_goes_on_does(tmp_path: Path) -> None:
    with listened_to(tmp_path, WATCHDOG_USEC="3000") as (notifier, systemd):
        loop = LoopInAThread(tmp_path / "state", notifier)
        try:
            assert systemd.lines()[:2] == ["READY=1", FED]
            fed = systemd.count(FED)
            loop.hour_passes_and_somebody_taps()
            until(lambda: systemd.count(FED) > fed, what="food from a loop that works")

            loop.disk.goes_on.clear()
            loop.hour_passes_and_somebody_taps()
            loop.disk.hangs.wait()
            fed = systemd.count(FED)
            loop.clock.pass_ms(3_600_000)
            end_s = time.monotonic() + 0.1  # thirty times as long as the watchdog's patience
            until(lambda: time.monotonic() >= end_s)
            assert systemd.count(FED) == fed

            loop.disk.goes_on.set()
            until(lambda: systemd.count(FED) > fed, what="food from a loop that works again")
        finally:
            loop.end()
        assert loop.code == 0
        assert systemd.lines()[-2:] == ["STOPPING=1", "STATUS=stops: SIGTERM"]

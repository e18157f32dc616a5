"""The loop: one inbox, one owner of all state; nothing is shown or sent before it is on disk."""

import contextlib
import logging
import queue
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from device.effects import Answer, Effect, Replay, Reply, Show
from device.errors import NotRecorded
from device.events import Draft, Jwk
from device.readings import (
    Arrived,
    Asked,
    BadgeRead,
    ButtonPressed,
    Clock,
    CommitFailed,
    Connected,
    Crashed,
    Delivered,
    Disconnected,
    Instant,
    Misasked,
    Reading,
    RolledBack,
    RuleReading,
    Started,
    StopRequested,
)
from device.record.chain import Chain
from device.rules.rule import Seat
from device.seams import Journal, Link, Panel
from device.turn import Turn

BATCH = 256
LONGEST_SLEEP_MS = 1_000
RETRY_MS = 1_000
KEPT_READINGS = 1_000
"""Readings other than taps that wait for the disk to come back; more than this are counted."""
STOP_WITHIN_MS = 3_000
"""How long a stopping post waits for the broker to acknowledge what it has."""

_TAPS = (BadgeRead, ButtonPressed)

EXIT_OK = 0
EXIT_CRASHED = 70

log = logging.getLogger(__name__)


class Post:
    """One guard post: everything that changes its state happens in ``turn``, in one thread."""

    def __init__(
        self,
        *,
        inbox: "queue.SimpleQueue[Reading]",
        clock: Clock,
        journal: Journal,
        chain: Chain,
        jwk: Jwk,
        began: Sequence[Draft],
        seats: Sequence[Seat[Any]],
        panel: Panel,
        link: Link,
        newest: int,
    ) -> None:
        """``jwk``: the public half of the chain's key. ``began``: the first events of a new chain.

        ``newest``: the journal's newest position.
        """
        self._inbox = inbox
        self._clock = clock
        self._journal = journal
        self._chain = chain
        self._jwk = jwk
        self._began = tuple(began)
        self._seats = list(seats)
        self._persisted = {seat.rule.name: seat.state for seat in seats}
        self._panel = panel
        self._link = link
        self._newest = newest
        self._kept: deque[RuleReading] = deque()
        self._failure: CommitFailed | None = None
        self._not_before_ms = 0
        self._line_shown: bool | None = None
        self._exit: int | None = None

    def run(self) -> int:
        """Work until asked to stop or a worker died; the process's exit code."""
        why = ""
        while self._exit is None:
            batch = self._wait()
            self.turn(batch)
            why = next((reading.why for reading in batch if isinstance(reading, StopRequested | Crashed)), why)
        until_ms = self._clock.now().uptime_ms + STOP_WITHIN_MS
        self._drain(until_ms, lambda: self._link.done >= self._newest)
        self._link.say_goodbye(why, self._clock.now())
        self._drain(until_ms, lambda: self._link.quiet)
        self._link.close()
        return self._exit

    def turn(self, batch: Sequence[Reading]) -> None:
        """One pass: decide what was read, commit it once, and only then let it be seen."""
        heard: list[RuleReading] = []
        for reading in batch:
            if isinstance(reading, Connected | Disconnected | Delivered | Arrived):
                heard.extend(self._link.take(reading))
            else:
                heard.append(reading)
        now = self._clock.now()
        if self._may_commit(heard, now):
            self._record([*self._kept, *heard], now)
        else:
            self._keep([*self._kept, *heard])
        for reading in heard:
            if isinstance(reading, StopRequested):
                self._exit = EXIT_OK
            elif isinstance(reading, Crashed):
                log.critical("%s died: %s; the post stops and should be started again", reading.thread, reading.why)
                self._exit = EXIT_CRASHED
        self._link.work(now, self._newest, self._holds)
        if self._link.up != self._line_shown:
            self._line_shown = self._link.up
            self._panel.line(self._link.up)
        self._journal.checkpoint(idle=self._inbox.empty())

    def _wait(self) -> list[Reading]:
        """Sleep until something is read or due; what waits then, at most ``BATCH`` readings."""
        batch: list[Reading] = []
        with contextlib.suppress(queue.Empty):
            batch.append(self._inbox.get(timeout=self._sleep_ms() / 1000))
            while len(batch) < BATCH:
                batch.append(self._inbox.get_nowait())
        return batch

    def _sleep_ms(self) -> int:
        """Deadlines are kept to the millisecond; what no deadline tells is looked at every second."""
        now_ms = self._clock.now().uptime_ms
        dues = [seat.due() for seat in self._seats]
        rules_ms = max(
            min((due for due in dues if due is not None), default=now_ms + LONGEST_SLEEP_MS), self._not_before_ms
        )
        link_ms = self._link.due()
        wake_ms = rules_ms if link_ms is None else min(rules_ms, link_ms)
        return min(max(wake_ms - now_ms, 0), LONGEST_SLEEP_MS)

    def _may_commit(self, heard: Sequence[RuleReading], now: Instant) -> bool:
        """After a failed commit only a tap tries at once: all else waits, so that a dying disk costs no CPU."""
        return now.uptime_ms >= self._not_before_ms or any(isinstance(reading, _TAPS) for reading in heard)

    def _record(self, readings: Sequence[RuleReading], now: Instant) -> None:
        work = self._decided(readings, now)
        changed = {seat.rule.name: seat for seat in work.seats if seat.state is not self._persisted[seat.rule.name]}
        if work.sealed:
            snapshots = {name: seat.snapshot() for name, seat in changed.items()}
            try:
                self._newest = self._journal.append(work.sealed, snapshots, self._link.known())
            except NotRecorded as error:
                self._not_recorded(readings, error, now)
                return
            self._persisted.update({name: seat.state for name, seat in changed.items()})
            self._began, self._failure = (), None
        self._kept.clear()
        self._seats, self._chain = work.seats, work.chain
        for effect in work.effects:
            self._happen(effect, now)
        for reading in readings:
            if isinstance(reading, Asked | Misasked):
                self._link.recorded(reading.ack)

    def _decided(self, readings: Sequence[RuleReading], now: Instant) -> Turn:
        work = Turn(list(self._seats), self._chain)
        work.begin(self._began, now)
        if self._failure is not None:
            work.decide(self._failure, now)
        for reading in readings:
            if not isinstance(reading, Started):  # before it, deadlines may still be those of an earlier boot
                work.due(reading.at)
            if isinstance(reading, RolledBack):
                log.error("%s; a new chain begins", reading.why)
                work.roll(str(uuid.uuid4()), self._jwk, reading.at)
            work.decide(reading, reading.at)
        work.due(now)
        return work

    def _not_recorded(self, readings: Sequence[RuleReading], error: NotRecorded, now: Instant) -> None:
        """Drop the copies; whoever stands there sees it, and no tap is tried again behind his back."""
        taps = sum(isinstance(reading, _TAPS) for reading in readings)
        if taps:
            self._panel.show(Answer.NOT_RECORDED)
        if self._failure is None or taps:
            log.error("%s", error)
        before = self._failure or CommitFailed(now, str(error), 0, 0)
        self._failure = replace(before, why=str(error), unrecorded=before.unrecorded + taps)
        self._keep([reading for reading in readings if not isinstance(reading, _TAPS)])
        self._not_before_ms = now.uptime_ms + RETRY_MS

    def _keep(self, readings: Sequence[RuleReading]) -> None:
        """Hold readings for a later commit: the oldest ones, since they say how the trouble began."""
        self._kept = deque(readings[:KEPT_READINGS])
        if self._failure is not None and len(readings) > KEPT_READINGS:
            dropped = self._failure.dropped + len(readings) - KEPT_READINGS
            self._failure = replace(self._failure, dropped=dropped)

    def _happen(self, effect: Effect, now: Instant) -> None:
        match effect:
            case Show(answer=answer):
                self._panel.show(answer)
            case Reply(id=order, members=members):
                self._link.reply(order, members)
            case Replay(id=order, range=wanted):
                self._link.replay(order, wanted, now)

    def _holds(self) -> dict[str, Any]:
        held: dict[str, Any] = {}
        for seat in self._seats:
            held.update(seat.holds())
        return held

    def _drain(self, until_ms: int, done: Callable[[], bool]) -> None:
        """Give the broker a moment to acknowledge the last messages."""
        while self._link.up and not done() and self._clock.now().uptime_ms < until_ms:
            self.turn(self._wait())

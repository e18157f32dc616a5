"""The loop: one inbox, one owner of all state; nothing is shown or sent before it is on disk."""

import contextlib
import logging
import queue
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from device.effects import (
    Answer,
    Effect,
    PowerOff,
    RefusePicture,
    Replay,
    ReplayPicture,
    Reply,
    SendPicture,
    Show,
    TakePicture,
)
from device.errors import JournalDamaged, NotRecorded
from device.events import Draft, Jwk, rfc3339
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
    PictureFailed,
    Reading,
    Replayed,
    RolledBack,
    Room,
    RuleReading,
    Started,
    StopRequested,
)
from device.record.chain import Chain
from device.record.upkeep import Delivery
from device.rules.rule import Seat
from device.seams import Journal, Link, Panel, Pictures, Upkeep, Watcher
from device.turn import Turn
from device.unread import Unread

BATCH = 256
LONGEST_SLEEP_MS = 1_000
RETRY_MS = 1_000
KEPT_READINGS = 1_000
"""Readings other than taps that wait for the disk to come back; more than this are counted."""
STOP_WITHIN_MS = 2_500
"""How long a stopping post works off what was read, and waits for the broker to acknowledge what it has."""

_TAPS = (BadgeRead, ButtonPressed)
_AT_ONCE = (*_TAPS, StopRequested, Crashed)

EXIT_OK = 0
EXIT_CRASHED = 70
EXIT_POWER = 80

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
        upkeep: Upkeep,
        newest: int,
        watchers: Sequence[Watcher] = (),
        pictures: Pictures | None = None,
    ) -> None:
        """``jwk``: the public half of the chain's key. ``began``: the first events of a new chain.

        ``newest``: the journal's newest position. ``watchers``: are told of every pass.
        ``pictures``: None for a post without a camera.
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
        self._delivery = Delivery(link.known, link.freed)
        self._upkeep = upkeep
        self._newest = newest
        self._watchers = tuple(watchers)
        self._pictures = pictures
        self._kept: deque[RuleReading] = deque()
        self._failure: CommitFailed | None = None
        self._failure_told = False
        self._short: str | None = None
        self._short_ms: int | None = None
        self._unread = Unread(journal.unreadable, clock)
        self._unanswered: Sequence[BadgeRead | ButtonPressed] = ()
        self._not_before_ms = 0
        self._line_shown: bool | None = None
        self._line_since: str | None = None
        self._exit: int | None = None

    def run(self) -> int:
        """Work until asked to stop or a worker died; the process's exit code. Raises JournalDamaged."""
        why = ""
        try:
            while self._exit is None:
                batch = self._wait(LONGEST_SLEEP_MS)
                self.turn(batch)
                why = next((reading.why for reading in batch if isinstance(reading, StopRequested | Crashed)), why)
            for watcher in self._watchers:
                watcher.stopping(why)
            self._say_goodbye(why)
        finally:
            self._link.close()
        return self._exit

    def turn(self, batch: Sequence[Reading]) -> None:
        """One pass: decide what was read, commit it once, and only then let it be seen.

        Raises JournalDamaged; whoever had not been answered yet has seen red then.
        """
        self._unanswered = [reading for reading in batch if isinstance(reading, _TAPS)]
        try:
            self._pass(batch)
        except JournalDamaged as error:
            before = 0 if self._failure is None else self._failure.unrecorded
            error.unrecorded = before + self._show_red(self._unanswered)
            raise

    def _pass(self, batch: Sequence[Reading]) -> None:
        heard: list[RuleReading] = []
        for reading in batch:
            if isinstance(reading, Connected | Disconnected | Delivered | Arrived):
                with self._unread.noted():
                    heard.extend(self._link.take(reading))
            else:
                heard.append(reading)
        now = self._clock.now()
        self._look_for_room(heard, now)
        if self._may_commit(heard, now):
            self._record([*self._kept, *heard], now)
        else:
            self._keep([*self._kept, *heard])
        for reading in heard:
            if isinstance(reading, StopRequested):
                self._exit = EXIT_POWER if reading.power_off else EXIT_OK
            elif isinstance(reading, Crashed):
                log.critical("%s died: %s; the post stops and should be started again", reading.thread, reading.why)
                self._exit = EXIT_CRASHED
        self._show_line(now)
        with self._unread.noted():
            self._link.work(now, self._newest, self._holds)
            self._upkeep.work(now, self._delivery, idle=self._inbox.empty())
        if self._pictures is not None:
            self._pictures.work(self._link.done, self._link.through)
        if (told := self._unread.told(now)) is not None:
            self._inbox.put(told)
        self._show_line(now)
        for watcher in self._watchers:
            watcher.passed(now, self._status)

    def _show_line(self, now: Instant) -> None:
        """It changes with what was heard of it, and with what was found at work on it."""
        if self._link.up != self._line_shown:
            self._line_shown = self._link.up
            self._line_since = rfc3339(now.wall_ms) if self._link.up else None
            self._panel.line(self._link.up)

    def _look_for_room(self, heard: Sequence[RuleReading], now: Instant) -> None:
        """Before anything is recorded, and each second, since others fill and empty the disk too."""
        if heard or self._short_ms is None or now.uptime_ms - self._short_ms >= RETRY_MS:
            self._short_ms = now.uptime_ms
            with self._unread.noted():
                self._short = self._journal.short()

    def _wait(self, longest_ms: int) -> list[Reading]:
        """Sleep until something is read or due; what waits then, at most ``BATCH`` readings."""
        batch: list[Reading] = []
        with contextlib.suppress(queue.Empty):
            sleep_ms = min(self._sleep_ms(), longest_ms) if self._inbox.empty() else 0
            batch.append(self._inbox.get(timeout=sleep_ms / 1000))
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
        """After a failed commit only a tap and the end try at once: all else waits, which spares the CPU."""
        return now.uptime_ms >= self._not_before_ms or any(isinstance(reading, _AT_ONCE) for reading in heard)

    def _record(self, readings: Sequence[RuleReading], now: Instant) -> None:
        work, refused = self._decided(readings, now)
        changed = {seat.rule.name: seat for seat in work.seats if seat.state is not self._persisted[seat.rule.name]}
        if work.sealed:
            snapshots = {name: seat.snapshot() for name, seat in changed.items()}
            try:
                self._newest = self._journal.append(work.sealed, snapshots, self._link.known())
            except NotRecorded as error:
                self._not_recorded(readings, error, now)
                return
            except JournalDamaged as error:
                self._not_recorded(readings, NotRecorded(str(self._unread.note(error))), now)
                return
            self._persisted.update({name: seat.state for name, seat in changed.items()})
            self._began, self._failure_told = (), self._short is not None
            if self._short is None:
                self._failure = None
        self._kept.clear()
        self._seats, self._chain = work.seats, work.chain
        self._refuse(refused, now)
        self._unanswered = []
        for effect in work.effects:
            self._happen(effect, now)
        for reading in readings:
            if isinstance(reading, Asked | Misasked) and reading not in refused:
                self._link.recorded(reading.ack)

    def _decided(self, readings: Sequence[RuleReading], now: Instant) -> tuple[Turn, list[RuleReading]]:
        """What comes of the readings, and those whose events there is no room for."""
        work = Turn(list(self._seats), self._chain)
        refused: list[RuleReading] = []
        work.begin(self._began, now)
        self._decide_failure(work, now)
        for reading in readings:
            if not isinstance(reading, Started):  # before it, deadlines may still be those of an earlier boot
                self._fits(work, partial(work.due, reading.at))
            if isinstance(reading, RolledBack):
                log.error("%s; a new chain begins", reading.why)
                work.roll(str(uuid.uuid4()), self._jwk, reading.at)
            # Where a door that opened has to wait, its closing waits behind it.
            waits = type(reading) in {type(other) for other in refused}
            if waits or not self._fits(work, partial(work.decide, reading, reading.at)):
                refused.append(reading)
        if not self._fits(work, partial(work.due, now)):
            self._not_before_ms = now.uptime_ms + RETRY_MS
        return work, refused

    def _fits(self, work: Turn, step: Callable[[], None]) -> bool:
        """Take a step of the turn; back again where there is no room for what comes of it."""
        if self._short is None:
            step()
            return True
        before = work.mark()
        step()
        if work.fits_reserve(before):
            return True
        work.undo(before)
        return False

    def _decide_failure(self, work: Turn, now: Instant) -> None:
        """Say that there is trouble as soon as that can be written, and once more when it is over."""
        if self._short is not None:
            if self._failure is None:
                log.error("%s", self._short)
                self._failure = CommitFailed(now, self._short, 0, 0)
            if not self._failure_told:
                work.decide(replace(self._failure, room=Room.RESERVED), now)
        elif self._failure is not None:
            work.decide(self._failure, now)

    def _refuse(self, refused: Sequence[RuleReading], now: Instant) -> None:
        """There is room for the last words alone: taps are red, all else waits."""
        if refused and self._failure is not None:
            self._put_off(refused, self._failure, now)

    def _not_recorded(self, readings: Sequence[RuleReading], error: NotRecorded, now: Instant) -> None:
        """Drop the copies; whoever stands there sees it, and no tap is tried again behind his back."""
        began = self._failure is None
        failure = replace(self._failure or CommitFailed(now, "", 0, 0), why=str(error))
        if self._put_off(readings, failure, now) or began:
            log.error("%s", error)
        self._unanswered = []

    def _put_off(self, readings: Sequence[RuleReading], failure: CommitFailed, now: Instant) -> int:
        """Taps are red, and counted; all else waits for a later commit. How many taps."""
        taps = self._show_red(readings)
        self._failure = replace(failure, unrecorded=failure.unrecorded + taps)
        self._keep([reading for reading in readings if not isinstance(reading, _TAPS)])
        self._not_before_ms = now.uptime_ms + RETRY_MS
        return taps

    def _show_red(self, readings: Sequence[RuleReading]) -> int:
        """To whoever tapped, where he tapped; how many taps."""
        taps = [reading for reading in readings if isinstance(reading, _TAPS)]
        for reader in dict.fromkeys(tap.reader if isinstance(tap, BadgeRead) else None for tap in taps):
            self._panel.show(Answer.NOT_RECORDED, reader)
        return len(taps)

    def _keep(self, readings: Sequence[RuleReading]) -> None:
        """Hold readings for a later commit: the oldest ones, since they say how the trouble began."""
        self._kept = deque(readings[:KEPT_READINGS])
        if self._failure is not None and len(readings) > KEPT_READINGS:
            dropped = self._failure.dropped + len(readings) - KEPT_READINGS
            self._failure = replace(self._failure, dropped=dropped)

    def _happen(self, effect: Effect, now: Instant) -> None:
        match effect:
            case Show(answer=answer, reader=reader):
                self._panel.show(answer, reader)
            case Reply(id=order, members=members):
                self._link.reply(order, members)
            case Replay(id=order, range=wanted):
                self._link.replay(order, wanted, now)
            case TakePicture() if self._pictures is not None:
                self._pictures.take(effect)
            case RefusePicture(event=event, why=why):
                self._inbox.put(PictureFailed(now, event, why))
            case SendPicture(sha256=sha256, event=event) if self._pictures is not None:
                self._pictures.announced(sha256, event, self._newest)
            case ReplayPicture(id=order, sha256=sha256):
                self._replay_picture(order, sha256, now)
            case PowerOff(why=why):
                self._inbox.put(StopRequested(now, why, power_off=True))

    def _replay_picture(self, order: str, sha256: str, now: Instant) -> None:
        if self._pictures is None:
            self._inbox.put(Replayed(now, order, {"ok": False, "error": "this post has no camera"}))
        else:
            self._pictures.again(order, sha256)

    def _holds(self) -> dict[str, Any]:
        """What the rules hold, and the post's own health, of which they know a part."""
        held: dict[str, Any] = {}
        health: dict[str, Any] = {
            "backlog": self._newest - self._link.done,
            "recording": self._failure is None,
            "line_since": self._line_since,
        }
        for seat in self._seats:
            members = dict(seat.holds())
            health.update(members.pop("health", {}))
            held.update(members)
        return {**held, "health": health}

    def _status(self) -> str:
        """How the post stands, in a line for people."""
        told = [
            "the line is up" if self._link.up else "NO LINE",
            f"{self._newest - self._link.done} events wait for a broker",
        ]
        if self._failure is not None:
            told.append(f"NOT RECORDED: {self._failure.why}")
        if blind := self._holds().get("blind"):
            told.append(f"BLIND: {', '.join(blind)}")
        return "; ".join(told)

    def _say_goodbye(self, why: str) -> None:
        until_ms = self._clock.now().uptime_ms + STOP_WITHIN_MS
        with contextlib.suppress(JournalDamaged):  # the next start comes upon it too
            self._drain(until_ms, lambda: self._link.done >= self._newest)
            self._link.say_goodbye(why, self._clock.now())
            self._drain(until_ms, lambda: self._link.quiet)

    def _drain(self, until_ms: int, done: Callable[[], bool]) -> None:
        """Work off what was read, and give the broker a moment to acknowledge the last messages."""
        while (left_ms := until_ms - self._clock.now().uptime_ms) > 0:
            if self._inbox.empty() and not (self._link.up and not done()):
                return
            self.turn(self._wait(left_ms))

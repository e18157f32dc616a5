"""What the journal needs between events: checkpoints, its cursors kept, old events removed, every row looked at."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from device.errors import NotRecorded
from device.events import rfc3339
from device.readings import Instant
from device.record.journal import Journal, Sent
from device.record.journal_reader import Row
from device.record.scrub import Scrub

KEEP_EVERY_MS = 60_000
"""An idle post writes no more often than this, and only where something changed."""
PRESSED_EVERY_MS = SCRUB_EVERY_MS = 1_000
LOOK_EVERY_MS = 600_000
"""How often it is looked for old events where the last look found none."""
REMOVED_AT_ONCE = 1_000
"""Some 10 ms of work, and more than a turn records: where room is short, removal keeps up with any flood."""
_DAY_MS = 86_400_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the link can tell: ``known`` for the cursors, ``freed`` as far as events may be removed."""

    known: Callable[[], Sent]
    freed: Callable[[], int]


class Upkeep:
    """Called by the loop at the end of each pass; each call does little."""

    def __init__(self, journal: Journal, keep_days: int) -> None:
        """``keep_days``: how long receipted events stay."""
        self._journal = journal
        self._keep_ms = keep_days * _DAY_MS
        self._scrub = Scrub(journal)
        self._scrub_at_ms = 0
        self._keep_at_ms: int | None = None
        self._look_at_ms = 0
        self._press_at_ms = 0
        self._seen: Mapping[str, int] = {}
        self._said = ""

    def work(self, now: Instant, delivery: Delivery, *, idle: bool) -> None:
        """Do what is due. ``idle``: no reading waits. Raises JournalDamaged, NotReadable."""
        self._journal.checkpoint(idle)
        if self._keep_at_ms is None:
            self._keep_at_ms = now.uptime_ms + KEEP_EVERY_MS
        known = delivery.known()
        if _lowered(known.cursors, self._seen) and _lowered(known.cursors, self._journal.cursors()):
            self._keep(known, 0)  # a receipt went down: what it no longer covers must not go after a restart
        self._seen = known.cursors
        if self._journal.pressed() and now.uptime_ms >= self._press_at_ms:
            self._make_room(now, known, delivery)
        if not idle:
            return
        if now.uptime_ms >= self._scrub_at_ms:
            self._scrub_at_ms = now.uptime_ms + SCRUB_EVERY_MS
            self._scrub.work()
        if now.uptime_ms >= self._keep_at_ms:
            self._keep_at_ms = now.uptime_ms + KEEP_EVERY_MS
            self._keep(known, self._old(now, delivery))

    def _make_room(self, now: Instant, known: Sent, delivery: Delivery) -> None:
        """Remove what may go, however young: step by step as long as there is as much as a step takes."""
        oldest, last = self._may_go(delivery)
        remove_to = min(last, oldest + REMOVED_AT_ONCE - 1)
        went = remove_to >= oldest and self._keep(known, remove_to)
        self._press_at_ms = now.uptime_ms + (0 if went and remove_to < last else PRESSED_EVERY_MS)

    def _old(self, now: Instant, delivery: Delivery) -> int:
        """The position up to which events are old enough to go, 0 for none; none by a clock that nobody set."""
        if now.uptime_ms < self._look_at_ms or now.clock == "unsynced":
            return 0
        oldest, last = self._may_go(delivery)
        rows = self._journal.rows(oldest - 1, REMOVED_AT_ONCE) if oldest <= last else []
        may_go = [row for row in rows if row.position <= last]
        remove_to = newest_before(may_go, rfc3339(now.wall_ms - self._keep_ms))
        if not remove_to:
            self._look_at_ms = now.uptime_ms + LOOK_EVERY_MS
        return remove_to

    def _may_go(self, delivery: Delivery) -> tuple[int, int]:
        """Positions of the oldest event, and of the last that may be removed. The newest of all never is."""
        return self._journal.oldest(), min(delivery.freed(), self._journal.newest() - 1)

    def _keep(self, known: Sent, remove_to: int) -> bool:
        """Commit, if there is anything to; whether it was done."""
        if not remove_to and not self._changed(known):
            return False
        try:
            self._journal.keep(known, remove_to)
        except NotRecorded as error:
            if str(error) != self._said:
                log.warning("%s", error)
            self._said = str(error)
            return False
        self._said = ""
        return True

    def _changed(self, known: Sent) -> bool:
        return not known.cursors.items() <= self._journal.cursors().items() or not set(known.alarms).isdisjoint(
            self._journal.alarms()
        )


def _lowered(now: Mapping[str, int], before: Mapping[str, int]) -> bool:
    return any(position < before.get(name, 0) for name, position in now.items())


def newest_before(rows: Sequence[Row], time: str) -> int:
    """The position of the newest of ``rows`` that was recorded before ``time`` (RFC 3339), 0 for none.

    Order is by number: where an event is old, all before it are, whatever their clock said.
    """
    return next((row.position for row in reversed(rows) if _dated_before(row.event, time)), 0)


def _dated_before(event: bytes, time: str) -> bool:
    members = json.loads(event)
    return members["clock"] != "unsynced" and str(members["time"]) < time

"""A disk that does not give the journal back: it stops what reads it, not the post, and is told once."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from device.errors import JournalDamaged, NotReadable
from device.readings import Clock, Instant, PartBlind, PartSighted

UNREAD_MS = 60_000
"""A disk that gives the journal not back for so long will not: what it does give is then saved into a new one."""

JOURNAL = "journal"
"""What is blind while the disk gives nothing back."""

log = logging.getLogger(__name__)


class Unread:
    """What the loop knows of reads that failed. Used by the loop's thread."""

    def __init__(self, unreadable: Callable[[], str | None], clock: Clock) -> None:
        """``unreadable``: why the disk does not give the journal's bytes back, None if it does."""
        self._unreadable = unreadable
        self._clock = clock
        self._error: NotReadable | None = None
        self._since_ms: int | None = None
        self._silent = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Reads of the block may fail. Raises JournalDamaged where that is not the disk's doing."""
        try:
            yield
        except JournalDamaged as error:
            self.note(error)
        except NotReadable as error:
            self._error = error

    def note(self, error: JournalDamaged) -> NotReadable:
        """A read that failed is damage to SQLite (vdbe.c: SQLITE_IOERR_CORRUPTFS); the disk may do better again.

        Raises ``error`` where it is damage, or has lasted as long.
        """
        now_ms = self._clock.now().uptime_ms
        lasts = self._since_ms is not None and now_ms - self._since_ms >= UNREAD_MS
        why = None if lasts else self._unreadable()
        if lasts or (why is None and not self._silent):
            raise error
        self._silent = why is not None  # where it has just come back, another look decides
        self._error = NotReadable(f"{why or error}; mend the disk")
        return self._error

    def told(self, now: Instant) -> PartBlind | PartSighted | None:
        """What is to be said after a pass: once when the journal cannot be read, and once when it can again."""
        error, self._error = self._error, None
        if error is not None and self._since_ms is None:
            log.error("%s", error)
            self._since_ms = now.uptime_ms
            return PartBlind(now, JOURNAL, str(error))
        if error is None and self._since_ms is not None:
            self._since_ms, self._silent = None, False
            return PartSighted(now, JOURNAL)
        return None

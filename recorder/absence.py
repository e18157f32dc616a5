"""Posts that have fallen silent: no event, no ``state``, no ``status`` that says online."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from device.events import rfc3339
from recorder.store import Store

LOOK_EVERY_S = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Absent:
    """A silent post. ``since_ms``: its last sign of life, ms since 1970-01-01 UTC."""

    source: str
    since_ms: int


def absent(store: Store, after_s: float, now_ms: int) -> list[Absent]:
    """Posts that gave no sign of life for so long, the longest silent first."""
    sql = "SELECT source, at_ms FROM seen WHERE at_ms <= ? ORDER BY at_ms, source"
    return [Absent(row["source"], row["at_ms"]) for row in store.rows(sql, now_ms - round(after_s * 1000))]


class AbsenceWatch:
    """Says once when a post falls silent and once when it is back.

    Its clock stands still while the recorder does not listen: nobody is called absent for our own deafness.
    """

    def __init__(self, store: Store, after_s: float) -> None:
        self._store = store
        self._after_s = after_s
        self._listened_s = 0.0
        self._since: float | None = None
        self._look_at = float("inf")
        self._heard: dict[str, float] = {}
        self._absent: dict[str, Absent] = {}

    def listening(self, now: float) -> None:
        """Subscribed."""
        self._listened_s = self._clock(now)
        self._since, self._look_at = now, now
        for row in list(self._store.rows("SELECT source FROM seen")):
            self._heard.setdefault(row["source"], self._listened_s)

    def deaf(self, now: float) -> None:
        """The line is gone."""
        self._listened_s = self._clock(now)
        self._since, self._look_at = None, float("inf")

    def heed(self, alive: Iterable[str], now: float) -> list[bytes]:
        """Signs of life were committed; what there is to publish of it."""
        clock = self._clock(now)
        messages = []
        for source in alive:
            self._heard[source] = clock
            if gone := self._absent.pop(source, None):
                _log.info("%s is back, silent since %s", source, rfc3339(gone.since_ms))
                until_ms = self._store.number("SELECT at_ms FROM seen WHERE source = ?", source)
                messages.append(_message(gone, until_ms))
        return messages

    def work(self, now: float) -> list[bytes]:
        """Look who is silent; what there is to publish of it."""
        if now < self._look_at:
            return []
        self._look_at = now + min(LOOK_EVERY_S, self._after_s / 4)
        clock, messages = self._clock(now), []
        for source, at_ms in list(self._store.rows("SELECT source, at_ms FROM seen ORDER BY source")):
            silent_s = clock - self._heard.setdefault(source, clock)
            if silent_s >= self._after_s and source not in self._absent:
                gone = self._absent[source] = Absent(source, at_ms)
                _log.warning("%s is silent: nothing heard since %s", source, rfc3339(at_ms))
                messages.append(_message(gone, None))
        return messages

    def due(self) -> float:
        """When ``work`` has something to do."""
        return self._look_at

    def _clock(self, now: float) -> float:
        """Seconds listened so far."""
        return self._listened_s + (now - self._since if self._since is not None else 0.0)


def _message(gone: Absent, until_ms: int | None) -> bytes:
    """``until`` is there once the post is back."""
    until = {} if until_ms is None else {"until": rfc3339(until_ms)}
    return json.dumps({"source": gone.source, "since": rfc3339(gone.since_ms), **until}).encode()

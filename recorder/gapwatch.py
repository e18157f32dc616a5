"""Names a gap that stays open: once in the log, and a reminder to the post every half minute."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from recorder.rows import chain_id, name_of
from recorder.stating import stated
from recorder.store import Store
from recorder.summary import chain_summary

NAMED_AFTER_S = 5.0
REMIND_S = 30.0
_TOLD = 5

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Lack:
    """A chain that is not whole up to what was sent. ``words``: how it was named last."""

    whole: int
    look_at: float
    words: str = ""


class GapWatch:
    """Looks at a chain again only after something touched it."""

    def __init__(self, store: Store, named_after_s: float = NAMED_AFTER_S, remind_s: float = REMIND_S) -> None:
        self._store = store
        self._named_after_s = named_after_s
        self._remind_s = remind_s
        self._lacks: dict[tuple[str, str], _Lack] = {}

    def everything(self, now: float) -> None:
        """At the start: every chain."""
        rows = list(self._store.rows("SELECT source, uuid FROM chain"))
        for row in rows:
            self._compare(row["source"], row["uuid"], now)

    def heed(self, touched: Iterable[int], sources: Iterable[str], now: float) -> None:
        """After a commit; ``sources`` have stated how far they sent."""
        chains = {name_of(self._store, chain) for chain in touched}
        chains |= {(source, said.chain) for source in sources for said in stated(self._store, source)}
        for source, uuid in chains:
            self._compare(source, uuid, now)

    def work(self, now: float) -> list[tuple[str, str]]:
        """Source and chain of every gap that has stayed open for long enough to speak of it."""
        named = [chain for chain, lack in self._lacks.items() if lack.look_at <= now]
        return [chain for chain in named if self._name(*chain, now)]

    def due(self) -> float:
        """When ``work`` has something to do."""
        return min((lack.look_at for lack in self._lacks.values()), default=float("inf"))

    def _compare(self, source: str, uuid: str, now: float) -> None:
        row = chain_id(self._store, source, uuid)
        whole = self._store.number("SELECT whole FROM chain WHERE id = ?", row)
        lack = self._lacks.get((source, uuid))
        if whole >= self._sent(source, uuid, row):
            if lack and lack.words:
                _log.info("%s chain %s is whole again, up to %d", source, uuid, whole)
            self._lacks.pop((source, uuid), None)
        elif lack is None:
            self._lacks[source, uuid] = _Lack(whole, now + self._named_after_s)
        elif lack.whole != whole:
            lack.whole = whole
            lack.look_at = now + (self._remind_s if lack.words else self._named_after_s)

    def _name(self, source: str, uuid: str, now: float) -> bool:
        """False if nothing is missing that could come: a fork or a strange key is a finding, not a gap."""
        lack = self._lacks[source, uuid]
        found = chain_summary(self._store, source, uuid)
        gaps = [str(gap) for gap in found.missing] if found else []
        words = ", ".join([*gaps[:_TOLD], *([f"{len(gaps) - _TOLD} more"] if len(gaps) > _TOLD else [])])
        lack.look_at = now + self._remind_s
        if words and words != lack.words:
            _log.warning("%s lacks %s of chain %s", source, words, uuid)
            lack.words = words
        return bool(words)

    def _sent(self, source: str, uuid: str, row: int | None) -> int:
        """The newest number here, or stated as sent."""
        here = self._store.number("SELECT max(seq) FROM event WHERE chain = ?", row)
        return max([here, *(said.sent for said in stated(self._store, source) if said.chain == uuid)])

"""Names a gap that stays open: once in the log, and a reminder to the post every half minute."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from recorder.rows import name_of
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
        self._lacks: dict[int, _Lack] = {}

    def everything(self, now: float) -> None:
        """At the start: every chain."""
        self.heed([row["id"] for row in self._store.rows("SELECT id FROM chain")], (), now)

    def heed(self, touched: Iterable[int], sources: Iterable[str], now: float) -> None:
        """After a commit; ``sources`` have stated how far they sent."""
        chains = set(touched)
        for source in sources:
            chains.update(r["id"] for r in self._store.rows("SELECT id FROM chain WHERE source = ?", source))
        for chain in chains:
            self._compare(chain, now)

    def work(self, now: float) -> list[tuple[str, str]]:
        """Source and chain of every gap that has stayed open for long enough to speak of it."""
        named = [chain for chain, lack in self._lacks.items() if lack.look_at <= now]
        return [name_of(self._store, chain) for chain in named if self._name(chain, now)]

    def due(self) -> float:
        """When ``work`` has something to do."""
        return min((lack.look_at for lack in self._lacks.values()), default=float("inf"))

    def _compare(self, chain: int, now: float) -> None:
        whole = self._store.number("SELECT whole FROM chain WHERE id = ?", chain)
        lack = self._lacks.get(chain)
        if whole >= self._sent(chain):
            if lack and lack.words:
                _log.info("%s chain %s is whole again, up to %d", *name_of(self._store, chain), whole)
            self._lacks.pop(chain, None)
        elif lack is None:
            self._lacks[chain] = _Lack(whole, now + self._named_after_s)
        elif lack.whole != whole:
            lack.whole = whole
            lack.look_at = now + (self._remind_s if lack.words else self._named_after_s)

    def _name(self, chain: int, now: float) -> bool:
        """False if nothing is missing that could come: a fork or a strange key is a finding, not a gap."""
        lack = self._lacks[chain]
        found = chain_summary(self._store, chain)
        gaps = [str(gap) for gap in found.missing]
        words = ", ".join([*gaps[:_TOLD], *([f"{len(gaps) - _TOLD} more"] if len(gaps) > _TOLD else [])])
        lack.look_at = now + self._remind_s
        if words and words != lack.words:
            _log.warning("%s lacks %s of chain %s", found.source, words, found.chain)
            lack.words = words
        return bool(words)

    def _sent(self, chain: int) -> int:
        """The newest number here, or stated as sent."""
        source, uuid = name_of(self._store, chain)
        here = self._store.number("SELECT max(seq) FROM event WHERE chain = ?", chain)
        return max([here, *(said.sent for said in stated(self._store, source) if said.chain == uuid)])

"""The verified events of a store, dated."""

import json

from recorder.dating import Dated, Moment, date, moment_of
from recorder.store import Store

_UNKNOWN = Dated()


class Dates:
    """Dates a post's events the first time that one of them is asked for; it reads all of that post's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sources: dict[str, dict[tuple[int, int], Dated]] = {}

    def of(self, source: str, chain: int, seq: int) -> Dated:
        """When number ``seq`` of a chain's row happened; nothing is known of an unverified one."""
        if source not in self._sources:
            self._sources[source] = self._dated(source)
        return self._sources[source].get((chain, seq), _UNKNOWN)

    def _dated(self, source: str) -> dict[tuple[int, int], Dated]:
        chains: dict[int, dict[int, Moment]] = {}
        sql = (
            "SELECT chain, seq, payload FROM event JOIN chain ON id = chain "
            "WHERE source = ? AND verified ORDER BY chain, seq, hash"
        )
        for row in self._store.rows(sql, source):
            try:
                moment = moment_of(json.loads(bytes(row["payload"])))
            except ValueError:  # a 31st of February, signed all the same
                continue
            chains.setdefault(row["chain"], {})[row["seq"]] = moment
        dated = date([list(moments.values()) for moments in chains.values()])
        return {
            (chain, seq): when
            for (chain, moments), dates in zip(chains.items(), dated, strict=True)
            for seq, when in zip(moments, dates, strict=True)
        }

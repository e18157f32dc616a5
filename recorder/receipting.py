"""Receipts: how far each chain is whole, told to its post after the commit, the newest chain's last."""

import time
from collections.abc import Iterable

import rfc8785

from recorder.errors import DiskRefuses
from recorder.ledger import Settled
from recorder.line import Link
from recorder.pacing import EVERY_S, Pacing
from recorder.rows import chain_id, name_of
from recorder.stating import stated
from recorder.store import Store
from recorder.wholeness import NOTHING, Reach, followed, reach

NOTED_EVERY_S = 1.0


class Receipting:
    """Reads the store between transactions, so that a receipt never says more than is durable.

    What a broker has taken is noted in the store, a little later: proofs end at a receipt that was given.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pacing = Pacing()
        self._full_until = 0.0
        self._retained: dict[str, str] = {}
        self._on_their_way: dict[int, tuple[str, str, Reach]] = {}
        self._given: list[tuple[str, str, Reach, int]] = []
        self._note_at = float("inf")

    def connected(self) -> None:
        """Every post is told again where its chains stand: the broker may have forgotten."""
        self._pacing.disconnected()
        self._on_their_way.clear()
        self._full_until = 0.0
        for row in list(self._store.rows("SELECT DISTINCT source FROM chain")):
            kept = [each.chain for each in stated(self._store, row["source"])]
            self._pacing.want(row["source"], [*kept, *oldest_first(self._store, row["source"])[-1:]])

    def heed(self, settled: Settled) -> None:
        """After a commit: chains that moved, and whoever stated something else than we have.

        A chain that another follows may be receipted further without being whole any further.
        """
        ended = {chain for chain in settled.touched if followed(self._store, chain)}
        for chain in settled.moved | ended:
            source, uuid = name_of(self._store, chain)
            self._pacing.want(source, [uuid])
        for source in settled.stated:
            self._pacing.want(source, self._differing(source))

    def remind(self, source: str, uuid: str) -> None:
        """Say it again: what the receipt does not cover is still missing."""
        self._pacing.want(source, [uuid])

    def acknowledged(self, mid: int, *, refused: bool, now: float) -> bool:
        """PUBACK; False if it was for no receipt."""
        sent = self._on_their_way.pop(mid, None)
        if sent is not None and sent[2].seq and not refused:
            self._given.append((*sent, time.time_ns() // 1_000_000))
            self._note_at = min(self._note_at, now + NOTED_EVERY_S)
        return self._pacing.acknowledged(mid)

    def note_given(self, now: float) -> None:
        """Write down what was taken by the broker, if it is time; later if the disk takes nothing."""
        if not self._given or now < self._note_at:
            return
        try:
            with self._store.transaction():
                for source, uuid, at, at_ms in self._given:
                    chain = chain_id(self._store, source, uuid)
                    self._store.run(
                        "INSERT OR IGNORE INTO receipt VALUES (?, ?, ?, ?)", chain, at.seq, at.hash, at_ms
                    )
        except DiskRefuses:
            self._note_at = now + NOTED_EVERY_S
            return
        self._given.clear()
        self._note_at = float("inf")

    def work(self, link: Link, now: float) -> None:
        """Publish what is due, as far as the broker's window has room; if it has none, look again soon."""
        while not (full := link.room <= 0) and (turn := self._pacing.take(now)) is not None:
            source, wanted = turn
            order = oldest_first(self._store, source, wanted)
            newest = order[-1]
            for uuid in (each for each in order if each in wanted or each == newest):
                at = self._reach(source, uuid)
                mid = link.publish(f"{source[1:]}/receipt", receipt(uuid, at), retain=True)
                self._pacing.sent(mid, source, uuid)
                self._on_their_way[mid] = (source, uuid, at)
            self._retained[source] = newest
        self._full_until = now + EVERY_S if full else 0.0

    def due(self) -> float:
        """When ``work`` has something to do."""
        return min(self._note_at, max(self._pacing.due(), self._full_until))

    def _differing(self, source: str) -> Iterable[str]:
        """Behind, beyond or beside; and the newest chain if the retained receipt is another's."""
        said = stated(self._store, source)
        for each in said:
            here = self._reach(source, each.chain)
            if each.seq and (here.seq, here.hash) != (each.seq, each.hash):
                yield each.chain
        if said and self._retained.get(source, said[0].chain) != said[0].chain:
            yield said[0].chain

    def _reach(self, source: str, uuid: str) -> Reach:
        chain = chain_id(self._store, source, uuid)
        return NOTHING if chain is None else reach(self._store, chain)


def receipt(uuid: str, at: Reach) -> bytes:
    """Canonical JSON, as on the wire."""
    return rfc8785.dumps({"chain": uuid, "hash": at.hash, "seq": at.seq})


def oldest_first(store: Store, source: str, more: Iterable[str] = ()) -> list[str]:
    """A post's chains as they followed each other, as far as anybody said.

    The post orders those it keeps. A chain that it did not state yet and that no other names as its ``previous``
    began after them; any other that it does not state is older.
    """
    said = [each.chain for each in reversed(stated(store, source))]
    sql = (
        "SELECT uuid, id, EXISTS (SELECT 1 FROM claim WHERE chain = id AND how LIKE 'previous of %') AS followed "
        "FROM chain WHERE source = ? ORDER BY followed DESC, id"
    )
    rows = list(store.rows(sql, source))
    newest_said = max((row["id"] for row in rows if row["uuid"] in said), default=0)
    unsaid = [row for row in rows if row["uuid"] not in said]
    newer = [row["uuid"] for row in unsaid if row["id"] > newest_said and not row["followed"]]
    older = [row["uuid"] for row in unsaid if row["uuid"] not in newer]
    strange = [uuid for uuid in more if uuid not in said and uuid not in newer and uuid not in older]
    return [*strange, *older, *said, *newer]

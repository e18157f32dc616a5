"""What an event changes in its chain once it is in the store: forks, links, lost ranges, closed numbers."""

from collections.abc import Callable

from device.events import ChainBegan, KeyChanged, Lost, Position
from recorder.findings import note_signed
from recorder.intake import Event, Flaw, Unclear
from recorder.places import begins, span
from recorder.rows import chain_id, insert
from recorder.stating import came_late, hear_chain, hear_state
from recorder.store import Store
from recorder.wholeness import advance, broken, contents, neighbours, rewind


class Chains:
    """Works inside the caller's transaction; ``settle`` before its end moves what was touched.

    ``announced``: called with the source and the key that a verified event makes known.
    """

    def __init__(self, store: Store, announced: Callable[[str, KeyChanged, int], None]) -> None:
        self._store = store
        self._announced = announced
        self._touched: set[int] = set()
        self._opened: dict[tuple[str, str], int] = {}
        self._late: dict[tuple[str, str], set[int]] = {}

    def insert(self, event: Event, at_ms: int, *, verified: bool) -> None:
        """A new event or alarm copy."""
        chain = self._open(event.source, event.chain, at_ms)
        insert(self._store, chain, event, at_ms, verified=verified)
        if not event.alarm and event.seq < self._store.number("SELECT first FROM chain WHERE id = ?", chain):
            self._late.setdefault((event.source, event.chain), set()).add(event.seq)

    def accept(self, event: Event, at_ms: int) -> None:
        """A verified event is in the store: compare it with its number and neighbours, hear what it tells.

        Of an alarm only its number counts: the truth is the event stream.
        """
        chain = self._open(event.source, event.chain, at_ms)
        self._check_fork(event.source, event.chain, event.seq, at_ms)
        if event.alarm:
            return
        self._check_links(event, chain, at_ms)
        match event.tells:
            case KeyChanged() as changed:
                self._announced(event.source, changed, at_ms)
            case ChainBegan(previous=Position() as previous):
                self._claim_previous(event, previous, at_ms)
            case Lost() as lost:
                self._close(event.source, lost, at_ms)
            case Unclear(why=why):
                what = f"{event.chain}/{event.seq}"
                note_signed(self._store, event.source, Flaw.UNCLEAR, what, f"event {what}: {why}", at_ms=at_ms)
            case _:
                pass

    def came_again(self, event: Event, at_ms: int) -> None:
        """The same bytes: what a broken link may wait for."""
        if not event.alarm:
            self._touched.add(self._open(event.source, event.chain, at_ms))

    def close_refused(self, source: str, place: tuple[str, int], at_ms: int) -> None:
        """Bytes that were refused came a second time, the same: this number never comes otherwise."""
        uuid, seq = place
        chain = self._open(source, uuid, at_ms)
        self._store.run("INSERT OR IGNORE INTO refused VALUES (?, ?)", chain, seq)
        self._touched.add(chain)

    def hear_state(self, source: str, at_ms: int) -> None:
        """The source's new ``state`` is in the store."""
        self._touched.update(hear_state(self._store, source, at_ms))

    def settle(self, at_ms: int) -> tuple[frozenset[int], frozenset[int]]:
        """Move each touched chain's ``whole`` as far as it goes. Which were touched, and which moved."""
        for (source, uuid), numbers in self._late.items():
            came_late(self._store, source, uuid, numbers, at_ms)
        touched = frozenset(self._touched)
        return touched, frozenset(chain for chain in sorted(touched) if advance(self._store, chain))

    def forget(self) -> None:
        """The transaction is over, well or not."""
        self._touched.clear()
        self._opened.clear()
        self._late.clear()

    def _check_fork(self, source: str, uuid: str, seq: int, at_ms: int) -> None:
        chain = self._open(source, uuid, at_ms)
        self._touched.add(chain)
        if contents(self._store, chain, seq) < 2:
            return
        detail = f"event {uuid}/{seq} is signed with more than one content"
        note_signed(self._store, source, Flaw.FORK, f"{uuid}/{seq}", detail, at_ms=at_ms)
        rewind(self._store, chain, seq)

    def _check_links(self, event: Event, chain: int, at_ms: int) -> None:
        """Both sides of a new event. One version that fits is enough: a fork is told elsewhere."""
        before, here, after = neighbours(self._store, chain, event.seq)
        start = begins(here[0]) if event.seq == 1 else None
        problems = {event.seq: start or broken(before, here), event.seq + 1: broken(here, after)}
        for seq, problem in problems.items():
            if problem:
                detail = f"chain {event.chain}: {problem}"
                note_signed(self._store, event.source, Flaw.LINK, detail, detail, at_ms=at_ms)
                rewind(self._store, chain, seq)

    def _claim_previous(self, event: Event, previous: Position, at_ms: int) -> None:
        self._store.run(
            "INSERT OR IGNORE INTO claim VALUES (?, ?, ?, ?, ?, 1, ?, NULL)",
            self._open(event.source, previous.chain, at_ms),
            previous.seq,
            previous.hash,
            f"previous of {event.chain}",
            event.keyid,
            at_ms,
        )
        self._check_fork(event.source, previous.chain, previous.seq, at_ms)

    def _close(self, source: str, lost: Lost, at_ms: int) -> None:
        chain = self._open(source, lost.chain, at_ms)
        self._touched.add(chain)
        self._store.run("INSERT OR IGNORE INTO lost VALUES (?, ?, ?, ?)", chain, lost.from_, lost.to, lost.why)
        numbers = f"{lost.chain}/{span(lost.from_, lost.to)}"
        note_signed(self._store, source, Flaw.LOST, numbers, f"lost for good: {numbers}: {lost.why}", at_ms=at_ms)

    def _open(self, source: str, uuid: str, at_ms: int) -> int:
        """Its row; asked for once a transaction, since that may be taken back."""
        if (source, uuid) in self._opened:
            return self._opened[source, uuid]
        found = chain_id(self._store, source, uuid)
        if found is None:
            self._store.run("INSERT INTO chain (source, uuid) VALUES (?, ?)", source, uuid)
            hear_chain(self._store, source, uuid, at_ms)
            found = chain_id(self._store, source, uuid)
        assert found is not None
        self._opened[source, uuid] = found
        return found

"""Every stored byte verified again from scratch; nothing that intake wrote beside the bytes is believed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from sqlite3 import Row

from device.errors import ChainError
from device.events import KeyChanged, Lost
from device.record.chain import from_base64url, key_id
from recorder.errors import StoreError
from recorder.intake import Event, examine
from recorder.keyring import ANNOUNCED
from recorder.places import Place, begins, holes, span
from recorder.store import Store
from recorder.summary import ChainSummary, summary
from recorder.wholeness import broken

_Keys = dict[tuple[str, str], bytes]
_Lost = dict[tuple[str, str], set[tuple[int, int]]]


MAX_FLAWS = 100
"""Told of one chain; a chain that shows more is beyond doubt anyway."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One chain: what the store says of it, and the flaws that its bytes show (MAX_FLAWS at most)."""

    summary: ChainSummary
    flaws: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whole, and each byte verified."""
        return not self.flaws and self.summary.whole_and_verified

    @property
    def words(self) -> str:
        """One phrase for people."""
        more = [f"{len(self.flaws) - 3} more flaws"] if len(self.flaws) > 3 else []
        said = [] if self.flaws and self.summary.verdict == "whole" else [self.summary.verdict]
        return ", ".join([*self.flaws[:3], *more, *said])


@dataclass(slots=True)
class _Walk:
    """What one pass over a chain's bytes shows: its flaws, and the numbers that are here, as intervals."""

    flaws: list[str] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def here(self, seq: int) -> None:
        if self.spans and self.spans[-1][1] >= seq - 1:
            self.spans[-1] = (self.spans[-1][0], seq)
        else:
            self.spans.append((seq, seq))

    def flaw(self, text: str | None) -> None:
        if text and len(self.flaws) < MAX_FLAWS:
            self.flaws.append(text)


def verify_store(store: Store) -> list[Verdict]:
    """A verdict for each chain."""
    with store.snapshot():
        keys = _trusted(store)
        chains = summary(store).chains
        lost: _Lost = {}
        walks = [_walk(store, chain, keys, lost) for chain in chains]
        for chain, walk in zip(chains, walks, strict=True):
            _compare(chain, walk, lost.get((chain.source, chain.chain), set()))
    return [Verdict(chain, tuple(walk.flaws)) for chain, walk in zip(chains, walks, strict=True)]


def _compare(chain: ChainSummary, walk: _Walk, lost: set[tuple[int, int]]) -> None:
    """What intake noted of a chain must follow from its bytes."""
    unsigned = [(gap.first, gap.last) for gap in chain.gaps if gap.gone] + [(seq, seq) for seq in chain.refused]
    for first, last in holes(1, chain.whole, sorted([*walk.spans, *lost, *unsigned])):
        walk.flaw(f"lacks {span(first, last)}, which was here")
    for first, last in set(chain.lost) - lost:
        walk.flaw(f"{span(first, last)} is noted as lost, which no event says")


def _trusted(store: Store) -> _Keys:
    """The keys somebody vouched for, and those that follow from them by announcements read again."""
    rows = store.rows("SELECT source, x FROM key WHERE trust IS NOT NULL AND trust != ?", ANNOUNCED)
    try:
        keys = {(row["source"], key_id(raw := from_base64url(row["x"]))): raw for row in rows}
    except ValueError as error:
        raise StoreError(f"{store.path}: a key in it is no key: {error}; restore the store from a backup") from None
    sql = "SELECT source, seq, hash, verified, payload FROM event JOIN chain ON id = chain WHERE announces NOT NULL"
    waiting = list(store.rows(sql))
    while waiting:
        known = len(keys)
        waiting = [row for row in waiting if not _announced(row, keys)]
        if len(keys) == known:
            break
    return keys


def _announced(row: Row, keys: _Keys) -> bool:
    """Whether this event is used up: it announced its key, or never will."""
    try:
        event = examine(bytes(row["payload"]))
        public = keys.get((row["source"], event.keyid))
        if public is None:
            return False
        event.unproven.prove(public)
    except ChainError:
        return True
    if isinstance(event.tells, KeyChanged):
        keys[row["source"], event.tells.jwk.kid] = from_base64url(event.tells.jwk.x)
    return True


def _walk(store: Store, chain: ChainSummary, keys: _Keys, lost: _Lost) -> _Walk:
    """By number; ``before`` and ``here`` are the versions of the last two numbers. Notes ``lost`` ranges."""
    walk = _Walk()
    before: list[Place] = []
    here: list[Place] = []
    for row in _rows(store, "event", chain):
        event = _sound(row, chain, keys)
        if isinstance(event, str):
            walk.flaw(event)
        elif row["verified"]:
            if isinstance(event.tells, Lost):
                ranges = lost.setdefault((chain.source, event.tells.chain), set())
                ranges.add((event.tells.from_, event.tells.to))
            if here and here[0].seq != event.seq:
                _judge(before, here, walk)
                before, here = here, []
            here.append(Place(event.seq, event.hash, event.prev, event.keyid, event.announces))
            walk.here(event.seq)
    _judge(before, here, walk)
    for row in _rows(store, "claim", chain):
        event = _sound(row, chain, keys)
        walk.flaw(f"alarm: {event}" if isinstance(event, str) else None)
    return walk


def _rows(store: Store, table: str, chain: ChainSummary) -> Iterator[Row]:
    return store.rows(
        f"SELECT seq, hash, verified, payload FROM {table} JOIN chain ON id = chain "
        "WHERE source = ? AND uuid = ? AND payload NOT NULL ORDER BY seq",
        chain.source,
        chain.chain,
    )


def _judge(before: list[Place], here: list[Place], walk: _Walk) -> None:
    if not here:
        return
    seq = here[0].seq
    if len(here) > 1:
        walk.flaw(f"fork at {seq}")
    if before and before[0].seq + 1 == seq and (problem := broken(before, here)):
        walk.flaw(f"broken link at {seq}: {problem}")
    if seq == 1:
        walk.flaw(begins(here[0]))


def _sound(row: Row, chain: ChainSummary, keys: _Keys) -> Event | str:
    """The event in a row, or what is wrong with its bytes. Held events are only read."""
    number = row["seq"]
    try:
        event = examine(bytes(row["payload"]))
        if row["verified"]:
            public = keys.get((chain.source, event.keyid))
            if public is None:
                return f"event {number}: key {event.keyid} is not trusted"
            event.unproven.prove(public)
    except ChainError as error:
        return f"event {number}: {error}"
    if (event.source, event.chain, event.seq, event.hash) != (chain.source, chain.chain, number, row["hash"]):
        return f"event {number}: the bytes are those of {event.source} {event.chain}/{event.seq}"
    return event

"""What the store holds, read consistently beside the writer: chains, gaps, findings."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from sqlite3 import Row

from device.events import NO_HASH
from recorder.hints import StatedChain, is_online, stated_chains
from recorder.pictures import LACKING, LOST, MISMATCH, STORED
from recorder.places import REMOVED, Gap, Stated, holes, name_hole, span
from recorder.rows import filled
from recorder.stating import stated as stated_by
from recorder.store import Store
from recorder.wholeness import obstacle


@dataclass(frozen=True, slots=True)
class ChainSummary:
    """One chain. ``whole``: up to here nothing is missing (0: nothing yet), ``whole_hash`` its hash.

    ``first`` and ``last`` are the numbers of verified events here, 0 where there is none; ``known`` is the
    newest number that is signed to exist. ``held`` events wait for a trusted key. ``obstacle``: a fork or
    a broken link that stops ``whole``. ``lost``: ranges that the post signed to be gone for good.
    ``refused``: numbers of which only bytes came that had to be refused.
    """

    source: str
    chain: str
    first: int
    last: int
    count: int
    held: int
    whole: int
    whole_hash: str
    known: int
    keyid: str | None
    obstacle: str | None
    gaps: tuple[Gap, ...]
    lost: tuple[tuple[int, int], ...]
    refused: tuple[int, ...] = ()

    @property
    def missing(self) -> tuple[Gap, ...]:
        """Gaps that somebody can still fill: no mere waiting at the post, nothing that it keeps no more."""
        return tuple(gap for gap in self.gaps if not gap.waits and not gap.gone)

    @property
    def whole_and_verified(self) -> bool:
        """Nothing of what was sent is missing, held or contradicted."""
        return not self.missing and not self.held and self.obstacle is None

    @property
    def verdict(self) -> str:
        """One phrase for people."""
        problems = [f"lacks {gap}" for gap in self.missing]
        if self.held:
            problems.append(f"{self.held} held: key not trusted")
        if self.obstacle:
            problems.append(self.obstacle)
        notes = [str(gap) for gap in self.gaps if gap.waits or gap.gone]
        notes += [f"{span(first, last)} lost for good" for first, last in self.lost]
        notes += [f"{seq} refused" for seq in self.refused]
        return ", ".join((problems or ["whole"]) + notes)


@dataclass(frozen=True, slots=True)
class PictureCount:
    """Announced pictures. ``lacking``: those that are asked for, since they or their right bytes are not here."""

    stored: int
    lacking: int
    lost: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole store at one moment. ``findings`` counts the open ones."""

    chains: tuple[ChainSummary, ...]
    verified: int
    held: int
    findings: int
    online: dict[str, bool]
    pictures: PictureCount


def summary(store: Store) -> Summary:
    """Everything to poll; call it within ``Store.snapshot()`` for one consistent view."""
    chains = tuple(_chains(store))
    reports = store.rows("SELECT source, payload FROM report WHERE name = 'status'")
    return Summary(
        chains=chains,
        verified=sum(chain.count for chain in chains),
        held=sum(chain.held for chain in chains),
        findings=store.number("SELECT count(*) FROM finding WHERE settled_ms IS NULL"),
        online={row["source"]: is_online(bytes(row["payload"])) for row in reports},
        pictures=_pictures(store),
    )


def chain_summary(store: Store, source: str, uuid: str) -> ChainSummary | None:
    """One chain; None if nobody has spoken of it."""
    row = store.row("SELECT * FROM chain WHERE source = ? AND uuid = ?", source, uuid)
    said = next((each for each in stated_by(store, source) if each.chain == uuid), None)
    if row is not None:
        return _chain(store, row, Stated(said.seq, said.first, said.sent) if said else None)
    return _only_stated(source, said) if said else None


def _pictures(store: Store) -> PictureCount:
    rows = store.rows("SELECT state, count(*) FROM picture WHERE chain NOT NULL GROUP BY state")
    counted = Counter({row[0]: row[1] for row in rows})
    return PictureCount(counted[STORED], counted[LACKING] + counted[MISMATCH], counted[LOST])


def _chains(store: Store) -> Iterator[ChainSummary]:
    stated = _stated(store)
    for row in list(store.rows("SELECT * FROM chain ORDER BY source, id")):
        said = stated.pop((row["source"], row["uuid"]), None)
        yield _chain(store, row, Stated(said.seq, said.first, said.sent) if said else None)
    for (source, _), said in stated.items():
        if said.seq:
            yield _only_stated(source, said)


def _only_stated(source: str, said: StatedChain) -> ChainSummary:
    gaps = tuple(name_hole(1, said.seq, 0, Stated(said.seq, said.first, said.sent)))
    return ChainSummary(source, said.chain, 0, 0, 0, 0, 0, NO_HASH, 0, None, None, gaps, ())


def _stated(store: Store) -> dict[tuple[str, str], StatedChain]:
    rows = store.rows("SELECT source, payload FROM report WHERE name = 'state'")
    return {(row["source"], said.chain): said for row in rows for said in stated_chains(bytes(row["payload"]))}


def _chain(store: Store, row: Row, stated: Stated | None) -> ChainSummary:
    chain, whole = row["id"], row["whole"]
    here = store.row("SELECT min(seq), max(seq), count(*) FROM event WHERE chain = ? AND verified", chain)
    newest = store.row("SELECT keyid FROM event WHERE chain = ? AND verified ORDER BY seq DESC LIMIT 1", chain)
    assert here is not None
    first, last, count = here[0] or 0, here[1] or 0, here[2]
    claimed = store.number("SELECT max(seq) FROM claim WHERE chain = ? AND verified", chain)
    newest_held = store.number("SELECT max(seq) FROM event WHERE chain = ? AND NOT verified", chain)
    known = max(last, claimed)
    upto = max(known, newest_held, stated.seq if stated else 0)
    stop = obstacle(store, chain)
    return ChainSummary(
        source=row["source"],
        chain=row["uuid"],
        first=first,
        last=last,
        count=count,
        held=store.number("SELECT count(*) FROM event WHERE chain = ? AND NOT verified", chain),
        whole=whole,
        whole_hash=row["whole_hash"],
        known=known,
        keyid=newest["keyid"] if newest else None,
        obstacle=stop.words if stop else None,
        gaps=(*_unseen(store, chain, whole), *_open(store, chain, whole, upto, max(last, newest_held), stated)),
        lost=tuple((r[0], r[1]) for r in store.rows("SELECT first, last FROM lost WHERE chain = ?", chain)),
        refused=tuple(r[0] for r in store.rows(f"SELECT seq FROM refused WHERE chain = ?1 AND {_NOT_HERE}", chain)),
    )


_NOT_HERE = "seq NOT IN (SELECT seq FROM event WHERE chain = ?1)"


def _open(
    store: Store, chain: int, whole: int, upto: int, newest_here: int, stated: Stated | None
) -> Iterator[Gap]:
    for hole in holes(whole + 1, upto, filled(store, chain, whole + 1, upto)):
        yield from name_hole(*hole, newest_here, stated)


def _unseen(store: Store, chain: int, whole: int) -> Iterator[Gap]:
    """Below ``whole``: what the post no longer kept when it was asked; above, ``name_hole`` says it."""
    sql = "SELECT first, min(last, ?2) AS last FROM unseen WHERE chain = ?1 AND first <= ?2 ORDER BY first"
    for first, last in [(row["first"], row["last"]) for row in store.rows(sql, chain, whole)]:
        for hole in holes(first, last, filled(store, chain, first, last)):
            yield Gap(*hole, REMOVED)

"""How far a chain is whole, what stops it there, and what its receipt says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from sqlite3 import Row

from device.events import NO_HASH
from recorder.places import Place, begins, follows
from recorder.store import Store

_PLACE = "SELECT seq, hash, prev, keyid, announces, again FROM event WHERE chain = ? AND verified"
_PREVIOUS = "verified AND how LIKE 'previous of %'"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stops ``whole`` other than missing numbers. ``mends``: it passes once both its sides came again."""

    words: str
    mends: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a receipt goes: a held, verified event; number 0 with 64 zeros for "nothing yet"."""

    seq: int
    hash: str


NOTHING = Reach(0, NO_HASH)


def places(store: Store, chain: int, seq: int) -> list[Place]:
    """The verified events of one number: none, one, or the versions of a fork."""
    return [_place(row) for row in store.rows(f"{_PLACE} AND seq = ?", chain, seq)]


def neighbours(store: Store, chain: int, seq: int) -> tuple[list[Place], list[Place], list[Place]]:
    """The ``places`` of the number before, of this one, and of the one behind."""
    found = [_place(row) for row in store.rows(f"{_PLACE} AND seq BETWEEN ? AND ?", chain, seq - 1, seq + 1)]
    before, here, after = ([place for place in found if place.seq == number] for number in range(seq - 1, seq + 2))
    return before, here, after


def contents(store: Store, chain: int, seq: int) -> int:
    """How many different contents are signed under one number; more than one is a fork."""
    sql = (
        "SELECT count(*) FROM (SELECT hash FROM event WHERE chain = ?1 AND seq = ?2 AND verified "
        "UNION SELECT hash FROM claim WHERE chain = ?1 AND seq = ?2 AND verified)"
    )
    return store.number(sql, chain, seq)


def broken(before: Sequence[Place], after: Sequence[Place]) -> str | None:
    """Why no version of two neighbours fits; None if one does or a side is not here."""
    problems = [follows(left, right) for left in before for right in after]
    return problems[0] if problems and all(problems) else None


def advance(store: Store, chain: int) -> bool:
    """Move ``whole`` as far as numbers, links and closed ranges carry it. True if it moved."""
    at = None
    for step in _steps(store, chain, _whole(store, chain)):
        if isinstance(step, Place):
            at = step
    if at is not None:
        store.run("UPDATE chain SET whole = ?, whole_hash = ? WHERE id = ?", at.seq, at.hash, chain)
    return at is not None


def obstacle(store: Store, chain: int) -> Obstacle | None:
    """A fork or a broken link directly behind ``whole``."""
    step = next(_steps(store, chain, _whole(store, chain)), None)
    return step if isinstance(step, Obstacle) else None


def rewind(store: Store, chain: int, seq: int) -> None:
    """``whole`` goes back below ``seq``, to the newest event held there."""
    at = _newest_below(store, chain, seq)
    sql = "UPDATE chain SET whole = ?, whole_hash = ? WHERE id = ? AND whole >= ?"
    store.run(sql, at.seq, at.hash, chain, seq)


def reach(store: Store, chain: int) -> Reach:
    """What a receipt for this chain says.

    Usually ``whole``. Before a broken link one event less, so that the post sends both of its sides again.
    At most the ``previous`` that a later chain names: the post itself knows nothing beyond. Up to that one past
    a fork, too: it names the branch that the post keeps.
    """
    at = _whole(store, chain)
    in_the_way = obstacle(store, chain)
    if in_the_way and in_the_way.mends:
        at = _newest_below(store, chain, at.seq)
    for end in _ends(store, chain):
        if end.seq <= at.seq or (in_the_way and not in_the_way.mends and _leads(store, chain, at, end)):
            return end
    return at


def followed(store: Store, chain: int) -> bool:
    """Whether a later chain names this one as its ``previous``."""
    return bool(store.number(f"SELECT EXISTS (SELECT 1 FROM claim WHERE chain = ? AND {_PREVIOUS})", chain))


def _ends(store: Store, chain: int) -> list[Reach]:
    """What later chains name as their ``previous``, as far as it is held, lowest first."""
    sql = (
        f"SELECT seq, hash FROM claim WHERE chain = ? AND {_PREVIOUS} AND EXISTS (SELECT 1 FROM event AS e "
        "WHERE e.chain = claim.chain AND e.seq = claim.seq AND e.hash = claim.hash AND e.verified) ORDER BY seq"
    )
    return [Reach(row["seq"], row["hash"]) for row in store.rows(sql, chain)]


def _leads(store: Store, chain: int, start: Reach, end: Reach) -> bool:
    """Whether every event between is held, each following the one before: one branch of a fork, read backwards."""
    after = None
    wanted = end.hash
    for seq in range(end.seq, max(start.seq, 1) - 1, -1):
        here = next((place for place in places(store, chain, seq) if place.hash == wanted), None)
        if here is None or (after and follows(here, after)):
            return False
        after, wanted = here, here.prev
    return after is not None and (after.hash == start.hash or (start == NOTHING and not begins(after)))


def closed_to(store: Store, chain: int, seq: int) -> int:
    """The last number closed without a hole from ``seq`` on; ``seq - 1`` if that one is open.

    Closed: signed as lost, refused twice with the same bytes, or no longer kept by the post when it was asked.
    """
    at = seq
    sql = (
        "SELECT max(last) FROM (SELECT last FROM lost WHERE chain = ?1 AND first <= ?2 AND last >= ?2 "
        "UNION ALL SELECT seq FROM refused WHERE chain = ?1 AND seq = ?2 "
        "UNION ALL SELECT last FROM unseen WHERE chain = ?1 AND first <= ?2 AND last >= ?2)"
    )
    while last := store.number(sql, chain, at):
        at = last + 1
    return at - 1


def _steps(store: Store, chain: int, start: Reach) -> Iterator[Place | Obstacle]:
    """The events that follow ``start`` wholly, in order, and at last what stops them, if not a missing number."""
    claims = _claims(store, chain, start.seq)
    held = (place for place in places(store, chain, start.seq) if place.hash == start.hash)
    before, at = next(held, None), start.seq
    above = map(_place, store.rows(f"{_PLACE} AND seq > ? ORDER BY seq", chain, start.seq))
    for seq, versions in groupby(above, key=attrgetter("seq")):
        if seq > at + 1 and closed_to(store, chain, at + 1) < seq - 1:
            return
        here, *others = versions
        if others or claims.get(seq, set()) - {here.hash}:
            yield Obstacle(f"fork at {seq}", mends=False)
            return
        left = before if seq == at + 1 else None
        problem = begins(here) if seq == 1 else follows(left, here) if left else None
        if problem and not _confirmed(store, chain, left, here):
            yield Obstacle(f"broken link at {seq}", mends=True)
            return
        yield here
        before, at = here, seq


def _confirmed(store: Store, chain: int, *sides: Place | None) -> bool:
    """Whether both sides of a broken link came again, or cannot because the post has them no more."""
    kept = store.number("SELECT first FROM chain WHERE id = ?", chain)
    return all(
        side is None or side.again or side.seq < kept or closed_to(store, chain, side.seq) >= side.seq
        for side in sides
    )


def _claims(store: Store, chain: int, above: int) -> dict[int, set[str]]:
    claims: dict[int, set[str]] = {}
    for row in store.rows("SELECT seq, hash FROM claim WHERE chain = ? AND seq > ? AND verified", chain, above):
        claims.setdefault(row["seq"], set()).add(row["hash"])
    return claims


def _place(row: Row) -> Place:
    seq, event_hash, prev, keyid, announces, again = row
    return Place(seq, event_hash, prev, keyid, announces, bool(again))


def _whole(store: Store, chain: int) -> Reach:
    row = store.row("SELECT whole, whole_hash FROM chain WHERE id = ?", chain)
    assert row is not None
    return Reach(row["whole"], row["whole_hash"])


def _newest_below(store: Store, chain: int, seq: int) -> Reach:
    sql = "SELECT seq, hash FROM event WHERE chain = ? AND seq < ? AND verified ORDER BY seq DESC LIMIT 1"
    row = store.row(sql, chain, seq)
    return Reach(row["seq"], row["hash"]) if row else NOTHING

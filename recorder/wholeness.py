"""How far a chain is whole: what a receipt may say, and what stops it there."""

from collections.abc import Sequence

from device.events import NO_HASH
from recorder.places import Place, begins, follows
from recorder.store import Store


def places(store: Store, chain: int, seq: int) -> list[Place]:
    """The verified events of one number: none, one, or the versions of a fork."""
    sql = "SELECT seq, hash, prev, keyid, announces FROM event WHERE chain = ? AND seq = ? AND verified"
    return [Place(*row) for row in store.rows(sql, chain, seq)]


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


def advance(store: Store, chain: int) -> None:
    """Move ``whole`` as far as numbers, links and signed ``lost`` ranges carry it. Never over a fork."""
    row = store.row("SELECT whole, whole_hash FROM chain WHERE id = ?", chain)
    assert row is not None
    start = at = (row["whole"], row["whole_hash"])
    while isinstance(step := _next(store, chain, *at), Place):
        at = (step.seq, step.hash)
    if at != start:
        store.run("UPDATE chain SET whole = ?, whole_hash = ? WHERE id = ?", *at, chain)


def obstacle(store: Store, chain: int, whole: int, whole_hash: str) -> str | None:
    """What holds ``whole`` back other than missing numbers: a fork or a broken link."""
    step = _next(store, chain, whole, whole_hash)
    return step if isinstance(step, str) else None


def rewind(store: Store, chain: int, seq: int) -> None:
    """``whole`` goes back below ``seq``, to the newest event held there."""
    below = store.row(
        "SELECT seq, hash FROM event WHERE chain = ? AND seq < ? AND verified ORDER BY seq DESC LIMIT 1", chain, seq
    )
    at = (below["seq"], below["hash"]) if below else (0, NO_HASH)
    store.run("UPDATE chain SET whole = ?, whole_hash = ? WHERE id = ? AND whole >= ?", *at, chain, seq)


def closed_to(store: Store, chain: int, seq: int) -> int:
    """The last number that ``lost`` ranges close without a hole from ``seq`` on; ``seq - 1`` if none does."""
    at = seq
    sql = "SELECT max(last) FROM lost WHERE chain = ? AND first <= ? AND last >= ?"
    while last := store.number(sql, chain, at, at):
        at = last + 1
    return at - 1


def _next(store: Store, chain: int, whole: int, whole_hash: str) -> Place | str | None:
    """The next whole event, what forbids it, or None where numbers are missing."""
    sql = "SELECT seq FROM event WHERE chain = ? AND seq > ? AND verified ORDER BY seq LIMIT 1"
    seq = store.number(sql, chain, whole)
    if not seq or (seq > whole + 1 and closed_to(store, chain, whole + 1) < seq - 1):
        return None
    if contents(store, chain, seq) > 1:
        return f"fork at {seq}"
    here = places(store, chain, seq)[0]
    problem = None
    if seq == 1:
        problem = begins(here)
    elif seq == whole + 1 and whole:
        before = [place for place in places(store, chain, whole) if place.hash == whole_hash]
        problem = broken(before, [here])
    return f"broken link at {seq}" if problem else here

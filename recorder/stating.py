"""What a post's ``state`` changes: which numbers it keeps no more, so that nobody can ask for them."""

from collections.abc import Iterable
from itertools import islice

from recorder.findings import note_standing
from recorder.hints import StatedChain, stated_chains
from recorder.intake import Flaw
from recorder.places import holes, span
from recorder.rows import chain_id, filled
from recorder.store import Store
from recorder.wholeness import rewind

MAX_HOLES = 1000
"""Noted of one state; a state that leaves more leaves them as gaps."""


def stated(store: Store, source: str) -> tuple[StatedChain, ...]:
    """The chains of the last ``state``, newest first as the post orders them."""
    row = store.row("SELECT payload FROM report WHERE name = 'state' AND source = ?", source)
    return stated_chains(bytes(row["payload"])) if row else ()


def hear_chain(store: Store, source: str, uuid: str, at_ms: int) -> None:
    """A chain is new here: its post may have stated before how much of it is kept."""
    for said in stated(store, source):
        if said.chain == uuid:
            _keep_from(store, source, said, at_ms)


def hear_state(store: Store, source: str, at_ms: int) -> list[int]:
    """After the last ``state`` was stored: the chains that it changes."""
    changed = [_keep_from(store, source, said, at_ms) for said in stated(store, source)]
    return [chain for chain in changed if chain is not None]


def _keep_from(store: Store, source: str, said: StatedChain, at_ms: int) -> int | None:
    """Follow ``first``. A ``first`` beyond the newest event is nonsense, and a chain unknown here can wait."""
    chain = chain_id(store, source, said.chain)
    if chain is None or not 1 <= said.first <= said.seq:
        return None
    before = store.number("SELECT first FROM chain WHERE id = ?", chain)
    if said.first == before:
        return None
    store.run("UPDATE chain SET first = ? WHERE id = ?", said.first, chain)
    if said.first > before:
        open_ = holes(before, said.first - 1, filled(store, chain, before, said.first - 1))
        for first, last in list(islice(open_, MAX_HOLES)):
            store.run("INSERT OR REPLACE INTO unseen VALUES (?, ?, ?)", chain, first, last)
            _note(store, source, said.chain, first, last, at_ms)
    else:
        _take_back(store, source, said, chain, at_ms)
    return chain


def _take_back(store: Store, source: str, said: StatedChain, chain: int, at_ms: int) -> None:
    """The post keeps more than it said: what was given up can be asked for."""
    rows = store.rows("SELECT first, last FROM unseen WHERE chain = ? AND last >= ?", chain, said.first)
    for first, last in [(row["first"], row["last"]) for row in rows]:
        _forget(store, source, chain, said.chain, first, last, at_ms)
        if first < said.first:
            store.run("INSERT INTO unseen VALUES (?, ?, ?)", chain, first, said.first - 1)
            _note(store, source, said.chain, first, said.first - 1, at_ms)
        rewind(store, chain, max(first, said.first))


def came_late(store: Store, source: str, uuid: str, numbers: Iterable[int], at_ms: int) -> None:
    """Events that the post no longer kept came after all, from its card for one."""
    chain = chain_id(store, source, uuid)
    sql = "SELECT first, last FROM unseen WHERE chain = ? AND first <= ? AND last >= ?"
    ranges = {(row["first"], row["last"]) for seq in numbers for row in store.rows(sql, chain, seq, seq)}
    for first, last in ranges:
        assert chain is not None
        if next(holes(first, last, filled(store, chain, first, last)), None) is None:
            _forget(store, source, chain, uuid, first, last, at_ms)


def _forget(store: Store, source: str, chain: int, uuid: str, first: int, last: int, at_ms: int) -> None:
    store.run("DELETE FROM unseen WHERE chain = ? AND first = ?", chain, first)
    note_standing(store, source, Flaw.UNSEEN, f"{uuid}/{span(first, last)}", None, at_ms=at_ms)


def _note(store: Store, source: str, uuid: str, first: int, last: int, at_ms: int) -> None:
    numbers = f"{uuid}/{span(first, last)}"
    detail = f"never seen here: {numbers}: the post no longer keeps it"
    note_standing(store, source, Flaw.UNSEEN, numbers, detail, at_ms=at_ms)

"""Rows of chains and events: found, made, filled."""

from collections.abc import Iterator

from recorder.intake import Event
from recorder.store import Store


def chain_id(store: Store, source: str, uuid: str) -> int | None:
    """The row of a chain."""
    row = store.row("SELECT id FROM chain WHERE source = ? AND uuid = ?", source, uuid)
    return int(row["id"]) if row else None


def name_of(store: Store, chain: int) -> tuple[str, str]:
    """Source and id of a chain's row."""
    row = store.row("SELECT source, uuid FROM chain WHERE id = ?", chain)
    assert row is not None
    return row["source"], row["uuid"]


def known(store: Store, event: Event) -> bool:
    """Whether these very bytes are here already; that they came again is noted."""
    chain = chain_id(store, event.source, event.chain)
    if chain is None:
        return False
    table, where = table_of(event)
    place = (chain, event.seq, event.hash)
    if not store.row(f"SELECT 1 FROM {table} WHERE {where}", *place):
        return False
    if not event.alarm:
        store.run(f"UPDATE event SET again = 1 WHERE {where} AND NOT again", *place)
    return True


def insert(store: Store, chain: int, event: Event, at_ms: int, *, verified: bool) -> None:
    """A new event, or the copy of one that an alarm is."""
    place = (chain, event.seq, event.hash)
    if event.alarm:
        how = f"alarm/{event.kind}"
        rest = (event.keyid, verified, at_ms, event.payload)
        store.run("INSERT INTO claim VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *place, how, *rest)
    else:
        link = (event.prev, event.keyid, event.announces)
        content = (verified, at_ms, event.payload, event.kind)
        store.run("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)", *place, *link, *content)


def table_of(event: Event) -> tuple[str, str]:
    """Where an event or its alarm copy is kept, and the words that find it by (chain, seq, hash)."""
    where = "chain = ? AND seq = ? AND hash = ?"
    return ("claim", f"{where} AND how LIKE 'alarm/%'") if event.alarm else ("event", where)


def filled(store: Store, chain: int, low: int, high: int) -> Iterator[tuple[int, int]]:
    """Intervals of ``low`` to ``high`` that are here (held ones too) or signed as lost or refused, by beginning."""
    sql = (
        "WITH n AS (SELECT DISTINCT seq FROM event WHERE chain = ?1 AND seq BETWEEN ?2 AND ?3), "
        "island AS (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS at FROM n) "
        "SELECT min(seq) AS first, max(seq) AS last FROM island GROUP BY at "
        "UNION ALL SELECT first, last FROM lost WHERE chain = ?1 AND last >= ?2 AND first <= ?3 "
        "UNION ALL SELECT seq, seq FROM refused WHERE chain = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY first"
    )
    for row in store.rows(sql, chain, low, high):
        yield row["first"], row["last"]

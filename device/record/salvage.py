"""What can still be read and verified of a damaged journal goes into the new one, byte for byte."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from device.errors import ChainError
from device.record.chain import read, verify
from device.record.journal import SALVAGED, ChainRow, Journal, Row
from device.record.keys import SigningKey
from device.record.verification import public_keys


def salvage(damaged: Path, fresh: Journal, key: SigningKey, told: Callable[[int], str]) -> str:
    """Copy what verifies of a damaged journal, rows with their positions, into ``fresh``.

    ``told``: the line about it, from the number of rows. It is kept with them, and returned.
    """
    rows: dict[int, Row] = {}
    chains: dict[str, int] = {}
    with closing(sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=ro", uri=True)) as database:
        jwks = _jwks(database)
        keys = public_keys(jwks.values()) | {key.kid: key.public}
        # Damage in the middle stops a scan; from the other end it is reached from behind.
        for direction in ("ASC", "DESC"):
            for row in _readable(database, direction):
                if row.position in rows:
                    break
                if (chain := _chain_of(row, keys)) is not None:
                    rows[row.position] = row
                    chains[chain.chain] = chain.before
        done = _cursor(database)
        alarms = [position for (position,) in _all(database, "SELECT position FROM alarms") if position in rows]
        snapshots = dict(_all(database, "SELECT rule, state FROM snapshots"))
    held = [rows[position] for position in sorted(rows)]
    # Positions behind the last one kept are given anew: a cursor beyond it would pass events never sent.
    done = min(done, held[-1].position if held else 0)
    snapshots[SALVAGED] = line = told(len(held))
    fresh.restore(
        held, [ChainRow(chain, before) for chain, before in chains.items()], done, jwks, alarms, snapshots
    )
    return line


def _readable(database: sqlite3.Connection, direction: str) -> Iterator[Row]:
    try:
        query = f"SELECT position, event FROM events ORDER BY position {direction}"
        for position, event in database.execute(query):
            if isinstance(event, bytes):
                yield Row(position, event)
    except sqlite3.DatabaseError:
        return  # the rest of this direction is unreadable: that is what salvage is for


def _chain_of(row: Row, keys: Mapping[str, bytes]) -> ChainRow | None:
    try:
        envelope = read(row.event)
        verify(row.event, keys[envelope.keyid])
    except (ChainError, KeyError):
        return None
    return ChainRow(envelope.chain, row.position - envelope.seq)


def _cursor(database: sqlite3.Connection) -> int:
    try:
        found = database.execute("SELECT position FROM cursors WHERE name = 'done'").fetchone()
    except sqlite3.DatabaseError:
        return 0
    return int(found[0]) if found else 0


def _all(database: sqlite3.Connection, query: str) -> list[Any]:
    """Every row of a query, as far as it can be read."""
    found: list[Any] = []
    try:
        found.extend(database.execute(query))
    except sqlite3.DatabaseError:
        return found
    return found


def _jwks(database: sqlite3.Connection) -> dict[str, str]:
    """The public keys that the damaged journal names, by key id."""
    try:
        found = dict(database.execute("SELECT kid, jwk FROM keys"))
        public_keys(found.values())
    except (sqlite3.DatabaseError, ValueError):
        return {}
    return found

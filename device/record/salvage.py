"""What can still be read of a damaged journal goes into a new one, byte for byte."""

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import chain as in_turn
from pathlib import Path
from typing import Any, TypeVar

from device.events import Jwk
from device.record.journal_reader import DONE, NEWEST, OLDEST, SALVAGED, ChainRow
from device.record.journal_schema import Database, bound_memory, kept_sum, make_or_upgrade, put_kept
from device.record.places import holes_between
from device.record.raw_log import Counted, Log, beside
from device.record.raw_pages import Pages
from device.record.saved_rows import SavedRows, Survey

T = TypeVar("T", str, int)


def salvage(
    damaged: Path, new: Path, own: Jwk | None, told: Callable[[int], str], counted: Counted | None = None
) -> str:
    """Write what is sound of a damaged journal, rows with their positions, into the new file ``new``.

    ``own``: the post's public key. ``told``: the line about it, from the number of rows; it is kept with them, and
    returned. ``counted``: what the log's index said before anybody opened the journal anew. The new file is on the
    disk then. Memory does not grow with the journal. Raises sqlite3.Error and OSError where ``new`` cannot be
    written.
    """
    new.unlink(missing_ok=True)
    with closing(sqlite3.connect(new, isolation_level=None)) as fresh:
        # Whoever dies here begins again with an empty file, so nothing need be undone or synced on the way.
        fresh.execute("PRAGMA journal_mode = OFF")
        fresh.execute("PRAGMA synchronous = OFF")
        bound_memory(fresh)
        make_or_upgrade(fresh)
        fresh.execute("BEGIN")
        cursors = _kept(damaged, "SELECT name, position, sum FROM cursors", int)
        chains = _save_rows(fresh, damaged, own, counted, cursors.get(OLDEST, 1))
        if NEWEST in cursors and chains:
            # Noted once older ones were removed. Before the first chain that is known, nothing can be named.
            cursors[OLDEST] = max(cursors.get(OLDEST, 1), chains[-1].before + 1)
        _save_chains(fresh, chains, cursors.get(OLDEST), cursors.get(NEWEST, 0))
        line = _save_beside(fresh, damaged, cursors, told)
        fresh.execute("COMMIT")
    with new.open("rb") as stream:
        os.fsync(stream.fileno())
    return line


def _save_rows(
    fresh: sqlite3.Connection, damaged: Path, own: Jwk | None, counted: Counted | None, oldest: int
) -> list[ChainRow]:
    """Take rows from the bare pages: SQLite finds none behind a damaged page that leads to others. The chains."""
    survey = Survey()
    for (jwk,) in _all(damaged, "SELECT jwk FROM keys"):
        survey.know(jwk)
    if own is not None:
        survey.know(own)
    log = Log(beside(damaged, "-wal"), counted)
    with closing(log), closing(Pages(damaged, log)) as pages:
        for found in pages.rows():
            survey.look(found)
        chains = survey.chains(_all(damaged, "SELECT chain, before FROM chains"))
        saved = SavedRows(fresh, survey.keys, chains, oldest)
        for found in pages.rows():
            saved.take(found)
    saved.settle()
    keys = ((kid, survey.keys[kid].jwk.model_dump_json(), since) for kid, since in saved.used.items())
    fresh.executemany("INSERT INTO keys VALUES (?, ?, ?)", keys)
    return chains


def _save_chains(fresh: sqlite3.Connection, chains: list[ChainRow], oldest: int | None, newest: int) -> None:
    """The chains, and what is lost of them: between the rows, before the first and behind the last of them."""
    (last,) = fresh.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
    rows = fresh.execute("SELECT position FROM events ORDER BY position")
    before = () if oldest is None else (oldest - 1,)
    behind = () if newest <= last else (newest + 1,)
    holes = holes_between(in_turn(before, (position for (position,) in rows), behind), chains)
    fresh.executemany("INSERT INTO lost VALUES (?, ?, ?)", holes)
    # The next chain begins behind the last row: no other may be there.
    fresh.executemany("INSERT INTO chains VALUES (?, ?)", (chain for chain in chains if chain.before < last))


def _save_beside(
    fresh: sqlite3.Connection, damaged: Path, cursors: Mapping[str, int], told: Callable[[int], str]
) -> str:
    count, oldest, newest = fresh.execute(
        "SELECT count(*), coalesce(min(position), 1), coalesce(max(position), 0) FROM events"
    ).fetchone()
    # Positions behind the last one kept are given anew: a cursor beyond it would pass events never sent.
    kept = {name: max(0, min(position, newest)) for name, position in cursors.items()}
    oldest = max(1, kept.get(OLDEST, oldest))
    put_kept(fresh, "cursors", {DONE: 0, **kept, OLDEST: oldest, NEWEST: newest})
    alarms = _all(damaged, "SELECT position FROM alarms")
    fresh.executemany("INSERT OR IGNORE INTO alarms SELECT position FROM events WHERE position = ?", alarms)
    line = told(count)
    snapshots = _kept(damaged, "SELECT rule, state, sum FROM snapshots", str)
    put_kept(fresh, "snapshots", {**snapshots, SALVAGED: line})
    return line


def _kept(damaged: Path, query: str, kind: type[T]) -> dict[str, T]:
    """Those of a query's names and values whose sums are right."""
    return {
        name: value
        for name, value, found in _all(damaged, query)
        if isinstance(name, str) and isinstance(value, kind) and found == kept_sum(name, value)
    }


def _all(damaged: Path, query: str) -> list[Any]:
    """Every row of a query on the damaged journal, as far as SQLite can read it."""
    found: list[Any] = []
    if not damaged.is_file() or damaged.stat().st_size == 0:  # SQLite deletes the log of an empty one
        return found
    try:
        address = f"{damaged.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, factory=Database)) as database:
            database.execute("PRAGMA writable_schema = ON")  # it is not: so a file that is cut off can be read
            bound_memory(database)
            found.extend(database.execute(query))
    except sqlite3.DatabaseError:
        return found
    return found

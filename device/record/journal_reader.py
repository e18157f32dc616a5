"""Reading a journal: its events as they were written, its chains, cursors, keys and snapshots."""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from device.errors import JournalDamaged, NotReadable, StateError
from device.record.journal_schema import Database, bound_memory, check_version, is_damage, kept_sum
from device.record.room import Tables

T = TypeVar("T", str, int)

SALVAGED = "salvaged"
"""Stands among the snapshots from salvage to the first event of the new chain: a start between may die."""

DONE = "done"
"""The cursor up to which a broker has acknowledged every event."""
OLDEST, NEWEST = "oldest", "newest"
"""Cursors of the journal itself: what the table of events gives must be what was last committed."""


class Row(NamedTuple):
    """One event as it is kept."""

    position: int
    event: bytes


class Hole(NamedTuple):
    """Numbers of a chain, ``first`` to ``last``, that are gone for good."""

    chain: str
    first: int
    last: int


class ChainRow(NamedTuple):
    """A chain of this journal: its number ``n`` stands at position ``before + n``."""

    chain: str
    before: int


class JournalReader:
    """One post's journal, read beside its writer or by it. Used by one thread only.

    Whatever is not what was written raises JournalDamaged; what the disk does not give back, NotReadable.
    """

    def __init__(self, database: sqlite3.Connection, file: Path) -> None:
        """Use ``JournalReader.open``."""
        self._database = database
        self._file = file
        self._damaged = False

    @classmethod
    def open(cls, file: Path) -> Self:
        """Open an existing journal beside its writer. Raises StateError, JournalDamaged."""
        try:
            size = file.stat().st_size
        except FileNotFoundError:
            raise StateError(f"{file}: no journal there; has this post ever run?") from None
        except OSError as error:
            raise StateError(f"{file}: cannot be read ({error.strerror}); see who owns it") from None
        if size == 0:  # SQLite would delete its log
            raise JournalDamaged("cannot be read as a journal: it is empty")
        address = f"{file.absolute().as_uri()}?mode=ro"
        log = file.with_name(f"{file.name}-wal")
        try:
            return cls._read(file, address)
        except StateError:
            # A disk that takes nothing has no room for the index of a log; where there is no log, none is needed.
            if log.exists() and log.stat().st_size > 0:
                raise
            return cls._read(file, f"{address}&immutable=1")

    @classmethod
    def _read(cls, file: Path, address: str) -> Self:
        try:
            database = sqlite3.connect(address, uri=True, timeout=5.0, factory=Database)
        except sqlite3.DatabaseError as error:
            raise StateError(f"{file}: cannot be read as a journal ({error})") from None
        with ExitStack() as undo:
            undo.callback(database.close)
            try:
                bound_memory(database)
                check_version(database, file)
            except sqlite3.DatabaseError as error:
                if is_damage(error):
                    raise JournalDamaged(f"cannot be read as a journal: {error}") from None
                raise StateError(f"{file}: cannot be read as a journal ({error})") from None
            undo.pop_all()
            return cls(database, file)

    def close(self, as_it_stands: bool = False) -> None:
        """Close the file. ``as_it_stands``: it is damaged, and stays so for salvage, as after ``damage``.

        Whoever closes it last copies the log into the database and deletes it, unless another has it open.
        """
        with ExitStack() as stack:
            if as_it_stands or self._damaged:
                with suppress(sqlite3.DatabaseError):
                    other = sqlite3.connect(f"{self._file.absolute().as_uri()}?mode=ro", uri=True, factory=Database)
                    stack.callback(other.close)
                    other.execute("SELECT * FROM sqlite_master").fetchall()
            self._database.close()

    def used_bytes(self) -> int:
        """Bytes of the tables. What was removed is used again before the file grows."""
        return self._tables().used

    def _tables(self) -> Tables:
        (pages,), (free,), (size,) = (
            self._all(f"PRAGMA {name}")[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return Tables((pages - free) * size, free * size)

    def newest(self) -> int:
        """Position of the newest event, 0 for none."""
        return int(self._all("SELECT coalesce(max(position), 0) FROM events")[0][0])

    def oldest(self) -> int:
        """Position of the oldest event still kept, 0 for none."""
        return int(self._all("SELECT coalesce(min(position), 0) FROM events")[0][0])

    def cursors(self) -> dict[str, int]:
        """The positions as last committed: ``done``, and how far each chain is receipted, by its id."""
        return {name: position for name, position in self._cursors().items() if name not in (OLDEST, NEWEST)}

    def bounds(self) -> tuple[int, int]:
        """The positions of the oldest and the newest event as last committed: (1, 0) for none."""
        cursors = self._cursors()
        return cursors.get(OLDEST, 1), cursors.get(NEWEST, self.newest())

    def _cursors(self) -> dict[str, int]:
        return dict(self._kept("SELECT name, position, sum FROM cursors", int))

    def alarms(self) -> list[int]:
        """Positions of the alarms that no broker has acknowledged."""
        return [position for (position,) in self._all("SELECT position FROM alarms ORDER BY position")]

    def rows(self, after: int, limit: int, *, as_written: bool = True) -> list[Row]:
        """At most ``limit`` events behind position ``after``, in order.

        ``as_written``: one that is not what was written is damage; else each is given as it is found.
        """
        query = "SELECT position, event, hash FROM events WHERE position > ? ORDER BY position LIMIT ?"
        rows, at = [], after
        for position, event, digest in self._all(query, (after, limit)):
            if position <= at:  # pages changed places
                raise self.damage(f"{self.named(at + 1)} is missing, row {position} is in its place")
            at = position
            # SQLite keeps a value's type with the value, so a flipped bit may make a text of it.
            found = event if isinstance(event, bytes) else str(event).encode()
            if as_written and (found is not event or hashlib.sha256(found).digest() != digest):
                raise self.damage(f"{self.named(position)} is not what was written")
            rows.append(Row(position, found))
        return rows

    def all_rows(self) -> Iterator[Row]:
        """Every event, in order, without holding them all in memory; what stands before damage comes before it."""
        after, limit = 0, 1000
        while True:
            try:
                rows = self.rows(after, limit)
            except JournalDamaged:
                if limit == 1:
                    raise
                limit = 1
                continue
            if not rows:
                return
            yield from rows
            after = rows[-1].position

    def chains(self) -> list[ChainRow]:
        """Every chain of this journal, newest first."""
        query = "SELECT chain, before FROM chains ORDER BY before DESC"
        return [ChainRow(*row) for row in self._typed(query, str, int)]

    def named(self, position: int) -> str:
        """A row and what is there, or should be: ``row 7 (<chain>/3)``."""
        found = next((chain for chain in self.chains() if chain.before < position), None)
        return f"row {position}" + ("" if found is None else f" ({found.chain}/{position - found.before})")

    def holes(self) -> list[Hole]:
        """What salvage did not find of the damaged journals that this one came from."""
        query = "SELECT chain, first, last FROM lost ORDER BY rowid"
        return [Hole(*found) for found in self._typed(query, str, int, int)]

    def snapshots(self) -> dict[str, str]:
        """The rules' snapshots by rule name."""
        return dict(self._kept("SELECT rule, state, sum FROM snapshots", str))

    def _kept(self, query: str, kind: type[T]) -> Iterator[tuple[str, T]]:
        for name, value, found in self._typed(query, str, kind, int):
            if found != kept_sum(name, value):
                raise self.damage(f"{name} is not what was written")
            yield name, value

    def salvaged(self) -> str | None:
        """A line about the damaged journal that this one came from, until its new chain has begun."""
        return self.snapshots().get(SALVAGED)

    def public_jwks(self) -> list[str]:
        """Every public key this journal's events were signed with, as JWK texts, newest first."""
        return [jwk for (jwk,) in self._typed("SELECT jwk FROM keys ORDER BY since DESC", str)]

    def _typed(self, query: str, *kinds: type) -> list[Any]:
        """SQLite keeps a value's kind with the value, so a flipped bit may make bytes of a number."""
        found = self._all(query)
        if any(type(value) is not kind for row in found for value, kind in zip(row, kinds, strict=True)):
            raise self.damage(f"a value is of another kind than what was written ({query})")
        return found

    def _all(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            if is_damage(error):
                raise self.damage(str(error)) from error
            raise NotReadable(f"{self._file}: {error}; mend the disk") from error

    def damage(self, why: str) -> JournalDamaged:
        """What to raise where the journal is not what was written: it is then closed as it stands."""
        self._damaged = True
        return JournalDamaged(why)

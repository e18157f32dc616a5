"""The journal: every event as its exact bytes in one SQLite file, with the rules' snapshots and the cursor."""

import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from device.errors import NotRecorded, StateError
from device.record.chain import Sealed

log = logging.getLogger(__name__)

VERSION = 1
CHECKPOINT_IDLE_BYTES = 4 << 20
CHECKPOINT_BUSY_BYTES = 64 << 20
"""How much write-ahead log is copied into the database at an idle moment, and how much at any moment."""
SALVAGED = "salvaged"
"""Stands among the snapshots from salvage to the first event of the new chain: a start between may die."""
_COMMIT_BYTES = 3 * 4096  # what a commit writes besides its events: snapshots, cursor, the tables' roots

DONE = "done"
"""The cursor up to which a broker has acknowledged every event."""

_SCHEMA = f"""
BEGIN;
-- position counts every event of this journal from 1; an event's number in its chain is position - before.
CREATE TABLE events (position INTEGER PRIMARY KEY, event BLOB NOT NULL);
CREATE TABLE chains (chain TEXT PRIMARY KEY, before INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE snapshots (rule TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
-- alarms that no broker has acknowledged yet, by their event's position
CREATE TABLE alarms (position INTEGER PRIMARY KEY);
CREATE TABLE keys (kid TEXT PRIMARY KEY, jwk TEXT NOT NULL, since INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
COMMIT;
"""


class Row(NamedTuple):
    """One event as it is kept."""

    position: int
    event: bytes


class ChainRow(NamedTuple):
    """A chain of this journal: its number ``n`` stands at position ``before + n``."""

    chain: str
    before: int


@dataclass(frozen=True, slots=True)
class Sent:
    """What the link knows and the next commit keeps: a stale one is harmless, it only sends again.

    ``cursors``: ``done``, and by chain id how far it is receipted. ``alarms``: acknowledged ones.
    """

    cursors: Mapping[str, int]
    alarms: Collection[int] = ()


class Journal:
    """One post's journal. Used by one thread only.

    Durability: WAL with ``synchronous=FULL`` is one fdatasync of the log per commit
    (SQLite, "PRAGMA synchronous"), and the only setting besides DELETE with EXTRA that lost nothing
    when power was cut in the middle of writes.
    """

    def __init__(self, database: sqlite3.Connection, file: Path) -> None:
        """Use ``Journal.open`` or ``Journal.read_only``."""
        self._database = database
        self._file = file
        log = file.with_name(f"{file.name}-wal")
        self._log_bytes = log.stat().st_size if log.exists() else 0

    @classmethod
    def open(cls, file: Path) -> Self:
        """Open or make a journal for writing. Raises sqlite3.DatabaseError for a damaged file, StateError."""
        database = sqlite3.connect(file, isolation_level=None, check_same_thread=True, timeout=1.0)
        with ExitStack() as undo:
            undo.callback(database.close)
            if database.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
                raise StateError(f"{file}: no write-ahead log can be kept there; put state_dir on a local disk")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA wal_autocheckpoint = 0")
            if database.execute("PRAGMA user_version").fetchone() == (0,):
                database.executescript(_SCHEMA)
            journal = cls._checked(database, file)
            undo.pop_all()
            return journal

    @classmethod
    def read_only(cls, file: Path) -> Self:
        """Open an existing journal beside its writer. Raises StateError."""
        if not file.is_file():
            raise StateError(f"{file}: no journal there; has this post ever run?")
        try:
            database = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
        except sqlite3.DatabaseError as error:
            raise StateError(f"{file}: cannot be read as a journal ({error})") from None
        try:
            return cls._checked(database, file)
        except sqlite3.DatabaseError as error:
            database.close()
            raise StateError(f"{file}: cannot be read as a journal ({error})") from None

    @classmethod
    def _checked(cls, database: sqlite3.Connection, file: Path) -> Self:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            database.close()
            raise StateError(
                f"{file}: journal version {version}, this program knows {VERSION}; update the firmware"
            )
        return cls(database, file)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def append(self, events: Sequence[Sealed], snapshots: Mapping[str, str], sent: Sent) -> int:
        """Commit events, the rules' snapshots and what the link knows durably, all or nothing.

        Returns the newest position. Raises NotRecorded; then nothing of it holds.
        """
        try:
            self._database.execute("BEGIN IMMEDIATE")
            position = self._insert(events)
            self._database.executemany("REPLACE INTO snapshots VALUES (?, ?)", snapshots.items())
            self._database.executemany("REPLACE INTO cursors VALUES (?, ?)", sent.cursors.items())
            closed = ((alarm,) for alarm in sent.alarms)
            self._database.executemany("DELETE FROM alarms WHERE position = ?", closed)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise NotRecorded(f"{self._file}: {error}; make room or mend the disk") from error
        self._log_bytes += _COMMIT_BYTES + sum(len(sealed.event) for sealed in events)
        return position

    def _insert(self, events: Sequence[Sealed]) -> int:
        position = self.newest()
        for sealed in events:
            if sealed.head.seq == 1:
                self._database.execute("DELETE FROM snapshots WHERE rule = ?", (SALVAGED,))
                self._database.execute("INSERT INTO chains VALUES (?, ?)", (sealed.head.chain, position))
            position += 1
            self._database.execute("INSERT INTO events VALUES (?, ?)", (position, sealed.event))
            if sealed.alarm:
                self._database.execute("INSERT INTO alarms VALUES (?)", (position,))
            if sealed.jwk is not None:
                key = (sealed.jwk.kid, sealed.jwk.model_dump_json(), position)
                self._database.execute("INSERT OR IGNORE INTO keys VALUES (?, ?, ?)", key)
        return position

    def restore(
        self,
        rows: Sequence[Row],
        chains: Sequence[ChainRow],
        done: int,
        keys: Mapping[str, str],
        alarms: Sequence[int],
        snapshots: Mapping[str, str],
    ) -> None:
        """Fill an empty journal with what was salvaged of another. Raises sqlite3.DatabaseError."""
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT INTO events VALUES (?, ?)", rows)
            self._database.executemany("INSERT INTO chains VALUES (?, ?)", chains)
            self._database.execute("REPLACE INTO cursors VALUES (?, ?)", (DONE, done))
            self._database.executemany("INSERT INTO keys VALUES (?, ?, 0)", keys.items())
            self._database.executemany("INSERT INTO alarms VALUES (?)", ((position,) for position in alarms))
            self._database.executemany("INSERT INTO snapshots VALUES (?, ?)", snapshots.items())

    def salvaged(self) -> str | None:
        """A line about the damaged journal that this one came from, until its new chain has begun."""
        found = self._database.execute("SELECT state FROM snapshots WHERE rule = ?", (SALVAGED,)).fetchone()
        return None if found is None else str(found[0])

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            try:
                self._database.execute("ROLLBACK")
            except sqlite3.DatabaseError:
                # SQLite rolls back by itself after some I/O errors and then says that nothing is open.
                if self._database.in_transaction:
                    raise

    def newest(self) -> int:
        """Position of the newest event, 0 for none."""
        return int(self._database.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0])

    def oldest(self) -> int:
        """Position of the oldest event still kept, 0 for none."""
        return int(self._database.execute("SELECT coalesce(min(position), 0) FROM events").fetchone()[0])

    def cursors(self) -> dict[str, int]:
        """The positions as last committed: ``done``, and how far each chain is receipted, by its id."""
        return dict(self._database.execute("SELECT name, position FROM cursors"))

    def alarms(self) -> list[int]:
        """Positions of the alarms that no broker has acknowledged."""
        return [position for (position,) in self._database.execute("SELECT position FROM alarms ORDER BY position")]

    def rows(self, after: int, limit: int) -> list[Row]:
        """At most ``limit`` events behind position ``after``, in order. Raises sqlite3.DatabaseError."""
        query = "SELECT position, event FROM events WHERE position > ? ORDER BY position LIMIT ?"
        rows = [Row(*row) for row in self._database.execute(query, (after, limit))]
        if any(not isinstance(row.event, bytes) for row in rows):  # SQLite keeps a value's type with the value
            raise sqlite3.DatabaseError("an event is not kept as bytes")
        return rows

    def all_rows(self) -> Iterator[Row]:
        """Every event, in order, without holding them all in memory."""
        after = 0
        while rows := self.rows(after, 1000):
            yield from rows
            after = rows[-1].position

    def chains(self) -> list[ChainRow]:
        """Every chain of this journal, newest first."""
        query = "SELECT chain, before FROM chains ORDER BY before DESC"
        return [ChainRow(*row) for row in self._database.execute(query)]

    def holes(self) -> Iterator[tuple[str, int, int]]:
        """Runs of numbers that are missing between kept events of one chain: chain, first, last."""
        query = (
            "SELECT before_it + 1, position - 1 FROM "
            "(SELECT position, lag(position) OVER (ORDER BY position) AS before_it FROM events) "
            "WHERE position > before_it + 1"
        )
        chains = self.chains()
        for first, last in self._database.execute(query):
            chain = next((found for found in chains if found.before < first), None)
            if chain is not None:
                yield chain.chain, first - chain.before, last - chain.before

    def snapshots(self) -> dict[str, str]:
        """The rules' snapshots by rule name."""
        return dict(self._database.execute("SELECT rule, state FROM snapshots"))

    def public_jwks(self) -> list[str]:
        """Every public key this journal's events were signed with, as JWK texts, newest first."""
        return [jwk for (jwk,) in self._database.execute("SELECT jwk FROM keys ORDER BY since DESC")]

    def checkpoint(self, idle: bool) -> None:
        """Copy the write-ahead log into the database once it is large.

        A full disk refuses: nothing is lost by that, and it is tried again once the log has grown as much again.
        """
        if self._log_bytes >= (CHECKPOINT_IDLE_BYTES if idle else CHECKPOINT_BUSY_BYTES):
            self._log_bytes = 0
            try:
                self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")
            except sqlite3.DatabaseError as error:
                log.warning(
                    "%s: its write-ahead log stays long (%s); make room or mend the disk", self._file, error
                )

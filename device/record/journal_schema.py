"""The tables of the journal, their version, and what SQLite's error codes say about the file."""

import hashlib
import sqlite3
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device.errors import StateError

VERSION = 2
_LARGEST_VALUE_BYTES = 1 << 20
"""No event, snapshot or key comes near it; a damaged length may claim anything up to the file's own."""
_CACHE_KIB = 2_000

# position counts every event of this journal from 1; an event's number in its chain is position - before.
# hash: SHA-256 of the event's bytes; sum: kept_sum of the name and the value. SQLite keeps no checksums, and the
# cells of a card forget. Chains and keys are proved by the events.
# alarms: those that no broker has acknowledged yet, by their event's position.
# lost: the numbers that a salvage of this journal did not find any more.
_TABLES = (
    "CREATE TABLE events (position INTEGER PRIMARY KEY, event BLOB NOT NULL, hash BLOB)",
    "CREATE TABLE chains (chain TEXT PRIMARY KEY, before INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE snapshots (rule TEXT PRIMARY KEY, state TEXT NOT NULL, sum INTEGER) WITHOUT ROWID",
    "CREATE TABLE cursors (name TEXT PRIMARY KEY, position INTEGER NOT NULL, sum INTEGER) WITHOUT ROWID",
    "CREATE TABLE alarms (position INTEGER PRIMARY KEY)",
    "CREATE TABLE keys (kid TEXT PRIMARY KEY, jwk TEXT NOT NULL, since INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE lost (chain TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL)",
)
_FROM_1 = (
    "ALTER TABLE events ADD COLUMN hash BLOB",
    "UPDATE events SET hash = sha256(event)",
    "ALTER TABLE snapshots ADD COLUMN sum INTEGER",
    "UPDATE snapshots SET sum = kept_sum(rule, state)",
    "ALTER TABLE cursors ADD COLUMN sum INTEGER",
    "UPDATE cursors SET sum = kept_sum(name, position)",
    _TABLES[-1],
)

# Primary result codes (SQLite, "Result and Error Codes"). These speak of the disk or of another process, not of
# the file's content: PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN.
_DISK_TROUBLE = frozenset({3, 5, 6, 7, 8, 10, 13, 14})
# And these of the program's own doing: CONSTRAINT, MISUSE.
_CONTRADICTION = frozenset({19, 21})


class Database(sqlite3.Connection):
    """SQLite's messages quote a damaged schema as it is, which Python then cannot read: that is damage too."""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:  # noqa: ANN401 - what SQLite takes
        """As its base; every error that the file brings about is a sqlite3.Error."""
        try:
            return super().execute(statement, *values)
        except UnicodeDecodeError:
            raise sqlite3.DatabaseError("the description of its tables is no text") from None


def kept_sum(name: str, value: object) -> int:
    """CRC-32 of a snapshot or a cursor, kept beside it."""
    return zlib.crc32(f"{name} {value}".encode(errors="surrogatepass"))


def put_kept(database: sqlite3.Connection, table: str, values: Mapping[str, str] | Mapping[str, int]) -> None:
    """Write snapshots or cursors with their sums."""
    summed = ((name, value, kept_sum(name, value)) for name, value in values.items())
    database.executemany(f"REPLACE INTO {table} VALUES (?, ?, ?)", summed)


def bound_memory(database: sqlite3.Connection) -> None:
    """A damaged file must not ask for more memory than a sound one: its header has a cache size of its own."""
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE_BYTES)
    database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")


def make_or_upgrade(database: sqlite3.Connection) -> None:
    """Make the tables of an empty database; bring those of an earlier version to this one."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    database.create_function("sha256", 1, lambda event: hashlib.sha256(event).digest(), deterministic=True)
    database.create_function("kept_sum", 2, kept_sum, deterministic=True)
    steps = {0: _TABLES, 1: _FROM_1}.get(version, ())
    if steps:
        with database:
            database.execute("BEGIN IMMEDIATE")
            for step in steps:
                database.execute(step)
            database.execute(f"PRAGMA user_version = {VERSION}")


def check_version(database: sqlite3.Connection, file: Path) -> None:
    """Raises StateError for another program's journal, sqlite3.DatabaseError where only its number is damaged."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    tables = {sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    if tables == set(_TABLES):
        raise sqlite3.DatabaseError(f"its tables are of version {VERSION}, its header says {version}")
    mend = "start the post once, which brings it up to date" if version < VERSION else "update the firmware"
    raise StateError(f"{file}: journal version {version}, this program knows {VERSION}; {mend}")


def is_disk_trouble(error: sqlite3.Error) -> bool:
    """Whether the disk or another process is to blame; the file may be sound."""
    return _code(error) in _DISK_TROUBLE


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file's content is to blame. An error without a code is Python's own: text that is not UTF-8."""
    return isinstance(error, sqlite3.DatabaseError) and _code(error) not in _DISK_TROUBLE | _CONTRADICTION


def is_full(error: sqlite3.Error) -> bool:
    """Whether the disk has no room left."""
    return _code(error) == sqlite3.SQLITE_FULL


def _code(error: sqlite3.Error) -> int:
    """The primary result code, 0 for none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF

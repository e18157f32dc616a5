"""The recorder's SQLite file: schema, opening, and one durable transaction for a batch."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from recorder.errors import DiskRefuses, StoreError
from recorder.schema import APPLICATION_ID, SCHEMA_VERSION, upgrade

_BUSY_S = 30.0
"""A `trust` that verifies all that may be held takes some seconds; `run` waits for it."""

_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL})
"""Primary result codes that speak of the disk at this moment, not of the file's content."""


class Store:
    """One connection. The recorder's own writes; the query commands open it read-only beside it."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self.path = path

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Open for writing; a file that is not there is made. Raises StoreError."""
        with _named(path):
            store = cls(_connect(f"file:{quote(str(path.absolute()))}"), path)
            try:
                store._prepare()
            except (sqlite3.Error, StoreError):
                store.close()
                raise
        return store

    @classmethod
    def read(cls, path: Path) -> "Store":
        """Open read-only, also while a recorder writes. Raises StoreError."""
        if not path.is_file():
            raise StoreError(f"{path}: no such store; `run` makes it")
        with _named(path):
            store = cls(_connect(f"file:{quote(str(path.absolute()))}?mode=ro"), path)
            try:
                version = store.number("PRAGMA user_version")
                store._check(store.number("PRAGMA application_id"), version)
                if version < SCHEMA_VERSION:
                    raise StoreError(f"{path}: written by an older recorder; start `run` on it once")
            except (sqlite3.Error, StoreError):
                store.close()
                raise
        return store

    def close(self) -> None:
        """Close the connection; what was not committed is forgotten."""
        self._db.close()

    def __enter__(self) -> "Store":
        """The store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable at its end. Raises StoreError if the disk does not take it."""
        with _named(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One consistent view for several queries. Raises StoreError."""
        with _named(self.path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    def run(self, sql: str, *values: object) -> int:
        """Execute one statement; returns how many rows it changed."""
        return self._db.execute(sql, values).rowcount

    def rows(self, sql: str, *values: object) -> Iterator[sqlite3.Row]:
        """The rows of a query, one at a time."""
        cursor: Iterator[sqlite3.Row] = self._db.execute(sql, values)
        return cursor

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        """The first row of a query."""
        found: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
        return found

    def number(self, sql: str, *values: object) -> int:
        """The integer in the first column of the first row; 0 where there is none."""
        found = self.row(sql, *values)
        return int(found[0] or 0) if found else 0

    def probe(self) -> None:
        """Write a page and sync it, changing nothing. Raises DiskRefuses while the disk takes nothing."""
        with self.transaction():
            self.run(f"PRAGMA user_version={SCHEMA_VERSION}")

    def _prepare(self) -> None:
        """Everything on its way to the disk before COMMIT returns: WAL with synchronous=FULL."""
        application, version = self.number("PRAGMA application_id"), self.number("PRAGMA user_version")
        empty = self.number("SELECT count(*) FROM sqlite_master") == 0
        if not empty or application or version:
            self._check(application, version)
        self.run("PRAGMA journal_mode=WAL")
        self.run("PRAGMA synchronous=FULL")
        if version < SCHEMA_VERSION:
            self._db.executescript(upgrade(version))

    def _check(self, application: int, version: int) -> None:
        if application != APPLICATION_ID:
            raise StoreError(f"{self.path}: an SQLite file, but not a recorder's store; name another file")
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path}: written by a newer recorder (schema {version}, this one knows {SCHEMA_VERSION}); "
                "install that version"
            )


def _connect(uri: str) -> sqlite3.Connection:
    """Query threads read through connections of their own; a writer may be handed to its thread once."""
    db = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    return db


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """SQLite's words with the file's name before them."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
            raise DiskRefuses(f"{path}: {error}; make room on its disk, or end what locks it") from error
        raise StoreError(f"{path}: {error}; is it a recorder's store?") from error

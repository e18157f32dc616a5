"""The journal: every event as its exact bytes in one SQLite file, with the rules' snapshots and the cursor."""

import hashlib
import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from device.errors import JournalDamaged, NotReadable, NotRecorded, StateError
from device.record.chain import Sealed
from device.record.journal_schema import (
    Database,
    bound_memory,
    check_version,
    is_damage,
    is_disk_trouble,
    is_full,
    kept_sum,
    make_or_upgrade,
    put_kept,
)
from device.record.readback import Readback
from device.record.reserve import Reserve
from device.record.room import Room, Tables

log = logging.getLogger(__name__)

T = TypeVar("T", str, int)

CHECKPOINT_IDLE_BYTES = 4 << 20
CHECKPOINT_BUSY_BYTES = 64 << 20
"""How much write-ahead log is copied into the database at an idle moment, and how much at any moment."""
CHECKPOINT_TIGHT_BYTES = 256 << 10
"""How much where the disk is nearly full: the database must still find room to grow by it."""
SALVAGED = "salvaged"
"""Stands among the snapshots from salvage to the first event of the new chain: a start between may die."""
_EMPTY_CHAINS_KEPT = 16
_COMMIT_BYTES = 3 * 4096  # what a commit writes besides its events: snapshots, cursor, the tables' roots

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
    when power was cut in the middle of writes. Reads raise JournalDamaged and NotReadable.
    """

    def __init__(self, database: sqlite3.Connection, file: Path, most_bytes: int | None = None) -> None:
        """Use ``Journal.open`` or ``Journal.read_only``."""
        self._database = database
        self._file = file
        self._reserve = Reserve.of(file)
        self._room = Room(file, most_bytes, self._reserve, self._tables)
        log = file.with_name(f"{file.name}-wal")
        self._log_bytes = log.stat().st_size if log.exists() else 0
        self._readback = Readback([file, log])
        self._measured: tuple[int, Tables] | None = None
        self._said = ""
        self._damaged = False

    @classmethod
    def open(cls, file: Path, most_bytes: int | None = None) -> Self:
        """Open or make a journal for writing. Raises sqlite3.DatabaseError for a damaged file, StateError.

        ``most_bytes``: how large its tables may grow; None for no limit. On a full disk the reserve is given up.
        """
        try:
            return cls._opened(file, most_bytes)
        except sqlite3.OperationalError as error:
            if not is_disk_trouble(error) or not Reserve.of(file).spend():
                raise
            return cls._opened(file, most_bytes)

    @classmethod
    def _opened(cls, file: Path, most_bytes: int | None) -> Self:
        database = sqlite3.connect(file, isolation_level=None, timeout=1.0, factory=Database)
        with ExitStack() as undo:
            undo.callback(database.close)
            bound_memory(database)
            if database.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
                raise StateError(f"{file}: no write-ahead log can be kept there; put state_dir on a local disk")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA wal_autocheckpoint = 0")
            # Some builds overwrite what is removed: twice the writing, and more room than a full disk has.
            database.execute("PRAGMA secure_delete = FAST")
            make_or_upgrade(database)
            check_version(database, file)
            undo.pop_all()
            return cls(database, file, most_bytes)

    @classmethod
    def read_only(cls, file: Path) -> Self:
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

    # Writing

    def append(self, events: Sequence[Sealed], snapshots: Mapping[str, str], sent: Sent) -> int:
        """Commit events, the rules' snapshots and what the link knows durably, all or nothing.

        Returns the newest position. Raises NotRecorded and JournalDamaged; then nothing of it holds.
        """
        with self._commit(sum(len(sealed.event) for sealed in events)):
            if (over := self._room.over()) is not None:
                raise NotRecorded(over)
            position = self._insert(events)
            put_kept(self._database, "snapshots", snapshots)
            self._note(sent)
            put_kept(self._database, "cursors", {NEWEST: position})
        return position

    def keep(self, sent: Sent, remove_to: int = 0) -> None:
        """Commit what the link knows, and remove every event up to position ``remove_to``.

        The newest one stays: the chain goes on from it. Raises NotRecorded and JournalDamaged.
        """
        with self._commit(0):
            self._note(sent)
            if remove_to > 0:
                before = self.used_bytes()
                self._remove(min(remove_to, self.newest() - 1))
                self._log_bytes += before - self.used_bytes()

    @contextmanager
    def _commit(self, size_bytes: int) -> Iterator[None]:
        """One durable transaction: all or nothing."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield
            self._database.execute("COMMIT")
        except (NotRecorded, JournalDamaged):
            self._roll_back()
            raise
        except NotReadable as error:
            self._roll_back()
            raise NotRecorded(str(error)) from error
        except sqlite3.Error as error:
            self._roll_back()
            if is_full(error):
                self._reserve.spend()
                self._log_bytes = CHECKPOINT_BUSY_BYTES  # folded into the database, its own room is used again
            if is_damage(error):
                raise self.damage(str(error)) from error
            raise NotRecorded(f"{self._file}: {error}; make room or mend the disk") from error
        self._log_bytes += _COMMIT_BYTES + size_bytes

    def _insert(self, events: Sequence[Sealed]) -> int:
        position = self.newest()
        for sealed in events:
            if sealed.head.seq == 1:
                self._database.execute("DELETE FROM snapshots WHERE rule = ?", (SALVAGED,))
                self._database.execute("INSERT INTO chains VALUES (?, ?)", (sealed.head.chain, position))
            position += 1
            row = (position, sealed.event, bytes.fromhex(sealed.head.hash))
            self._database.execute("INSERT INTO events VALUES (?, ?, ?)", row)
            if sealed.alarm:
                self._database.execute("INSERT INTO alarms VALUES (?)", (position,))
            if sealed.jwk is not None:
                key = (sealed.jwk.kid, sealed.jwk.model_dump_json(), position)
                self._database.execute("INSERT OR IGNORE INTO keys VALUES (?, ?, ?)", key)
        return position

    def _note(self, sent: Sent) -> None:
        put_kept(self._database, "cursors", sent.cursors)
        closed = ((alarm,) for alarm in sent.alarms)
        self._database.executemany("DELETE FROM alarms WHERE position = ?", closed)

    def _remove(self, through: int) -> None:
        """Remove events. Chains that have none left are remembered: headquarters may ask for them."""
        self._database.execute("DELETE FROM events WHERE position <= ?", (through,))
        self._database.execute("DELETE FROM alarms WHERE position <= ?", (through,))
        oldest = self.oldest()
        put_kept(self._database, "cursors", {OLDEST: oldest})
        chains = self.chains()
        ends = [self.newest(), *(before for _, before in chains)]
        emptied = [chain for (chain, _), end in zip(chains, ends, strict=False) if end < oldest]
        for chain in emptied[_EMPTY_CHAINS_KEPT:]:
            self._database.execute("DELETE FROM chains WHERE chain = ?", (chain,))
            self._database.execute("DELETE FROM cursors WHERE name = ?", (chain,))

    def _roll_back(self) -> None:
        self._measured = None
        if self._database.in_transaction:
            try:
                self._database.execute("ROLLBACK")
            except sqlite3.DatabaseError:
                # SQLite rolls back by itself after some I/O errors and then says that nothing is open.
                if self._database.in_transaction:
                    raise

    # Room

    def short(self) -> str | None:
        """Why there is room for no more than the last words; None while there is."""
        return self._room.short()

    def pressed(self) -> bool:
        """Whether what may be removed should be, however young it is."""
        return self._room.pressed()

    def used_bytes(self) -> int:
        """Bytes of the tables. What was removed is used again before the file grows."""
        return self._tables().used

    def _tables(self) -> Tables:
        """Asked for several times in each turn, they change by what is written here alone."""
        changes = self._database.total_changes
        if self._measured is None or self._measured[0] != changes:
            self._measured = changes, self._measure()
        return self._measured[1]

    def _measure(self) -> Tables:
        (pages,), (free,), (size,) = (
            self._all(f"PRAGMA {name}")[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return Tables((pages - free) * size, free * size)

    def checkpoint(self, idle: bool) -> None:
        """Copy the write-ahead log into the database once it is large.

        A full disk refuses: nothing is lost by that, and it is tried again once the log has grown as much again.
        """
        most_bytes = CHECKPOINT_IDLE_BYTES if idle else CHECKPOINT_BUSY_BYTES
        if self._log_bytes >= CHECKPOINT_TIGHT_BYTES and (
            self._log_bytes >= most_bytes or self._reserve.tight(self._log_bytes)
        ):
            self._log_bytes = 0
            try:
                self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")
                self._said = ""
            except sqlite3.DatabaseError as error:
                self._warn(f"{self._file}: its write-ahead log stays long ({error}); make room or mend the disk")

    def _warn(self, line: str) -> None:
        """Once, until it has worked again."""
        if line != self._said:
            log.warning("%s", line)
        self._said = line

    # Reading

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

    def unreadable(self) -> str | None:
        """Why the disk does not give the journal back, None if it does: wrong or not, its bytes are there."""
        return self._readback.trouble()

    def damage(self, why: str) -> JournalDamaged:
        """What to raise where the journal is not what was written: it is then closed as it stands."""
        self._damaged = True
        return JournalDamaged(why)

"""The journal: every event as its exact bytes in one SQLite file, with the rules' snapshots and the cursor."""

import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from device.errors import JournalDamaged, NotReadable, NotRecorded, StateError
from device.record.chain import Sealed
from device.record.journal_reader import NEWEST, OLDEST, SALVAGED, JournalReader
from device.record.journal_schema import (
    Database,
    bound_memory,
    check_version,
    is_damage,
    is_disk_trouble,
    is_full,
    make_or_upgrade,
    put_kept,
)
from device.record.readback import Readback
from device.record.reserve import Reserve
from device.record.room import Room, Tables

log = logging.getLogger(__name__)

CHECKPOINT_IDLE_BYTES = 4 << 20
CHECKPOINT_BUSY_BYTES = 64 << 20
"""How much write-ahead log is copied into the database at an idle moment, and how much at any moment."""
CHECKPOINT_TIGHT_BYTES = 256 << 10
"""How much where the disk is nearly full: the database must still find room to grow by it."""
_EMPTY_CHAINS_KEPT = 16
_COMMIT_BYTES = 3 * 4096  # what a commit writes besides its events: snapshots, cursor, the tables' roots


@dataclass(frozen=True, slots=True)
class Sent:
    """What the link knows and the next commit keeps: a stale one is harmless, it only sends again.

    ``cursors``: ``done``, and by chain id how far it is receipted. ``alarms``: acknowledged ones.
    """

    cursors: Mapping[str, int]
    alarms: Collection[int] = ()


class Journal(JournalReader):
    """One post's journal, to be written. Used by one thread only.

    Durability: WAL with ``synchronous=FULL`` is one fdatasync of the log per commit
    (SQLite, "PRAGMA synchronous"), and the only setting besides DELETE with EXTRA that lost nothing
    when power was cut in the middle of writes.
    """

    def __init__(self, database: sqlite3.Connection, file: Path, most_bytes: int | None = None) -> None:
        """Use ``Journal.open``."""
        super().__init__(database, file)
        self._reserve = Reserve.of(file)
        self._room = Room(file, most_bytes, self._reserve, self._tables)
        log = file.with_name(f"{file.name}-wal")
        self._log_bytes = log.stat().st_size if log.exists() else 0
        self._readback = Readback([file, log])
        self._measured: tuple[int, Tables] | None = None
        self._said = ""

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

    def _tables(self) -> Tables:
        """Asked for several times in each turn, they change by what is written here alone."""
        changes = self._database.total_changes
        if self._measured is None or self._measured[0] != changes:
            self._measured = changes, super()._tables()
        return self._measured[1]

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

    def unreadable(self) -> str | None:
        """Why the disk does not give the journal back, None if it does: wrong or not, its bytes are there."""
        return self._readback.trouble()

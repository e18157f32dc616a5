"""Opening the state folder: one owner, keys, a journal that verifies, and a chain to go on with."""

import fcntl
import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from device.errors import ChainError, StateError
from device.events import ChainBegan, Draft, Envelope, Lost, Position
from device.readings import Trouble
from device.record.chain import Chain, Head, event_hash, read
from device.record.journal import Journal
from device.record.keys import Kept, SigningKey, aside_name, set_aside, signing_key, site_key, sync_folder
from device.record.salvage import salvage
from device.record.verification import public_keys, verified

JOURNAL = "journal.sqlite3"
SIGNING_KEY = "signing.key"
SITE_KEY = "site.key"
LOCK = "lock"

_BESIDE = ("-wal", "-shm")
VERIFIED_AT_OPEN = 32
"""How many of the newest rows are verified at every start; a power cut damages the newest."""

# Primary result codes that speak of the disk or of another process, not of the file's content:
# PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN (SQLite, "Result and Error Codes").
_DISK_TROUBLE = frozenset({3, 5, 6, 7, 8, 10, 13, 14})


@dataclass(frozen=True, slots=True)
class Record:
    """An open state folder. ``began``: the first events of a new chain, to be committed with the first turn."""

    journal: Journal
    chain: Chain
    began: tuple[Draft, ...]
    key: SigningKey
    site_key: bytes
    same_boot: bool
    troubles: tuple[tuple[Trouble, str], ...]
    lock: int

    def close(self) -> None:
        """Close the journal and let another process in."""
        self.journal.close()
        os.close(self.lock)


def open_record(state_dir: Path, source: str, bootid: str) -> Record:
    """Open a post's state folder, setting damaged files aside. Raises StateError."""
    with ExitStack() as undo:
        lock = _lock(state_dir)
        undo.callback(os.close, lock)
        try:
            _finish_replacing(state_dir / JOURNAL)
            # Made before the keys are, so that keys without a journal are those of a post that has lost it.
            journal_is_new = _make_journal(state_dir / JOURNAL)
            key, site = signing_key(state_dir / SIGNING_KEY), site_key(state_dir / SITE_KEY)
            journal, last, damaged = _journal(state_dir / JOURNAL, key.key)
        except OSError as error:
            raise StateError(f"{error.filename or state_dir}: {error.strerror}; see who owns {state_dir}") from None
        undo.pop_all()
    # A new post has none of the three; a post that lacks one of them has lost it, and says so.
    damaged = damaged or journal.salvaged()
    if journal_is_new and not key.made:
        damaged = f"{state_dir / JOURNAL}: gone, though this post has a signing key; a new one begins"
    found = (
        (Trouble.SIGNING_KEY, key.damaged or _gone(state_dir / SIGNING_KEY, key.made, last)),
        (Trouble.SITE_KEY, site.damaged or _gone(state_dir / SITE_KEY, site.made, last)),
        (Trouble.JOURNAL, damaged),
    )
    began = tuple(_began(last, key, journal, damaged is not None))
    return Record(
        journal=journal,
        chain=Chain(source, bootid, key.key, last.head if last and not began else Head(str(uuid.uuid4()))),
        began=began,
        key=key.key,
        site_key=site.key,
        same_boot=last is not None and last.envelope.bootid == bootid,
        troubles=tuple((what, why) for what, why in found if why is not None),
        lock=lock,
    )


def _make_journal(file: Path) -> bool:
    """Whether there was none."""
    if file.exists():
        return False
    try:
        Journal.open(file).close()
    except sqlite3.Error as error:
        raise StateError(f"{file}: cannot be made ({error}); make room or mend the disk") from None
    return True


def _gone(file: Path, made: bool, last: "_Last | None") -> str | None:
    lost = made and last is not None
    return f"{file}: gone; a new key was made, put the old file back if you can" if lost else None


@dataclass(frozen=True, slots=True)
class _Last:
    envelope: Envelope
    head: Head


def _lock(state_dir: Path) -> int:
    """Two processes on one state folder would fork the chain."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{state_dir}: cannot be used as state_dir ({error.strerror}); see who owns it") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StateError(f"{state_dir}: another guardpost is running on it; stop that one first") from None
    return descriptor


def _journal(file: Path, key: SigningKey) -> tuple[Journal, _Last | None, str | None]:
    """The journal, its newest event, and a line about one that had to be set aside."""
    journal = None
    try:
        journal = Journal.open(file)
        return journal, _verified_tail(journal, key), None
    except (ChainError, ValueError, sqlite3.DatabaseError) as error:
        if journal is not None:
            journal.close()
        # An error without a code is Python's own: a text that is not UTF-8.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK_TROUBLE:
            raise StateError(f"{file}: cannot be opened ({error}); make room or mend the disk") from None
        return _replaced(file, key, error)


def _verified_tail(journal: Journal, key: SigningKey) -> _Last | None:
    (
        journal.chains(),
        journal.snapshots(),
        journal.cursors(),
        journal.alarms(),
    )  # every table is read once: a damaged page shows now
    last = None
    keys = public_keys(journal.public_jwks()) | {key.kid: key.public}
    for row, head in verified(journal.rows(journal.newest() - VERIFIED_AT_OPEN, VERIFIED_AT_OPEN), keys):
        last = _Last(read(row.event), head)
    return last


def _replaced(file: Path, key: SigningKey, error: Exception) -> tuple[Journal, _Last | None, str]:
    """Take what verifies of a damaged journal into a new one, then set it aside.

    The new one is whole before anything moves: a start that dies here finds either the damaged file or
    ``_finish_replacing`` has only renames left.
    """
    aside, new = aside_name(file), _new(file)

    def told(rows: int) -> str:
        return f"{file}: damaged ({error}); set aside as {aside.name}, {rows} events of it verified and kept"

    try:
        with closing(Journal.open(new)) as journal:
            line = salvage(file, journal, key, told)
    except sqlite3.DatabaseError as second:
        raise StateError(
            f"{file}: a new journal cannot be written ({second}); make room or mend the disk"
        ) from None
    for suffix in ("", *_BESIDE):
        beside = file.with_name(file.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    _finish_replacing(file)
    journal = Journal.open(file)
    newest = journal.rows(journal.newest() - 1, 1)
    return journal, _last(newest[0].event) if newest else None, line


def _new(file: Path) -> Path:
    return file.with_name(f"{file.name}.new")


def _finish_replacing(file: Path) -> None:
    """Put the new journal in its place; one that a dying start left unfinished is dropped."""
    new = _new(file)
    if file.exists():
        for suffix in ("", *_BESIDE):
            new.with_name(new.name + suffix).unlink(missing_ok=True)
    elif new.exists():
        for suffix in _BESIDE:  # the log of the damaged one must not be taken for the new one's
            beside = file.with_name(file.name + suffix)
            if beside.exists():
                set_aside(beside)
        new.rename(file)
        sync_folder(file.parent)


def _last(event: bytes) -> _Last:
    envelope = read(event)
    return _Last(envelope, Head(envelope.chain, envelope.seq, event_hash(event)))


def _began(last: _Last | None, key: Kept[SigningKey], journal: Journal, journal_damaged: bool) -> Iterator[Draft]:
    """The first events of a new chain where one is needed: why, and what of the old one is lost."""
    key_is_new = last is not None and last.envelope.keyid != key.key.kid
    if last is not None and not key_is_new and not journal_damaged:
        return
    damaged = journal_damaged or key_is_new or key.damaged is not None
    previous = None if last is None else Position(chain=last.head.chain, seq=last.head.seq, hash=last.head.hash)
    data = ChainBegan(why="damaged" if damaged else "first", previous=previous, jwk=key.key.jwk())
    yield Draft(subject="post", data=data)
    for chain, first, to in journal.holes() if journal_damaged else ():
        lost = Lost.model_validate({"chain": chain, "from": first, "to": to, "why": "the journal was damaged"})
        yield Draft(subject="post", data=lost)

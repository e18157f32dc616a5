"""Opening the state folder: one owner, keys, a journal that verifies, and a chain to go on with."""

import fcntl
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from device.errors import InUse, JournalDamaged, NotReadable, StateError
from device.events import ChainBegan, Draft, Envelope, Jwk, Lost, Position
from device.readings import Trouble
from device.record.chain import Chain, Head, read
from device.record.journal import Journal
from device.record.journal_reader import JournalReader
from device.record.journal_schema import is_damage
from device.record.keys import Kept, SigningKey, signing_key, site_key, sync_folder
from device.record.places import Places
from device.record.raw_log import PAGE_BYTES, Counted, beside, frames_counted, log_broke_off
from device.record.replacing import finish_replacing, replace
from device.record.verification import VERIFIED_AT_OPEN, public_keys, verified

JOURNAL = "journal.sqlite3"
SIGNING_KEY = "signing.key"
SITE_KEY = "site.key"
LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Record:
    """An open state folder. ``began``: the first events of a new chain, to be committed with the first turn."""

    journal: Journal
    chain: Chain
    began: tuple[Draft, ...]
    key: SigningKey
    site_key: bytes
    newest: Envelope | None
    same_boot: bool
    troubles: tuple[tuple[Trouble, str], ...]
    lock: int

    def close(self) -> None:
        """Close the journal and let another process in."""
        self.journal.close()
        os.close(self.lock)


def open_record(
    state_dir: Path, source: str, bootid: str, most_bytes: int | None = None, found_damaged: str | None = None
) -> Record:
    """Open a post's state folder, setting damaged files aside. Raises StateError, InUse.

    ``most_bytes``: the journal's limit. ``found_damaged``: what was found wrong with the journal while it was in
    use, which need not show in its newest rows.
    """
    with ExitStack() as undo:
        lock = lock_folder(state_dir)
        undo.callback(os.close, lock)
        try:
            finish_replacing(state_dir / JOURNAL)
            # Made before the keys are, so that keys without a journal are those of a post that has lost it.
            journal_is_new = _make_journal(state_dir / JOURNAL)
            key, site = signing_key(state_dir / SIGNING_KEY), site_key(state_dir / SITE_KEY)
            journal, last, damaged = _journal(state_dir / JOURNAL, key.key.jwk(), most_bytes, found_damaged)
        except OSError as error:
            raise StateError(f"{error.filename or state_dir}: {error.strerror}; see who owns {state_dir}") from None
        undo.pop_all()
    # A new post has none of the three; a post that lacks one of them has lost it, and says so.
    damaged = damaged or journal.salvaged()
    if journal_is_new and any(kept.damaged is not None or not kept.made for kept in (key, site)):
        damaged = f"{state_dir / JOURNAL}: gone, though this post has keys; a new one begins"
    strange = None
    if last is not None and not key.made and key.key.kid not in public_keys(journal.public_jwks()):
        strange = f"{state_dir / SIGNING_KEY}: no key that this journal knows; it signs from now on, in a new chain"
    found = (
        (Trouble.SIGNING_KEY, key.damaged or _gone(state_dir / SIGNING_KEY, key.made, last) or strange),
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
        newest=None if last is None else last.envelope,
        same_boot=last is not None and last.bootid == bootid,
        troubles=tuple((what, why) for what, why in found if why is not None),
        lock=lock,
    )


def _make_journal(file: Path) -> bool:
    """Whether there was none."""
    if file.exists() and not (file.is_file() and file.stat().st_size == 0):
        return False
    log = beside(file, "-wal")
    if log.is_file() and log.stat().st_size > 0:
        file.touch()
        os.truncate(file, PAGE_BYTES)  # SQLite deletes the log of an empty database, and reads it on an empty page
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
    """The newest event. ``bootid``: the boot in which the post last ran, which the rules' snapshots are of."""

    envelope: Envelope
    head: Head
    bootid: str | None


def lock_folder(state_dir: Path) -> int:
    """Two processes on one state folder would fork the chain: a descriptor, closed to let others in.

    Raises StateError, InUse.
    """
    try:
        new = [folder for folder in (state_dir, *state_dir.parents) if not folder.exists()]
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in new:
            sync_folder(folder.parent)
        descriptor = os.open(state_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        mend = "make it one that this user may write"
        raise StateError(f"{state_dir}: cannot be used as state_dir ({error.strerror}); {mend}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise InUse(f"{state_dir}: another guardpost is running on it; stop that one first") from None
    return descriptor


def _journal(
    file: Path, own: Jwk, most_bytes: int | None, found_damaged: str | None
) -> tuple[Journal, _Last | None, str | None]:
    """The journal, its newest event, and a line about one that had to be set aside."""
    counted = frames_counted(beside(file, "-shm"))
    line = None
    if (why := found_damaged or _refused(file, counted)) is not None:
        line = replace(file, own, why, counted)
    while True:
        journal = None
        try:
            journal = Journal.open(file, most_bytes)
            return journal, _looked_over(journal), line
        except (ValueError, NotReadable, sqlite3.Error) as error:
            if journal is not None:
                journal.close(as_it_stands=True)
            damaged = isinstance(error, ValueError) or (isinstance(error, sqlite3.Error) and is_damage(error))
            if line is not None or not damaged:
                raise StateError(f"{file}: cannot be opened ({error}); make room or mend the disk") from None
            line = replace(file, own, str(error), counted)


def _refused(file: Path, counted: Counted | None) -> str | None:
    """Why SQLite cannot take the file and its whole log. Nothing is changed by this look."""
    if not file.is_file():
        return "not a file"
    try:
        with closing(JournalReader.open(file)) as journal:
            journal.newest()
            broke_off = log_broke_off(file, counted)
    except JournalDamaged as error:
        return str(error)
    except (NotReadable, StateError):
        return None  # whoever opens it to write will say it
    return "its log is damaged" if broke_off else None


def _looked_over(journal: Journal) -> _Last | None:
    """The newest event, where all that is small and the newest rows are what was written.

    Raises ChainError, ValueError, NotReadable, JournalDamaged.
    """
    oldest, newest = journal.bounds()
    if journal.newest() != newest:
        raise journal.damage(f"its newest event is row {journal.newest()}, not {newest}")
    keys = public_keys(journal.public_jwks())
    places = Places(journal)
    places.check_beside()
    after = max(newest - VERIFIED_AT_OPEN, oldest - 1)
    rows = places.in_order(journal.rows(after, VERIFIED_AT_OPEN), after)
    found = [(read(row.event), head) for row, head in verified(rows, keys)]
    return _Last(*found[-1], _ran_in([envelope for envelope, _ in found])) if found else None


def _ran_in(envelopes: Sequence[Envelope]) -> str | None:
    """The boot in which the post last ran: a self-test by hand, and what it had to begin with, are not its own."""
    by_hand = False
    for envelope in reversed(envelopes):
        change, why = envelope.data.get("change"), envelope.data.get("why")
        if change == "selftest" and why == "check":
            by_hand = True
        elif not (by_hand and change in ("chain", "lost", "refused")):
            return envelope.bootid
    return None


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

"""``import``: a dead post's card. All of it goes through the intake as the stream does; nothing is believed."""

import argparse
import json
import re
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import quote

from device.errors import Unreadable
from device.events import MOST_PICTURE_BYTES
from recorder.errors import UsageError
from recorder.intake import Event, Message, examine
from recorder.keyring import Keyring
from recorder.ledger import Ledger, Outcome
from recorder.store import Store

_PAGE = 256
_LOOKED_AT = 100
"""Rows read to learn whose journal it is; the first ones may be the damaged ones."""
_PICTURE = re.compile(r"[0-9a-f]{64}(\.[0-9a-f-]{36}\.[0-9]{1,16})?")


def import_journal(args: argparse.Namespace) -> int:
    """Take in what the journal holds; 1 if something was refused or could not be read."""
    if args.store.is_file():
        Store.read(args.store).close()
    with tempfile.TemporaryDirectory(prefix="guardpost-import-") as folder:
        copy = _copied(args.journal, Path(folder))
        with Store.open(args.store) as store, _opened(copy, args.journal) as journal:
            counts, trouble = _take_in(journal, store, args)
            pictures = _take_pictures(journal, store, args.journal.parent / "pictures")
    told = {"new": counts[Outcome.NEW], "known": counts[Outcome.KNOWN], "held": counts[Outcome.HELD]}
    told["refused"] = counts[Outcome.REFUSED] + pictures[Outcome.REFUSED]
    told["pictures"] = pictures[Outcome.NEW]
    if args.json:
        print(json.dumps({**told, "damage": trouble}))
    else:
        print(", ".join(f"{count} {what}" for what, count in told.items()))
        if trouble:
            print(f"the journal is damaged, what could be read is in the store: {trouble}")
    return 1 if trouble or told["refused"] else 0


def _copied(journal: Path, folder: Path) -> Path:
    """The card is never written: SQLite would work a left-over log into the file it opens."""
    copy = folder / "journal.sqlite3"
    try:
        shutil.copyfile(journal, copy)
        log = journal.with_name(f"{journal.name}-wal")
        if log.exists():
            shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))
    except OSError as error:
        raise UsageError(f"{journal}: {error.strerror}; name the post's journal.sqlite3") from None
    return copy


class _Journal:
    """A copy of a post's journal, read only as far as an import needs it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> "_Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def events(self) -> Iterator[bytes]:
        """In order. Raises sqlite3.DatabaseError where the file is damaged."""
        for (event,) in self._db.execute("SELECT event FROM events ORDER BY position"):
            yield bytes(event) if isinstance(event, bytes) else b""

    def keys(self) -> list[object]:
        """The JWKs of every key that signed here, newest first."""
        rows = self._db.execute("SELECT jwk FROM keys ORDER BY since DESC")
        return [json.loads(jwk) for (jwk,) in rows]

    def source(self) -> str | None:
        """Whose it says it is."""
        for _, event in zip(range(_LOOKED_AT), self.events(), strict=False):
            if found := _read(event):
                return found.source
        return None


def _opened(copy: Path, journal: Path) -> _Journal:
    with ExitStack() as opened:
        try:
            db = opened.enter_context(closing(sqlite3.connect(f"file:{quote(str(copy))}", uri=True)))
            names = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        except sqlite3.DatabaseError as error:
            raise UsageError(f"{journal}: {error}; name the post's journal.sqlite3") from None
        if not {"events", "keys"} <= names:
            raise UsageError(f"{journal}: an SQLite file, but no post's journal; name the post's journal.sqlite3")
        opened.pop_all()
        return _Journal(db)


def _take_in(journal: _Journal, store: Store, args: argparse.Namespace) -> tuple[Counter[Outcome], str]:
    """What became of the events, and why the journal could not be read to its end, if so."""
    counts: Counter[Outcome] = Counter()
    trouble = ""
    try:
        source = journal.source()
        if source is None:
            raise UsageError(f"{args.journal}: no readable event among its first {_LOOKED_AT}; nothing to take in")
        ledger = Ledger(store, source.split("/")[1])
        _check_trust(journal, store, ledger, source, args.trust_first)
        page: list[bytes] = []
        try:
            for event in journal.events():
                page.append(event)
                if len(page) == _PAGE:
                    counts += _take_page(store, ledger, source, page)
                    page = []
        finally:
            counts += _take_page(store, ledger, source, page)
    except sqlite3.DatabaseError as error:
        trouble = str(error)
    except ValueError as error:
        trouble = f"its keys: {error}"
    return counts, trouble


def _check_trust(journal: _Journal, store: Store, ledger: Ledger, source: str, trust_first: bool) -> None:
    """A key must be known from elsewhere, or a person takes the journal's own for the first set."""
    if Keyring(store).knows(source):
        return
    if not trust_first:
        raise UsageError(
            f"no key of {source} is trusted yet; --trust-first takes those in its journal, if it is the post's"
        )
    identity = json.dumps({"keys": journal.keys()}).encode()
    with store.transaction():
        ledger.take(Message(f"{source[1:]}/identity", identity, _now_ms(), live=False))
        ledger.settle()


def _take_page(store: Store, ledger: Ledger, source: str, page: list[bytes]) -> Counter[Outcome]:
    with store.transaction():
        outcomes = Counter(ledger.take(_message(source, event)) for event in page)
        ledger.settle()
    return outcomes


def _take_pictures(journal: _Journal, store: Store, folder: Path) -> Counter[Outcome]:
    """The pictures in the post's store, whose names begin with their hash; only what an event announced is kept."""
    outcomes: Counter[Outcome] = Counter()
    try:
        source = journal.source()
    except sqlite3.DatabaseError:
        source = None
    if source is None:
        return outcomes
    ledger = Ledger(store, source.split("/")[1])
    for file in sorted(folder.glob("*/*")):
        if not _PICTURE.fullmatch(file.name):
            continue
        try:
            with file.open("rb") as picture:
                content = picture.read(MOST_PICTURE_BYTES + 1)
        except OSError:
            outcomes[Outcome.REFUSED] += 1
            continue
        message = Message(f"{source[1:]}/picture/{file.name[:64]}", content, _now_ms(), live=False)
        with store.transaction():
            outcomes[ledger.take(message)] += 1
            ledger.settle()
    return outcomes


def _message(source: str, event: bytes) -> Message:
    """As the post would have published it; unreadable bytes under the journal's own source."""
    found = _read(event)
    topic = f"{found.source[1:]}/event/{found.kind}" if found else f"{source[1:]}/event/unreadable"
    return Message(topic, event, _now_ms(), live=False)


def _read(event: bytes) -> Event | None:
    try:
        return examine(event)
    except Unreadable:
        return None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

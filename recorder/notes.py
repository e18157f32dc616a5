"""What a person wrote beside an event: a correction that changes nothing of it."""

import argparse
import re
import time
from dataclasses import asdict, dataclass

from device.events import rfc3339
from recorder.errors import UsageError
from recorder.hints import one_line
from recorder.store import Store

MAX_TEXT = 2000
MAX_NAME = 100

_EVENT_ID = re.compile(r"([0-9a-f-]{36})/([1-9][0-9]{0,15})")


@dataclass(frozen=True, slots=True)
class Note:
    """``at``: RFC 3339, UTC, by the recorder's clock."""

    at: str
    by: str
    text: str


def notes_of(store: Store, chain: int, seq: int) -> list[Note]:
    """The notes beside one event, in the order in which they were written."""
    rows = store.rows("SELECT at_ms, author, text FROM note WHERE chain = ? AND seq = ? ORDER BY id", chain, seq)
    return [Note(rfc3339(row["at_ms"]), row["author"], row["text"]) for row in rows]


def as_json(notes: list[Note]) -> list[dict[str, str]]:
    """For programs."""
    return [asdict(note) for note in notes]


def in_words(notes: list[Note]) -> str:
    """All in one table cell."""
    return "; ".join(f"{note.text} ({note.by}, {note.at})" for note in notes)


def note(args: argparse.Namespace) -> int:
    """Add a note; also beside a running recorder. Raises UsageError."""
    text, author = _words(args.text, MAX_TEXT, "the text"), _words(args.by, MAX_NAME, "--by")
    Store.read(args.store).close()
    with Store.open(args.store) as store, store.transaction():
        chain, seq = _event(store, args.event)
        at_ms = time.time_ns() // 1_000_000
        sql = "INSERT INTO note (chain, seq, at_ms, author, text) VALUES (?, ?, ?, ?, ?)"
        store.run(sql, chain, seq, at_ms, author, text)
    print(f"noted beside {args.event}: {text} ({author}, {rfc3339(at_ms)})")
    return 0


def _event(store: Store, name: str) -> tuple[int, int]:
    named = _EVENT_ID.fullmatch(name)
    if named is None:
        raise UsageError(f"event {one_line(name, 80)}: write it as <chain>/<seq>, as its id is written")
    sql = "SELECT DISTINCT chain FROM event JOIN chain ON id = chain WHERE uuid = ? AND seq = ?"
    found = [row["chain"] for row in store.rows(sql, named[1], int(named[2]))]
    if not found:
        raise UsageError(f"event {name}: it is not here; `patrols` and `export` show those that are")
    if len(found) > 1:
        raise UsageError(f"event {name}: more than one post has sent a chain of this id; `findings` may tell why")
    return found[0], int(named[2])


def _words(text: str, limit: int, what: str) -> str:
    words = one_line(" ".join(text.split()), limit)
    if not words or len(text) > limit:
        raise UsageError(f"{what}: 1 to {limit} characters")
    return words

"""Pictures as a store knows them, each with its event and the event that asked for it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from device.events import Envelope, Picture
from recorder.errors import UsageError
from recorder.hints import one_line
from recorder.intake import Event, examine
from recorder.store import Store

_BEGINNING = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Announced:
    """One picture and its event. ``chain``: that one's row. ``told``: why it is not here."""

    source: str
    chain: int
    event: Event
    picture: Picture
    state: str
    asked: int
    told: str | None

    @property
    def envelope(self) -> Envelope:
        """Its event's members."""
        return self.event.unproven.envelope


@dataclass(frozen=True, slots=True)
class Asking:
    """The event that asked for a picture. ``chain``: its row."""

    chain: int
    event: Event


def announced(
    store: Store, source: str | None = None, state: str | None = None, beginning: str = ""
) -> Iterator[Announced]:
    """By post, and in the order of their events; those whose SHA-256 begins so. Raises Unreadable."""
    sql = (
        "SELECT p.source, p.chain, p.state, p.asked, p.told, e.payload FROM picture AS p JOIN event AS e "
        "ON e.chain = p.chain AND e.seq = p.seq AND e.hash = p.hash "
        "WHERE (?1 IS NULL OR p.source = ?1) AND (?2 IS NULL OR p.state = ?2) AND p.sha256 GLOB ?3 "
        "ORDER BY p.source, p.chain, p.seq"
    )
    for source_, chain, state_, asked, told, payload in store.rows(sql, source, state, f"{beginning}*"):
        event = examine(bytes(payload))
        if isinstance(event.tells, Picture):
            yield Announced(source_, chain, event, event.tells, state_, asked, told)


def find(store: Store, source: str | None, beginning: str) -> Announced:
    """The one whose SHA-256 begins so. Raises UsageError."""
    if not _BEGINNING.fullmatch(beginning):
        raise UsageError(f"picture {one_line(beginning, 80)}: write at least the first 8 digits of its SHA-256")
    found = list(announced(store, source, beginning=beginning))
    if not found:
        raise UsageError(f"picture {beginning}: nobody has announced it; `pictures list` shows those there are")
    if len(found) > 1:
        raise UsageError(f"picture {beginning}: there are {len(found)}; write more digits, or name --source")
    return found[0]


def asking(store: Store, picture: Announced) -> Asking | None:
    """The event that asked for it; None where none did, or where it is not here."""
    if picture.picture.why is None:
        return None
    uuid, _, seq = picture.picture.why.partition("/")
    sql = (
        "SELECT chain, payload FROM event JOIN chain ON id = chain "
        "WHERE source = ? AND uuid = ? AND seq = ? AND verified"
    )
    row = store.row(sql, picture.source, uuid, int(seq))
    return None if row is None else Asking(row["chain"], examine(bytes(row["payload"])))


def in_words(envelope: Envelope) -> str:
    """``door front opened``: kind, subject, and what changed or was decided."""
    told = [envelope.data.get(name) for name in ("change", "verdict", "what")]
    words = [envelope.kind, envelope.subject, *(word for word in told if isinstance(word, str))]
    return one_line(" ".join(word for word in words if word != "post"), 100)

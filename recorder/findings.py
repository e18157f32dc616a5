"""What was found wrong, kept once and counted after: a flood of garbage cannot fill the disk."""

import hashlib

from recorder.hints import one_line
from recorder.intake import Flaw
from recorder.store import Store

KEPT_BYTES = 8192
"""Of a refused payload; with MAX_UNPROVEN this bounds the bytes kept for strangers to 16 MiB."""
MAX_UNPROVEN = 2048
MAX_UNPROVEN_OF_ONE = 100


def note_refused(
    store: Store, source: str, flaw: Flaw, detail: str, *, topic: str, payload: bytes, at_ms: int
) -> bool:
    """Anybody can cause these: so many of a source and a flaw are kept with their bytes, the rest counted.

    True if the very same bytes were refused before.
    """
    digest = hashlib.sha256(topic.encode("utf-8", "replace") + b"\0" + payload).hexdigest()
    if _count(store, source, flaw, digest, at_ms):
        return True
    strangers = "SELECT count(*) FROM finding WHERE NOT proven"
    of_one = store.number(f"{strangers} AND source = ? AND flaw = ?", source, flaw)
    if of_one < MAX_UNPROVEN_OF_ONE and store.number(strangers) < MAX_UNPROVEN:
        kept = (one_line(topic), payload[:KEPT_BYTES], False)
        store.run(_INSERT, source, flaw, digest, detail, *kept, at_ms, at_ms)
    else:
        what = "more of this kind, from any source, counted and not kept"
        note_signed(store, "", flaw, what, what, at_ms=at_ms)
    return False


def note_signed(store: Store, source: str, flaw: Flaw, what: str, detail: str, *, at_ms: int) -> None:
    """What a post's own key proves, or a bounded note of ours. ``what`` tells one from another."""
    if not _count(store, source, flaw, what, at_ms):
        store.run(_INSERT, source, flaw, what, detail, None, None, True, at_ms, at_ms)


def settle(store: Store, source: str, kid: str, at_ms: int) -> None:
    """A key came to be trusted: what was noted because it was not is history."""
    sql = "UPDATE finding SET settled_ms = ? WHERE source = ? AND flaw IN (?, ?) AND what = ?"
    store.run(sql, at_ms, source, Flaw.UNTRUSTED, Flaw.UNANNOUNCED, kid)


def note_standing(store: Store, source: str, flaw: Flaw, what: str, detail: str | None, *, at_ms: int) -> None:
    """One finding whose words follow the facts; ``detail`` None settles it."""
    if detail is None:
        sql = "UPDATE finding SET settled_ms = ? WHERE source = ? AND flaw = ? AND what = ? AND settled_ms IS NULL"
        store.run(sql, at_ms, source, flaw, what)
        return
    if _count(store, source, flaw, what, at_ms):
        sql = "UPDATE finding SET detail = ?, settled_ms = NULL WHERE source = ? AND flaw = ? AND what = ?"
        store.run(sql, detail, source, flaw, what)
    else:
        store.run(_INSERT, source, flaw, what, detail, None, None, True, at_ms, at_ms)


_INSERT = (
    "INSERT INTO finding (source, flaw, what, detail, topic, payload, proven, first_ms, last_ms) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _count(store: Store, source: str, flaw: Flaw, what: str, at_ms: int) -> bool:
    sql = "UPDATE finding SET times = times + 1, last_ms = ? WHERE source = ? AND flaw = ? AND what = ?"
    return store.run(sql, at_ms, source, flaw, what) > 0

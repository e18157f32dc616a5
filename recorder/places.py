"""Places in a chain, purely: which link holds, and how a hole in the numbering is named."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from device.events import NO_HASH

SENT = "sent, not here"
WAITING = "waiting at the post"
EXISTS = "exists, not here"
REMOVED = "unseen, no longer kept at the post"


@dataclass(frozen=True, slots=True)
class Place:
    """What a link needs of an event.

    ``announces``: the key it makes known to what follows, if any. ``again``: the same bytes came twice.
    """

    seq: int
    hash: str
    prev: str
    keyid: str
    announces: str | None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers ``first`` to ``last`` (inclusive) are not here; ``why`` is one of the words above."""

    first: int
    last: int
    why: str

    @property
    def waits(self) -> bool:
        """The post has it and has not sent it yet: nothing is wrong."""
        return self.why == WAITING

    @property
    def gone(self) -> bool:
        """The post no longer has it; only its card might."""
        return self.why == REMOVED

    def __str__(self) -> str:
        """``1041-1060 (sent, not here)``."""
        return f"{span(self.first, self.last)} ({self.why})"


@dataclass(frozen=True, slots=True)
class Stated:
    """What the post's ``state`` says of a chain: newest seq, oldest kept seq, newest seq PUBACKed."""

    seq: int
    first: int
    sent: int


def span(first: int, last: int) -> str:
    """``7`` or ``7-9``."""
    return str(first) if first == last else f"{first}-{last}"


def begins(place: Place) -> str | None:
    """Why this is no first event of a chain, None if it is one."""
    if place.prev != NO_HASH:
        return "event 1 names an event before it"
    if place.announces != place.keyid:
        return "event 1 does not begin the chain with the key that signs it"
    return None


def follows(before: Place, after: Place) -> str | None:
    """Why ``after`` does not follow ``before``, its neighbour by number; None if it does."""
    if after.prev != before.hash:
        return f"prev of event {after.seq} is not the hash of event {before.seq}"
    if after.keyid not in (before.keyid, before.announces):
        return f"event {after.seq} is signed by key {after.keyid}, which event {before.seq} does not announce"
    return None


def holes(first: int, upto: int, filled: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The intervals of ``first`` to ``upto`` that ``filled`` (ordered by their beginning) leaves open."""
    at = first
    for begin, end in filled:
        if begin > upto:
            break
        if begin > at:
            yield at, begin - 1
        at = max(at, end + 1)
    if at <= upto:
        yield at, upto


def name_hole(first: int, last: int, newest_here: int, stated: Stated | None) -> Iterator[Gap]:
    """A hole cut where its name changes.

    A post sends in order, so whatever lies below the newest event here was sent too. Beyond that only
    ``state`` can tell; alarms and ``previous`` prove that a number exists, not that it was sent.
    """
    oldest = stated.first if stated else 1
    sent = max(newest_here, stated.sent if stated else 0)
    beyond = WAITING if stated and stated.seq >= last else EXISTS
    for begin, end, why in ((1, oldest - 1, REMOVED), (oldest, sent, SENT), (max(oldest, sent + 1), last, beyond)):
        if (low := max(first, begin)) <= (high := min(last, end)):
            yield Gap(low, high, why)

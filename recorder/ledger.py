"""What a sorted message changes in the store: events held or verified, trust, hints, refusals."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from sqlite3 import Row

from device.errors import BadSignature
from device.events import ChainBegan, Jwk, KeyChanged
from recorder.chains import Chains
from recorder.findings import note_refused, note_signed
from recorder.hints import is_online
from recorder.intake import Event, Flaw, Identity, Message, PictureBytes, Refused, Reply, Report, examine, sort
from recorder.keyring import ANNOUNCED, FIRST_SET, PERSON, Keyring
from recorder.picture_files import PictureFiles
from recorder.pictures import Pictures
from recorder.rows import known, table_of
from recorder.store import Store

MAX_HELD = 20_000
"""Events of one source that wait for a key: 160 MB at most. More are not kept; the post still has them."""

_PAGE = 256


class Outcome(StrEnum):
    """What became of a message."""

    NEW = "new"
    KNOWN = "known"
    HELD = "held"
    REFUSED = "refused"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Settled:
    """What a transaction changed: chains touched, chains whose ``whole`` moved, sources that stated or lived.

    ``unasked``: by source, the event of the last picture that came without an order: its chain's row, its number.
    """

    touched: frozenset[int]
    moved: frozenset[int]
    stated: frozenset[str]
    alive: frozenset[str]
    unasked: dict[str, tuple[int, int]]


class Ledger:
    """Decides inside the caller's transaction; call ``settle`` before its end."""

    def __init__(self, store: Store, root: str, pictures_per_post: int | None = None) -> None:
        """``pictures_per_post``: bytes; None for as many as the disk takes, as for what a person brings."""
        self._store = store
        self._root = root
        self._keys = Keyring(store)
        self._chains = Chains(store, self._take_announced)
        self._pictures = Pictures(store, PictureFiles(store.path), pictures_per_post)
        self._stated: set[str] = set()
        self._alive: dict[str, int] = {}
        self._now_ms = 0
        self._held_of: dict[str, int] = {}
        self._newly_trusted: deque[tuple[str, str]] = deque()

    def take(self, message: Message) -> Outcome:
        """Store what ``message`` is worth."""
        at_ms = self._now_ms = message.received_ms
        outcome = Outcome.HINT
        match sort(message, self._root):
            case Event() as event:
                outcome = self._take_event(event, message)
            case Identity(source=source, keys=keys):
                self._take_identity(source, keys, at_ms)
            case Report() as report:
                self._take_report(report, message)
            case PictureBytes() as picture:
                outcome = self._take_picture(picture, message)
            case Reply() as reply:
                self._pictures.answered(reply)
            case Refused() as refused:
                self._refuse(refused, message)
                outcome = Outcome.REFUSED
            case _:
                pass
        self._release_waiting(at_ms)
        return outcome

    def settle(self) -> Settled:
        """Move each touched chain's ``whole`` as far as it goes."""
        for source, at_ms in self._alive.items():
            self._store.run("INSERT OR REPLACE INTO seen VALUES (?, ?)", source, at_ms)
        chains, unasked = self._chains.settle(self._now_ms), dict(self._pictures.unasked)
        settled = Settled(*chains, frozenset(self._stated), frozenset(self._alive), unasked)
        self.forget()
        return settled

    def forget(self) -> None:
        """The transaction is over, well or not."""
        self._chains.forget()
        self._pictures.forget()
        self._stated.clear()
        self._alive.clear()
        self._held_of.clear()
        self._newly_trusted.clear()

    def trust(self, source: str, kid: str, at_ms: int) -> int:
        """A person answers for a key. Returns how many held events that verified. Raises UsageError."""
        self._keys.check_can_be_trusted(source, kid)
        count = "SELECT count(*) FROM event WHERE verified"
        before = self._store.number(count)
        self._now_ms = at_ms
        self._trust(source, kid, PERSON, at_ms)
        self._release_waiting(at_ms)
        self.settle()
        return self._store.number(count) - before

    def _take_event(self, event: Event, message: Message) -> Outcome:
        self._sign_of_life(event.source, message)
        if known(self._store, event):
            self._chains.came_again(event, message.received_ms)
            return Outcome.KNOWN
        public = self._keys.public(event.source, event.keyid)
        if public is None:
            return self._hold(event, message.received_ms)
        if not self._genuine(event, public, message):
            return Outcome.REFUSED
        self._chains.insert(event, message.received_ms, verified=True)
        self._accept(event, message.received_ms)
        return Outcome.NEW

    def _accept(self, event: Event, at_ms: int) -> None:
        self._chains.accept(event, at_ms)
        if not event.alarm:
            self._pictures.heed(event, at_ms)

    def _take_picture(self, picture: PictureBytes, message: Message) -> Outcome:
        self._sign_of_life(picture.source, message)
        stored = self._pictures.take(picture, message.received_ms)
        return {True: Outcome.NEW, False: Outcome.KNOWN, None: Outcome.HELD}[stored]

    def _take_report(self, report: Report, message: Message) -> None:
        at_ms = message.received_ms
        row = (report.source, report.name, at_ms, report.payload)
        self._store.run("INSERT OR REPLACE INTO report VALUES (?, ?, ?, ?)", *row)
        if report.name == "state":
            self._chains.hear_state(report.source, at_ms)
            self._stated.add(report.source)
        if report.name == "state" or is_online(report.payload):
            self._sign_of_life(report.source, message)

    def _sign_of_life(self, source: str, message: Message) -> None:
        """What was kept somewhere says nothing; of a post never heard of it still begins the count."""
        if message.live:
            self._alive[source] = message.received_ms
        else:
            self._store.run("INSERT OR IGNORE INTO seen VALUES (?, ?)", source, message.received_ms)

    def _hold(self, event: Event, at_ms: int) -> Outcome:
        """Keep it durably until its key is trusted."""
        if self._held(event.source) >= MAX_HELD:
            why = f"{MAX_HELD} events wait for a key already; more are not kept"
            note_signed(self._store, event.source, Flaw.CROWDED, "events", why, at_ms=at_ms)
            return Outcome.REFUSED
        if isinstance(event.tells, ChainBegan) and event.tells.jwk.kid == event.keyid:
            self._keys.remember(event.source, event.tells.jwk, at_ms)
        self._chains.insert(event, at_ms, verified=False)
        self._held_of[event.source] += 1
        if self._keys.knows(event.source):
            self._keys.note_untrusted(event.source, event.keyid, at_ms)
        return Outcome.HELD

    def _genuine(self, event: Event, public: bytes, message: Message) -> bool:
        try:
            event.unproven.prove(public)
        except BadSignature as error:
            place = None if event.alarm else (event.chain, event.seq)
            self._refuse(Refused(event.source, Flaw.SIGNATURE, str(error), place), message)
            return False
        return True

    def _take_announced(self, source: str, changed: KeyChanged, at_ms: int) -> None:
        self._keys.remember(source, changed.jwk, at_ms, capped=False)
        self._trust(source, changed.jwk.kid, ANNOUNCED, at_ms)

    def _take_identity(self, source: str, keys: tuple[Jwk, ...], at_ms: int) -> None:
        """No fleet authority yet: the first set of a source is trusted, later only announced keys are."""
        first = not self._keys.knows(source)
        for jwk in keys:
            if not self._keys.remember(source, jwk, at_ms, capped=not first):
                continue
            if first:
                self._trust(source, jwk.kid, FIRST_SET, at_ms)
            elif self._keys.public(source, jwk.kid) is None:
                self._keys.note_unannounced(source, jwk.kid, at_ms)
        if first:
            self._release_waiting(at_ms)
            sql = "SELECT DISTINCT keyid FROM event JOIN chain ON id = chain WHERE NOT verified AND source = ?"
            for row in list(self._store.rows(sql, source)):
                self._keys.note_untrusted(source, row["keyid"], at_ms)

    def _trust(self, source: str, kid: str, how: str, at_ms: int) -> None:
        if self._keys.trust(source, kid, how, at_ms):
            self._newly_trusted.append((source, kid))

    def _release_waiting(self, at_ms: int) -> None:
        """Verify, in order, what waited for keys; that may announce further keys."""
        while self._newly_trusted:
            source, kid = self._newly_trusted.popleft()
            public = self._keys.public(source, kid)
            assert public is not None
            for row in self._waiting(source, kid):
                self._release(row, public, at_ms)

    def _release(self, row: Row, public: bytes, at_ms: int) -> None:
        event = examine(bytes(row["payload"]), alarm=row["alarm"])
        table, where = table_of(event)
        place = (row["chain"], event.seq, event.hash)
        topic = f"{event.source[1:]}/{'alarm' if event.alarm else 'event'}/{event.kind}"
        if self._genuine(event, public, Message(topic, event.payload, at_ms)):
            self._store.run(f"UPDATE {table} SET verified = 1 WHERE {where}", *place)
            self._accept(event, at_ms)
        else:
            self._store.run(f"DELETE FROM {table} WHERE {where}", *place)

    def _waiting(self, source: str, kid: str) -> Iterator[Row]:
        """Held rows, a page at a time; each is verified or removed before the next page is read."""
        for table, alarm in (("event", 0), ("claim", 1)):
            sql = (
                f"SELECT chain, payload, {alarm} AS alarm FROM {table} JOIN chain ON id = chain "
                f"WHERE NOT verified AND keyid = ? AND source = ? ORDER BY chain, seq LIMIT {_PAGE}"
            )
            while page := list(self._store.rows(sql, kid, source)):
                yield from page

    def _held(self, source: str) -> int:
        """Counted once a batch: counting is as long as what waits."""
        if source not in self._held_of:
            held = "FROM {} JOIN chain ON id = chain WHERE NOT verified AND source = ?1"
            sql = f"SELECT (SELECT count(*) {held.format('event')}) + (SELECT count(*) {held.format('claim')})"
            self._held_of[source] = self._store.number(sql, source)
        return self._held_of[source]

    def _refuse(self, refused: Refused, message: Message) -> None:
        """A number whose bytes come a second time, and are the same, will never come otherwise: it is closed."""
        twice = note_refused(
            self._store,
            refused.source,
            refused.flaw,
            refused.why,
            topic=message.topic,
            payload=message.payload,
            at_ms=message.received_ms,
        )
        if refused.picture:
            self._pictures.mismatched(refused.source, refused.picture)
        if twice and refused.place:
            self._chains.close_refused(refused.source, refused.place, message.received_ms)

"""What a sorted message changes in the store: holding, verifying, forks, links, lost ranges, trust."""

from collections import deque
from collections.abc import Iterator
from sqlite3 import Row

from device.errors import BadSignature
from device.events import ChainBegan, Jwk, KeyChanged, Lost, Position
from device.record.chain import verify
from recorder.findings import note_refused, note_signed
from recorder.intake import Event, Flaw, Identity, Message, Refused, Report, Unclear, examine, sort
from recorder.keyring import ANNOUNCED, FIRST_SET, PERSON, Keyring
from recorder.places import begins, span
from recorder.store import Store
from recorder.wholeness import advance, broken, contents, places, rewind

MAX_HELD = 20_000
"""Events of one source that wait for a key: 160 MB at most. More are not kept; the post still has them."""

_PAGE = 256


class Ledger:
    """Decides inside the caller's transaction; call ``settle`` before its end."""

    def __init__(self, store: Store, root: str) -> None:
        self._store = store
        self._root = root
        self._keys = Keyring(store)
        self._touched: set[int] = set()
        self._held_of: dict[str, int] = {}
        self._newly_trusted: deque[tuple[str, str]] = deque()

    def take(self, message: Message) -> None:
        """Store what ``message`` is worth."""
        at_ms = message.received_ms
        match sort(message, self._root):
            case Event() as event:
                self._take_event(event, message)
            case Identity(source=source, keys=keys):
                self._take_identity(source, keys, at_ms)
            case Report(source=source, name=name, payload=payload):
                self._store.run("INSERT OR REPLACE INTO report VALUES (?, ?, ?, ?)", source, name, at_ms, payload)
            case Refused(source=source, flaw=flaw, why=why):
                self._refuse(source, flaw, why, message)
            case _:
                pass
        self._release_waiting(at_ms)

    def settle(self) -> None:
        """Move each touched chain's ``whole`` as far as it goes."""
        for chain in self._touched:
            advance(self._store, chain)
        self._touched.clear()
        self._held_of.clear()

    def trust(self, source: str, kid: str, at_ms: int) -> int:
        """A person answers for a key. Returns how many held events that verified. Raises UsageError."""
        self._keys.check_can_be_trusted(source, kid)
        count = "SELECT count(*) FROM event WHERE verified"
        before = self._store.number(count)
        self._trust(source, kid, PERSON, at_ms)
        self._release_waiting(at_ms)
        self.settle()
        return self._store.number(count) - before

    def _take_event(self, event: Event, message: Message) -> None:
        chain = self._chain(event.source, event.chain)
        table, where = _table(event)
        if chain and self._store.row(f"SELECT 1 FROM {table} WHERE {where}", chain, event.seq, event.hash):
            return
        public = self._keys.public(event.source, event.keyid)
        if public is None:
            self._hold(event, message.received_ms)
        elif self._genuine(event, public, message):
            self._insert(event, message.received_ms, verified=True)
            self._accept(event, message.received_ms)

    def _hold(self, event: Event, at_ms: int) -> None:
        """Keep it durably until its key is trusted."""
        if self._held(event.source) >= MAX_HELD:
            why = f"{MAX_HELD} events wait for a key already; more are not kept"
            note_signed(self._store, event.source, Flaw.CROWDED, "events", why, at_ms=at_ms)
            return
        if isinstance(event.tells, ChainBegan) and event.tells.jwk.kid == event.keyid:
            self._keys.remember(event.source, event.tells.jwk, at_ms)
        self._insert(event, at_ms, verified=False)
        self._held_of[event.source] += 1
        if self._keys.knows(event.source):
            self._keys.note_untrusted(event.source, event.keyid, at_ms)

    def _genuine(self, event: Event, public: bytes, message: Message) -> bool:
        try:
            verify(event.payload, public)
        except BadSignature as error:
            self._refuse(event.source, Flaw.SIGNATURE, str(error), message)
            return False
        return True

    def _accept(self, event: Event, at_ms: int) -> None:
        """A verified event is in the store: compare it with its number and neighbours, hear what it tells.

        Of an alarm only its number counts: the truth is the event stream.
        """
        chain = self._open_chain(event.source, event.chain)
        self._check_fork(event.source, event.chain, event.seq, at_ms)
        if event.alarm:
            return
        self._check_links(event, chain, at_ms)
        match event.tells:
            case KeyChanged(jwk=jwk):
                self._keys.remember(event.source, jwk, at_ms, capped=False)
                self._trust(event.source, jwk.kid, ANNOUNCED, at_ms)
            case ChainBegan(previous=Position() as previous):
                self._claim_previous(event, previous, at_ms)
            case Lost() as lost:
                self._close(event.source, lost, at_ms)
            case Unclear(why=why):
                what = f"{event.chain}/{event.seq}"
                note_signed(self._store, event.source, Flaw.UNCLEAR, what, f"event {what}: {why}", at_ms=at_ms)
            case _:
                pass

    def _check_fork(self, source: str, uuid: str, seq: int, at_ms: int) -> None:
        chain = self._open_chain(source, uuid)
        self._touched.add(chain)
        if contents(self._store, chain, seq) < 2:
            return
        detail = f"event {uuid}/{seq} is signed with more than one content"
        note_signed(self._store, source, Flaw.FORK, f"{uuid}/{seq}", detail, at_ms=at_ms)
        rewind(self._store, chain, seq)

    def _check_links(self, event: Event, chain: int, at_ms: int) -> None:
        """Both sides of a new event. One version that fits is enough: a fork is told elsewhere."""
        before, here, after = (places(self._store, chain, event.seq + step) for step in (-1, 0, 1))
        problems = [broken(before, here), broken(here, after), begins(here[0]) if event.seq == 1 else None]
        for problem in filter(None, problems):
            detail = f"chain {event.chain}: {problem}"
            note_signed(self._store, event.source, Flaw.LINK, detail, detail, at_ms=at_ms)

    def _claim_previous(self, event: Event, previous: Position, at_ms: int) -> None:
        self._store.run(
            "INSERT OR IGNORE INTO claim VALUES (?, ?, ?, ?, ?, 1, ?, NULL)",
            self._open_chain(event.source, previous.chain),
            previous.seq,
            previous.hash,
            f"previous of {event.chain}",
            event.keyid,
            at_ms,
        )
        self._check_fork(event.source, previous.chain, previous.seq, at_ms)

    def _close(self, source: str, lost: Lost, at_ms: int) -> None:
        chain = self._open_chain(source, lost.chain)
        self._touched.add(chain)
        self._store.run("INSERT OR IGNORE INTO lost VALUES (?, ?, ?, ?)", chain, lost.from_, lost.to, lost.why)
        numbers = f"{lost.chain}/{span(lost.from_, lost.to)}"
        note_signed(self._store, source, Flaw.LOST, numbers, f"lost for good: {numbers}: {lost.why}", at_ms=at_ms)

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
        table, where = _table(event)
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

    def _insert(self, event: Event, at_ms: int, *, verified: bool) -> None:
        place = (self._open_chain(event.source, event.chain), event.seq, event.hash)
        rest = (verified, at_ms, event.payload)
        if event.alarm:
            how = f"alarm/{event.kind}"
            self._store.run("INSERT INTO claim VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *place, how, event.keyid, *rest)
        else:
            link = (event.prev, event.keyid, event.announces)
            self._store.run("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *place, *link, *rest)

    def _held(self, source: str) -> int:
        """Counted once a batch: counting is as long as what waits."""
        if source not in self._held_of:
            held = "FROM {} JOIN chain ON id = chain WHERE NOT verified AND source = ?1"
            sql = f"SELECT (SELECT count(*) {held.format('event')}) + (SELECT count(*) {held.format('claim')})"
            self._held_of[source] = self._store.number(sql, source)
        return self._held_of[source]

    def _chain(self, source: str, uuid: str) -> int | None:
        row = self._store.row("SELECT id FROM chain WHERE source = ? AND uuid = ?", source, uuid)
        return int(row["id"]) if row else None

    def _open_chain(self, source: str, uuid: str) -> int:
        found = self._chain(source, uuid)
        if found is None:
            self._store.run("INSERT INTO chain (source, uuid) VALUES (?, ?)", source, uuid)
            found = self._chain(source, uuid)
        assert found is not None
        return found

    def _refuse(self, source: str, flaw: Flaw, why: str, message: Message) -> None:
        note_refused(
            self._store,
            source,
            flaw,
            why,
            topic=message.topic,
            payload=message.payload,
            at_ms=message.received_ms,
        )


def _table(event: Event) -> tuple[str, str]:
    """Where an event or its alarm copy is kept, and the words that find it by (chain, seq, hash)."""
    where = "chain = ? AND seq = ? AND hash = ?"
    return ("claim", f"{where} AND how LIKE 'alarm/%'") if event.alarm else ("event", where)

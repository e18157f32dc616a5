"""The retained messages: who the post is, whether it is there, what holds now. Hints, not evidence."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

from device import __version__
from device.events import Jwk, rfc3339
from device.link.topics import Topics
from device.readings import Instant
from device.record.chain import event_hash
from device.record.journal_reader import ChainRow, Row


class Hint(Enum):
    """The retained messages."""

    STATUS = "status"
    IDENTITY = "identity"
    STATE = "state"


PROTOCOL = 1
"""Version of the wire contract."""


class Rows(Protocol):
    """What the link reads of the journal."""

    def rows(self, after: int, limit: int) -> list[Row]:
        """At most ``limit`` events behind position ``after``, in order."""
        ...

    def chains(self) -> list[ChainRow]:
        """Every chain, newest first."""
        ...

    def oldest(self) -> int:
        """Position of the oldest event still kept."""
        ...

    def newest(self) -> int:
        """Position of the newest event."""
        ...

    def alarms(self) -> list[int]:
        """Positions of the alarms that no broker has acknowledged."""
        ...

    def public_jwks(self) -> list[str]:
        """Every public key that signed events of this journal, as JWK texts, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Hints:
    """Writes the payloads. ``jwk``: the key that signs now."""

    topics: Topics
    bootid: str
    jwk: Jwk

    def topic(self, hint: Hint) -> str:
        """Where a hint is published."""
        return {
            Hint.STATUS: self.topics.status,
            Hint.IDENTITY: self.topics.identity,
            Hint.STATE: self.topics.state,
        }[hint]

    def online(self, now: Instant) -> bytes:
        """``status`` while connected."""
        members = {"online": True, "bootid": self.bootid, "since": rfc3339(now.wall_ms)}
        return _json({**members, "firmware": __version__, "protocol": PROTOCOL})

    def offline(self, why: str | None = None) -> bytes:
        """``status`` as the last will, or with a reason at a clean stop."""
        members = {"online": False, "bootid": self.bootid}
        return _json(members if why is None else {**members, "why": why})

    def identity(self, rows: Rows) -> bytes:
        """A JWK Set (RFC 7517 section 5), newest key first, past keys kept."""
        past = [json.loads(jwk) for jwk in rows.public_jwks()]
        now = self.jwk.model_dump()
        return _json({"keys": [now, *(jwk for jwk in past if jwk["kid"] != now["kid"])]})

    def state(self, now: Instant, rows: Rows, done: int, holds: Mapping[str, Any]) -> bytes:
        """``state``: every chain of the journal, newest first, and what holds now."""
        return _json({"time": rfc3339(now.wall_ms), "chains": list(_chains(rows, done)), **holds})


class Span(NamedTuple):
    """A chain's place in the journal: its number ``n`` is at position ``before + n``, its newest at ``last``."""

    chain: str
    before: int
    last: int


def spans(rows: Rows) -> Iterator[Span]:
    """Every chain of the journal, newest first."""
    last = rows.newest()
    for chain, before in rows.chains():
        yield Span(chain, before, last)
        last = before


def _chains(rows: Rows, done: int) -> Iterator[dict[str, Any]]:
    """Each chain's newest number, that event's hash, its oldest number still kept, its newest acknowledged."""
    oldest = rows.oldest()
    for chain, before, last in spans(rows):
        if last < oldest:
            return
        held = rows.rows(last - 1, 1)
        if not held or held[0].position != last:
            continue  # its newest event is gone: a "lost" event tells, and there is no hash to name
        seq = last - before
        yield {
            "chain": chain,
            "seq": seq,
            "hash": event_hash(held[0].event),
            "first": max(1, oldest - before),
            "sent": min(max(0, done - before), seq),
        }


def kind_of(event: bytes) -> str:
    """``checkin`` of an event of type ``guardpost.checkin.v1``."""
    # Canonical JSON has its names in order, and no quote within a text: the last "type" is the event's own. To read
    # all of it would cost a tenth of what the line can carry.
    return event.rpartition(b'"type":"')[2].split(b".", 2)[1].decode()


def _json(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()

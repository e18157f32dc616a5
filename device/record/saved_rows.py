"""Which rows of a damaged journal are kept, and where: sound ones that do not contradict each other."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from device.errors import ChainError
from device.events import NO_HASH, Jwk
from device.record.chain import jwk_public, verify
from device.record.journal_reader import ChainRow
from device.record.raw_pages import Found
from device.record.verification import VERIFIED_AT_OPEN, members_of


class Known(NamedTuple):
    """A public key: as JWK, and its 32 raw bytes."""

    jwk: Jwk
    public: bytes


@dataclass
class _Place:
    """A chain may be here: from behind position ``before`` to ``last``, where so many ``rows`` of it stand."""

    before: int
    rows: int = 0
    last: int = 0

    def apart(self, other: "_Place") -> bool:
        return self.last <= other.before or other.last <= self.before


class Survey:
    """A first look at every row: which keys they announce, and where most rows of each chain are.

    A row's position is kept beside the event and not signed, so one that stands elsewhere is damaged.
    """

    def __init__(self) -> None:
        """Its memory grows with the chains alone."""
        self.keys: dict[str, Known] = {}
        self._places: dict[ChainRow, _Place] = {}

    def know(self, jwk: object) -> None:
        """A public key that events may be signed with: a JWK, or its text or members."""
        try:
            key = Jwk.model_validate_json(jwk) if isinstance(jwk, str) else Jwk.model_validate(jwk)
            self.keys[key.kid] = Known(key, jwk_public(key))
        except (ValidationError, ValueError):
            return  # it is damaged

    def look(self, found: Found) -> None:
        """Look at one row."""
        members = members_of(found.event)
        if members is None or not _as_written(found):
            return
        data = members.get("data")
        if isinstance(data, dict) and "jwk" in data:
            self.know(data["jwk"])
        chain = ChainRow(members["chain"], found.position - members["seq"])
        place = self._places.setdefault(chain, _Place(chain.before))
        place.rows += 1
        place.last = max(place.last, found.position)

    def chains(self, told: Iterable[tuple[object, object]]) -> list[ChainRow]:
        """Every chain, newest first. Of two that overlap, the one with fewer rows is left out.

        ``told``: the damaged journal's own list, for those of which no row was found.
        """
        most_first = sorted(self._places.items(), key=lambda each: -each[1].rows)
        places: list[tuple[object, _Place]] = [(chain, place) for (chain, _), place in most_first]
        places += [(chain, _Place(at, 0, at + 1)) for chain, at in told if isinstance(at, int)]
        kept: dict[str, _Place] = {}
        for chain, place in places:
            apart = all(place.apart(other) for other in kept.values())
            if isinstance(chain, str) and chain not in kept and place.before >= 0 and apart:
                kept[chain] = place
        return sorted((ChainRow(chain, place.before) for chain, place in kept.items()), key=lambda row: -row.before)


class SavedRows:
    """The events table of a new journal while it is filled. Its memory does not grow with the rows."""

    def __init__(
        self, fresh: sqlite3.Connection, keys: Mapping[str, Known], chains: Iterable[ChainRow], oldest: int
    ) -> None:
        """``fresh``: the new journal's database. ``oldest``: what was before this position had been removed."""
        self._fresh = fresh
        self._keys = keys
        self._before = dict(chains)
        self._oldest = oldest
        self.used: dict[str, int] = {}
        """By id, the keys that the rows were signed with, and the first position of each."""

    def take(self, found: Found) -> None:
        """Keep a row if it is sound, and follows the one before it and precedes the one behind it."""
        members = members_of(found.event)
        if members is None or members["chain"] not in self._before:
            return
        position = self._before[members["chain"]] + members["seq"]
        digest = hashlib.sha256(found.event).digest()
        if position < self._oldest or not self._fits(position, members, digest) or not self._sound(found, members):
            return
        self._fresh.execute("INSERT INTO events VALUES (?, ?, ?)", (position, found.event, digest))
        first = self.used.setdefault(members["keyid"], position)
        self.used[members["keyid"]] = min(first, position)

    def settle(self) -> None:
        """Leave out what the next start would stumble over: newest rows whose signature is wrong after all."""
        query = "SELECT position, event FROM events ORDER BY position DESC LIMIT ?"
        for position, event in self._fresh.execute(query, (VERIFIED_AT_OPEN,)).fetchall():
            if not self._verified(event, json.loads(event)["keyid"]):
                self._fresh.execute("DELETE FROM events WHERE position = ?", (position,))

    def _fits(self, position: int, members: Mapping[str, Any], digest: bytes) -> bool:
        if members["seq"] == 1 and members["prev"] != NO_HASH:
            return False
        query = "SELECT position, event, hash FROM events WHERE position BETWEEN ? AND ?"
        for other, event, other_digest in self._fresh.execute(query, (position - 1, position + 1)):
            if other == position:
                return False
            if other < position and members["seq"] > 1 and members["prev"] != other_digest.hex():
                return False
            if other > position:
                behind = json.loads(event)
                if behind["seq"] > 1 and behind["prev"] != digest.hex():
                    return False
        return True

    def _sound(self, found: Found, members: Mapping[str, Any]) -> bool:
        """Signed by a key that is known, and as it was written or at least as it was signed."""
        return members["keyid"] in self._keys and (
            _as_written(found) or self._verified(found.event, members["keyid"])
        )

    def _verified(self, event: bytes, keyid: str) -> bool:
        try:
            verify(event, self._keys[keyid].public)
        except ChainError:
            return False
        return True


def _as_written(found: Found) -> bool:
    return hashlib.sha256(found.event).digest() == found.hash

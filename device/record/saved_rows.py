"""Which rows of a damaged journal are kept, and where: sound ones that do not contradict each other."""

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from device.errors import ChainError
from device.events import MAX_SAFE_INTEGER, NO_HASH, Jwk
from device.record.chain import jwk_public, verify
from device.record.journal import ChainRow
from device.record.raw_pages import Found
from device.record.verification import VERIFIED_AT_OPEN, members_of


class Known(NamedTuple):
    """A public key: as JWK, and its 32 raw bytes."""

    jwk: Jwk
    public: bytes


@dataclass
class _Place:
    """How many rows of a chain stand where they do, and the first and the last position."""

    rows: int = 0
    first: int = MAX_SAFE_INTEGER
    last: int = 0

    def overlaps(self, other: "_Place") -> bool:
        return self.first <= other.last and other.first <= self.last

    def add(self, position: int) -> None:
        self.rows += 1
        self.first, self.last = min(self.first, position), max(self.last, position)


class Survey:
    """A first look at every row: which keys they announce, and where most rows of each chain are.

    A row's position is kept beside the event and not signed, so one that stands elsewhere is damaged.
    """

    def __init__(self) -> None:
        """Its memory grows with the chains alone."""
        self.keys: dict[str, Known] = {}
        self._places: dict[ChainRow, _Place] = defaultdict(_Place)

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
        self._places[ChainRow(members["chain"], found.position - members["seq"])].add(found.position)

    def chains(self, told: Iterable[tuple[object, object]]) -> list[ChainRow]:
        """Every chain, newest first. Of two that overlap, the one with fewer rows is left out.

        ``told``: the damaged journal's own list, for those of which no row was found.
        """
        kept: dict[str, tuple[int, _Place]] = {}
        for (chain, before), place in sorted(self._places.items(), key=lambda each: -each[1].rows):
            if chain not in kept and before >= 0 and not any(place.overlaps(other) for _, other in kept.values()):
                kept[chain] = before, place
        for name, start in told:
            if isinstance(name, str) and isinstance(start, int) and name not in kept and start >= 0:
                place = _Place(0, start + 1, start + 1)
                if not any(place.overlaps(other) for _, other in kept.values()):
                    kept[name] = start, place
        return sorted((ChainRow(chain, before) for chain, (before, _) in kept.items()), key=lambda row: -row.before)


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

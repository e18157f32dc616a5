"""The test vectors of docs/contract.md, always the same bytes: ``python tests/docs/vectors.py docs/vectors``."""

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.events import (
    Booted,
    ChainBegan,
    Checkin,
    Data,
    Door,
    Draft,
    KeyChanged,
    Lost,
    rfc3339,
)
from device.link.topics import Topics
from device.readings import Instant
from device.record.chain import Chain, Head, base64url, event_hash
from device.record.keys import SigningKey
from device.rules.roster import Roster

SOURCE = "/guardpost/jember/kpu-gate"
TOPICS = Topics.of(SOURCE)
CHAIN = "6f1e0a52-8c35-4d3b-9a70-2f6d1c0b7e94"
EARLIER_CHAIN = "0b9c7f3e-51a4-4e0c-8d26-7a13f2e4c5b8"
BOOT = "3f0c8bb4-9d53-4b8e-b0a5-0d1f3a2c4e5f"
START_MS, UPTIME_MS = 1_795_396_500_123, 86_400_123
BADGE = bytes.fromhex("04A1B2C3D4E5F6")

ACCEPTED, DUPLICATE = "accepted", "duplicate"
_WARNING = "Made from words that everybody can read. Never give these keys to a real post."
UNREADABLE, TOPIC, SIGNATURE = "unreadable", "topic mismatch", "bad signature"
LINK, FORK = "broken link", "fork"


def _secret(name: str) -> bytes:
    """32 bytes that anybody can make again: never to be used for a real post."""
    return hashlib.sha256(f"guardpost test vector: {name}".encode()).digest()


SITE_KEY = _secret("site key")
ROSTER = Roster(SITE_KEY)


class TestKey(SigningKey):
    """A signing key that is no secret."""

    __test__ = False

    def __init__(self, name: str) -> None:
        self.seed = _secret(name)
        super().__init__(Ed25519PrivateKey.from_private_bytes(self.seed))

    def private_jwk(self) -> dict[str, Any]:
        """With ``d``, the private half (RFC 8037, section 2)."""
        return {**self.jwk().model_dump(), "d": base64url(self.seed)}


@dataclass(frozen=True, slots=True)
class Vector:
    """One message to a subscriber, and what it has to make of it. ``note``: why, for people."""

    name: str
    topic: str
    payload: bytes
    expect: str
    note: str

    def listed(self) -> dict[str, str]:
        """Its entry in vectors.json."""
        return {
            "file": self.name,
            "topic": self.topic,
            "sha256": event_hash(self.payload),
            "expect": self.expect,
            "note": self.note,
        }


class _Writer:
    """Seals one chain, ten seconds an event."""

    def __init__(self, key: TestKey) -> None:
        self.chain = Chain(SOURCE, BOOT, key, Head(CHAIN))

    @property
    def at(self) -> Instant:
        passed_ms = 10_000 * self.chain.head.seq
        return Instant(UPTIME_MS + passed_ms, START_MS + passed_ms, "synced", 12)

    def seal(self, subject: str, data: Data, note: str) -> Vector:
        """The next event, as the firmware seals it."""
        draft = Draft.model_validate({"subject": subject, "data": data})
        self.chain, sealed = self.chain.seal(draft, self.at)
        return _vector(f"event-{sealed.head.seq}.json", sealed.kind, sealed.event, ACCEPTED, note)

    def sign_with(self, key: TestKey) -> None:
        """From the next event on."""
        self.chain = replace(self.chain, signer=key)

    def members(self, event: bytes) -> dict[str, Any]:
        """An event's members without the signature, to write another one from."""
        members: dict[str, Any] = json.loads(event)
        del members["signature"]
        return members

    def signed(self, members: dict[str, Any]) -> bytes:
        """Any members, signed properly."""
        signature = base64url(self.chain.signer.sign(rfc8785.dumps(members)))
        return rfc8785.dumps({**members, "signature": signature})


def _vector(name: str, kind: str, payload: bytes, expect: str, note: str) -> Vector:
    return Vector(name, TOPICS.event(kind), payload, expect, note)


def vectors() -> list[Vector]:
    """Every message, in the order in which a subscriber gets them."""
    return list(_messages(TestKey("first key"), TestKey("second key")))


def _messages(first: TestKey, second: TestKey) -> Iterator[Vector]:
    writer = _Writer(first)
    yield writer.seal("post", ChainBegan(why="first", previous=None, jwk=first.jwk()), "a chain begins")
    yield writer.seal("post", Booted(why="boot", firmware="0.1.0"), "the program started")
    badge = ROSTER.hidden(BADGE)
    checkin = Checkin(
        method="badge", officer="officer-1", badge=badge, verdict="accepted", assurance="uid", reader="gate"
    )
    before_checkin = writer.chain
    yield (tapped := writer.seal("gate", checkin, "a check-in: the example of the page"))
    yield _vector(tapped.name, "checkin", tapped.payload, DUPLICATE, "the same bytes again")
    yield from _spoilt(tapped.payload)
    writer_of_fork = _Writer(first)
    writer_of_fork.chain = before_checkin
    other = writer_of_fork.seal("gate", checkin.model_copy(update={"officer": "officer-2"}), "")
    yield _vector("fork.json", "checkin", other.payload, FORK, "other bytes under number 3, properly signed")
    door = Door(door="front", change="forced", since=rfc3339(writer.at.wall_ms))
    yield writer.seal("front", door, "a door that should not be open")
    yield writer.seal("post", KeyChanged(jwk=second.jwk()), "the old key announces a new one")
    writer.sign_with(second)
    closed = Door(door="front", change="closed", since=door.since)
    yield writer.seal("front", closed, "signed by the new key")
    lost = Lost.model_validate({"chain": EARLIER_CHAIN, "from": 12, "to": 14, "why": "damaged"})
    yield writer.seal("post", lost, "numbers of an earlier chain that nobody will ever get")
    unknown = {**_next_of(writer, closed), "type": "guardpost.weather.v7", "colour": "grey", "data": {"rain": True}}
    event = writer.signed(unknown)
    yield _vector("event-8.json", "weather", event, ACCEPTED, "an unknown kind, version and member: kept")
    writer.chain = replace(writer.chain, head=Head(CHAIN, 8, event_hash(event)))
    unlinked = {**_next_of(writer, closed), "prev": event_hash(tapped.payload)}
    yield _vector("unlinked.json", "door", writer.signed(unlinked), LINK, "prev is not the hash of number 8")


def _next_of(writer: _Writer, data: Data) -> dict[str, Any]:
    """The members of the event that would come next; the writer stays where it is."""
    _, sealed = writer.chain.seal(Draft.model_validate({"subject": "front", "data": data}), writer.at)
    return writer.members(sealed.event)


def _spoilt(event: bytes) -> Iterator[Vector]:
    altered = event.replace(b'"officer-1"', b'"officer-9"')
    yield _vector("altered.json", "checkin", altered, SIGNATURE, "another officer under the old signature")
    members = json.loads(event)
    spelling = members["signature"]
    respelt = event.replace(spelling.encode(), _other_spelling(spelling).encode())
    yield _vector("respelt.json", "checkin", respelt, SIGNATURE, "a second spelling of the same 64 bytes")
    spaced = json.dumps(members, indent=1).encode()
    yield _vector("spaced.json", "checkin", spaced, UNREADABLE, "the same members, not canonical")
    double = event.replace(b'{"bootid"', b'{"seq":3,"bootid"')
    yield _vector("double.json", "checkin", double, UNREADABLE, "a name is there twice")
    yield _vector("event-3.json", "door", event, TOPIC, "a check-in on the topic of doors")


def _other_spelling(text: str) -> str:
    """Base64url of 64 bytes ends with a character of which four bits mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def files() -> dict[str, bytes]:
    """Every file of docs/vectors that this program writes."""
    keys = [TestKey("second key"), TestKey("first key")]
    found = {vector.name: vector.payload for vector in vectors()}
    found["identity.json"] = _json({"keys": [key.jwk().model_dump() for key in keys]})
    found["private-keys.json"] = _json({"note": _WARNING, "keys": [key.private_jwk() for key in keys]})
    badge = {"site_key": SITE_KEY.hex(), "number": BADGE.hex().upper(), "badge": ROSTER.hidden(BADGE)}
    listed = [vector.listed() for vector in vectors()]
    found["vectors.json"] = _json({"source": SOURCE, "badge": badge, "messages": listed})
    return found


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


if __name__ == "__main__":
    for name, content in files().items():
        (Path(sys.argv[1]) / name).write_bytes(content)

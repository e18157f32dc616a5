"""The far ends: a post that seals real events, a desk with a real store, and Mosquitto's own publisher."""

import hashlib
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from brokers import Mosquitto
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.events import (
    ChainBegan,
    Checkin,
    Data,
    Draft,
    Jwk,
    KeyChanged,
    Lost,
    Picture,
    PictureLost,
    Position,
    rfc3339,
)
from device.readings import Instant
from device.record.chain import Chain, Head, Sealed, base64url, key_id
from device.record.sealing import seal
from recorder.intake import Message
from recorder.ledger import Ledger
from recorder.store import Store
from recorder.summary import ChainSummary, Summary, summary
from recorder.wholeness import reach

SOURCE = "/guardpost/jember/kpu-gate"


class Key:
    """A post's private key, in memory."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()
        self.kid = key_id(self.public)
        self.jwk = Jwk(x=base64url(self.public), kid=self.kid)

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


def _checkin(number: int) -> Checkin:
    return Checkin(
        method="badge", officer=f"o{number}", badge=None, verdict="accepted", assurance="uid", reader="gate"
    )


@dataclass
class Post:
    """Seals events as the firmware does, and knows the topic of each."""

    source: str = SOURCE
    key: Key = field(default_factory=Key)

    def __post_init__(self) -> None:
        self.past: list[Key] = []
        self.sealed: list[Sealed] = []
        self.uptime_ms = 0
        self._bootid = str(uuid4())
        self.begin("first")

    def begin(self, why: str, previous: Position | None = None, chain: str | None = None) -> Message:
        """A new chain, signed by the key in hand."""
        self.chain = Chain(self.source, self._bootid, self.key, Head(chain or str(uuid4())))
        return self.seal(ChainBegan.model_validate({"why": why, "previous": previous, "jwk": self.key.jwk}), "post")

    def seal(self, data: Data, subject: str = "gate") -> Message:
        self.uptime_ms += 1000
        draft = Draft.model_validate({"subject": subject, "data": data})
        self.chain, sealed = self.chain.seal(draft, Instant(self.uptime_ms, 1_795_000_000_000 + self.uptime_ms))
        self.sealed.append(sealed)
        return self.message(sealed)

    def message(self, sealed: Sealed) -> Message:
        return Message(f"{self.source[1:]}/event/{sealed.kind}", sealed.event, self.uptime_ms)

    def checkin(self) -> Message:
        return self.seal(_checkin(self.chain.head.seq))

    def checkins(self, count: int) -> list[Message]:
        return [self.checkin() for _ in range(count)]

    def lose(self, first: int, last: int, chain: str | None = None) -> Message:
        named: dict[str, Any] = {"from": first, "to": last}
        return self.seal(Lost(chain=chain or self.chain.head.chain, why="disk", **named), "post")

    def picture(
        self, jpeg: bytes, *, why: str | None = None, seal_to: bytes | None = None, replaces: str | None = None
    ) -> tuple[Message, Message]:
        """The event that announces a picture, and its bytes. ``seal_to``: an X25519 public key."""
        wire = jpeg if seal_to is None else seal(seal_to, self.source, jpeg)
        sha256 = hashlib.sha256(wire).hexdigest()
        data = Picture(
            sha256=sha256,
            bytes=len(wire),
            sealed=seal_to is not None,
            plain_sha256=None if seal_to is None else hashlib.sha256(jpeg).hexdigest(),
            width=1920,
            height=1080,
            taken=rfc3339(1_795_000_000_000 + self.uptime_ms),
            offset="-2.960",
            why=why,
            replaces=replaces,
        )
        return self.seal(data, "camera"), self.picture_bytes(sha256, wire)

    def picture_bytes(self, sha256: str, wire: bytes) -> Message:
        return Message(f"{self.source[1:]}/picture/{sha256}", wire, self.uptime_ms)

    def lose_picture(self, sha256: str, why: str = "no room") -> Message:
        return self.seal(PictureLost(picture=sha256, why=why), "post")

    @property
    def last(self) -> str:
        """The id of the newest event."""
        return self.sealed[-1].id

    def rotate(self, *, announced: bool = True) -> Message | None:
        """A new key from the next event on."""
        new = Key()
        message = self.seal(KeyChanged(jwk=new.jwk), "post") if announced else None
        self.past.insert(0, self.key)
        self.key = new
        self.chain = Chain(self.source, self._bootid, new, self.chain.head)
        return message

    @property
    def here(self) -> Position:
        return Position(chain=self.chain.head.chain, seq=self.chain.head.seq, hash=self.chain.head.hash)

    def identity(self, *keys: Key) -> Message:
        listed = [key.jwk.model_dump() for key in (keys or (self.key, *self.past))]
        return self.retained("identity", {"keys": listed})

    def state(self, sent: int, *, first: int = 1, seq: int | None = None) -> Message:
        head = self.chain.head
        stated = {"chain": head.chain, "seq": seq or head.seq, "hash": head.hash, "first": first, "sent": sent}
        return self.retained("state", {"time": "2026-11-23T01:15:00.123Z", "chains": [stated]})

    def retained(self, name: str, value: object) -> Message:
        return Message(f"{self.source[1:]}/{name}", json.dumps(value).encode(), self.uptime_ms)


def alarm(message: Message) -> Message:
    """The same bytes, sent ahead."""
    return Message(message.topic.replace("/event/", "/alarm/"), message.payload, message.received_ms)


@dataclass
class Desk:
    """A store and what it makes of messages, one commit each ``take``."""

    path: Path

    def __post_init__(self) -> None:
        self.store = Store.open(self.path)
        self.ledger = Ledger(self.store, "guardpost")

    def take(self, *messages: Message) -> None:
        with self.store.transaction():
            for message in messages:
                self.ledger.take(message)
            self.ledger.settle()

    def summary(self) -> Summary:
        with self.store.snapshot():
            return summary(self.store)

    def chain(self, index: int = 0) -> ChainSummary:
        return self.summary().chains[index]

    def gaps(self, index: int = 0) -> list[str]:
        return [str(gap) for gap in self.chain(index).gaps]

    def flaws(self) -> dict[str, int]:
        rows = self.store.rows("SELECT flaw, sum(times) FROM finding WHERE settled_ms IS NULL GROUP BY flaw")
        return {row[0]: row[1] for row in rows}

    def pictures(self) -> dict[str, str]:
        """State by the first digits of each hash that an event announced."""
        rows = self.store.rows("SELECT sha256, state FROM picture WHERE chain NOT NULL")
        return {row[0][:8]: row[1] for row in rows}

    def give_receipts(self) -> None:
        """For each chain as far as it is whole, as ``run`` notes those that a broker has taken."""
        with self.store.transaction():
            for row in list(self.store.rows("SELECT id FROM chain")):
                at = reach(self.store, row["id"])
                self.store.run("INSERT OR IGNORE INTO receipt VALUES (?, ?, ?, 1)", row["id"], at.seq, at.hash)

    def content(self) -> dict[str, object]:
        """Everything stored but arrival times, row ids and counters."""
        events = "SELECT source, uuid, seq, hash, prev, keyid, announces, verified, payload FROM event JOIN chain "
        return {
            "events": {tuple(r) for r in self.store.rows(f"{events} ON id = chain")},
            "chains": {tuple(r) for r in self.store.rows("SELECT source, uuid, whole, whole_hash FROM chain")},
            "lost": {tuple(r) for r in self.store.rows("SELECT first, last, why FROM lost")},
            "keys": {tuple(r) for r in self.store.rows("SELECT source, kid, x, trust FROM key")},
            "findings": {
                tuple(r) for r in self.store.rows("SELECT source, flaw, what FROM finding WHERE settled_ms IS NULL")
            },
        }


def publish(broker: Mosquitto, *messages: Message, version: str = "5", retain: bool = False) -> None:
    """By ``mosquitto_pub``, a client that is not ours; returns once everything is PUBACKed."""
    for message in messages:
        subprocess.run(
            [*_pub(broker, version), "-s", "-t", message.topic, *(["-r"] if retain else [])],
            input=message.payload,
            check=True,
            timeout=20,
        )


def publish_lines(broker: Mosquitto, topic: str, payloads: list[bytes], version: str = "5") -> None:
    """Many on one topic over one connection; canonical JSON has no line breaks."""
    lines = b"\n".join(payloads) + b"\n"
    subprocess.run([*_pub(broker, version), "-l", "-t", topic], input=lines, check=True, timeout=60)


def _pub(broker: Mosquitto, version: str) -> list[str]:
    return ["mosquitto_pub", "-V", version, "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1"]

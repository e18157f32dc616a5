"""Valid inputs to begin from: sealed events, orders, receipts, retained messages, rosters, configurations."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from postkit import CHAIN, SOURCE, at, blind, sealed_all, tapped

from device.events import ChainBegan, Door, Draft, KeyChanged, Lost, Picture, PictureLost, Position, rfc3339
from device.hardware.readers.pn532_frames import CHIP, frame
from device.link.hints import Hints
from device.link.topics import Topics
from device.record.chain import base64url, event_hash
from device.record.journal_reader import ChainRow, Row
from device.record.keys import SigningKey

ROOT = Path(__file__).parents[2]
KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
"""The same in every run, so that a run can be repeated."""
TOPICS = Topics.of(SOURCE)
ORDER_ID = "9d0f1c52-2f55-4f5e-8a51-c1d2e3f40516"
PICTURE = b"\xff\xd8 no picture, but bytes \xff\xd9"
PICTURE_SHA256 = hashlib.sha256(PICTURE).hexdigest()


def _drafts() -> Sequence[Draft]:
    position = Position(chain=ORDER_ID, seq=7, hash="ab" * 32)
    began = ChainBegan(why="rolled-back", previous=position, jwk=KEY.jwk())
    lost = Lost.model_validate({"chain": ORDER_ID, "from": 2, "to": 5, "why": "the journal was damaged"})
    forced = Door(door="front", change="forced", since=rfc3339(at().wall_ms))
    return [
        Draft(subject="post", data=began),
        tapped(),
        Draft(subject="front", data=forced),
        Draft(subject="post", data=lost),
        blind("no answer: 5 V on a 3.3 V pin? Größe ✓"),
        Draft(subject="post", data=KeyChanged(jwk=KEY.jwk())),
        Draft(subject="camera", data=_picture()),
        Draft(subject="post", data=PictureLost(picture=PICTURE_SHA256, why="no room")),
    ]


def _picture() -> Picture:
    return Picture(
        sha256=PICTURE_SHA256,
        bytes=len(PICTURE),
        sealed=True,
        plain_sha256="cd" * 32,
        width=1920,
        height=1080,
        taken=rfc3339(at().wall_ms),
        offset="-2.960",
        why=f"{ORDER_ID}/7",
        replaces="ef" * 32,
    )


_SEALED = sealed_all(_drafts(), KEY)[1]
EVENTS = [sealed.event for sealed in _SEALED]


class HeldRows:
    """A journal's rows in memory: those of ``EVENTS``."""

    def rows(self, after: int, limit: int) -> list[Row]:
        """At most ``limit`` behind ``after``."""
        first = max(0, after)
        return [Row(number, EVENTS[number - 1]) for number in range(first + 1, len(EVENTS) + 1)[: max(0, limit)]]

    def chains(self) -> list[ChainRow]:
        """The newest has the last two rows."""
        return [ChainRow(ORDER_ID, 4), ChainRow(CHAIN, 0)]

    def oldest(self) -> int:
        """The first one is there."""
        return 1

    def newest(self) -> int:
        """The last one."""
        return len(EVENTS)

    def alarms(self) -> list[int]:
        """None waits."""
        return []

    def public_jwks(self) -> list[str]:
        """The one key."""
        return [KEY.jwk().model_dump_json()]


ROWS = HeldRows()
_HINTS = Hints(TOPICS, ORDER_ID, KEY.jwk())
STATE = _HINTS.state(at(), ROWS, 3, {"blind": {}, "clock": "synced", "doors": {"front": "open"}, "bytes": {}})
STATUS = [_HINTS.online(at()), _HINTS.offline(), _HINTS.offline("SIGTERM")]
IDENTITY = _HINTS.identity(ROWS)

ORDERS = [
    json.dumps({"id": ORDER_ID, "expires": rfc3339(at().wall_ms + 60_000), "chain": CHAIN, **numbers}).encode()
    for numbers in ({"from": 1, "to": 3}, {"from": 2**53 - 1, "to": 2**53 - 1}, {"from": 3, "to": 1})
]
SELFTEST = json.dumps({"id": ORDER_ID, "expires": rfc3339(at().wall_ms + 60_000)}).encode()
RECEIPTS = [
    *(json.dumps({"chain": CHAIN, "seq": n, "hash": event_hash(EVENTS[n - 1])}).encode() for n in (1, 3)),
    json.dumps({"chain": ORDER_ID, "seq": 0, "hash": "0" * 64}).encode(),
    json.dumps({"chain": ORDER_ID, "seq": 9, "hash": "12" * 32}).encode(),
]

MESSAGES = [
    *((TOPICS.event(sealed.kind), sealed.event) for sealed in _SEALED),
    (TOPICS.alarm("door"), EVENTS[2]),
    (TOPICS.state, STATE),
    *((TOPICS.status, status) for status in STATUS),
    (TOPICS.identity, IDENTITY),
    (TOPICS.state, b""),
    (TOPICS.picture(PICTURE_SHA256), PICTURE),
    (TOPICS.reply(ORDER_ID), json.dumps({"id": ORDER_ID, "ok": False, "error": "gone"}).encode()),
]
"""What the recorder hears, as topic and payload."""

ROSTERS = [
    (ROOT / "docs" / "example" / "roster.toml").read_bytes(),
    b'[[officer]]\nid = "officer-1"\nbadges = ["04A1B2C3D4E5F6"]\nfrom = 2026-01-01\nuntil = 9999-12-31\n'
    b'[[officer]]\nid = "officer-2"\nbadges = ["DEADBEEF"]\nrevoked = true\n'
    b"from = 2026-01-01T08:00:00\nuntil = 2026-12-31T18:00:00+07:00\n",
]
CONFIGS = [
    (ROOT / "device" / "post.example.toml").read_bytes(),
    (ROOT / "docs" / "example" / "post.toml").read_bytes(),
]

PN532 = [
    *(bytes.fromhex(text) for text in ("0000ff00ff00", "0000ffff0000", "0000ff01ff7f8100")),
    frame(CHIP, 0x4B, b"\x00"),
    frame(CHIP, 0x4B, bytes.fromhex("0101000408043a5c7e91")),
    frame(CHIP, 0x4B, bytes.fromhex("0201000408043a5c7e910203442007" + "04a1b2c3d4e5f606" + "7577810280")),
    frame(CHIP, 0x03, bytes.fromhex("32010607")),
    frame(CHIP, 0x41, bytes(263)),
]
"""What a PN532 sends."""


def resigned(event: bytes) -> bytes:
    """The members of ``event``, canonical and signed, whatever they are; ``event`` itself where that cannot be."""
    try:
        members = json.loads(event)
        if not isinstance(members, dict):
            return event
        members.pop("signature", None)
        return rfc8785.dumps({**members, "signature": base64url(KEY.sign(rfc8785.dumps(members)))})
    except (ValueError, RecursionError):  # a CanonicalizationError is a ValueError
        return event

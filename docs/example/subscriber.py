"""A complete subscriber, written from docs/contract.md: ``python subscriber.py STORE [HOST PORT]``.

With a broker it listens, and tells patrols, gaps and findings; without one it lists the patrols of its store. It
needs paho-mqtt and cryptography. All that it gives to the broker are PUBACKs, each after its own durable commit.
"""

import base64
import hashlib
import json
import sqlite3
import sys
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import paho.mqtt.client as mqtt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

BRANCHES = ("event/+", "alarm/+", "state", "identity")
STRANGE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)  # what bytes can cause
TABLES = """PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS event (source, chain, seq, hash, kid, payload, verified, UNIQUE (source, chain, seq, hash));
CREATE INDEX IF NOT EXISTS held ON event (source) WHERE NOT verified;
CREATE TABLE IF NOT EXISTS key (source, kid, x, UNIQUE (source, kid));
CREATE TABLE IF NOT EXISTS lost (source, chain, seq, last, UNIQUE (source, chain, seq, last));
CREATE TABLE IF NOT EXISTS stated (source, chain, first, sent, UNIQUE (source, chain));
CREATE TABLE IF NOT EXISTS finding (source, what, UNIQUE (source, what));"""


def canonical(value: object) -> bytes:
    """RFC 8785 for names in ASCII and whole numbers: events have no others."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def unbase64url(text: str) -> bytes:
    """Decode, encode again and compare: one signature has one spelling."""
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != text:
        raise ValueError("not the canonical base64url")
    return raw


def key_id(x: bytes) -> str:
    """What events call the public key ``x``."""
    return hashlib.sha256(x).hexdigest()[:16]


def announced(event: dict[str, Any], *changes: str) -> list[bytes]:
    """The public key that a chain's first event or a ``key`` event makes known."""
    names_one = event["type"] == "guardpost.system.v1" and event["data"].get("change") in changes
    return [unbase64url(event["data"]["jwk"]["x"])] if names_one else []


def patrol(payload: bytes) -> list[str]:
    """Who tapped where and when, if this is an accepted check-in."""
    event = json.loads(payload)
    if event["type"] != "guardpost.checkin.v1" or event["data"]["verdict"] != "accepted":
        return []
    unsure = "" if event["clock"] == "synced" else f" ({event['clock']} clock)"
    return [f"{event['time']}{unsure} {event['source'][1:]} {event['subject']} {event['data']['officer'] or 'button'}"]


def read(payload: bytes, source: str, kind: str) -> dict[str, Any]:
    """Steps 1 to 3 of the page: an event in its canonical bytes, on its own topic."""
    event: dict[str, Any] = json.loads(payload, parse_float=int, parse_constant=int)  # int() refuses both
    if len(payload) > 8192 or canonical(event) != payload:
        raise ValueError("too long, or not canonical")
    if (event["source"], event["type"].split(".")[1]) != (source, kind):
        raise ValueError("the topic of another post or kind")
    if event["id"] != f"{event['chain']}/{event['seq']}" or event["seq"] not in range(1, 2**53):
        raise ValueError("id is not chain/seq")
    return event



"""A complete subscriber, written from docs/contract.md: ``python subscriber.py STORE HOST [PORT]``.

It keeps every event in an SQLite file, and prints patrols, findings and gaps. All that it gives to the broker are
PUBACKs, each after its own durable commit: a crash neither loses nor doubles anything.
"""

import base64
import hashlib
import json
import sqlite3
import sys
from itertools import pairwise

import paho.mqtt.client as mqtt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TABLES = """PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS key (source, kid, x, UNIQUE (source, kid));
CREATE TABLE IF NOT EXISTS event (source, chain, seq, hash, prev, kid, next, payload, ok, UNIQUE (source, chain, seq, hash));
CREATE INDEX IF NOT EXISTS held ON event (source) WHERE NOT ok;"""
LINK = """SELECT a.seq = b.seq FROM event a JOIN event b USING (source, chain) WHERE a.ok AND b.ok AND source = ?
AND chain = ? AND a.seq BETWEEN ?3 - 1 AND ?3 AND ((a.seq = b.seq AND a.hash < b.hash)
OR (b.seq = a.seq + 1 AND b.seq BETWEEN ?3 AND ?3 + 1 AND (b.prev != a.hash OR b.kid NOT IN (a.kid, a.next))))"""


def canonical(value: object) -> bytes:
    """RFC 8785, for names in ASCII and whole numbers: events have no others."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def unbase64url(text: str) -> bytes:
    """What ``text`` spells; nothing where encoding would spell it otherwise."""
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return raw if base64.urlsafe_b64encode(raw).decode().rstrip("=") == text else b""


def hold(db: sqlite3.Connection, source: str, kind: str, payload: bytes) -> None:
    """Steps 1 to 3 and 5: keep an event, once, until its key is known."""
    event = json.loads(payload, parse_float=int, parse_constant=int)  # int() refuses fractions and NaN
    if canonical(event) != payload or len(payload) > 8192 or event["seq"] not in range(1, 2**53):
        raise ValueError("not canonical, too long or without a number")
    if (event["source"], event["type"].split(".")[1], event["id"]) != (source, kind, f"{event['chain']}/{event['seq']}"):
        raise ValueError("its topic or its id does not fit")
    told = event["data"] if event["type"] == "guardpost.system.v1" else {}
    key = told["jwk"]["kid"] if told.get("change") in ("chain", "key") else None
    row = [event["chain"], event["seq"], hashlib.sha256(payload).hexdigest(), event["prev"], event["keyid"], key]
    db.execute("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)", [source, *map(str, row), payload])
    

def trust(db: sqlite3.Connection, source: str, jwk: dict) -> None:
    """A key under its own name."""
    x = unbase64url(jwk["x"])
    if len(x) == 32 and hashlib.sha256(x).hexdigest()[:16] == jwk["kid"]:
        db.execute("INSERT OR IGNORE INTO key VALUES (?, ?, ?)", [source, jwk["kid"], x])


def verify(db: sqlite3.Connection, source: str) -> None:
    """Steps 4 and 6 for every event whose key is known by now."""
    held = "SELECT event.rowid, payload, x FROM event JOIN key USING (source, kid) WHERE NOT ok AND source = ?"
    for row, payload, x in db.execute(held + " ORDER BY chain, seq", [source]).fetchall():
        event = json.loads(payload)
        signature, data = event.pop("signature"), event["data"]
        try:
            Ed25519PublicKey.from_public_bytes(x).verify(unbase64url(signature), canonical(event))
        except (InvalidSignature, ValueError, TypeError, AttributeError):
            print(f"FINDING {event['id']}: bad signature", flush=True)
            db.execute("DELETE FROM event WHERE rowid = ?", [row])
            continue
        db.execute("UPDATE event SET ok = 1 WHERE rowid = ?", [row])
        for (same,) in db.execute(LINK, [source, event["chain"], event["seq"]]):
            print(f"FINDING {event['id']}: {'fork' if same else 'broken link'}", flush=True)
        if event["type"] == "guardpost.system.v1" and data["change"] == "key":
            trust(db, source, data["jwk"])
        if event["type"] == "guardpost.checkin.v1" and data["verdict"] == "accepted":
            print(f"{event['time']} {source} {event['subject']} {data['officer'] or 'button'}", flush=True)


def missing(db, source, chains) -> None:
    """Name what was sent and is not here."""
    for now in chains:
        held = "SELECT DISTINCT seq FROM event WHERE source = ? AND chain = ? AND seq BETWEEN ? AND ? ORDER BY seq"
        numbers = db.execute(held, [source, now["chain"], now["first"], now["sent"]]).fetchall()
        for (one,), (two,) in pairwise([(now["first"] - 1,), *numbers, (now["sent"] + 1,)]):
            if two > one + 1:
                print(f"GAP {source} {now['chain']} {one + 1}-{two - 1}", flush=True)


def on_message(client, db, message) -> None:
    """Commit, then PUBACK; after a crash in between, the broker sends the message again."""
    root, site, post, branch, *kind = message.topic.split("/")
    source = f"/{root}/{site}/{post}"
    with db:
        try:
            if kind:  # an alarm is the same bytes, ahead of their turn
                hold(db, source, kind[0], message.payload)
            elif message.payload and branch == "state":
                missing(...)
            elif message.payload and no keys:
                for jwk in json.loads(message.payload)["keys"]:
                    trust(db, source, jwk)
            verify(db, source)
        except (...) as error:
            print(f"FINDING {message.topic}: {error!r}", flush=True)
    client.ack(message.mid, message.qos)


def main(store: str, host: str, port: str = "1883") -> None:
    db = sqlite3.connect(store)
    db.executescript(TABLES)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "example-subscriber", userdata=db, protocol=5, manual_ack=True)
    ...

"""A complete subscriber, written from docs/contract.md: ``python subscriber.py STORE HOST PORT``.

All that it gives to the broker are PUBACKs, each after its own durable commit: a crash loses and doubles nothing.
"""

import base64
import hashlib
import json
import sqlite3
import sys
from contextlib import suppress

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessage

TOPICS = [(f"guardpost/+/+/{branch}", 1) for branch in ("event/+", "alarm/+", "state", "identity")]
TABLES = """PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS key (source, kid, x, UNIQUE (source, kid));
CREATE TABLE IF NOT EXISTS event (source, chain, seq, hash, prev, kid, text, ok, UNIQUE (source, chain, seq, hash));
CREATE INDEX IF NOT EXISTS held ON event (source) WHERE ok = 0;"""
HELD = "SELECT e.rowid, text, x FROM event e JOIN key USING (source, kid) WHERE ok = 0 AND source = ? ORDER BY seq"
GAPS = """SELECT seq - n, seq - 1 FROM (SELECT seq, seq - 1 - lag(seq, 1, ?3 - 1) OVER (ORDER BY seq) AS n FROM
(SELECT seq FROM event WHERE source = ?1 AND chain = ?2 AND seq BETWEEN ?3 AND ?4 UNION SELECT ?4+1)) WHERE n > 0"""
WRONG = """SELECT iif(a.seq = b.seq, 'fork', 'broken link') FROM event a JOIN event b USING (source, chain)
WHERE source = ?1 AND chain = ?2 AND a.seq BETWEEN ?3 - 1 AND ?3 AND a.ok = 1 AND b.ok = 1 AND (
(a.seq = ?3 AND b.seq = ?3 AND a.hash < b.hash) OR (b.seq = a.seq + 1 AND
(b.prev != a.hash OR b.kid NOT IN (a.kid, ifnull(json_extract(a.text, '$.data.jwk.kid'), '')))))
UNION SELECT 'no start' FROM event WHERE source = ?1 AND chain = ?2 AND seq = 1 AND ?3 = 1 AND ok AND prev != ?4"""
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode  # RFC 8785, see hold


def on_message(client: Client, db: sqlite3.Connection, message: MQTTMessage) -> None:
    """Commit, only then PUBACK; after a crash in between, the broker sends the message again."""
    *place, _, kind = f"/{message.topic}/".split("/")[:6]
    source = "/".join(place)
    with db:
        try:
            if kind:  # event or alarm: an alarm is the same bytes, ahead of their turn
                hold(db, source, kind, message.payload)
            elif message.payload:  # identity or state; an empty one was cleared
                hint(db, source, json.loads(message.payload))
            verify(db, source)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            print(f"FINDING {message.topic}: {error!r}", flush=True)
    client.ack(message.mid, message.qos)


def hold(db: sqlite3.Connection, source: str, kind: str, payload: bytes) -> None:
    """Steps 1 to 3 and 5: keep an event, once. Its names are ASCII and its numbers whole; int() refuses others."""
    event = json.loads(payload, parse_float=int, parse_constant=int)
    found = event["source"], event["type"].split(".")[1], event["id"], canonical(event).encode()
    named = source, kind, f"{event['chain']}/{event['seq']}", payload[:8192]
    if found != named or event["seq"] not in range(1, 2**53):
        raise ValueError("too long, not canonical, or named otherwise than its topic")
    digest, link = hashlib.sha256(payload).hexdigest(), (str(event["prev"]), str(event["keyid"]), payload.decode())
    row = (source, str(event["chain"]), event["seq"], digest, *link)
    db.execute("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?, ?, 0)", row)


def hint(db: sqlite3.Connection, source: str, members: dict) -> None:
    """Trust the first identity, none later. Name what a state calls sent and is not here."""
    if not db.execute("SELECT 1 FROM key WHERE source = ?", [source]).fetchone():
        trust(db, source, members.get("keys", []))
    for chain in members.get("chains", []):
        for gap in db.execute(GAPS, [source, str(chain["chain"]), int(chain["first"]), int(chain["sent"])]):
            print("GAP", source[1:], chain["chain"], *gap, flush=True)


def trust(db: sqlite3.Connection, source: str, jwks: list[dict]) -> None:
    """Public keys, each under the name that is its own."""
    for x in [base64.urlsafe_b64decode(jwk["x"] + "=") for jwk in jwks]:
        db.execute("INSERT OR IGNORE INTO key VALUES (?, ?, ?)", [source, hashlib.sha256(x).hexdigest()[:16], x])


def verify(db: sqlite3.Connection, source: str) -> None:
    """Steps 4 and 6, and what it says, for every event whose key is known by now."""
    for row, text, x in db.execute(HELD, [source]).fetchall():
        event = json.loads(text)
        kind, data, spelt, good = event["type"], event["data"], f"{event.pop('signature')}==", False
        with suppress(InvalidSignature, ValueError):
            signature = base64.urlsafe_b64decode(spelt)
            Ed25519PublicKey.from_public_bytes(x).verify(signature, canonical(event).encode())
            good = base64.urlsafe_b64encode(signature).decode() == spelt  # one signature has one spelling
        db.execute("UPDATE event SET ok = ? WHERE rowid = ?", [1 if good else -1, row])
        link = db.execute(WRONG, [source, str(event["chain"]), event["seq"], "0" * 64])
        for (wrong,) in link if good else [("bad signature",)]:
            print(f"FINDING {event['id']}: {wrong}", flush=True)
        if good and kind == "guardpost.system.v1" and data["change"] == "key":
            trust(db, source, [data["jwk"]])
        if good and kind == "guardpost.checkin.v1" and data["verdict"] == "accepted":
            print(f"{event['time']} {source[1:]} {event['subject']} {data['officer'] or 'button'}", flush=True)


(store := sqlite3.connect(sys.argv[1])).executescript(TABLES)
me = Client(CallbackAPIVersion.VERSION2, "example", clean_session=False, userdata=store, manual_ack=True)
me.on_connect = lambda client, *_: client.subscribe(TOPICS)
me.on_message = on_message
me.connect(sys.argv[2], int(sys.argv[3]))
me.loop_forever()

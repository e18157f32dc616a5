"""A subscriber in one page, written from docs/contract.md alone: ``python verify.py [FOLDER]``.

Plays vectors.json as if its messages came from a broker, and says what it makes of each. It needs the
``cryptography`` package and nothing of this project. Exit code 0 if every answer is the one expected.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Refused(Exception):
    """A message is not what it claims to be; the text is one of the words of vectors.json."""


class Subscriber:
    """One post's chain."""

    def __init__(self, source: str, identity: bytes) -> None:
        """``identity``: the retained JWK Set, trusted on first use."""
        self.source = source
        self.keys = dict(raw_key(jwk) for jwk in json.loads(identity)["keys"])
        self.held: dict[tuple[str, int], bytes] = {}

    def take(self, topic: str, payload: bytes) -> str:
        """What to do with one message, by the numbered steps of the page."""
        try:
            event = read(payload)
            self.check_topic(topic, event)
            self.check_signature(event)
            place = (event["chain"], event["seq"])
            if place in self.held:
                return "duplicate" if self.held[place] == payload else "fork"
            self.held[place] = payload
            self.check_link(event)
        except Refused as refused:
            return str(refused)
        return "accepted"

    def check_topic(self, topic: str, event: dict[str, Any]) -> None:
        """Step 3."""
        kind = event["type"].split(".")[1]
        if event["source"] != self.source or topic != f"{self.source[1:]}/event/{kind}":
            raise Refused("topic mismatch")

    def check_signature(self, event: dict[str, Any]) -> None:
        """Step 4."""
        public = self.keys.get(event["keyid"])
        if public is None:
            raise Refused("unknown key: hold it")
        unsigned = {name: value for name, value in event.items() if name != "signature"}
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(unbase64url(event["signature"]), canonical(unsigned))
        except (InvalidSignature, ValueError):
            raise Refused("bad signature") from None

    def check_link(self, event: dict[str, Any]) -> None:
        """Step 6, and the key that this event may announce."""
        before = self.held.get((event["chain"], event["seq"] - 1))
        announced = announced_key(event)
        if event["seq"] == 1:
            if event["prev"] != "0" * 64 or announced is None or announced[0] != event["keyid"]:
                raise Refused("broken link")
        elif before is not None:
            previous = json.loads(before)
            signers = {previous["keyid"], (announced_key(previous) or ("",))[0]}
            if event["prev"] != hashlib.sha256(before).hexdigest() or event["keyid"] not in signers:
                raise Refused("broken link")
        if announced is not None:
            self.keys.update([announced])


def announced_key(event: dict[str, Any]) -> tuple[str, bytes] | None:
    """The key id and key that a chain's first event or a ``key`` event makes known."""
    if event["type"] == "guardpost.system.v1" and event["data"]["change"] in ("chain", "key"):
        return raw_key(event["data"]["jwk"])
    return None


def read(payload: bytes) -> dict[str, Any]:
    """Steps 1 and 2: at most 8 KiB, strict JSON, canonical, the members that every event has."""
    if len(payload) > 8192:
        raise Refused("unreadable")
    try:
        event = json.loads(payload.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise Refused("unreadable") from None
    if not isinstance(event, dict) or canonical(event) != payload:
        raise Refused("unreadable")
    if not {"chain", "seq", "prev", "keyid", "signature", "source", "type", "data"} <= event.keys():
        raise Refused("unreadable")
    return event


def canonical(event: dict[str, Any]) -> bytes:
    """RFC 8785 for names in ASCII and numbers that are integers; others need a full implementation."""
    return json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no name is there twice."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name is there twice")
    return dict(pairs)


def unbase64url(text: str) -> bytes:
    """Decode, encode again and compare: one signature has one spelling."""
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise ValueError("not the canonical spelling")
    return raw


def raw_key(jwk: dict[str, Any]) -> tuple[str, bytes]:
    """Key id and the 32 raw bytes; the id must be the key's own."""
    public = unbase64url(jwk["x"])
    if hashlib.sha256(public).hexdigest()[:16] != jwk["kid"]:
        raise ValueError("kid is not the key's own")
    return jwk["kid"], public


def main(folder: Path) -> int:
    """Play the messages; the exit code."""
    vectors = json.loads((folder / "vectors.json").read_text())
    subscriber = Subscriber(vectors["source"], (folder / "identity.json").read_bytes())
    wrong = 0
    for message in vectors["messages"]:
        answer = subscriber.take(message["topic"], (folder / message["file"]).read_bytes())
        wrong += answer != message["expect"]
        print(f"{message['file']:<14} {answer:<15} {message['note']}")
    print("every answer is the one expected" if not wrong else f"{wrong} answers are not the ones expected")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))

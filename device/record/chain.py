"""Numbering, hash chain and signature: how an event is sealed, and how anyone checks it."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from device.errors import BadSignature, BrokenLink, Unreadable
from device.events import (
    MAX_EVENT_BYTES,
    MAX_SAFE_INTEGER,
    NO_HASH,
    ChainBegan,
    Draft,
    Envelope,
    Jwk,
    KeyChanged,
    decimal_seconds,
    is_alarm,
    rfc3339,
)
from device.readings import Instant
from device.record.canonical import canonical

_SIGNATURE_UTF16 = "signature".encode("utf-16-be")


def base64url(raw: bytes) -> str:
    """base64url without padding (RFC 4648 section 5, RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Decode unpadded base64url; refuse every spelling but the one that encoding gives (ValueError)."""
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if base64url(raw) != text:
        raise ValueError("not the canonical spelling of these bytes")
    return raw


def key_id(public: bytes) -> str:
    """The first 16 hex digits of SHA-256 over the 32 raw bytes of an Ed25519 public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def jwk_public(jwk: Jwk) -> bytes:
    """The 32 raw bytes of a JWK; ValueError where ``x`` or ``kid`` is not what the contract says."""
    public = from_base64url(jwk.x)
    if len(public) != 32 or key_id(public) != jwk.kid:
        raise ValueError("kid is not the key's own")
    return public


def event_hash(event: bytes) -> str:
    """SHA-256 over an event's exact bytes, lower-case hex: what ``prev`` and receipts name."""
    return hashlib.sha256(event).hexdigest()


class Signer(Protocol):
    """What the chain needs of a private key."""

    @property
    def kid(self) -> str:
        """The key id, 16 hex digits."""
        ...

    def sign(self, message: bytes) -> bytes:
        """An Ed25519 signature, 64 bytes (RFC 8032)."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """The newest place of a chain: its id, number and the SHA-256 (hex) of that event's bytes."""

    chain: str
    seq: int = 0
    hash: str = NO_HASH


@dataclass(frozen=True, slots=True)
class Sealed:
    """An event as it is recorded and published: canonical bytes, signature included.

    ``alarm``: it is also sent ahead. ``jwk``: the public key that it announces.
    """

    kind: str
    event: bytes
    head: Head
    alarm: bool = False
    jwk: Jwk | None = None

    @property
    def id(self) -> str:
        """``<chain>/<seq>``, the CloudEvents id."""
        return f"{self.head.chain}/{self.head.seq}"


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the next event goes. A value: a failed commit is simply dropped."""

    source: str
    bootid: str
    signer: Signer
    head: Head

    def seal(self, draft: Draft, at: Instant) -> tuple["Chain", Sealed]:
        """Number, chain and sign one draft."""
        seq = self.head.seq + 1
        members: dict[str, Any] = {
            "specversion": "1.0",
            "id": f"{self.head.chain}/{seq}",
            "source": self.source,
            "type": f"guardpost.{draft.kind}.v1",
            "subject": draft.subject,
            "time": rfc3339(at.wall_ms),
            "datacontenttype": "application/json",
            "data": draft.data.model_dump(by_alias=True),
            "chain": self.head.chain,
            "seq": seq,
            "prev": self.head.hash,
            "bootid": self.bootid,
            "uptime": decimal_seconds(at.uptime_ms),
            "clock": at.clock,
            "keyid": self.signer.kid,
        }
        before, after = _around_signature(members)
        signature = base64url(self.signer.sign(_unsigned(before, after)))
        event = _signed(before, after, signature)
        head = Head(self.head.chain, seq, event_hash(event))
        jwk = draft.data.jwk if isinstance(draft.data, ChainBegan | KeyChanged) else None
        return replace(self, head=head), Sealed(draft.kind, event, head, is_alarm(draft.data), jwk)

    def anew(self, chain: str) -> "Chain":
        """The empty chain ``chain`` of the same post and key."""
        return replace(self, head=Head(chain))


class Unproven(NamedTuple):
    """An event that was read; whose it is, is open. ``unsigned``: the bytes that its signature has to be for."""

    envelope: Envelope
    unsigned: bytes

    def prove(self, public: bytes) -> Envelope:
        """Check the signature against a raw public key. Raises BadSignature."""
        envelope = self.envelope
        if envelope.keyid != key_id(public):
            raise BadSignature(f"event {envelope.id}: signed by key {envelope.keyid}, not {key_id(public)}")
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(from_base64url(envelope.signature), self.unsigned)
        except (InvalidSignature, ValueError):
            raise BadSignature(f"event {envelope.id}: the signature does not belong to these bytes") from None
        return envelope


def read(event: bytes) -> Envelope:
    """The event in ``event``, if these are its canonical bytes. Raises Unreadable."""
    return unproven(event).envelope


def verify(event: bytes, public: bytes) -> Envelope:
    """Read an event and check its signature against a raw public key. Raises Unreadable, BadSignature."""
    return unproven(event).prove(public)


def follow(before: Head, envelope: Envelope, event: bytes) -> Head:
    """The head after ``event``. Raises BrokenLink if it is not the one that follows ``before``."""
    if envelope.chain != before.chain:
        raise BrokenLink(f"event {envelope.id}: belongs to another chain than {before.chain}")
    if envelope.seq != before.seq + 1:
        raise BrokenLink(f"event {envelope.id}: follows number {before.seq}")
    if envelope.prev != before.hash:
        raise BrokenLink(f"event {envelope.id}: its prev is not the hash of number {before.seq}")
    return Head(envelope.chain, envelope.seq, event_hash(event))


def parse_json(text: bytes) -> dict[str, Any]:
    """A JSON object from bytes, strictly: UTF-8, no NaN, no float beyond 2^53, no name twice. Raises Unreadable."""
    try:
        value = json.loads(
            text.decode("utf-8"), parse_constant=_no_constant, parse_float=_float, object_pairs_hook=_unique
        )
    except RecursionError:
        raise Unreadable("JSON nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"not JSON: {str(error)[:120]}") from None
    if not isinstance(value, dict):
        raise Unreadable("not a JSON object")
    return value


def unproven(event: bytes) -> Unproven:
    """The event in ``event`` as ``read`` finds it, to be proved once its key is known. Raises Unreadable."""
    if len(event) > MAX_EVENT_BYTES:
        raise Unreadable(f"{len(event)} bytes, more than the contract's {MAX_EVENT_BYTES}")
    members = parse_json(event)
    try:
        envelope = Envelope.model_validate(members)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Unreadable(f"member {where}: {first['msg']}") from None
    if envelope.id != f"{envelope.chain}/{envelope.seq}":
        raise Unreadable("id is not <chain>/<seq>")
    members.pop("signature")
    try:
        before, after = _around_signature(members)
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeError) as error:
        raise Unreadable(f"no canonical form: {str(error)[:120]}") from None
    if _signed(before, after, envelope.signature) != event:
        raise Unreadable("not canonical JSON (RFC 8785)")
    return Unproven(envelope, _unsigned(before, after))


def _around_signature(members: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The canonical members before and after where ``signature`` sorts, so that JSON is written only once.

    RFC 8785 section 3.2.3 sorts names by UTF-16 code units.
    """
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, value in members.items():
        (before if _utf16(name) < _SIGNATURE_UTF16 else after)[name] = value
    return _members(before), _members(after)


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be")


def _members(part: dict[str, Any]) -> bytes:
    return canonical(part)[1:-1]


def _unsigned(before: bytes, after: bytes) -> bytes:
    return b"{%b,%b}" % (before, after)


def _signed(before: bytes, after: bytes, signature: str) -> bytes:
    return b'{%b,"signature":"%b",%b}' % (before, signature.encode(), after)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if abs(value) > MAX_SAFE_INTEGER:
        raise ValueError("a number beyond 2^53-1")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is there twice")
    return members

"""Verifying a run of journal rows: canonical form, signature, number, link."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from device.errors import BadSignature, BrokenLink, ChainError
from device.events import MAX_EVENT_BYTES, MAX_SAFE_INTEGER, NO_HASH, Jwk
from device.record.chain import Head, follow, jwk_public, read, verify
from device.record.journal_reader import Row

VERIFIED_AT_OPEN = 32
"""How many of the newest rows are verified at every start; a power cut damages the newest."""


def public_keys(jwks: Iterable[str]) -> dict[str, bytes]:
    """Raw public keys by key id, from JWK texts. Raises ValueError."""
    try:
        found = [Jwk.model_validate_json(text) for text in jwks]
    except ValidationError:
        raise ValueError("a public key is damaged") from None
    return {jwk.kid: jwk_public(jwk) for jwk in found}


def verified(rows: Iterable[Row], keys: Mapping[str, bytes]) -> Iterator[tuple[Row, Head]]:
    """Each row with the head it makes. Raises ChainError at a bad one.

    The first row is taken as it stands, and so is the first after a hole: a salvaged journal has them.
    """
    before: Head | None = None
    position = None
    for row in rows:
        if row.position - 1 != position:
            before = None
        position = row.position
        try:
            before = _next(row.event, before, keys)
        except ChainError as error:
            raise type(error)(f"row {row.position}: {error}") from error
        yield row, before


def _next(event: bytes, before: Head | None, keys: Mapping[str, bytes]) -> Head:
    members = members_of(event)
    public = None if members is None else keys.get(members["keyid"])
    if public is None:
        envelope = read(event)
        raise BadSignature(f"event {envelope.id}: signed by key {envelope.keyid}, which this journal does not know")
    envelope = verify(event, public)
    if envelope.seq == 1:
        if envelope.prev != NO_HASH:
            raise BrokenLink(f"event {envelope.id}: the first of its chain, but prev names one before")
        before = Head(envelope.chain)
    elif before is None:
        before = Head(envelope.chain, envelope.seq - 1, envelope.prev)
    return follow(before, envelope, event)


def members_of(event: bytes) -> dict[str, Any] | None:
    """An event's members, nothing of it verified; None where there is no number or chain to read."""
    if len(event) > MAX_EVENT_BYTES:
        return None
    try:
        members = json.loads(event)
    except (ValueError, RecursionError):
        return None
    if not isinstance(members, dict):
        return None
    seq = members.get("seq")
    texts = all(isinstance(members.get(name), str) for name in ("chain", "prev", "keyid"))
    return members if texts and type(seq) is int and 0 < seq <= MAX_SAFE_INTEGER else None

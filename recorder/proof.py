"""A picture's proof: one file that says all it needs to be checked, and in which no byte is without meaning."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from device.errors import ChainError, Unreadable
from device.events import EventId, Jwk, Picture, Seq, Sha256, Uuid
from device.record.chain import jwk_public, parse_json
from recorder.errors import NoProof
from recorder.hints import first_problem
from recorder.intake import Event, examine
from recorder.places import Place, follows

MAX_PROOF_BYTES = 256 << 20


class ProofKey(BaseModel):
    """A public key as the contract's identity has it, without what later versions may add."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    alg: Literal["EdDSA"] = "EdDSA"
    crv: Literal["Ed25519"] = "Ed25519"
    kid: str
    kty: Literal["OKP"] = "OKP"
    use: Literal["sig"] = "sig"
    x: str


class ProofReceipt(BaseModel):
    """What headquarters told the post: up to here it has all."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    chain: Uuid
    hash: Sha256
    seq: Seq


class ProofFile(BaseModel):
    """The file. All bytes are in base64 (RFC 4648 section 4, padded).

    ``event``: the id of the event that announces the picture. ``events``: the exact bytes of every event from that
    one, or from the one that asked, to the one that the receipt names, in order. ``asked``: the event that asked,
    where it is not among these. ``picture``: the bytes as they were sent. ``opened``: the JPEG inside sealed ones.
    ``keys``: those that signed, by ``kid``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    asked: str | None
    event: EventId
    events: list[str]
    format: Literal["guardpost picture proof 1"] = "guardpost picture proof 1"
    keys: list[ProofKey]
    opened: str | None
    picture: str
    receipt: ProofReceipt


@dataclass(frozen=True, slots=True)
class Parts:
    """What a proof is made of, as plain bytes; see ``ProofFile``. ``keys``: the ``x`` of each key by its kid."""

    event: str
    events: Sequence[bytes]
    asked: bytes | None
    picture: bytes
    opened: bytes | None
    keys: Mapping[str, str]
    receipt: ProofReceipt


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof proves. ``asked``: the event that asked, if it is there. ``jpeg``: None where it is sealed.

    ``public``: the raw key that signed the announcement.
    """

    announced: Event
    picture: Picture
    asked: Event | None
    chain: tuple[Event, ...]
    jpeg: bytes | None
    public: bytes


def written(parts: Parts) -> bytes:
    """The file of a proof: canonical JSON (RFC 8785), which for these values is sorted and has no spaces."""
    file = ProofFile(
        asked=None if parts.asked is None else _text(parts.asked),
        event=parts.event,
        events=[_text(event) for event in parts.events],
        keys=[ProofKey(kid=kid, x=x) for kid, x in sorted(parts.keys.items())],
        opened=None if parts.opened is None else _text(parts.opened),
        picture=_text(parts.picture),
        receipt=parts.receipt,
    )
    return _canonical(file.model_dump())


def check(content: bytes) -> Proven:
    """Everything that can be checked with nothing but the file. Raises NoProof."""
    file = _read(content)
    keys = _keys(file)
    chain = tuple(_event(f"events[{at}]", text, keys) for at, text in enumerate(file.events))
    asked = None if file.asked is None else _event("asked", file.asked, keys)
    _check_chain(chain, file.receipt)
    announced = next((event for event in chain if _id(event) == file.event), None)
    if announced is None:
        raise NoProof(f"event: {file.event} is not among its events")
    if not isinstance(announced.tells, Picture):
        raise NoProof(f"event: {file.event} announces no picture")
    _check_picture(file, announced.tells)
    jpeg = _jpeg(file, announced.tells)
    asking = _asking(announced, announced.tells, chain, asked)
    if {event.keyid for event in (*chain, *([] if asked is None else [asked]))} != keys.keys():
        raise NoProof("keys: more of them than have signed anything here")
    return Proven(announced, announced.tells, asking, chain, jpeg, keys[announced.keyid])


def _read(content: bytes) -> ProofFile:
    if len(content) > MAX_PROOF_BYTES:
        raise NoProof(f"more than {MAX_PROOF_BYTES >> 20} MiB: no proof of a picture")
    try:
        members = parse_json(content)
        file = ProofFile.model_validate(members)
    except Unreadable as error:
        raise NoProof(f"no proof of a picture: {error}") from None
    except ValidationError as error:
        raise NoProof(f"no proof of a picture: {first_problem(error)}") from None
    if _canonical(members) != content:
        raise NoProof("not in the one form that a proof is written in (RFC 8785): something was added or spaced")
    return file


def _keys(file: ProofFile) -> dict[str, bytes]:
    """Raw public keys by kid."""
    keys: dict[str, bytes] = {}
    for key in file.keys:
        try:
            keys[key.kid] = jwk_public(Jwk(x=key.x, kid=key.kid))
        except ValueError as error:
            raise NoProof(f"keys: {key.kid[:16]}: {first_problem(error)}") from None
    if [key.kid for key in file.keys] != sorted(keys):
        raise NoProof("keys: not each once, in order")
    return keys


def _event(where: str, text: str, keys: Mapping[str, bytes]) -> Event:
    try:
        event = examine(_bytes(where, text))
        if event.keyid not in keys:
            raise NoProof(f"{where}: signed by key {event.keyid}, which is not among its keys")
        event.unproven.prove(keys[event.keyid])
    except ChainError as error:
        raise NoProof(f"{where}: {error}") from None
    return event


def _check_chain(chain: Sequence[Event], receipt: ProofReceipt) -> None:
    if not chain:
        raise NoProof("events: there are none")
    for before, after in pairwise(chain):
        if (after.source, after.chain, after.seq) != (before.source, before.chain, before.seq + 1):
            raise NoProof(f"events: {_id(after)} of {after.source} does not come after {_id(before)}")
        if problem := follows(_place(before), _place(after)):
            raise NoProof(f"events: {problem}")
    last = chain[-1]
    if (receipt.chain, receipt.seq, receipt.hash) != (last.chain, last.seq, last.hash):
        raise NoProof(f"receipt: it is not for {_id(last)} with hash {last.hash}, the last of its events")


def _check_picture(file: ProofFile, picture: Picture) -> None:
    wire = _bytes("picture", file.picture)
    found = hashlib.sha256(wire).hexdigest()
    if found != picture.sha256:
        raise NoProof(f"picture: its SHA-256 is {found}, and the event has signed {picture.sha256}")
    if len(wire) != picture.bytes:
        raise NoProof(f"picture: it has {len(wire)} bytes, and the event has signed {picture.bytes}")


def _jpeg(file: ProofFile, picture: Picture) -> bytes | None:
    if not picture.sealed:
        if file.opened is not None:
            raise NoProof("opened: the picture is not sealed")
        return _bytes("picture", file.picture)
    if file.opened is None:
        return None
    jpeg = _bytes("opened", file.opened)
    found = hashlib.sha256(jpeg).hexdigest()
    if found != picture.plain_sha256:
        raise NoProof(f"opened: its SHA-256 is {found}, and the event has signed {picture.plain_sha256}")
    return jpeg


def _asking(announced: Event, picture: Picture, chain: Sequence[Event], asked: Event | None) -> Event | None:
    """The event that asked. Nothing stands before it, or before the picture's own, that belongs to neither."""
    among = next((event for event in chain if _id(event) == picture.why), None)
    if asked is not None and (among is not None or _id(asked) != picture.why):
        raise NoProof(f"asked: {_id(asked)} does not belong there")
    found = among or asked
    if found is not None and found.source != announced.source:
        raise NoProof(f"asked: an event of another post, {found.source}")
    if chain[0] is not (among or announced):
        raise NoProof(f"events: they begin with {_id(chain[0])}, which has nothing to do with the picture")
    return found


def _place(event: Event) -> Place:
    return Place(event.seq, event.hash, event.prev, event.keyid, event.announces)


def _id(event: Event) -> str:
    return f"{event.chain}/{event.seq}"


def _canonical(members: object) -> bytes:
    """RFC 8785 for texts of ASCII, whole numbers and null; in C, for megabytes."""
    text = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(where: str, text: str) -> bytes:
    """One text for one content: no other spelling of the last letter."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise NoProof(f"{where}: not base64") from None
    if _text(content) != text:
        raise NoProof(f"{where}: not base64 as it is written for these bytes")
    return content

"""One MQTT message, sorted: what it claims to be, or why it is refused. Pure: no store, no clock, no MQTT."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from device.errors import Unreadable
from device.events import (
    MOST_PICTURE_BYTES,
    ChainBegan,
    Envelope,
    Jwk,
    KeyChanged,
    Lost,
    Picture,
    PictureLost,
    Seq,
    Uuid,
)
from device.record.chain import Unproven, jwk_public, unproven
from recorder.hints import State, Status, as_model, first_problem, json_object, one_line

MAX_KEYS = 64

_LEVEL = re.compile(r"[a-z0-9-]{1,32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ORDER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Flaw(StrEnum):
    """The kinds of finding."""

    UNREADABLE = "unreadable"
    TOPIC = "topic mismatch"
    SIGNATURE = "bad signature"
    UNTRUSTED = "untrusted key"
    UNANNOUNCED = "unannounced key"
    CROWDED = "too many held"
    FORK = "fork"
    LINK = "broken link"
    LOST = "lost"
    UNSEEN = "unseen"
    UNCLEAR = "unclear"
    PICTURE = "wrong picture"
    SHARE = "no room for pictures"


@dataclass(frozen=True, slots=True)
class Message:
    """What came from the broker. ``received_ms``: the recorder's wall clock, ms since 1970-01-01 UTC.

    ``live``: it comes from the post now; not so what a broker kept for subscribers, or what a card holds.
    """

    topic: str
    payload: bytes
    received_ms: int
    live: bool = True


@dataclass(frozen=True, slots=True)
class Unclear:
    """An event of ours whose ``data`` this recorder cannot use, though its form and link are in order."""

    why: str


Tells = ChainBegan | KeyChanged | Lost | PictureLost | Picture | Unclear


@dataclass(frozen=True, slots=True)
class Event:
    """Canonical bytes that agree with their topic; the signature is not checked yet.

    ``alarm``: a copy sent ahead; it proves that the event exists, no more.
    ``tells``: what the event says about chains, keys and pictures, None for all others.
    """

    source: str
    chain: str
    seq: int
    hash: str
    prev: str
    keyid: str
    kind: str
    payload: bytes
    alarm: bool
    tells: Tells | None
    unproven: Unproven

    @property
    def announces(self) -> str | None:
        """The key that this event makes known to what follows it: a chain's first key, or the next one."""
        match self.tells:
            case KeyChanged(jwk=jwk):
                return jwk.kid
            case ChainBegan(jwk=jwk) if self.seq == 1:
                return jwk.kid
        return None


@dataclass(frozen=True, slots=True)
class Identity:
    """The public keys that a source says are its own, newest first."""

    source: str
    keys: tuple[Jwk, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """``status`` or ``state``: an unsigned hint of which the last one is kept."""

    source: str
    name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class PictureBytes:
    """A picture's bytes as on the wire, sealed or a JPEG: those of ``sha256``. Whether it was announced is open."""

    source: str
    sha256: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a post answers to an order. ``error``: why it was not obeyed; None if it was."""

    source: str
    order: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a message is not taken. ``source`` is empty where the topic names none.

    ``place``: the chain and number that the bytes of an event claim, where they can be read. ``picture``: the hash
    that other bytes came under.
    """

    source: str
    flaw: Flaw
    why: str
    place: tuple[str, int] | None = None
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class Cleared:
    """An empty payload on a retained topic: somebody cleared it. Nothing to store."""

    source: str


Arrival = Event | Identity | Report | PictureBytes | Reply | Refused | Cleared


def sort(message: Message, root: str) -> Arrival:
    """What ``message`` is, by its topic and its bytes alone."""
    match message.topic.split("/"):
        case [first, site, post, *branch] if first == root and _LEVEL.fullmatch(site) and _LEVEL.fullmatch(post):
            source = f"/{root}/{site}/{post}"
        case _:
            return Refused("", Flaw.TOPIC, f"no topic of a post: {one_line(message.topic)}")
    match branch:
        case ["event" | "alarm" as lane, kind]:
            return _event(source, kind, message.payload, alarm=lane == "alarm")
        case ["identity" | "state" | "status"] if not message.payload:
            return Cleared(source)
        case ["identity"]:
            return _identity(source, message.payload)
        case ["state" | "status" as name]:
            return _report(source, name, message.payload)
        case ["picture", sha256] if _SHA256.fullmatch(sha256):
            return _picture(source, sha256, message.payload)
        case ["reply", order] if _ORDER.fullmatch(order):
            return _reply(source, order, message.payload)
    return Refused(source, Flaw.TOPIC, f"no topic of the contract: {one_line(message.topic)}")


def examine(payload: bytes, *, alarm: bool = False) -> Event:
    """The event in ``payload``, whatever topic it came by. Raises Unreadable."""
    found = unproven(payload)
    envelope = found.envelope
    return Event(
        source=envelope.source,
        chain=envelope.chain,
        seq=envelope.seq,
        hash=hashlib.sha256(payload).hexdigest(),
        prev=envelope.prev,
        keyid=envelope.keyid,
        kind=envelope.kind,
        payload=payload,
        alarm=alarm,
        tells=_tells(envelope),
        unproven=found,
    )


def _event(source: str, kind: str, payload: bytes, *, alarm: bool) -> Event | Refused:
    """Of an alarm only what verifies counts: the place of a refused one is not asked for."""
    try:
        event = examine(payload, alarm=alarm)
    except Unreadable as error:
        place = None if alarm else _claimed_place(source, payload)
        return Refused(source, Flaw.UNREADABLE, one_line(str(error)), place)
    if event.source != source:
        return Refused(source, Flaw.TOPIC, f"event of {event.source} on a topic of {source}")
    if event.kind != kind:
        why = f"event of kind {event.kind} on topic {one_line(kind, 40)}"
        return Refused(source, Flaw.TOPIC, why, None if alarm else (event.chain, event.seq))
    return event


class _ClaimedPlace(BaseModel):
    source: str
    chain: Uuid
    seq: Seq


def _claimed_place(source: str, payload: bytes) -> tuple[str, int] | None:
    """Chain and number that refused bytes claim; None where they cannot be read or belong to another source."""
    try:
        place = as_model(_ClaimedPlace, payload)
    except Unreadable:
        return None
    return (place.chain, place.seq) if place.source == source else None


_Telling = type[ChainBegan | KeyChanged | Lost | PictureLost | Picture]
_TELLING: dict[str, _Telling] = {"chain": ChainBegan, "key": KeyChanged, "lost": Lost}


def _telling(envelope: Envelope) -> _Telling | None:
    if envelope.kind == "picture":
        return Picture
    change = envelope.data.get("change")
    if envelope.kind != "system" or not isinstance(change, str):
        return None
    return PictureLost if change == "lost" and "picture" in envelope.data else _TELLING.get(change)


def _tells(envelope: Envelope) -> Tells | None:
    """Members that a later version adds to ``data`` are no hindrance: only the known ones are read."""
    model = _telling(envelope)
    if model is None:
        return None
    names = {field.alias or name for name, field in model.model_fields.items()}
    try:
        told = model.model_validate({name: envelope.data[name] for name in names & envelope.data.keys()})
        if isinstance(told, ChainBegan | KeyChanged):
            jwk_public(told.jwk)
    except ValueError as error:
        return Unclear(f"{envelope.kind} {envelope.data.get('change', '')}".rstrip() + f": {first_problem(error)}")
    if isinstance(told, Lost) and (
        told.from_ > told.to or (told.chain == envelope.chain and told.to >= envelope.seq)
    ):
        return Unclear(f"system lost: {told.from_} to {told.to} is no range before event {envelope.seq}")
    return told


def _identity(source: str, payload: bytes) -> Identity | Refused:
    """RFC 7517 section 5: keys of a type we do not know are passed over."""
    try:
        members = json_object(payload)
    except Unreadable as error:
        return Refused(source, Flaw.UNREADABLE, f"identity: {one_line(str(error))}")
    listed = members.get("keys")
    found = [_key(item) for item in listed[:MAX_KEYS]] if isinstance(listed, list) else []
    keys = tuple(key for key in found if key is not None)
    return Identity(source, keys) if keys else Refused(source, Flaw.UNREADABLE, "identity: no usable key in it")


def _key(item: object) -> Jwk | None:
    try:
        jwk = Jwk.model_validate(item)
        jwk_public(jwk)
    except ValueError:
        return None
    return jwk


def _report(source: str, name: str, payload: bytes) -> Report | Refused:
    try:
        as_model(State if name == "state" else Status, payload)
    except Unreadable as error:
        return Refused(source, Flaw.UNREADABLE, f"{name}: {one_line(str(error))}")
    return Report(source, name, payload)


def _picture(source: str, sha256: str, payload: bytes) -> PictureBytes | Refused:
    if len(payload) > MOST_PICTURE_BYTES:
        why = f"picture {sha256}: more than {MOST_PICTURE_BYTES} bytes came"
        return Refused(source, Flaw.PICTURE, why, picture=sha256)
    if (found := hashlib.sha256(payload).hexdigest()) != sha256:
        why = f"picture {sha256}: other bytes came, {len(payload)} with the hash {found}"
        return Refused(source, Flaw.PICTURE, why, picture=sha256)
    return PictureBytes(source, sha256, payload)


class _Answer(BaseModel):
    id: Uuid
    ok: Annotated[bool, Field(strict=True)]
    error: str = ""


def _reply(source: str, order: str, payload: bytes) -> Reply | Refused:
    """Also those to orders that others gave."""
    try:
        answer = as_model(_Answer, payload)
    except Unreadable as error:
        return Refused(source, Flaw.UNREADABLE, f"reply: {one_line(str(error))}")
    if answer.id != order:
        return Refused(source, Flaw.TOPIC, f"reply to order {answer.id} on the topic of another")
    return Reply(source, order, None if answer.ok else one_line(answer.error) or "refused")

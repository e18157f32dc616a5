"""One MQTT message, sorted: what it claims to be, or why it is refused. Pure: no store, no clock, no MQTT."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from device.errors import Unreadable
from device.events import MAX_SAFE_INTEGER, ChainBegan, Envelope, Jwk, KeyChanged, Lost, Sha256, Uuid
from device.record.chain import jwk_public, parse_json, read

MAX_REPORT_BYTES = 65536
MAX_KEYS = 64

_LEVEL = re.compile(r"[a-z0-9-]{1,32}")
_Model = TypeVar("_Model", bound=BaseModel)
_Number = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER, strict=True)]


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
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Message:
    """What came from the broker. ``received_ms``: the recorder's wall clock, ms since 1970-01-01 UTC."""

    topic: str
    payload: bytes
    received_ms: int


@dataclass(frozen=True, slots=True)
class Unclear:
    """An event of ours whose ``data`` this recorder cannot use, though its form and link are in order."""

    why: str


Tells = ChainBegan | KeyChanged | Lost | Unclear


@dataclass(frozen=True, slots=True)
class Event:
    """Canonical bytes that agree with their topic; the signature is not checked yet.

    ``alarm``: a copy sent ahead; it proves that the event exists, no more.
    ``tells``: what the event says about chains and keys, None for all others.
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
class Refused:
    """Why a message is not taken. ``source`` is empty where the topic names none."""

    source: str
    flaw: Flaw
    why: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """An empty payload on a retained topic: somebody cleared it. Nothing to store."""

    source: str


Arrival = Event | Identity | Report | Refused | Cleared


class StatedChain(BaseModel):
    """One entry of ``state.chains``: newest seq and its hash, oldest kept seq, newest seq PUBACKed."""

    model_config = ConfigDict(frozen=True)

    chain: Uuid
    seq: _Number
    hash: Sha256
    first: _Number
    sent: _Number


class State(BaseModel):
    """What the recorder needs of a post's ``state``."""

    model_config = ConfigDict(frozen=True)

    chains: tuple[StatedChain, ...]


class Status(BaseModel):
    """What the recorder needs of a post's ``status``."""

    model_config = ConfigDict(frozen=True)

    online: Annotated[bool, Field(strict=True)]


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
    return Refused(source, Flaw.TOPIC, f"no topic of the contract: {one_line(message.topic)}")


def examine(payload: bytes, *, alarm: bool = False) -> Event:
    """The event in ``payload``, whatever topic it came by. Raises Unreadable."""
    envelope = read(payload)
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
    )


def stated_chains(payload: bytes) -> tuple[StatedChain, ...]:
    """``chains`` of a ``state``. Raises Unreadable."""
    return _model(State, payload).chains


def is_online(payload: bytes) -> bool:
    """``online`` of a ``status``. Raises Unreadable."""
    return _model(Status, payload).online


def one_line(text: str, limit: int = 200) -> str:
    """Text of a stranger made fit for a log line and for SQLite: printable, valid Unicode, short."""
    short = text[:limit].encode("utf-8", "replace").decode()
    return "".join(c if c.isprintable() else "?" for c in short)


def _event(source: str, kind: str, payload: bytes, *, alarm: bool) -> Event | Refused:
    try:
        event = examine(payload, alarm=alarm)
    except Unreadable as error:
        return Refused(source, Flaw.UNREADABLE, one_line(str(error)))
    if event.source != source:
        return Refused(source, Flaw.TOPIC, f"event of {event.source} on a topic of {source}")
    if event.kind != kind:
        return Refused(source, Flaw.TOPIC, f"event of kind {event.kind} on topic {one_line(kind, 40)}")
    return event


_TELLING: dict[str, type[ChainBegan | KeyChanged | Lost]] = {"chain": ChainBegan, "key": KeyChanged, "lost": Lost}


def _tells(envelope: Envelope) -> Tells | None:
    """Members that a later version adds to ``data`` are no hindrance: only the known ones are read."""
    change = envelope.data.get("change")
    if envelope.kind != "system" or not isinstance(change, str) or change not in _TELLING:
        return None
    model = _TELLING[change]
    names = {field.alias or name for name, field in model.model_fields.items()}
    try:
        told = model.model_validate({name: envelope.data[name] for name in names & envelope.data.keys()})
        if isinstance(told, ChainBegan | KeyChanged):
            jwk_public(told.jwk)
    except ValueError as error:
        return Unclear(f"system {change}: {_first_problem(error)}")
    if isinstance(told, Lost) and (
        told.from_ > told.to or (told.chain == envelope.chain and told.to >= envelope.seq)
    ):
        return Unclear(f"system lost: {told.from_} to {told.to} is no range before event {envelope.seq}")
    return told


def _identity(source: str, payload: bytes) -> Identity | Refused:
    """RFC 7517 section 5: keys of a type we do not know are passed over."""
    try:
        members = _object(payload)
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
        _model(State if name == "state" else Status, payload)
    except Unreadable as error:
        return Refused(source, Flaw.UNREADABLE, f"{name}: {one_line(str(error))}")
    return Report(source, name, payload)


def _model(model: type[_Model], payload: bytes) -> _Model:
    try:
        return model.model_validate(_object(payload))
    except ValidationError as error:
        raise Unreadable(_first_problem(error)) from None


def _object(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_REPORT_BYTES:
        raise Unreadable(f"{len(payload)} bytes, more than {MAX_REPORT_BYTES}")
    return parse_json(payload)


def _first_problem(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return one_line(str(error))
    first = error.errors(include_url=False, include_input=False)[0]
    return one_line(f"member {'.'.join(str(part) for part in first['loc'])}: {first['msg']}")

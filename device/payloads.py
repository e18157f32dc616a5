"""Status, state, identity and replies as models: for the schemas, and for the tests of what writes them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from device.events import EventId, Jwk, Name, Seq, Sha256, Text, Time, Uuid
from device.readings import ClockState


class Payload(BaseModel):
    """Base: exactly these members. One whose default is None may be absent."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Online(Payload):
    """``status`` while the post is connected; ``since`` is when it connected."""

    online: Literal[True]
    bootid: Uuid
    since: Time
    firmware: Text
    protocol: Literal[1]


class Offline(Payload):
    """``status`` as the last will; a clean stop adds why."""

    online: Literal[False]
    bootid: Uuid
    why: Text | None = None


Status = Online | Offline


class StatedChain(Payload):
    """How far a chain goes."""

    chain: Uuid
    seq: Seq = Field(description="its newest event")
    hash: Sha256 = Field(description="that event's SHA-256")
    first: Seq = Field(description="the oldest number that the post still keeps")
    sent: int = Field(ge=0, description="every number up to this one was acknowledged by a broker")


class Health(Payload):
    """How the post itself fares. What the machine does not tell, or is not wired, is null."""

    backlog: int = Field(ge=0, description="events that no broker has acknowledged yet")
    recording: bool = Field(
        description="false while the disk takes no events, or has room for the last words alone"
    )
    line_since: Time | None = Field(description="when this connection came up")
    temperature_c: float | None = Field(description="of the processor, degrees Celsius")
    undervoltage: bool | None
    throttled: bool | None
    disk_free: int | None = Field(description="bytes that the post may still write")
    disk_size: int | None = Field(description="bytes of that disk in all")
    mains: bool | None = Field(description="whether there are mains, where a UPS tells")


class State(Payload):
    """``state``: what holds now, and every chain of the journal, newest first."""

    time: Time
    chains: tuple[StatedChain, ...]
    blind: dict[str, Time] = Field(description="each part that cannot see, and since when")
    clock: ClockState | None = Field(description="null before the post could record anything")
    health: Health
    doors: dict[Name, Literal["open", "closed"]]
    bytes: dict[str, int] = Field(
        description="MQTT bytes published since midnight UTC or the program's start, by what they were for"
    )
    refused: Text | None = Field(default=None, description="why the broker takes no events now")


class Identity(Payload):
    """``identity``: a JWK Set (RFC 7517), the signing key first, past keys kept."""

    keys: Annotated[tuple[Jwk, ...], Field(min_length=1)]


class ReplayDone(Payload):
    """``reply/{id}`` to a replay: every event that was asked for and is there was acknowledged by the broker."""

    id: Uuid
    ok: Literal[True]
    sent: Annotated[int, Field(ge=0, le=1000)]
    missing: tuple[tuple[Seq, Seq], ...] = Field(description="runs of numbers that the post does not have")
    next: Seq | None = Field(description="where the next page begins; null if there is none")


class SelftestDone(Payload):
    """``reply/{id}`` to a self-test: the event that says what was found."""

    id: Uuid
    ok: Literal[True]
    passed: bool = Field(description="no part has failed; some may have to be looked at")
    event: EventId


class PictureDone(Payload):
    """``reply/{id}`` to a ``picture``: the event that announces it."""

    id: Uuid
    ok: Literal[True]
    event: EventId
    sha256: Sha256


class PictureSent(Payload):
    """``reply/{id}`` to a ``replay`` of a picture: its bytes were acknowledged by the broker."""

    id: Uuid
    ok: Literal[True]
    sent: Literal[1]


class Refusal(Payload):
    """``reply/{id}`` to an order that was not obeyed."""

    id: Uuid
    ok: Literal[False]
    error: Text


Reply = ReplayDone | SelftestDone | PictureDone | PictureSent | Refusal

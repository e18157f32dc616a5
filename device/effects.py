"""What the rules ask for: effects happen only after the commit that justifies them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from device.readings import Instant, ReplayRange


class Answer(StrEnum):
    """What an officer is told by lights and buzzer."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    REFUSED = "refused"
    NOT_RECORDED = "not recorded"
    SELFTEST = "self-test"
    """Nobody tapped: every light and the buzzer, for whoever asked to see them."""


@dataclass(frozen=True, slots=True)
class Show:
    """Answer the officer who stands there. ``reader``: where the badge was held, None for a button."""

    answer: Answer
    reader: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer an order. ``members``: what stands beside the order's id."""

    id: str
    members: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Replay:
    """Send events again; ``Replayed`` comes back when the last one is acknowledged."""

    id: str
    range: ReplayRange


@dataclass(frozen=True, slots=True)
class PowerOff:
    """End the program, and have the machine switched off. ``why``: one line for people."""

    why: str


@dataclass(frozen=True, slots=True)
class TakePicture:
    """Take pictures for the event ``why`` (its id), which happened ``at``: one for each of ``offsets_ms`` from it.

    Each comes back as ``PictureTaken`` or ``PictureFailed``. ``urgent``: where the store is full, others make room.
    """

    why: str
    at: Instant
    offsets_ms: tuple[int, ...]
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class RefusePicture:
    """None is taken for the event ``event`` (its id); ``PictureFailed`` comes back, for whoever waits for it."""

    event: str
    why: str


@dataclass(frozen=True, slots=True)
class SendPicture:
    """The picture was announced by ``event`` (its id): hand it over once that is acknowledged."""

    sha256: str
    event: str


@dataclass(frozen=True, slots=True)
class ReplayPicture:
    """Send a picture again; ``Replayed`` comes back when it is acknowledged, or why it cannot be."""

    id: str
    sha256: str


Effect = Show | Reply | Replay | PowerOff | TakePicture | RefusePicture | SendPicture | ReplayPicture

"""What the post and its camera child say to each other: lines of JSON down its standard input, frames up from it.

Down: ``Settings`` first, then ``Take`` and ``Fit``, a line of JSON each, with ``is`` telling them apart.
Up: a header of JSON behind its length in 4 bytes (big-endian), then ``body`` bytes.
"""

import queue
import struct
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from device.readings import ClockState

LENGTH = struct.Struct(">I")
MOST_HEADER_BYTES = 4096
MOST_BODY_BYTES = 16 << 20
"""Far more than a JPEG of the largest sensor; more means that the two do not understand each other."""
MOST_TEXT = 200
"""Characters of what a library says, in a message's ``blind`` or ``why``."""
ALIVE_EVERY_MS = 500
INSTALL = "install python3-picamera2"
"""The mend wherever its libraries are missing."""

Box = tuple[int, int, int, int]
"""Left, top, width and height of a mask, in pixels of the size that was asked for."""


class Message(BaseModel):
    """Base of all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Settings(Message):
    """What the camera is to do.

    ``rate``: frames a second that are kept for ``before_ms``. ``controls``: libcamera's, by name; those that the
    camera does not list are left alone and told. ``quality``: of the JPEG, 1 to 100. ``source``: the post's.
    """

    is_: Literal["settings"] = Field(default="settings", alias="is")
    camera: int
    size: tuple[int, int]
    rate: int
    before_ms: int
    masks: tuple[Box, ...]
    controls: dict[str, bool | int | float | str | tuple[float, ...]]
    quality: int
    source: str


class Take(Message):
    """Take a picture ``offset_ms`` from the uptime ``at_ms`` (CLOCK_BOOTTIME), which was ``wall_ms`` UTC.

    ``why``: the event's id. ``number``: of this picture, for its answer.
    """

    is_: Literal["take"] = Field(default="take", alias="is")
    number: int
    why: str
    at_ms: int
    wall_ms: int
    clock: ClockState
    offset_ms: int


class Fit(Message):
    """From now on no JPEG is larger than ``most_bytes``."""

    is_: Literal["fit"] = Field(default="fit", alias="is")
    most_bytes: int


class Alive(Message):
    """Every ``ALIVE_EVERY_MS``. ``frame_ms``: uptime of the newest frame, None before the first one.

    ``blind``: why nothing can be seen in the frames, or why there are none; empty while all is well.
    ``blind_ms``: the uptime from which on nothing can be seen in them; None where the newest frame tells it.
    ``opening``: it is just being opened anew, which may give another reason than ``blind``.
    """

    is_: Literal["alive"] = Field(default="alive", alias="is")
    frame_ms: int | None
    blind: str
    blind_ms: int | None = None
    opening: bool = False
    body: Literal[0] = 0


class Told(Message):
    """A line for the post to record once, as ``control X is not of this camera``."""

    is_: Literal["told"] = Field(default="told", alias="is")
    why: str
    body: Literal[0] = 0


class Shot(Message):
    """The picture ``number``; its JPEG follows, ``body`` bytes. ``taken_ms``: uptime of the frame."""

    is_: Literal["shot"] = Field(default="shot", alias="is")
    number: int
    taken_ms: int
    width: int
    height: int
    body: Annotated[int, Field(gt=0, le=MOST_BODY_BYTES)]


class Missed(Message):
    """There is no picture ``number``."""

    is_: Literal["missed"] = Field(default="missed", alias="is")
    number: int
    why: str
    body: Literal[0] = 0


Down = Annotated[Settings | Take | Fit, Field(discriminator="is_")]
Up = Annotated[Alive | Told | Shot | Missed, Field(discriminator="is_")]

Inbox = queue.SimpleQueue[Take | Fit]
"""Of what the post asks its child."""

_DOWN: TypeAdapter[Settings | Take | Fit] = TypeAdapter(Down)
_UP: TypeAdapter[Alive | Told | Shot | Missed] = TypeAdapter(Up)


def down(message: Settings | Take | Fit) -> bytes:
    """A message to the child, with its line's end."""
    return message.model_dump_json(by_alias=True).encode() + b"\n"


def read_down(line: bytes) -> Settings | Take | Fit:
    """A line as the child reads it. Raises ValueError."""
    return _DOWN.validate_json(line)


def up(message: Alive | Told | Shot | Missed) -> bytes:
    """A message's header to the post; the body follows it."""
    header = message.model_dump_json(by_alias=True).encode()
    return LENGTH.pack(len(header)) + header


def read_up(header: bytes) -> Alive | Told | Shot | Missed:
    """A header as the post reads it, without its length. Raises ValueError."""
    return _UP.validate_json(header)


def in_a_line(error: BaseException) -> str:
    """What an error says, in one line that is not long; empty where it says nothing."""
    return " ".join(str(error).split())[:MOST_TEXT]

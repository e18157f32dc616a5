"""``[camera]``: the section of the camera."""

import math
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from device.config_section import Section
from device.config_values import Duration, SealKey, Size
from device.problems import problem

Control = bool | int | float | str | tuple[float, ...]
CameraEvent = Literal["checkin", "door", "duress", "missed", "order"]
LARGEST_SIDE = 8_192
SMALLEST_SIDE = 64
LONGEST_BEFORE = timedelta(seconds=30)
SMALLEST_STORE_BYTES = 4 << 20

Side = Annotated[int, Field(ge=SMALLEST_SIDE, le=LARGEST_SIDE, multiple_of=2, strict=True)]
Edge = Annotated[int, Field(ge=0, strict=True)]
Length = Annotated[int, Field(ge=1, strict=True)]


class CameraSection(Section):
    """``[camera]``: what it looks at, when it takes pictures, and how long these are kept.

    ``size``: width and height, pixels. ``rate``: frames a second that are kept for ``before``. ``masks``: left,
    top, width and height of what is painted over, pixels. ``controls``: libcamera's, by name. ``seal_to``: the
    X25519 public key of headquarters, which alone can open the pictures then.
    """

    number: Annotated[int, Field(ge=0, le=7, strict=True)] = 0
    size: tuple[Side, Side] = (1920, 1080)
    on: tuple[CameraEvent, ...] = ("checkin", "door", "duress", "missed", "order")
    before: Duration = timedelta(seconds=3)
    after: Duration = timedelta(seconds=1)
    rate: Annotated[int, Field(ge=1, le=15, strict=True)] = 4
    quality: Annotated[int, Field(ge=10, le=100, strict=True)] = 85
    most_a_minute: Annotated[int, Field(ge=9, le=600, strict=True)] = 30
    masks: tuple[tuple[Edge, Edge, Length, Length], ...] = ()
    controls: dict[str, Control] = {}  # noqa: RUF012 - pydantic copies it
    seal_to: SealKey | None = None
    keep_days: Annotated[int, Field(ge=0, le=36_500, strict=True)] = 30
    most_bytes: Size = 1 << 30

    @field_validator("before", "after")
    @classmethod
    def _near(cls, value: timedelta) -> timedelta:
        if value > LONGEST_BEFORE:
            raise problem('must be "30s" or less: so many frames are held in memory')
        return value

    @field_validator("controls")
    @classmethod
    def _finite(cls, value: dict[str, Control]) -> dict[str, Control]:
        for name, given in value.items():
            numbers = given if isinstance(given, tuple) else (given,)
            if not all(math.isfinite(number) for number in numbers if isinstance(number, float)):
                raise problem(f"{name} is no number that a camera takes; write a finite one")
        return value

    @field_validator("most_bytes")
    @classmethod
    def _room_for_some(cls, value: int) -> int:
        if value < SMALLEST_STORE_BYTES:
            raise problem('must be "4MiB" or more')
        return value

    @model_validator(mode="after")
    def _masks_inside(self) -> "CameraSection":
        width, height = self.size
        for left, top, wide, high in self.masks:
            if left + wide > width or top + high > height:
                raise problem(
                    f"mask [{left}, {top}, {wide}, {high}] (left, top, width, height) is not inside the picture, "
                    f"which is {width} x {height}; make it smaller"
                )
        return self

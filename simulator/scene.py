"""The scene before the simulated camera, drawn so that whoever looks at it sees at once what is so."""

import io
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from simulator import band
from simulator.band import Seen
from simulator.truth import Truth

Plane = NDArray[np.uint8]
Size = tuple[int, int]
Colour = tuple[int, int, int]

NOISE = 7
"""The sensor's noise, in levels of 256, evenly spread."""
_BRIGHTEST = 255 - NOISE
_ROOM = 256  # how far the tile of noise can be shifted about, pixels
_WHITE, _GREY, _WALL, _FLOOR = (240, 240, 240), (120, 124, 130), (196, 186, 164), (112, 98, 84)
_SHUT, _OPEN, _LEAF, _DARK = (28, 110, 52), (200, 30, 30), (96, 62, 34), (14, 14, 18)
_COAT, _SKIN = (32, 52, 140), (224, 180, 150)
_NIGHT, _DAWN, _DAY = (18, 24, 58), (226, 140, 84), (128, 188, 236)
_CLOCK = (0.0, 0.0, 0.5, 0.08)
"""Left, top, right and lower edge of the clock on the wall, in fractions of the picture."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the sensor saw. ``number``: since the camera was opened. ``at_ns``: CLOCK_BOOTTIME. ``wall_s``: UTC."""

    truth: Truth
    number: int
    at_ns: int
    wall_s: float


@dataclass(frozen=True, slots=True)
class Planes:
    """A picture as YUV 4:2:0, full range: ``y`` of its height and width, ``u`` and ``v`` of half of either."""

    y: Plane
    u: Plane
    v: Plane


class Painter:
    """Draws frames of one size. What stands still is drawn once; each frame gets its clock, its band, its noise."""

    def __init__(self, size: Size) -> None:
        """``size``: width and height, pixels, both even."""
        self._size = width, height = size
        self._grain = np.random.default_rng(0).integers(0, NOISE, (height + _ROOM, width + _ROOM), np.uint8)
        self._still = lru_cache(maxsize=1)(self._still_life)

    def draw(self, frame: Frame) -> Planes:
        """The whole picture."""
        truth, when = frame.truth, datetime.fromtimestamp(frame.wall_s, ZoneInfo(frame.truth.timezone))
        still = self._still(truth.model_dump_json(), when.strftime("%H:%M"))
        y = still.y.copy()
        if truth.camera not in ("black", "covered", "turned"):
            self._clock(y, f"{when:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f" {when:%Z}  frame {frame.number}")
            band.paint(
                y,
                Seen(
                    frame.number, frame.at_ns // 1_000_000, tuple(truth.doors.values()), truth.at_reader is not None
                ),
            )
        down, right = frame.number * 37 % _ROOM, frame.number * 101 % _ROOM
        height, width = y.shape
        y += self._grain[down : down + height, right : right + width]
        return Planes(y, still.u, still.v)

    def _still_life(self, truth: str, hour: str) -> Planes:
        told = Truth.model_validate_json(truth)
        picture = Image.new("RGB", self._size, {"covered": (70, 58, 52)}.get(told.camera, (4, 4, 4)))
        if told.camera == "turned":
            _wall(ImageDraw.Draw(picture), self._size)
        elif told.camera not in ("black", "covered"):
            _post(ImageDraw.Draw(picture), self._size, told, _hours(hour))
        y, cb, cr = (np.asarray(plane) for plane in picture.convert("YCbCr").split())
        return Planes(
            np.minimum(y, _BRIGHTEST), np.ascontiguousarray(cb[::2, ::2]), np.ascontiguousarray(cr[::2, ::2])
        )

    def _clock(self, y: Plane, text: str) -> None:
        left, top, right, bottom = _box(self._size, _CLOCK)
        strip = Image.new("L", (right - left, bottom - top), 10)
        ImageDraw.Draw(strip).text(
            (4, strip.height / 2), text, _BRIGHTEST, _font(_fitting(text, strip.width, strip.height)), anchor="lm"
        )
        y[top:bottom, left:right] = np.asarray(strip)


def _post(draw: ImageDraw.ImageDraw, size: Size, truth: Truth, hour: float) -> None:
    """Sky and clock above, the wall with its doors and the reader in the middle, the floor below."""
    sky, disc = _sky(hour)
    draw.rectangle(_box(size, (0, 0, 1, 0.25)), sky)
    x, y = _point(size, (0.55 + 0.4 * (hour - 6) / 12 % 1, 0.12))
    radius = max(2, size[1] // 24)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), disc)
    draw.rectangle(_box(size, _CLOCK), (10, 10, 10))
    draw.rectangle(_box(size, (0, 0.25, 1, 0.7)), _WALL)
    draw.rectangle(_box(size, (0, 0.7, 1, 1 - band.HEIGHT)), _FLOOR)
    draw.rectangle(_box(size, (0, 1 - band.HEIGHT, 1, 1)), (0, 0, 0))
    wide = 0.68 / max(1, len(truth.doors))
    for place, (name, is_open) in enumerate(truth.doors.items()):
        _door(draw, size, 0.02 + place * wide, wide, name, is_open=is_open)
    _reader(draw, size, truth.at_reader)


def _door(draw: ImageDraw.ImageDraw, size: Size, left: float, wide: float, name: str, *, is_open: bool) -> None:
    """Shut: a green leaf in its frame. Open: a dark hole, its leaf swung aside. A plate above says it in words."""
    right = left + wide * 0.92
    draw.rectangle(
        _box(size, (left, 0.38, right, 0.74)), _DARK if is_open else _SHUT, _GREY, max(1, size[1] // 120)
    )
    if is_open:
        leaf = ((left, 0.38), (left + wide * 0.22, 0.44), (left + wide * 0.22, 0.79), (left, 0.74))
        draw.polygon([_point(size, corner) for corner in leaf], _LEAF)
    else:
        knob = _point(size, (left + wide * 0.82, 0.57))
        draw.ellipse((knob[0] - 3, knob[1] - 3, knob[0] + 3, knob[1] + 3), _WHITE)
    plate = (left, 0.27, right, 0.37)
    draw.rectangle(_box(size, plate), _OPEN if is_open else _SHUT)
    _text(draw, size, plate, f"{name}: {'OPEN' if is_open else 'SHUT'}")


def _reader(draw: ImageDraw.ImageDraw, size: Size, someone: str | None) -> None:
    """The reader's box; before it somebody, or nobody."""
    draw.rectangle(_box(size, (0.93, 0.44, 0.97, 0.54)), (30, 30, 34), _GREY)
    plate = (0.72, 0.27, 0.99, 0.37)
    draw.rectangle(_box(size, plate), _COAT if someone else _GREY)
    _text(draw, size, plate, f"SOMEONE AT {someone}" if someone else "nobody there")
    if someone:
        draw.rounded_rectangle(_box(size, (0.75, 0.53, 0.89, 0.79)), max(1, size[0] // 40), _COAT)
        draw.ellipse(_box(size, (0.78, 0.39, 0.86, 0.53)), _SKIN)
        draw.line([_point(size, (0.88, 0.58)), _point(size, (0.94, 0.5))], _COAT, max(2, size[0] // 50))


def _wall(draw: ImageDraw.ImageDraw, size: Size) -> None:
    """Where a camera looks that was turned away: bricks, and a lamp that lights one half of them."""
    for row in range(12):
        for column in range(-1, 10):
            left = (column + row % 2 / 2) / 9
            bright = 60 + 14 * (row * 7 + column * 5) % 50 + int(90 * max(0.0, 1 - 2 * left))
            box = (left + 0.004, row / 12 + 0.006, left + 0.107, (row + 1) / 12)
            draw.rectangle(_box(size, box), (bright, bright * 2 // 3, bright // 2))
    draw.ellipse(_box(size, (0.05, 0.1, 0.2, 0.35)), (255, 244, 200))


def _sky(hour: float) -> tuple[Colour, Colour]:
    """Its colour, and that of the sun or the moon, at an hour of the day."""
    if 6 <= hour < 7 or 17 <= hour < 18:
        return _DAWN, (255, 210, 120)
    return (_DAY, (255, 240, 150)) if 7 <= hour < 17 else (_NIGHT, (220, 220, 210))


def _hours(clock: str) -> float:
    hours, minutes = clock.split(":")
    return int(hours) + int(minutes) / 60


def _text(draw: ImageDraw.ImageDraw, size: Size, box: tuple[float, float, float, float], text: str) -> None:
    left, top, right, bottom = _box(size, box)
    font = _font(_fitting(text, right - left, bottom - top))
    draw.text(((left + right) / 2, (top + bottom) / 2), text, _WHITE, font, anchor="mm")


def _fitting(text: str, width: int, height: int) -> int:
    """The largest size of letters, pixels, at which a text fits: a letter is about 0.55 of it wide."""
    return max(4, int(min(height * 0.8, width / (0.57 * len(text)))))


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _box(size: Size, box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    (left, top), (right, bottom) = _point(size, box[:2]), _point(size, box[2:])
    return left, top, right, bottom


def _point(size: Size, point: tuple[float, float]) -> tuple[int, int]:
    return round(size[0] * point[0]), round(size[1] * point[1])


def read(jpeg: bytes) -> Seen:
    """What a picture shows, whatever size it was shrunk to. Raises band.Unreadable."""
    return band.read(np.asarray(Image.open(io.BytesIO(jpeg)).convert("L")))

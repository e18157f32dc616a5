"""A frame of the camera: when it was taken, where its pixels lie, and masks painted over them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from device.hardware.camera.wire import Box

Pixels = npt.NDArray[np.uint8]

_BLACK, _NO_COLOUR = 0, 128
"""Luma and chroma of black in full-range YCbCr, which JFIF (ITU-T T.871) and the camera's configuration use."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the pixels of a YUV 4:2:0 frame lie.

    ``form``: ``YUV420``, three planes behind each other, the rows of U and V half a stride long; or ``NV12``, where
    U and V share a plane, taking turns. ``stride``: bytes from a row of luma to the next.
    """

    form: str
    width: int
    height: int
    stride: int

    @property
    def length(self) -> int:
        """Bytes of a frame."""
        return self.stride * self.height * 3 // 2

    def luma(self, data: Pixels) -> Pixels:
        """A view of Y, rows by columns."""
        return data[: self.stride * self.height].reshape(self.height, self.stride)[:, : self.width]

    def chroma(self, data: Pixels) -> tuple[Pixels, Pixels]:
        """Views of U and V, rows by columns, half as many as of Y."""
        rest = data[self.stride * self.height : self.length]
        rows, columns = self.height // 2, self.width // 2
        if self.form == "NV12":
            both = rest.reshape(rows, self.stride)
            return both[:, 0 : 2 * columns : 2], both[:, 1 : 2 * columns : 2]
        both = rest.reshape(2 * rows, self.stride // 2)
        return both[:rows, :columns], both[rows:, :columns]


def layout_of(stream: Mapping[str, Any]) -> Layout:
    """The layout that picamera2 read back for a stream. Raises ValueError for a format not known here."""
    form, (width, height), stride = stream["format"], stream["size"], stream["stride"]
    if form not in {"YUV420", "NV12"} or width % 2 or height % 2 or stride % 2 or stride < width:
        raise ValueError(
            f"its frames are {form}, {width} x {height}, {stride} bytes a row: neither YUV420 nor NV12"
        )
    return Layout(form, width, height, stride)


@dataclass(frozen=True, slots=True)
class Frame:
    """``taken_ms``: uptime (CLOCK_BOOTTIME). ``data``: the pixels, masked. ``small``: luma of a small copy."""

    taken_ms: int
    layout: Layout
    data: Pixels
    small: Pixels


def scaled(masks: Iterable[Box], asked: tuple[int, int], layout: Layout) -> tuple[Box, ...]:
    """Masks of the size that was asked for, in pixels of the real one: even, and rather larger than smaller."""
    return tuple(
        (x, y, right - x, bottom - y)
        for left, top, width, height in masks
        for x, right in [_stretched(left, left + width, asked[0], layout.width)]
        for y, bottom in [_stretched(top, top + height, asked[1], layout.height)]
    )


def _stretched(start: int, end: int, asked: int, real: int) -> tuple[int, int]:
    first, last = start * real // asked, -(-end * real // asked)
    return min(first - first % 2, real), min(last + last % 2, real)


def paint(data: Pixels, layout: Layout, masks: Iterable[Box]) -> None:
    """Paint the masks black, in place."""
    luma, chroma = layout.luma(data), layout.chroma(data)
    for left, top, width, height in masks:
        luma[top : top + height, left : left + width] = _BLACK
        for plane in chroma:
            plane[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2] = _NO_COLOUR

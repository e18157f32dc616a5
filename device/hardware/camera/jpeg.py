"""A JPEG of a frame, small enough, and the EXIF that tells what it shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import simplejpeg
from PIL import ExifTags, Image

from device import __version__
from device.events import decimal_seconds
from device.hardware.camera.frame import Frame, Pixels
from device.hardware.camera.wire import Take

_LOWER_QUALITIES = (70, 50, 30)
_HALVINGS = 4
"""1920 x 1080 becomes 120 x 66: smaller ones show nothing."""
_APP1 = b"\xff\xe1"
_ASCII = b"ASCII\0\0\0"
"""The character code in front of a UserComment (Exif 2.32, 4.6.5, table 9)."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A JPEG without EXIF. ``width``, ``height``: pixels."""

    jpeg: bytes
    width: int
    height: int


def encoded(frame: Frame, quality: int, most_bytes: int) -> Encoded | None:
    """The frame as a JPEG of at most ``most_bytes``: at less quality, then with fewer pixels; None if none is."""
    for planes in _sizes(frame):
        height, width = planes[0].shape
        for tried in (quality, *(lower for lower in _LOWER_QUALITIES if lower < quality)):
            jpeg: bytes = simplejpeg.encode_jpeg_yuv_planes(*planes, tried)
            if len(jpeg) <= most_bytes:
                return Encoded(jpeg, width, height)
    return None


def _sizes(frame: Frame) -> Iterator[tuple[Pixels, Pixels, Pixels]]:
    """Y, U and V, then the same at a half, a quarter, ... of it."""
    u, v = (np.ascontiguousarray(plane) for plane in frame.layout.chroma(frame.data))
    planes = frame.layout.luma(frame.data), u, v
    yield planes
    for _ in range(_HALVINGS):
        rows, columns = planes[1].shape[0] // 2, planes[1].shape[1] // 2
        planes = (
            _halved(planes[0], 2 * rows, 2 * columns),
            _halved(planes[1], rows, columns),
            _halved(planes[2], rows, columns),
        )
        yield planes


def _halved(plane: Pixels, rows: int, columns: int) -> Pixels:
    """The mean of every two by two pixels."""
    fours = plane[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2)
    mean: Pixels = fours.mean(axis=(1, 3)).astype(np.uint8)
    return mean


def exif(take: Take, taken_ms: int, source: str) -> bytes:
    """The APP1 segment for a frame of uptime ``taken_ms``.

    DateTimeOriginal with SubsecTimeOriginal and OffsetTimeOriginal (UTC), ImageDescription: the event's id, Artist:
    the post, UserComment: how far the clock could be believed, and seconds from the event to the frame, as in
    ``clock=synced offset=-2.960``.
    """
    wall_ms = take.wall_ms + taken_ms - take.at_ms
    day = f"{datetime.fromtimestamp(wall_ms // 1000, UTC):%Y:%m:%d %H:%M:%S}"
    comment = f"clock={take.clock} offset={decimal_seconds(taken_ms - take.at_ms)}"
    tags = Image.Exif()
    tags[ExifTags.Base.ImageDescription] = take.why
    tags[ExifTags.Base.Software] = f"guardpost {__version__}"
    tags[ExifTags.Base.DateTime] = day
    tags[ExifTags.Base.Artist] = source
    tags.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.DateTimeOriginal: day,
            ExifTags.Base.OffsetTime: "+00:00",
            ExifTags.Base.OffsetTimeOriginal: "+00:00",
            ExifTags.Base.SubsecTimeOriginal: f"{wall_ms % 1000:03d}",
            ExifTags.Base.UserComment: _ASCII + comment.encode(),
        }
    )
    body = tags.tobytes()
    return _APP1 + (len(body) + 2).to_bytes(2, "big") + body


def with_exif(jpeg: bytes, segment: bytes) -> bytes:
    """The JPEG with that segment right behind its start (Exif 2.32, 4.5.4)."""
    return jpeg[:2] + segment + jpeg[2:]

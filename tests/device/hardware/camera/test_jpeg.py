"""Pictures as bytes: colours, size, and what they say of themselves."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from device.hardware.camera.frame import Frame, Layout, Pixels
from device.hardware.camera.jpeg import encoded, exif, with_exif
from device.hardware.camera.shrink import shrunk
from device.hardware.camera.wire import Take

SIZE = WIDTH, HEIGHT = 320, 180
TAKE = Take(
    number=7,
    why="3f8a0c1e-5b7d-4e7a-9a4e-2f1d8c6b5a49/1041",
    at_ms=5_000,
    wall_ms=1_790_000_000_123,
    clock="unsynced",
    offset_ms=-3_000,
)


def frame(form: str = "YUV420", level: tuple[int, int, int] | None = None) -> Frame:
    """Of noise, or of one colour (Y, Cb, Cr)."""
    layout = Layout(form, WIDTH, HEIGHT, 384)
    data: Pixels = np.random.default_rng(3).integers(0, 255, layout.length, np.uint8)
    if level is not None:
        layout.luma(data)[:] = level[0]
        for plane, value in zip(layout.chroma(data), level[1:], strict=True):
            plane[:] = value
    return Frame(2_040, layout, data, layout.luma(data))


def opened(jpeg: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(jpeg))
    picture.load()
    return picture


@pytest.mark.parametrize("form", ["YUV420", "NV12"])
def test_colours_come_out_as_they_went_in(form: str) -> None:
    # Full-range BT.601 (ITU-T T.871): red is 76, 85, 255.
    made = encoded(frame(form, (76, 85, 255)), 85, 1 << 20)
    assert made is not None
    pixel = opened(made.jpeg).getpixel((100, 100))
    assert isinstance(pixel, tuple)
    assert all(abs(got - want) <= 3 for got, want in zip(pixel, (255, 0, 0), strict=True))


def test_a_picture_that_is_too_large_loses_quality_first_and_then_size() -> None:
    best = encoded(frame(), 95, 1 << 20)
    assert best is not None
    sizes = []
    for most in (len(best.jpeg) - 1, len(best.jpeg) // 4, 4_000, 1_500):
        made = encoded(frame(), 95, most)
        assert made is not None and len(made.jpeg) <= most
        assert opened(made.jpeg).size == (made.width, made.height)
        sizes.append((made.width, made.height))
    assert sizes[0] == SIZE
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < (100, 60)
    assert encoded(frame(), 95, 100) is None


def test_a_picture_says_when_it_was_taken_where_and_why() -> None:
    made = encoded(frame(), 50, 1 << 20)
    assert made is not None
    picture = opened(with_exif(made.jpeg, exif(TAKE, taken_ms=2_040, source="jember/kpu-gate")))
    tags = picture.getexif()
    assert tags[ExifTags.Base.ImageDescription] == TAKE.why
    assert tags[ExifTags.Base.Artist] == "jember/kpu-gate"
    assert tags[ExifTags.Base.Software].startswith("guardpost ")
    times = tags.get_ifd(ExifTags.IFD.Exif)
    assert times[ExifTags.Base.DateTimeOriginal] == "2026:09:21 14:13:17"
    assert times[ExifTags.Base.SubsecTimeOriginal] == "163"
    assert times[ExifTags.Base.OffsetTimeOriginal] == "+00:00"
    assert times[ExifTags.Base.UserComment] == b"ASCII\0\0\0clock=unsynced offset=-2.960"


def test_a_picture_can_be_made_smaller_afterwards_and_says_the_same() -> None:
    made = encoded(frame(), 95, 1 << 20)
    assert made is not None
    jpeg = with_exif(made.jpeg, exif(TAKE, 2_040, "jember/kpu-gate"))
    for most in (len(jpeg) // 2, 5_000):
        smaller = shrunk(jpeg, most)
        assert smaller is not None and len(smaller[0]) <= most
        picture = opened(smaller[0])
        assert picture.size == smaller[1:]
        assert picture.getexif().get_ifd(ExifTags.IFD.Exif) == opened(jpeg).getexif().get_ifd(ExifTags.IFD.Exif)
        assert picture.getexif()[ExifTags.Base.ImageDescription] == TAKE.why


@pytest.mark.parametrize("bad", [b"", b"\xff\xd8\xff", b"not a picture"])
def test_what_is_no_picture_cannot_be_made_smaller(bad: bytes) -> None:
    assert shrunk(bad, 10_000) is None


def test_nothing_is_as_small_as_a_hundred_bytes() -> None:
    made = encoded(frame(), 95, 1 << 20)
    assert made is not None
    assert shrunk(made.jpeg, 100) is None

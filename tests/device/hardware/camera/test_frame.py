"""Where the pixels of a frame lie, and what masks leave of them."""

import numpy as np
import pytest

from device.hardware.camera.frame import Layout, Pixels, layout_of, paint, scaled

FORMS = ["YUV420", "NV12"]


def frame(form: str, y: Pixels, u: Pixels, v: Pixels, stride: int) -> Pixels:
    """The bytes as libcamera lays them out, padded with 0xEE."""
    rows, columns = y.shape
    luma = np.full((rows, stride), 0xEE, np.uint8)
    luma[:, :columns] = y
    if form == "NV12":
        chroma = np.full((rows // 2, stride), 0xEE, np.uint8)
        chroma[:, :columns:2], chroma[:, 1:columns:2] = u, v
    else:
        chroma = np.full((rows, stride // 2), 0xEE, np.uint8)
        chroma[: rows // 2, : columns // 2], chroma[rows // 2 :, : columns // 2] = u, v
    return np.concatenate([luma.ravel(), chroma.ravel()])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stride", [36, 64])
def test_planes_are_found_whatever_the_padding(form: str, stride: int) -> None:
    some = np.random.default_rng(1)
    y, u, v = (some.integers(0, 255, size, np.uint8) for size in ((20, 36), (10, 18), (10, 18)))
    data, layout = frame(form, y, u, v, stride), Layout(form, 36, 20, stride)
    assert data.size == layout.length
    assert np.array_equal(layout.luma(data), y)
    assert all(np.array_equal(got, want) for got, want in zip(layout.chroma(data), (u, v), strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_masks_take_all_of_what_is_below_them_and_nothing_else(form: str) -> None:
    grey = [np.full(size, 90, np.uint8) for size in ((20, 36), (10, 18), (10, 18))]
    data, layout = frame(form, grey[0], grey[1], grey[2], 64), Layout(form, 36, 20, 64)
    paint(data, layout, scaled(((3, 5, 4, 3), (30, 18, 6, 2)), (36, 20), layout))
    black = np.zeros((20, 36), bool)
    black[4:8, 2:8] = black[18:20, 30:36] = True
    assert np.array_equal(layout.luma(data) == 0, black)
    assert np.array_equal(layout.luma(data) == 90, ~black)
    for plane in layout.chroma(data):
        assert np.array_equal(plane == 128, black[::2, ::2])
    assert np.count_nonzero(data == 0xEE) == 30 * 28


@pytest.mark.parametrize(
    ("real", "masks"),
    [
        ((960, 540), ((50, 24, 152, 130),)),
        ((1280, 720), ((66, 32, 202, 172),)),
        ((1920, 1080), ((100, 50, 302, 256),)),
    ],
)
def test_a_mask_covers_the_same_of_a_smaller_picture_and_rather_more(
    real: tuple[int, int], masks: tuple[tuple[int, int, int, int]]
) -> None:
    assert scaled(((101, 50, 301, 255),), (1920, 1080), Layout("NV12", *real, real[0])) == masks


def test_a_mask_stays_inside_the_picture() -> None:
    assert scaled(((0, 0, 1920, 1080),), (1920, 1080), Layout("NV12", 640, 480, 640)) == ((0, 0, 640, 480),)


def test_a_format_that_is_not_known_is_refused() -> None:
    stream = {"format": "MJPEG", "size": (640, 480), "stride": 0}
    with pytest.raises(ValueError, match="its frames are MJPEG, 640 x 480, 0 bytes a row: neither YUV420 nor NV12"):
        layout_of(stream)
    assert layout_of({"format": "NV12", "size": (640, 480), "stride": 704, "framesize": 506_880}) == Layout(
        "NV12", 640, 480, 704
    )

"""The simulated camera's scene: what is drawn is read back from the picture, at any size and quality."""

import io
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from simulator import band, truth
from simulator.band import MOST_DOORS, Seen, Unreadable
from simulator.scene import NOISE, Frame, Painter, Planes, read
from simulator.truth import Truth

WIDE, SMALL = (1280, 720), (320, 240)
SHUT = Truth(doors={"front": False, "back": False, "lid": False}, timezone="Asia/Jakarta")
MORNING_S = 1_795_482_900.123
"""2026-11-24 08:15:00 in Jakarta."""

seen = st.builds(
    Seen,
    frame=st.integers(0, 2**32 - 1),
    uptime_ms=st.integers(0, 2**48 - 1),
    doors=st.lists(st.booleans(), max_size=MOST_DOORS).map(tuple),
    someone=st.booleans(),
)


def drawn(told: Truth = SHUT, number: int = 1, size: tuple[int, int] = WIDE, wall_s: float = MORNING_S) -> Planes:
    return Painter(size).draw(Frame(told, number, 86_400_123_456_789, wall_s))


def jpeg(planes: Planes, quality: int = 85) -> bytes:
    made: bytes = simplejpeg.encode_jpeg_yuv_planes(planes.y, planes.u, planes.v, quality)
    return made


def colour(planes: Planes, x: float, y: float) -> tuple[int, int, int]:
    """Of a point of the picture, in fractions of it: red, green, blue."""
    image = Image.open(io.BytesIO(jpeg(planes))).convert("RGB")
    red, green, blue = image.getpixel((round(image.width * x), round(image.height * y)))  # type: ignore[misc]
    return red, green, blue


@given(seen)
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_in_the_band_is_read_from_it(wanted: Seen) -> None:
    luma = np.full((240, 320), 128, np.uint8)
    band.paint(luma, wanted)
    assert band.read(luma) == wanted


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (800, 600), (640, 480), (320, 240)])
@pytest.mark.parametrize("quality", [10, 85])
def test_a_picture_tells_what_was_true_when_it_was_taken(size: tuple[int, int], quality: int) -> None:
    told = SHUT.model_copy(update={"doors": {"front": False, "back": True, "lid": False}, "at_reader": "gate"})
    assert read(jpeg(drawn(told, 1041, size), quality)) == Seen(1041, 86_400_123, (False, True, False), True)


@pytest.mark.parametrize("width", [960, 480, 240, 160])
def test_it_does_so_however_much_it_is_shrunk(width: int) -> None:
    image = Image.open(io.BytesIO(jpeg(drawn(number=7))))
    image.thumbnail((width, width))
    image.save(shrunk := io.BytesIO(), "JPEG", quality=30)
    assert read(shrunk.getvalue()) == Seen(7, 86_400_123, (False, False, False), False)


@pytest.mark.parametrize("fault", ["black", "covered", "turned"])
def test_a_picture_of_something_else_is_not_read_as_a_post_where_all_is_shut(fault: str) -> None:
    with pytest.raises(Unreadable, match="no whole band along the lower edge of this picture of 1280 x 720"):
        read(jpeg(drawn(SHUT.model_copy(update={"camera": fault}))))


def test_a_picture_whose_band_is_masked_is_not_read_either() -> None:
    planes = drawn()
    planes.y[:, 600:] = 0
    with pytest.raises(Unreadable):
        read(jpeg(planes))


def test_an_open_door_and_somebody_at_the_reader_are_seen_by_whoever_looks() -> None:
    front_open = drawn(Truth(doors={"front": True}))
    front_shut = drawn(Truth(doors={"front": False}))
    red, green, _ = colour(front_open, 0.05, 0.29)  # the plate above the door
    assert red > 2 * green
    red, green, _ = colour(front_shut, 0.05, 0.29)
    assert green > 2 * red
    assert sum(colour(front_open, 0.45, 0.6)) < 90  # one looks into the dark
    assert sum(colour(front_shut, 0.45, 0.6)) > 150
    red, _, blue = colour(drawn(SHUT.model_copy(update={"at_reader": "gate"})), 0.82, 0.7)
    assert blue > 2 * red  # a coat
    red, _, blue = colour(drawn(SHUT), 0.82, 0.65)
    assert red > blue  # the wall


def test_the_sky_shows_the_time_of_day_where_the_post_stands() -> None:
    assert sum(colour(drawn(SHUT, wall_s=MORNING_S), 0.99, 0.2)) > 450
    assert sum(colour(drawn(SHUT, wall_s=MORNING_S + 12 * 3600), 0.99, 0.2)) < 150
    elsewhere = SHUT.model_copy(update={"timezone": "UTC"})  # 01:15
    assert sum(colour(drawn(elsewhere, wall_s=MORNING_S), 0.99, 0.2)) < 150


def test_no_two_frames_are_the_same_for_the_sensor_has_noise() -> None:
    one, other = drawn(number=1), drawn(number=2)
    wall = (slice(430, 470), slice(895, 918))
    assert not np.array_equal(one.y[wall], other.y[wall])
    assert int(np.ptp(one.y[wall])) == NOISE - 1
    assert np.array_equal(one.y, drawn(number=1).y)


def test_a_post_without_doors_and_one_with_more_than_the_band_holds_are_drawn() -> None:
    assert read(jpeg(drawn(Truth()))) == Seen(1, 86_400_123, (), False)
    many = Truth(doors={f"door-{n}": n == 15 for n in range(20)})
    assert read(jpeg(drawn(many))).doors == (*[False] * 15, True)


def test_the_smallest_picture_that_may_be_configured_can_be_drawn() -> None:
    assert drawn(size=(64, 64)).y.shape == (64, 64)


def test_the_file_is_replaced_as_a_whole_and_without_one_there_is_no_camera(tmp_path: Path) -> None:
    file = tmp_path / "scene.json"
    assert truth.read(file).camera == "gone"
    truth.write(file, SHUT)
    assert truth.read(file) == SHUT
    assert json.loads(file.read_text())["doors"] == {"front": False, "back": False, "lid": False}
    file.write_text('{"doors": {"front"')
    assert truth.read(file).camera == "gone"


def test_what_is_read_at_an_instant_was_so_at_that_instant(tmp_path: Path) -> None:
    """The writer notes when each state began and ended; what is read was so in between."""
    file = tmp_path / "scene.json"
    truth.write(file, Truth(at_reader="0"))
    began, ended = {"0": 0}, {}
    done = threading.Event()

    def write() -> None:
        for number in range(1, 300):
            ended[str(number - 1)] = time.monotonic_ns()
            truth.write(file, Truth(at_reader=str(number)))
            began[str(number)] = time.monotonic_ns()
        done.set()

    found = []
    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        found.append(truth.read_at(file, time.CLOCK_MONOTONIC))
    writer.join()
    for told, at_ns in found:
        number = told.at_reader
        assert number is not None
        # A state begins somewhere between the end of the one before and the return of its own write.
        before = str(int(number) - 1)
        assert at_ns >= ended.get(before, 0)
        after = str(int(number) + 1)
        assert at_ns <= began.get(after, at_ns)

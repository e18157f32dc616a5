"""Which picture gets which frame, when frames come late, or never, or memory is short."""

import io

import numpy as np
import pytest
from camera_child import SETTINGS
from PIL import Image

from device.events import MOST_PICTURE_BYTES
from device.hardware.camera.frame import Frame, Layout
from device.hardware.camera.shots import LATEST_MS, MOST_WAITING, Shots
from device.hardware.camera.wire import Missed, Shot, Take
from device.record.sealing import SEAL_BYTES

LAYOUT = Layout("NV12", 64, 48, 64)
PLENTY = 1 << 30


def frame(taken_ms: int) -> Frame:
    """As bright as its time, in tenths of seconds."""
    data = np.full(LAYOUT.length, taken_ms // 100, np.uint8)
    return Frame(taken_ms, LAYOUT, data, LAYOUT.luma(data))


def take(number: int, at_ms: int, offset_ms: int = 0) -> Take:
    return Take(number=number, why="", at_ms=at_ms, wall_ms=at_ms, clock="synced", offset_ms=offset_ms)


class Post:
    """The other end."""

    def __init__(self, most_frame_bytes: int = PLENTY) -> None:
        settings = SETTINGS.model_copy(update={"rate": 10, "before_ms": 1_000, "size": (64, 48), "quality": 95})
        self.shots = Shots(settings, most_frame_bytes, self._hear)
        self.taken: dict[int, int] = {}
        self.missed: dict[int, str] = {}
        self.jpegs: dict[int, bytes] = {}

    def _hear(self, message: Shot | Missed, jpeg: bytes) -> None:
        assert message.number not in self.taken and message.number not in self.missed
        if isinstance(message, Shot):
            self.taken[message.number] = message.taken_ms
            self.jpegs[message.number] = jpeg
        else:
            self.missed[message.number] = message.why


def test_a_picture_gets_the_first_frame_of_its_moment_or_later_and_shows_that_one() -> None:
    post = Post()
    post.shots.ask(take(1, 10_000), "")
    post.shots.ask(take(2, 10_000, 500), "")
    assert post.shots.wanted_ms == 10_000
    post.shots.see(frame(9_900), keep=True)
    assert post.taken == {}
    post.shots.see(frame(10_030), keep=False)
    assert post.taken == {1: 10_030}
    assert post.shots.wanted_ms == 10_500
    post.shots.see(frame(10_600), keep=True)
    assert post.taken == {1: 10_030, 2: 10_600}
    with Image.open(io.BytesIO(post.jpegs[2])) as picture:
        luma = picture.convert("YCbCr").getpixel((20, 20))
    assert isinstance(luma, tuple) and abs(luma[0] - 106) <= 2


def test_a_frame_that_only_a_picture_wanted_is_not_kept() -> None:
    post = Post()
    post.shots.see(frame(10_000), keep=False)
    post.shots.ask(take(1, 11_000, -1_000), "")
    assert post.missed == {1: "no frame from before the event is kept"}


def test_a_frame_that_comes_too_late_is_no_picture_of_the_moment() -> None:
    post = Post()
    post.shots.ask(take(1, 10_000), "")
    post.shots.see(frame(10_001 + LATEST_MS), keep=True)
    assert post.missed == {1: "no frame came within 5 s"}


def test_no_picture_is_larger_than_headquarters_takes_it_sealed_whatever_the_broker_would_take() -> None:
    rows, columns = 2_400, 3_200
    noise = np.random.default_rng(1).integers(0, 255, rows * columns * 3 // 2, np.uint8)
    layout = Layout("NV12", columns, rows, columns)
    post = Post()
    post.shots.see(Frame(10_000, layout, noise, layout.luma(noise)), keep=True)
    post.shots.ask(take(1, 10_000), "")
    post.shots.fit(1 << 30)
    post.shots.ask(take(2, 10_000), "")
    for jpeg in post.jpegs.values():
        assert MOST_PICTURE_BYTES // 4 < len(jpeg) <= MOST_PICTURE_BYTES - SEAL_BYTES


def test_no_picture_waits_for_ever_and_it_is_told_why() -> None:
    post = Post()
    post.shots.ask(take(1, 10_000, 1_000), "")
    post.shots.pass_time(11_000 + LATEST_MS, "the camera is gone")
    assert post.missed == {}
    post.shots.pass_time(11_001 + LATEST_MS, "the camera is gone")
    assert post.missed == {1: "no frame came within 5 s: the camera is gone"}
    assert post.shots.wanted_ms is None


def test_so_many_wait_and_no_more() -> None:
    post = Post()
    for number in range(MOST_WAITING + 2):
        post.shots.ask(take(number, 10_000), "")
    assert set(post.missed) == {MOST_WAITING, MOST_WAITING + 1}
    post.shots.see(frame(10_000), keep=True)
    assert len(post.taken) == MOST_WAITING


@pytest.mark.parametrize(("most_bytes", "places"), [(PLENTY, 31), (10 * LAYOUT.length, 10), (1, 2)])
def test_fewer_frames_are_kept_where_memory_is_short(most_bytes: int, places: int) -> None:
    post = Post(most_bytes)
    assert (post.shots.places, post.shots.all_kept) == (places, places == 31)
    for at_ms in range(10_000, 20_000, 100):
        post.shots.see(frame(at_ms), keep=True)
    oldest_ms = 20_000 - 100 * places
    post.shots.ask(take(1, 20_000, -60_000), "")
    post.shots.ask(take(2, oldest_ms), "")
    assert post.taken == {1: oldest_ms, 2: oldest_ms}

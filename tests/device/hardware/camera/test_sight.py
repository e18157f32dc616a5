"""Cameras that see nothing, and scenes that only look so."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from device.hardware.camera.frame import Pixels
from device.hardware.camera.sight import BLACK, COVERED, FROZEN, LEARN_MS, TURNED, Sight

SHAPE = 180, 320
EVERY_MS = 500


class Eye:
    """A camera before a scene, with its noise; one frame each ``EVERY_MS``."""

    def __init__(self) -> None:
        self.sight = Sight()
        self.now_ms = 1_000_000
        self._noise = itertools.cycle(np.random.default_rng(5).normal(0.0, 1.0, (7, *SHAPE)))

    def since_ms(self) -> int | None:
        return self.sight.since_ms

    def see(self, scene: Pixels, for_ms: int, noise: float = 2.0) -> list[str]:
        """What was told of each frame."""
        told = []
        for _ in range(for_ms // EVERY_MS):
            self.now_ms += EVERY_MS
            frame = scene.astype(np.float32) + noise * next(self._noise)
            told.append(self.sight.look(frame.clip(0, 255).astype(np.uint8), self.now_ms))
        return told


def boxes(seed: int, number: int = 40) -> Pixels:
    """A place full of things: walls, windows, a fence."""
    some = np.random.default_rng(seed)
    scene = np.full(SHAPE, 120, np.uint8)
    for _ in range(number):
        top, left = some.integers(0, 170), some.integers(0, 300)
        height, width = some.integers(8, 60), some.integers(8, 80)
        scene[top : top + height, left : left + width] = some.integers(20, 235)
    return scene


YARD = boxes(1)
BLACK_FRAME, GREY_FRAME = np.full(SHAPE, 6, np.uint8), np.full(SHAPE, 70, np.uint8)
FADING = np.tile(np.linspace(40, 130, SHAPE[1]), (SHAPE[0], 1)).astype(np.uint8)
"""A hand on the lens lets some light in from one side."""


@pytest.mark.parametrize(
    ("scene", "why"),
    [(BLACK_FRAME, BLACK), (GREY_FRAME, COVERED), (FADING, COVERED), (np.full(SHAPE, 250, np.uint8), COVERED)],
)
def test_a_lens_without_light_or_under_a_hand_is_told_after_some_seconds_and_sees_again(
    scene: Pixels, why: str
) -> None:
    eye = Eye()
    assert set(eye.see(YARD, 5_000)) == {""}
    assert eye.since_ms() is None
    began_ms = eye.now_ms + EVERY_MS
    told = eye.see(scene, 6_000)
    assert eye.since_ms() == began_ms, "not when it was sure of it"
    assert told[:6] == [""] * 6
    assert told[-1] == why
    assert set(told) == {"", why}
    again = eye.see(YARD, 5_000)
    assert again[0] == why
    assert again[-1] == ""
    assert eye.since_ms() is None


def test_a_moment_of_darkness_is_not_told() -> None:
    eye = Eye()
    for _ in range(5):
        assert set(eye.see(YARD, 1_000)) == {""}
        assert set(eye.see(BLACK_FRAME, 2_000)) == {""}


def test_a_frame_that_is_the_same_to_the_byte_is_frozen_and_a_quiet_scene_is_not() -> None:
    eye = Eye()
    assert set(eye.see(YARD, 60_000, noise=0.4)) == {""}
    told = eye.see(YARD, 15_000, noise=0.0)
    assert told[-1] == FROZEN
    assert eye.see(YARD, 5_000, noise=0.4)[-1] == ""


def test_a_camera_that_is_turned_away_is_told_and_one_that_is_turned_back_too() -> None:
    eye = Eye()
    assert set(eye.see(YARD, 60_000)) == {""}
    told = eye.see(boxes(2), 30_000)
    assert told[-1] == TURNED
    assert eye.see(YARD, 5_000)[-1] == ""


def test_a_new_view_is_the_usual_one_after_some_minutes() -> None:
    eye = Eye()
    eye.see(YARD, 60_000)
    assert eye.see(boxes(2), LEARN_MS - 5_000)[-1] == TURNED
    assert eye.see(boxes(2), 10_000)[-1] == ""
    assert eye.see(YARD, 30_000)[-1] == TURNED


def passers_by() -> Iterator[Pixels]:
    """Someone walks through the yard; a door opens; it gets dark and the lamp goes on; headlights."""
    for left in range(0, 300, 20):
        walking = YARD.copy()
        walking[60:170, left : left + 40] = 35
        yield walking
    door = YARD.copy()
    door[50:150, 100:150] = 15
    yield door
    for share in (0.8, 0.5, 0.3, 0.15):
        yield (YARD * share).astype(np.uint8)
    lit = (YARD * 0.15).astype(np.float32)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    lamp = np.exp(-((rows - 40) ** 2 + (columns - 250) ** 2) / (2 * 40.0**2))
    yield (lit + YARD * lamp * 0.5).clip(0, 255).astype(np.uint8)


def test_what_happens_before_a_camera_every_day_is_not_taken_for_its_being_turned() -> None:
    eye = Eye()
    eye.see(YARD, 60_000)
    for scene in passers_by():
        assert set(eye.see(scene, 25_000)) == {""}


def test_a_yard_that_is_lost_in_the_noise_of_the_night_is_not_taken_for_another() -> None:
    eye = Eye()
    eye.see(YARD, 60_000)
    assert set(eye.see((YARD * 0.12).astype(np.uint8), 40_000, noise=6.0)) == {""}
    assert set(eye.see((YARD * 0.02 + 20).astype(np.uint8), 40_000, noise=8.0)) <= {"", COVERED}


def test_a_night_with_one_lamp_is_neither_black_nor_covered() -> None:
    night = np.full(SHAPE, 8, np.uint8)
    night[40:70, 200:230] = 160
    assert set(Eye().see(night, 30_000)) == {""}


def test_frames_of_another_size_begin_anew() -> None:
    eye = Eye()
    eye.see(YARD, 5_000)
    assert eye.sight.look(boxes(2)[::2, ::2], eye.now_ms + EVERY_MS) == ""

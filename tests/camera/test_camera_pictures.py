"""Pictures from the camera's child: of the moment that was asked for, and of what may be shown."""

import json
from pathlib import Path

import pytest
from camera_child import WHY, Scene, brightest, child, opened, uptime_ms
from PIL import ExifTags
from waiting import until

from device.events import decimal_seconds
from device.hardware.camera import wire
from device.hardware.camera.ring import SLACK_MS
from device.hardware.camera.shots import MOST_WAITING
from device.hardware.camera.wire import Fit

GROWTH_BYTES = 8 << 20
"""A thousand of the least that could stay behind, a JPEG of 30 kB, would be far more."""


def test_a_picture_is_of_the_moment_that_was_asked_for_and_says_so(scene: Scene) -> None:
    with child(scene) as camera:
        camera.sees()
        at_ms = uptime_ms()
        [number] = camera.asked(at_ms, 0)
        shot, jpeg = camera.shot(number)
        assert at_ms <= shot.taken_ms <= uptime_ms()
        picture = opened(jpeg)
        assert picture.format == "JPEG"
        assert picture.size == (shot.width, shot.height) == (640, 480)
        tags = picture.getexif()
        assert tags[ExifTags.Base.ImageDescription] == WHY
        assert tags[ExifTags.Base.Artist] == "jember/kpu-gate"
        times = tags.get_ifd(ExifTags.IFD.Exif)
        after_ms = shot.taken_ms - at_ms
        seconds, ms = divmod(1_790_000_000_123 + after_ms, 1000)
        # 1790000000 is 2026-09-21 14:13:20 UTC.
        assert times[ExifTags.Base.DateTimeOriginal] == f"2026:09:21 14:13:{20 + seconds - 1_790_000_000:02d}"
        assert times[ExifTags.Base.OffsetTimeOriginal] == "+00:00"
        assert times[ExifTags.Base.SubsecTimeOriginal] == f"{ms:03d}"
        assert (
            times[ExifTags.Base.UserComment]
            == f"ASCII\0\0\0clock=holdover offset={decimal_seconds(after_ms)}".encode()
        )


def test_pictures_start_before_the_event_and_end_after_it(scene: Scene) -> None:
    with child(scene) as camera:
        camera.sees(beyond_ms=camera.sees() + 1_500)
        at_ms = uptime_ms()
        before, now, after = (camera.shot(number)[0].taken_ms for number in camera.asked(at_ms, -1_000, 0, 500))
        assert at_ms - 1_000 - SLACK_MS <= before <= at_ms - 1_000
        assert at_ms <= now <= after  # one frame is both, where none came for half a second
        assert after >= at_ms + 500


def test_a_camera_that_has_just_started_gives_the_oldest_frame_from_before_the_event_or_says_there_is_none(
    scene: Scene,
) -> None:
    with child(scene) as camera:
        first_ms = camera.sees()
        nothing, something = camera.asked(first_ms - 2_000, -1_000) + camera.asked(uptime_ms() + 200, -60_000)
        assert camera.miss(nothing) == "no frame from before the event is kept"
        assert camera.shot(something)[0].taken_ms <= first_ms


def test_an_event_that_was_written_down_late_still_gets_the_frame_of_its_moment(scene: Scene) -> None:
    with child(scene) as camera:
        first_ms = camera.sees()
        last_ms = camera.sees(beyond_ms=first_ms + 1_000)
        [number] = camera.asked(first_ms + 300, 0)
        assert first_ms + 300 <= camera.shot(number)[0].taken_ms <= last_ms


def test_masks_are_black_to_their_edges_and_nothing_else_is(scene: Scene) -> None:
    boxes = ((0, 0, 33, 47), (301, 203, 100, 75), (608, 448, 32, 32))
    with child(scene, masks=boxes) as camera:
        camera.sees()
        picture = opened(camera.shot(camera.asked(uptime_ms(), 0)[0])[1]).convert("L")
    for left, top, width, height in boxes:
        assert brightest(picture.crop((left, top, left + width, top + height))) < 60
    assert brightest(picture) > 200


def test_controls_that_the_camera_does_not_have_are_told_once_and_left_alone(scene: Scene) -> None:
    with child(scene, controls={"WarpFactor": 9, "FrameDurationLimits": "fast"}) as camera:
        camera.sees()
        assert camera.told == [
            "control WarpFactor is not of this camera",
            "control FrameDurationLimits takes whole numbers, not fast",
        ]


def test_a_picture_is_made_to_fit_and_keeps_what_it_says(scene: Scene) -> None:
    with child(scene) as camera:
        camera.sees()
        large = camera.shot(camera.asked(uptime_ms(), 0)[0])[1]
        for most in (len(large) // 2, 5_000):
            camera.write(wire.down(Fit(most_bytes=most)))
            shot, jpeg = camera.shot(camera.asked(uptime_ms(), 0)[0])
            assert len(jpeg) <= most
            assert opened(jpeg).size == (shot.width, shot.height)
            assert opened(jpeg).getexif()[ExifTags.Base.ImageDescription] == WHY
        camera.write(wire.down(Fit(most_bytes=600)))
        assert camera.miss(camera.asked(uptime_ms(), 0)[0]) == "no JPEG of it is as small as 600 bytes"


@pytest.mark.parametrize("offset_ms", [0, -500])
def test_a_thousand_pictures_wanted_at_once_are_each_answered_once(scene: Scene, offset_ms: int) -> None:
    with child(scene) as camera:
        camera.sees(beyond_ms=camera.sees() + 700)
        at_ms = uptime_ms() + (2_000 if offset_ms == 0 else 0)
        numbers = camera.asked(at_ms, *[offset_ms] * 1_000)
        until(lambda: len(camera.answers) >= 1_000, what="a thousand answers")
        assert sorted(camera.answers) == numbers
        if offset_ms < 0:
            assert len(camera.shots) == 1_000
            assert len({shot.taken_ms for shot, _ in camera.shots.values()}) == 1
        else:
            assert MOST_WAITING <= len(camera.shots) < 1_000
            assert set(camera.missed.values()) == {
                f"too many at once: {MOST_WAITING} pictures wait for their frame already"
            }
        camera.sees(beyond_ms=uptime_ms())


def test_a_thousand_pictures_leave_neither_memory_nor_descriptors_behind(scene: Scene) -> None:
    with child(scene, before_ms=500) as camera:
        first_ms = camera.sees()
        process = Path(f"/proc/{camera.pid}")

        def resident_bytes() -> int:
            return int(process.joinpath("statm").read_text().split()[1]) * 4096

        def descriptors() -> int:
            return len(list(process.joinpath("fd").iterdir()))

        def fifty() -> None:
            for number in camera.asked(uptime_ms(), *range(-240, 260, 10)):
                camera.shot(number)
            camera.shots.clear()

        for _ in range(4):
            fifty()
        # From here on there is no place left for another frame.
        camera.sees(beyond_ms=first_ms + 500 + SLACK_MS)
        before = resident_bytes(), descriptors()
        for _ in range(20):
            fifty()
        after = resident_bytes(), descriptors()
        print(json.dumps({"bytes": (before[0], after[0]), "descriptors": (before[1], after[1])}))
        assert after[0] - before[0] < GROWTH_BYTES
        assert after[1] == before[1]

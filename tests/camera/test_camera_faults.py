"""The camera's child when its camera fails, when it is killed, and when the post goes away."""

import signal

import pytest
from camera_child import Scene, brightest, child, opened, uptime_ms
from waiting import until

from device.hardware.camera.camera import WAIT_S
from device.hardware.camera.wire import ALIVE_EVERY_MS

SILENCE_MS = 2 * (int(WAIT_S * 1000) + ALIVE_EVERY_MS)
"""Longer than a child is ever silent that waits for a frame."""


def test_a_camera_that_stalls_is_blind_until_it_was_opened_anew_and_its_frames_never_claim_to_be_newer(
    scene: Scene,
) -> None:
    with child(scene) as camera:
        camera.sees(beyond_ms=camera.sees() + 500)
        scene.fault("stall")
        until(lambda: camera.blind, what="blind")
        assert camera.blind == "the camera gave no frame for 2 s"
        last_ms = camera.alive[-1].frame_ms
        assert last_ms is not None
        early, before = camera.asked(last_ms, -100) + camera.asked(uptime_ms() + 60_000, -100)
        assert camera.shot(early)[0].taken_ms <= last_ms - 100
        assert camera.miss(before) == camera.blind
        at_ms = uptime_ms() + 3_000  # by when it may be open again; a frame is waited for no longer than 5 s
        [now] = camera.asked(at_ms, 0)
        scene.fault("")
        assert camera.shot(now)[0].taken_ms >= at_ms
        camera.sees(beyond_ms=at_ms)


def test_a_camera_whose_driver_hangs_falls_silent_and_a_new_child_sees(scene: Scene) -> None:
    with child(scene) as camera:
        camera.sees()
        scene.fault("hang")
        until(lambda: uptime_ms() - camera.heard_ms > SILENCE_MS, what="silence")
        camera.signal(signal.SIGKILL)
        assert camera.ended() == -signal.SIGKILL
    scene.fault("")
    with child(scene) as camera:
        camera.sees()


def test_a_child_that_was_killed_among_its_pictures_is_followed_by_one_that_takes_them(scene: Scene) -> None:
    with child(scene) as camera:
        camera.sees()
        camera.asked(uptime_ms(), *range(0, 500, 10))
        until(lambda: camera.shots, what="the first of them")
        camera.signal(signal.SIGKILL)
        camera.ended()
    with child(scene) as camera:
        camera.sees()
        camera.shot(camera.asked(uptime_ms(), 0)[0])


def test_no_camera_is_told_with_the_mend_and_one_that_is_plugged_in_is_found(scene: Scene) -> None:
    scene.fault("gone")
    with child(scene) as camera:
        until(lambda: camera.blind, what="blind")
        assert camera.blind == "no camera is connected: see that the ribbon cable sits straight at both its ends"
        assert camera.miss(camera.asked(uptime_ms(), -500)[0]) == camera.blind
        assert camera.alive[-1].frame_ms is None
        scene.fault("")
        camera.sees()


def test_one_that_is_unplugged_while_it_runs_is_opened_anew_and_then_told_as_what_it_is(scene: Scene) -> None:
    with child(scene) as camera:
        camera.sees()
        scene.fault("gone")
        until(lambda: camera.blind and not camera.alive[-1].opening, what="the reason")
        assert camera.blind == "no camera is connected: see that the ribbon cable sits straight at both its ends"
        first = next(alive for alive in camera.alive if alive.blind)
        assert (first.blind, first.opening) == ("the camera gave no frame for 2 s", True)
        assert first.frame_ms == camera.alive[-1].frame_ms


def test_a_camera_that_never_gives_a_frame_is_blind_and_ends_its_process_for_a_new_one_to_try(scene: Scene) -> None:
    scene.fault("stall")
    with child(scene) as camera:
        until(lambda: camera.alive, 60, "its first word")  # before it runs, nobody knows why no frame comes
        [never] = camera.asked(uptime_ms(), 0)
        assert camera.miss(never) == "no frame came within 5 s: the camera gave no frame for 2 s"
        assert camera.ended() == 1
        assert camera.blind == "the camera gave no frame for 2 s"
        assert all(alive.frame_ms is None for alive in camera.alive)


def test_a_camera_that_comes_back_with_another_size_says_so_and_keeps_its_masks_in_place(scene: Scene) -> None:
    with child(scene, size=(1280, 720), masks=((0, 0, 640, 360),)) as camera:
        camera.sees()
        large, jpeg = camera.shot(camera.asked(uptime_ms(), 0)[0])
        assert (large.width, large.height) == (1280, 720)
        assert camera.told == []
        scene.fault("gone")
        until(lambda: camera.blind, what="blind")
        scene.fault("small")
        camera.sees(beyond_ms=large.taken_ms)
        small, jpeg = camera.shot(camera.asked(uptime_ms(), 0)[0])
        assert (small.width, small.height) == (640, 360)
        assert camera.told == ["the camera gives 640 x 360 pixels, not 1280 x 720"]
        picture = opened(jpeg).convert("L")
        assert brightest(picture.crop((0, 0, 320, 180))) < 60
        assert brightest(picture) > 200


def test_ctrl_c_is_for_the_post_and_the_end_of_its_line_ends_the_child(scene: Scene) -> None:
    with child(scene) as camera:
        frame_ms = camera.sees()
        camera.signal(signal.SIGINT)
        camera.sees(beyond_ms=frame_ms)
        camera.close()
        assert camera.ended() == 0


@pytest.mark.parametrize("fault", ["stall", "hang"])
def test_the_end_of_the_line_ends_a_child_whose_camera_is_lost(scene: Scene, fault: str) -> None:
    with child(scene) as camera:
        camera.sees()
        scene.fault(fault)
        until(lambda: camera.blind or uptime_ms() - camera.heard_ms > SILENCE_MS // 2, what="the fault")
        camera.close()
        assert camera.ended() == 0

"""The stand-in for picamera2: it has its traps, so that whoever falls into them falls into them here."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waiting import until

from simulator import band, standin, truth
from simulator.standin import CONTROLS, Picamera2
from simulator.truth import Truth

SIZE = (330, 240)
"""No multiple of 64: its rows are padded."""
STREAMS: dict[str, Any] = {
    "main": {"format": "YUV420", "size": SIZE},
    "lores": {"format": "YUV420", "size": (160, 120)},
}
WELL = Truth(doors={"front": False})

Open = Callable[..., Picamera2]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    file = tmp_path / "scene.json"
    truth.write(file, WELL)
    return file


def fault(scene: Path, camera: str) -> None:
    truth.write(scene, WELL.model_copy(update={"camera": camera}))


@pytest.fixture
def opened(scene: Path) -> Iterator[Open]:
    """Opens one and lets the frames come; all are closed in the end."""
    module: Any = standin.module(scene)
    cameras: list[Picamera2] = []

    def begin(**streams: Any) -> Picamera2:
        camera: Picamera2 = module.Picamera2(0)
        cameras.append(camera)
        camera.configure(camera.create_preview_configuration(**{**STREAMS, "queue": False, **streams}))
        camera.start()
        return camera

    yield begin
    truth.write(scene, WELL)
    for camera in cameras:
        camera.cancel_all_and_flush()
        camera.close()


def shows(camera: Picamera2, stream: str = "main") -> tuple[int, int]:
    """The number of the next frame, and its time by the sensor in milliseconds."""
    request = camera.capture_request(wait=10)
    try:
        width, height = camera.camera_configuration()[stream]["size"]
        seen = band.read(request.make_array(stream)[:height, :width])
        taken_ms = int(request.get_metadata()["SensorTimestamp"]) // 1_000_000
    finally:
        request.release()
    assert seen.uptime_ms == taken_ms
    return seen.frame, taken_ms


def test_frames_come_one_after_the_other_with_times_of_their_own(opened: Open) -> None:
    camera = opened()
    frames = [shows(camera) for _ in range(5)]
    assert all(one[0] < other[0] and one[1] < other[1] for one, other in pairwise(frames))
    now_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    assert frames[-1][1] <= now_ms


def test_it_can_be_slowed_down_and_not_driven_beyond_what_it_lists(opened: Open) -> None:
    camera = opened()
    camera.set_controls({"FrameRate": 4.0})
    assert camera.frame_us == 250_000
    camera.set_controls({"FrameDurationLimits": (10, 10)})
    assert camera.frame_us == CONTROLS["FrameDurationLimits"][0]


def test_both_streams_show_the_same_frame_in_rows_that_are_padded(opened: Open) -> None:
    camera = opened()
    config = camera.camera_configuration()
    assert (config["main"]["size"], config["main"]["stride"]) == (SIZE, 384)
    assert config["main"]["framesize"] == 384 * 240 * 3 // 2
    request = camera.capture_request(wait=10)
    main, lores = request.make_array("main"), request.make_array("lores")
    assert (main.shape, lores.shape) == ((360, 384), (180, 192))
    assert request.make_buffer("main").shape == (config["main"]["framesize"],)
    assert band.read(main[:240, :330]) == band.read(lores[:120, :160])
    halves = main.reshape(720, 192)
    assert np.ptp(halves[480:600, :165]) > 20 and np.ptp(halves[600:, :165]) > 20  # there is colour
    with pytest.raises(RuntimeError, match="Stream 'raw' is not defined"):
        request.make_array("raw")
    request.release()
    with pytest.raises(RuntimeError, match="Stream 'main' is not defined"):
        request.make_array("main")
    with pytest.raises(RuntimeError, match="negative ref_count"):
        request.release()


def test_requests_that_are_not_released_starve_it(opened: Open) -> None:
    camera = opened(buffer_count=3)
    held = [camera.capture_request(wait=10) for _ in range(3)]
    with pytest.raises(TimeoutError):
        camera.capture_request(wait=0.4)
    camera.cancel_all_and_flush()
    held[0].release()
    assert shows(camera)[0] > 4  # the frames that had no buffer are gone for good


def test_jobs_that_timed_out_take_frames_and_never_give_them_back_unless_they_are_flushed(
    scene: Path, opened: Open
) -> None:
    camera = opened(buffer_count=2)
    timed_out = 0
    while timed_out < 2:
        try:
            camera.capture_request(wait=0.001).release()
        except TimeoutError:
            timed_out += 1
    # Both are still in the queue; each takes one of the two buffers with it.
    until(lambda: camera.in_use == 2)
    with pytest.raises(TimeoutError):
        camera.capture_request(wait=0.5)
    camera.cancel_all_and_flush()
    camera.stop()
    camera.start()
    shows(camera)


def test_stop_waits_behind_a_job_that_timed_out_until_that_is_flushed(scene: Path, opened: Open) -> None:
    camera = opened()
    shows(camera)
    fault(scene, "stall")
    with pytest.raises(TimeoutError):
        camera.capture_request(wait=0.5)
    stopping = threading.Thread(target=pytest.raises, args=(CancelledError, camera.stop))
    stopping.start()
    until(lambda: len(camera._jobs) == 2)  # the one that timed out, and the stop behind it
    stopping.join(0.3)
    assert stopping.is_alive()
    camera.cancel_all_and_flush()  # the waiting stop is cancelled too, as in picamera2
    stopping.join(20)
    assert not stopping.is_alive()
    camera.stop()
    assert not camera.started


def test_one_that_stalled_gives_frames_once_it_was_opened_anew_and_not_before(scene: Path, opened: Open) -> None:
    camera = opened()
    shows(camera)
    fault(scene, "stall")
    with pytest.raises(TimeoutError):
        camera.capture_request(wait=0.3)
    fault(scene, "")
    camera.cancel_all_and_flush()
    camera.stop()
    camera.start()
    with pytest.raises(TimeoutError):
        camera.capture_request(wait=0.3)
    camera.cancel_all_and_flush()
    camera.close()
    shows(opened())


def test_only_one_at_a_time_may_have_it(scene: Path, opened: Open) -> None:
    camera = opened()
    other: Any = standin.module(scene)
    with pytest.raises(RuntimeError) as failed:
        other.Picamera2()
    assert str(failed.value.__cause__) == "Failed to acquire camera: Device or resource busy"
    camera.close()
    other.Picamera2().close()


def test_where_none_is_plugged_in_none_is_found(scene: Path) -> None:
    module: Any = standin.module(scene)
    assert [found["Num"] for found in module.Picamera2.global_camera_info()] == [0]
    with pytest.raises(RuntimeError, match="No camera number 1 found"):
        module.Picamera2(1)
    fault(scene, "gone")
    assert module.Picamera2.global_camera_info() == []
    with pytest.raises(RuntimeError, match="No camera number 0 found"):
        module.Picamera2()


def test_another_camera_gives_another_size_and_the_one_before_gives_no_more_frames(
    scene: Path, opened: Open
) -> None:
    camera = opened()
    shows(camera)
    fault(scene, "small")
    with pytest.raises(TimeoutError):
        camera.capture_request(wait=0.3)
    camera.cancel_all_and_flush()
    camera.close()
    small = opened()
    assert small.camera_configuration()["main"]["size"] == (164, 120)
    shows(small)


def test_a_frozen_one_gives_the_same_bytes_under_new_times(scene: Path, opened: Open) -> None:
    camera = opened()
    fault(scene, "frozen")

    def frame() -> tuple[bytes, int]:
        request = camera.capture_request(wait=10)
        try:
            return request.make_buffer("main").tobytes(), request.get_metadata()["SensorTimestamp"]
        finally:
            request.release()

    until(lambda: frame()[0] == frame()[0])
    one, other = frame(), frame()
    assert one[0] == other[0]
    assert one[1] < other[1]


@pytest.mark.parametrize("ask", ["stop", "close", "global_camera_info"])
def test_a_hanging_one_blocks_whatever_is_asked_of_it_until_it_goes_on(scene: Path, opened: Open, ask: str) -> None:
    camera = opened()
    fault(scene, "hang")
    asked = threading.Thread(target=getattr(camera, ask), daemon=True)
    asked.start()
    asked.join(0.2)
    assert asked.is_alive()
    fault(scene, "")
    asked.join(20)
    assert not asked.is_alive()


def test_one_that_dies_takes_its_process_along(scene: Path) -> None:
    fault(scene, "die")
    program = (
        "import pathlib, sys; from simulator import standin; standin.module(pathlib.Path(sys.argv[1])).Picamera2()"
    )
    died = subprocess.run([sys.executable, "-c", program, str(scene)], capture_output=True, text=True, check=False)
    assert died.returncode == 1
    assert died.stderr == "the camera's program ends as it was told: camera die\n"


def test_it_refuses_what_picamera2_refuses(opened: Open, scene: Path) -> None:
    camera = opened()
    with pytest.raises(RuntimeError, match="Control Zoom is not advertised by libcamera"):
        camera.set_controls({"Zoom": 2.0})
    with pytest.raises(RuntimeError, match="must be stopped before configuring"):
        camera.configure(camera.create_preview_configuration(**STREAMS))
    camera.stop()
    with pytest.raises(ValueError, match="Bad key 'colour'"):
        camera.create_preview_configuration(main={"colour": "YUV420"})
    with pytest.raises(RuntimeError, match="Encode stream lores was not defined"):
        camera.create_preview_configuration(encode="lores")
    for main, why in {
        (331, 240): "width and height should be even",
        (160, 100): "lores stream dimensions may not exceed main stream",
    }.items():
        with pytest.raises(RuntimeError, match=why):
            camera.configure(
                camera.create_preview_configuration(**{**STREAMS, "main": {"format": "YUV420", "size": main}})
            )
    with pytest.raises(RuntimeError, match="size in main stream"):
        camera.configure(camera.create_preview_configuration(main={"format": "YUV420", "size": [640, 480]}))
    with pytest.raises(RuntimeError, match="Bad format XBGR8888"):
        camera.configure(camera.create_preview_configuration())
    with pytest.raises(RuntimeError, match="has not been configured"):
        camera.start()
    camera.close()
    camera.close()
    with pytest.raises(RuntimeError, match="not opened"):
        camera.create_preview_configuration()

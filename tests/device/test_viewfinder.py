"""``guardpost check`` and the camera: its child is started as the post starts it, in the simulator's scene."""

import fcntl
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from device.check import results
from device.config import Config, parse
from device.hardware.clock import KernelClock
from device.record.opening import LOCK, lock_folder
from device.result import Result
from device.viewfinder import camera
from simulator.board import Board


def post_with(folder: Path, **keys: Any) -> Config:
    content = {
        "post": {"site": "jember", "name": "kpu-gate", "state_dir": "state"},
        "link": {"brokers": ["mqtt://127.0.0.1:1"]},
        "camera": {"size": [320, 240], **keys},
    }
    return parse(content, folder / "post.toml")


def looked(config: Config, fault: str = "well", within_s: float = 20.0) -> Result:
    """What is said of the camera in a scene where it has a fault."""
    with closing(Board(config)) as board:
        board.camera(fault)
        (result,) = camera(config, KernelClock(), board.copper.camera, within_s)
    return result


def test_a_camera_that_sees_passes_with_its_size_and_its_first_picture(tmp_path: Path) -> None:
    result = looked(post_with(tmp_path))
    assert (result.part, result.passed, result.advised) == ("camera", True, False)
    assert result.why.startswith("320 x 240 pixels, a picture of ")
    assert result.why.endswith(" s after its start")
    assert not (tmp_path / "state/journal.sqlite3").exists()


def test_what_the_camera_cannot_do_is_told_beside_its_picture(tmp_path: Path) -> None:
    result = looked(post_with(tmp_path, controls={"Zoom": 2.0}), "small")
    assert (result.passed, result.advised) == (True, True)
    assert result.why.startswith("160 x 120 pixels, ")
    assert "; the camera gives 160 x 120 pixels, not 320 x 240" in result.why
    assert "; control Zoom is not of this camera" in result.why


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("gone", "no camera is connected: see that the ribbon cable sits straight at both its ends"),
        ("stall", "the camera gave no frame for 2 s"),
        ("die", "the camera's program ended with code 1: see what it said in the log"),
    ],
)
def test_one_that_does_not_see_fails_with_the_reason(tmp_path: Path, fault: str, why: str) -> None:
    result = looked(post_with(tmp_path), fault)
    assert (result.passed, result.why) == (False, why)


def test_where_no_real_camera_can_be_had_it_is_said_how_a_simulated_one_is_tried(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['picamera2'] = None; from device.hardware.camera.child import main; main()"
    (result,) = camera(post_with(tmp_path), KernelClock(), (sys.executable, "-c", hidden))
    assert not result.passed
    assert "install python3-picamera2" in result.why
    assert result.why.endswith(
        "; this looks at a real camera: a simulated one is tried with guardpost-sim do ... camera black"
    )


def test_one_that_hangs_is_not_waited_for_without_end(tmp_path: Path) -> None:
    result = looked(post_with(tmp_path), "hang", within_s=1.0)
    assert not result.passed
    assert result.why == "no picture within 1 s: see its ribbon cable, then camera.number"


def test_the_camera_of_a_post_that_runs_is_left_to_it(tmp_path: Path) -> None:
    config = post_with(tmp_path)
    os.close(lock_folder(config.post.state_dir))
    holds = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, 2); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holds, config.post.state_dir / LOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as post:
        assert post.stdout is not None and post.stdout.readline() == b"\n"
        (result,) = camera(config, KernelClock(), ("/nowhere",))
        post.communicate()
    assert (result.passed, result.advised) == (True, True)
    assert result.why.startswith("the post is running and has it")


def test_check_by_hand_holds_the_post_itself_and_tries_its_camera(tmp_path: Path) -> None:
    config = post_with(tmp_path)
    lock = lock_folder(config.post.state_dir)
    assert fcntl.fcntl(lock, fcntl.F_GETFD) & fcntl.FD_CLOEXEC  # or the child would hold it on
    try:
        assert looked(config).passed
    finally:
        os.close(lock)


def test_a_post_without_a_camera_is_told_nothing_of_one(tmp_path: Path) -> None:
    config = post_with(tmp_path).model_copy(update={"camera": None})
    assert [*camera(config, KernelClock(), ("/nowhere",))] == []


def test_check_has_a_line_for_the_camera_among_the_others(tmp_path: Path) -> None:
    with closing(Board(config := post_with(tmp_path))) as board:
        every = results(config, KernelClock(), child=board.copper.camera)
        (line,) = [result for result in every if result.part == "camera"]
    assert line.passed

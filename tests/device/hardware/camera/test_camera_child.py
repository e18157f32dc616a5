"""The camera's program where picamera2 is missing, prints, or is busy, and where the post talks nonsense."""

import subprocess
import sys
from pathlib import Path

import pytest
from camera_child import SETTINGS, CameraChild, Scene, child
from waiting import until

from device.hardware.camera import wire
from device.hardware.camera.wire import Take
from device.hardware.readers.driver import Copper

AS_IT_IS = "from device.hardware.camera.child import main; main()"
TAKE = Take(number=1, why="", at_ms=0, wall_ms=0, clock="synced", offset_ms=0)


def program(*before: str) -> list[str]:
    """The child, after these lines of Python."""
    return [sys.executable, "-c", "\n".join([*before, AS_IT_IS])]


def test_without_picamera2_it_says_what_to_install() -> None:
    with CameraChild(program("import sys", "sys.modules['picamera2'] = None")) as camera:
        until(lambda: camera.blind, what="blind")
        assert "install python3-picamera2" in camera.blind
        assert "\n" not in camera.blind


@pytest.mark.parametrize("library", ["numpy", "simplejpeg", "PIL"])
def test_without_what_picamera2_brings_it_says_what_to_install(library: str) -> None:
    with CameraChild(program("import sys", f"sys.modules[{library!r}] = None")) as camera:
        until(lambda: camera.blind, what="blind")
        assert camera.blind.startswith(f"{library} is not installed: install python3-picamera2")
        assert camera.ended() == 1


def test_of_what_picamera2_brings_and_cannot_be_loaded_it_says_why(tmp_path: Path) -> None:
    (tmp_path / "simplejpeg.py").write_text("raise ImportError('libturbojpeg.so.0:\\nno such file')")
    with CameraChild(program("import sys", f"sys.path.insert(0, {str(tmp_path)!r})")) as camera:
        until(lambda: camera.blind, what="blind")
        assert camera.blind.startswith(
            "picamera2's libraries cannot be loaded (libturbojpeg.so.0: no such file): install python3-picamera2"
        )
        assert camera.ended() == 1


def test_whatever_libraries_print_stays_off_the_wire() -> None:
    chatty = (
        "import os, sys, types",
        "class Chatty(types.ModuleType):",
        "    def __getattr__(self, name):",
        "        print('hello from the library', flush=True)",
        "        os.write(1, b'hello from below it')",
        "        raise ImportError('no such thing')",
        "sys.modules['picamera2'] = Chatty('picamera2')",
    )
    with CameraChild(program(*chatty)) as camera:
        until(lambda: camera.blind, what="blind")
        camera.close()
        assert camera.ended() == 0
        assert "hello from the library" in camera.errors
        assert "hello from below it" in camera.errors


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (b"hello\n", "Invalid JSON"),
        (wire.down(TAKE), "the settings have to come first"),
        (wire.down(SETTINGS) + wire.down(SETTINGS), "the settings came a second time"),
        (wire.down(SETTINGS) + b'{"is":"dance"}\n', "dance"),
    ],
)
def test_a_post_that_it_does_not_understand_ends_it_with_one_line(lines: bytes, why: str) -> None:
    with CameraChild(program(), settings=None) as camera:
        camera.write(lines)
        assert camera.ended() == 2
        [line] = camera.errors.splitlines()
        assert line.startswith("the camera's process does not understand the post: ")
        assert why in line


def test_a_post_that_says_nothing_and_goes_away_ends_it() -> None:
    with CameraChild(program(), settings=None) as camera:
        camera.close()
        assert camera.ended() == 0


def test_a_camera_that_another_program_has_is_in_use_until_that_ends(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "scene.json")
    with child(scene) as first:
        first.sees()
        with child(scene) as second:
            until(lambda: second.blind, what="blind")
            assert second.blind == "the camera is in use: end the other program that has it"
            first.close()
            first.ended()
            second.sees()


def test_a_number_that_no_camera_has_is_told(tmp_path: Path) -> None:
    with child(Scene(tmp_path / "scene.json"), camera=3) as camera:
        until(lambda: camera.blind, what="blind")
        assert camera.blind == "there is no camera 3, only 1 from 0 on: see camera.number"


OTHER_SHAPE = """
import pathlib, sys
from simulator import sensor, standin
sensor.Sensor.largest = lambda self, size: {size}
sys.modules["picamera2"] = standin.module(pathlib.Path({scene!r}))
"""


def test_a_mask_that_would_lie_elsewhere_shows_nothing_at_all(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "scene.json")
    # Of 640 x 480 by a camera that only knows 16 to 9, which sees another part of the room.
    before = OTHER_SHAPE.format(size=(640, 360), scene=str(scene.file))
    masked = SETTINGS.model_copy(update={"masks": ((0, 0, 32, 32),)})
    with CameraChild(program(before), masked) as camera:
        until(lambda: camera.blind and not camera.alive[-1].opening, what="blind")
        assert camera.blind == (
            "the camera gives 640 x 360 pixels, another shape than 640 x 480: masks would lie elsewhere, "
            "so write camera.size = [640, 360], and camera.masks for it"
        )
        assert camera.alive[-1].frame_ms is None
    with CameraChild(program(before)) as camera:
        camera.sees()
        assert camera.told == ["the camera gives 640 x 360 pixels, not 640 x 480"]


def test_a_size_that_is_only_rounded_keeps_its_masks(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "scene.json")
    before = OTHER_SHAPE.format(size=(640, 488), scene=str(scene.file))
    with CameraChild(program(before), SETTINGS.model_copy(update={"masks": ((0, 0, 32, 32),)})) as camera:
        camera.sees()


def test_what_lies_in_the_working_directory_is_not_taken_for_a_library(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit(9)")
    child = subprocess.run(Copper.camera, cwd=tmp_path, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert child.returncode == 0


def test_what_it_has_in_memory_is_nobody_elses_and_never_dumped(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-qq", "-e", "trace=prctl", "-o", str(trace))
    subprocess.run([*strace, *Copper.camera], stdin=subprocess.DEVNULL, timeout=60, check=True)
    assert "prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE" in trace.read_text()

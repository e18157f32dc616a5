"""The camera's process under the post's unit: what systemd would refuse it, it does not ask for."""

import shutil
from pathlib import Path

import pytest
from camera_child import COMMAND, CameraChild, Scene, uptime_ms
from unit_filter import allowed, traced

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd's tools")


def test_the_camera_makes_no_system_call_that_the_unit_refuses(scene: Scene, tmp_path: Path) -> None:
    """A refused one is an error that shows under systemd alone."""
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-o", str(trace)]
    with CameraChild([*strace, *COMMAND, str(scene.file)]) as camera:
        camera.sees()
        [number] = camera.asked(uptime_ms(), 0)
        camera.shot(number)
        camera.close()
        assert camera.ended() == 0
    used = traced(trace)
    assert used >= {"execve", "write"}, "the trace is of something else"
    used.discard("mbind")  # numpy's OpenBLAS wishes where its memory lies, and does not look at the answer
    assert used <= allowed(), used - allowed()

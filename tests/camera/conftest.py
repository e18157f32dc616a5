"""The contract of the camera's child, whatever camera is behind it: the stand-in's scene, or a real libcamera.

``GUARDPOST_CAMERA`` is the command that starts it, as a shell has it; by default that of the simulator. The file of
the scene is appended, whose ``camera`` is the fault to be made: ``stall``, ``hang``, ``gone`` or ``small``.
"""

from pathlib import Path

import pytest
from camera_child import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """All is well with it."""
    return Scene(tmp_path / "scene.json")

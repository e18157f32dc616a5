"""The camera's child process in the simulator: ``python -m simulator.camera SCENE``, the device's own program."""

import sys
from pathlib import Path

from device.hardware.camera import child
from simulator import standin


def main(scene: Path) -> None:
    """Run it with the stand-in under the name of picamera2; it never returns."""
    sys.modules["picamera2"] = standin.module(scene)
    child.main()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

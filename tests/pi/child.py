"""``python -m pi.child SCENE``: the camera's child on real picamera2 and libcamera's virtual camera.

``SCENE`` is the simulator's file of what is so; of it only the camera's fault is followed.
"""

import sys
from pathlib import Path

from device.hardware.camera.child import keep_to_itself, main
from pi.shim import install
from simulator.sensor import look

if __name__ == "__main__":
    SCENE = Path(sys.argv[1])
    install(lambda: look(SCENE).camera)
    keep_to_itself()
    sys.exit(main())

"""The sensor of the simulated camera: what it sees, its faults, and that one program at a time may have it."""

import fcntl
import os
import time
from pathlib import Path

from simulator import truth
from simulator.scene import Frame, Size
from simulator.truth import Truth

FULL_SIZE: Size = (4608, 2592)
FRAME_US = 100_000
"""The shortest time from one frame to the next, microseconds."""
_LOST = {"stall", "gone"}
_DIED = 1
_POLL_S = 0.02


class Sensor:
    """One that was opened. What takes it away from this program takes it for good: it must be opened anew."""

    def __init__(self, file: Path) -> None:
        """``file``: of the truth. Raises RuntimeError if it is in use, as libcamera's acquire does."""
        self._file = file
        self._number = 0
        self._lost = False
        self._frozen: Frame | None = None
        self._small = look(file).camera == "small"
        # As libcamera does, by a lock that the kernel takes back when the process ends (media_device.cpp, lock()).
        self._lock = os.open(file.with_name(f"{file.name}.camera"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise RuntimeError("Failed to acquire camera: Device or resource busy") from None

    def close(self) -> None:
        """Give it back."""
        look(self._file)
        os.close(self._lock)

    def largest(self, size: Size) -> Size:
        """What it gives where ``size`` is asked for."""
        width, height = size
        return (width // 4 * 2, height // 4 * 2) if self._small else size

    def expose(self) -> tuple[Frame, int] | None:
        """The next frame, and its time (CLOCK_BOOTTIME, nanoseconds); None where none comes any more."""
        look(self._file)
        now, at_ns = truth.read_at(self._file, time.CLOCK_BOOTTIME)
        self._lost |= now.camera in _LOST or (now.camera == "small") != self._small
        if self._lost:
            return None
        self._number += 1
        frame = Frame(now, self._number, at_ns, time.time())
        if now.camera != "frozen":
            self._frozen = None
        else:
            self._frozen = self._frozen or frame
        return self._frozen or frame, at_ns


def look(file: Path) -> Truth:
    """What is so now, for whoever touches the camera: blocks while that hangs, ends the process where that dies."""
    while (now := truth.read(file)).camera == "hang":
        time.sleep(_POLL_S)
    if now.camera == "die":
        os.write(2, b"the camera's program ends as it was told: camera die\n")
        os._exit(_DIED)
    return now


def there(file: Path) -> bool:
    """Whether a camera is plugged in."""
    return look(file).camera != "gone"

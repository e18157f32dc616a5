"""A camera on picamera2, from its opening to its end: one configuration, and never a call that waits for ever."""

import gc
import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from device.hardware.camera.controls import Control, Limits, paced, understood
from device.hardware.camera.frame import Frame, Pixels, layout_of, paint, scaled
from device.hardware.camera.wire import INSTALL, Settings, in_a_line

WAIT_S = 2.0
"""Far longer than the longest exposure that is asked for."""
SMALL_WIDTH = 320
ALIGNED = 8
"""Pixels to which a size may come out rounded, as 1080 to 1088; it still shows what was asked for."""
BUFFERS = 4
"""A frame is held for as long as its copy takes; more only cost the Pi's contiguous memory."""


class NoFrames(Exception):
    """There is no camera, or it gives no frames. The text is for people."""


class Stuck(NoFrames):
    """The same, and nothing helps but the end of the process."""


class Request(Protocol):
    """A completed request of picamera2."""

    def make_buffer(self, name: str) -> Pixels:
        """A copy of a stream's bytes."""
        ...

    def get_metadata(self) -> Mapping[str, Any]:
        """What libcamera tells of the frame."""
        ...

    def release(self) -> None:
        """Give the buffers back."""
        ...


class Device(Protocol):
    """What is used of a ``picamera2.Picamera2``."""

    @property
    def camera_controls(self) -> Limits:
        """Least, most and default of each control."""
        ...

    def create_preview_configuration(self, **streams: object) -> dict[str, Any]:
        """A configuration in full-range YCbCr, as JPEG has it."""
        ...

    def configure(self, configuration: dict[str, Any]) -> None:
        """Make it so, or as near as the camera can."""
        ...

    def camera_configuration(self) -> Mapping[str, Any]:
        """What has become of it."""
        ...

    def set_controls(self, controls: Mapping[str, Control]) -> None:
        """Set controls, from the next request on."""
        ...

    def start(self) -> None:
        """Let the frames come."""
        ...

    def capture_request(self, *, wait: float) -> Request:
        """The next frame. Raises TimeoutError; the job stays queued then."""
        ...

    def cancel_all_and_flush(self) -> None:
        """Drop the jobs that are queued."""
        ...

    def stop(self) -> None:
        """Let no more frames come."""
        ...

    def close(self) -> None:
        """Give the camera back."""
        ...


class Camera:
    """One that is open. ``told``: what of the settings it cannot do, a line each."""

    def __init__(self, settings: Settings) -> None:
        """Open it and let the frames come. Raises NoFrames."""
        self._device = _opened(settings.camera)
        self.told: list[str] = []
        try:
            self._start(settings)
        except NoFrames:
            self.close()
            raise
        except (RuntimeError, ValueError, TypeError, OSError) as error:
            self.close()
            raise NoFrames(f"the camera does not start: {_root(error)}") from error

    def _start(self, settings: Settings) -> None:
        width, height = asked = settings.size
        small = min(SMALL_WIDTH, width), min(SMALL_WIDTH * height // width // 2 * 2, height)
        self._device.configure(
            self._device.create_preview_configuration(
                main={"format": "YUV420", "size": asked},
                lores={"format": "YUV420", "size": small},
                raw=None,
                buffer_count=BUFFERS,
                queue=False,
                display=None,
                encode=None,
            )
        )
        streams = self._device.camera_configuration()
        self._main, self._lores = layout_of(streams["main"]), layout_of(streams["lores"])
        real = self._main.width, self._main.height
        if settings.masks and not _same_shape(real, asked):
            raise NoFrames(
                "the camera gives {0} x {1} pixels, another shape than {2} x {3}: masks would lie elsewhere, "
                "so write camera.size = [{0}, {1}], and camera.masks for it".format(*real, *asked)
            )
        if real != asked:
            self.told.append("the camera gives {} x {} pixels, not {} x {}".format(*real, *asked))
        self._masks = scaled(settings.masks, asked, self._main)
        limits = self._device.camera_controls
        controls, left_alone = understood(settings.controls, limits)
        self.told += left_alone
        self._device.set_controls(paced(settings.rate, limits) | controls)
        self._device.start()

    def frame(self) -> Frame:
        """The next frame, masked. Raises NoFrames."""
        try:
            request = self._device.capture_request(wait=WAIT_S)
            try:
                taken_ms = _taken_ms(request.get_metadata())
                data = request.make_buffer("main")
                small = self._lores.luma(request.make_buffer("lores"))
            finally:
                request.release()
        except TimeoutError:
            raise NoFrames(f"the camera gave no frame for {WAIT_S:.0f} s") from None
        except (RuntimeError, OSError) as error:
            raise NoFrames(f"the camera's frame cannot be read: {_root(error)}") from error
        if data.size < self._main.length:
            raise NoFrames(f"the camera gives frames of {data.size} bytes, which should be {self._main.length}")
        paint(data, self._main, self._masks)
        step = -(-self._lores.width // SMALL_WIDTH)
        return Frame(taken_ms, self._main, data, np.ascontiguousarray(small[::step, ::step]))

    def close(self) -> None:
        """Give it back. Raises Stuck, or hangs."""
        try:
            # A job that timed out is still queued, and stop() waits behind it.
            self._device.cancel_all_and_flush()
            self._device.stop()
            self._device.close()
        except (RuntimeError, OSError) as error:
            raise Stuck(f"the camera does not close: {_root(error)}") from error
        del self._device
        # picamera2's objects are in cycles: their descriptors would stay until the collector happens to run.
        gc.collect()


def _opened(number: int) -> Device:
    """The device of that number. Raises NoFrames."""
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise NoFrames(
            f"picamera2 cannot be loaded ({error}): {INSTALL}, "
            "and let the virtual environment see Debian's packages (--system-site-packages)"
        ) from error
    try:
        found = len(Picamera2.global_camera_info())
        if not found:
            raise NoFrames("no camera is connected: see that the ribbon cable sits straight at both its ends")
        if number >= found:
            raise NoFrames(f"there is no camera {number}, only {found} from 0 on: see camera.number")
        device: Device = Picamera2(number)
    except (RuntimeError, IndexError, OSError) as error:
        root = _root(error)
        if "busy" in root.lower():
            raise NoFrames("the camera is in use: end the other program that has it") from error
        raise NoFrames(f"the camera does not open: {root}") from error
    return device


def _same_shape(real: tuple[int, int], asked: tuple[int, int]) -> bool:
    """Whether one is the other, larger or smaller: another shape is another part of what is before the camera."""
    (width, height), (of, to) = real, asked
    return abs(width * to - height * of) <= ALIGNED * max(of, to)


def _taken_ms(metadata: Mapping[str, Any]) -> int:
    """The uptime (CLOCK_BOOTTIME) at which the frame's exposure began. Raises NoFrames where none is told.

    libcamera's control_ids_core.yaml says that SensorTimestamp is of CLOCK_BOOTTIME; but its pipelines hand on the
    stamp of V4L2, which is of CLOCK_MONOTONIC (bugs.libcamera.org 254), as the virtual one's is. They differ by the
    time for which the machine was suspended, so a stamp that CLOCK_MONOTONIC has not reached is of the other.
    """
    stamp_ns = int(metadata.get("SensorTimestamp", 0))
    up_ns, running_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    taken_ns = stamp_ns if stamp_ns > running_ns else stamp_ns + up_ns - running_ns
    if stamp_ns <= 0 or taken_ns > up_ns:
        raise NoFrames("the camera's frames tell no time")
    return taken_ns // 1_000_000


def _root(error: BaseException) -> str:
    """What was at the bottom of it, in one line that is not long."""
    while error.__cause__ is not None:
        error = error.__cause__
    return in_a_line(error) or type(error).__name__

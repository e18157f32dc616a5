"""What the stand-in's thread works off: jobs, and the requests that they get."""

from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from simulator.scene import Frame, Painter

T = TypeVar("T")


class Job(Generic[T]):
    """What waits for the camera's thread: tried with every new frame until it gives a result."""

    def __init__(self, do: Callable[[], T | None]) -> None:
        """``do``: its result, None for not yet."""
        self._do = do
        self._result: T | None = None
        self._future: Future[T] = Future()
        self._future.set_running_or_notify_cancel()

    def execute(self) -> bool:
        """Try it; True once it is done."""
        self._result = self._do()
        return self._result is not None

    def signal(self) -> None:
        """Whoever waits for it goes on."""
        if not self._future.done() and self._result is not None:
            self._future.set_result(self._result)

    def get_result(self, timeout: float | None = None) -> T:
        """Raises TimeoutError, CancelledError."""
        return self._future.result(timeout=timeout)

    def cancel(self) -> None:
        """Only ``cancel_all_and_flush`` also takes it out of the queue."""
        self._future.set_exception(CancelledError())


class CompletedRequest:
    """A frame that the camera lacks until it is released. Drawn when its pixels are asked for."""

    def __init__(
        self,
        frame: Frame,
        at_ns: int,
        config: Mapping[str, Any],
        painters: Mapping[str, Painter],
        give_back: Callable[[], None],
    ) -> None:
        """``at_ns``: the sensor's time, which goes on where the picture is frozen. ``give_back``: its buffer."""
        self._frame, self._at_ns, self._painters, self._give_back = frame, at_ns, painters, give_back
        self.config = dict(config)
        self.ref_count = 1

    def release(self) -> None:
        """Give its buffer back to the camera, once."""
        self.ref_count -= 1
        if self.ref_count < 0:
            raise RuntimeError("CompletedRequest: lock now has negative ref_count")
        self.config = {}
        self._give_back()

    def make_buffer(self, name: str) -> NDArray[np.uint8]:
        """The stream's bytes, a copy."""
        return self.make_array(name).reshape(-1)

    def make_array(self, name: str) -> NDArray[np.uint8]:
        """Of ``height * 3 // 2`` rows and ``stride`` columns, padding included, as picamera2 has YUV420."""
        config = self.config.get(name)
        if config is None:
            raise RuntimeError(f"Stream {name!r} is not defined")
        planes = self._painters[name].draw(self._frame)
        (width, height), stride = config["size"], config["stride"]
        image = np.zeros((height * 3 // 2, stride), np.uint8)
        image[:height, :width] = planes.y
        halves = image.reshape(height * 3, stride // 2)
        halves[2 * height : 2 * height + height // 2, : width // 2] = planes.u
        halves[2 * height + height // 2 :, : width // 2] = planes.v
        return image

    def get_metadata(self) -> dict[str, Any]:
        """``SensorTimestamp``: nanoseconds, CLOCK_BOOTTIME. ``ExposureTime``: microseconds."""
        return {
            "SensorTimestamp": self._at_ns,
            "ExposureTime": 20_000,
            "AnalogueGain": 1.0,
            "DigitalGain": 1.0,
            "ColourTemperature": 4_500,
            "Lux": 400.0,
        }

"""Stands in for picamera2 (0.3.38), as far as the device uses it: its names and its traps, before a drawn scene.

What it does as picamera2 does: a job that timed out stays in the queue, takes the next frame and never gives it
back; ``stop`` waits behind it; frames that are not released are missing to the camera, which then drops new ones;
a control that the camera does not list raises. Frames come as YUV 4:2:0, full range, rows padded to 64 bytes.
"""

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

from simulator.captures import CompletedRequest, Job
from simulator.scene import Painter
from simulator.sensor import FRAME_US, FULL_SIZE, Sensor, look, there

ALIGNED = 64
READOUT_S = 0.03
"""From a frame's exposure until it is handed over."""
CONTROLS: dict[str, tuple[Any, Any, Any]] = {
    "AeEnable": (False, True, True),
    "AnalogueGain": (1.0, 16.0, 1.0),
    "AwbEnable": (False, True, True),
    "Brightness": (-1.0, 1.0, 0.0),
    "Contrast": (0.0, 32.0, 1.0),
    "ExposureTime": (100, 2_000_000, 20_000),
    "ExposureValue": (-8.0, 8.0, 0.0),
    "FrameDurationLimits": (FRAME_US, 10_000_000, FRAME_US),
    "NoiseReductionMode": (0, 4, 0),
    "Saturation": (0.0, 32.0, 1.0),
    "Sharpness": (0.0, 16.0, 1.0),
}
"""Least, most and default, as ``camera_controls`` lists them."""

T = TypeVar("T")


class Picamera2:
    """The camera. ``scene``: the file that says what is before it."""

    scene: ClassVar[Path]

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        """Every camera that is plugged in."""
        found = {"Model": "scene", "Location": 2, "Rotation": 0, "Id": "/base/simulator/scene", "Num": 0}
        return [found] if there(cls.scene) else []

    def __init__(self, camera_num: int = 0) -> None:
        """Open it. Raises RuntimeError."""
        self.is_open = False
        if camera_num >= len(self.global_camera_info()):
            raise RuntimeError(f"No camera number {camera_num} found")
        try:
            self._sensor = Sensor(self.scene)
        except RuntimeError as error:
            raise RuntimeError("Camera __init__ sequence did not complete.") from error
        self.is_open = True
        self.started = False
        self.camera_config: dict[str, Any] = {}
        self.painters: dict[str, Painter] = {}
        self.stop_count = 0
        self.frame_us = FRAME_US
        self.in_use = 0
        self.lock = threading.Condition()  # of the jobs, the requests that are kept, and the buffers; re-entrant
        self._jobs: list[Job[Any]] = []
        self._exposed: CompletedRequest | None = None
        self._completed: list[CompletedRequest] = []
        self._prodded = False
        self._max_queue_len = 1
        self._thread: threading.Thread | None = None
        self._ending = False

    @property
    def camera_controls(self) -> dict[str, tuple[Any, Any, Any]]:
        """What ``set_controls`` takes: least, most, default."""
        return CONTROLS.copy() if self.is_open else {}

    @property
    def camera_properties(self) -> dict[str, Any]:
        """What the sensor is."""
        return {"Model": "scene", "PixelArraySize": FULL_SIZE, "Location": 2, "Rotation": 0} if self.is_open else {}

    def create_preview_configuration(
        self,
        main: Mapping[str, Any] = {},
        lores: Mapping[str, Any] | None = None,
        raw: Mapping[str, Any] | None = None,
        buffer_count: int = 4,
        controls: Mapping[str, Any] = {},
        display: str | None = "main",
        encode: str | None = "main",
        queue: bool = True,
    ) -> dict[str, Any]:
        """A configuration to hand to ``configure``. Raises RuntimeError, ValueError."""
        if not self.is_open:
            raise RuntimeError("Camera not opened")
        whole = _stream({"format": "XBGR8888", "size": (640, 480), "preserve_ar": True}, main)
        small = {"format": "YUV420", "size": whole["size"], "preserve_ar": False}
        streams = {"main": whole, "lores": None if lores is None else _stream(small, lores), "raw": raw}
        for what, name in (("Display", display), ("Encode", encode)):
            if name is not None and streams.get(name) is None:
                raise RuntimeError(f"{what} stream {name} was not defined")
        rest = {"buffer_count": buffer_count, "queue": queue, "controls": dict(controls)}
        return streams | rest | {"display": display, "encode": encode}

    def configure(self, camera_config: Mapping[str, Any]) -> None:
        """Sizes may come out smaller than asked for; ``camera_configuration`` tells. Raises RuntimeError."""
        look(self.scene)
        if self.started:
            raise RuntimeError("Camera must be stopped before configuring")
        self.camera_config = {}
        config = {**camera_config}
        drawn = {name: self._adjusted(config[name], name) for name in ("main", "lores") if config[name] is not None}
        if "lores" in drawn and any(
            a > b for a, b in zip(drawn["lores"]["size"], drawn["main"]["size"], strict=True)
        ):
            raise RuntimeError("lores stream dimensions may not exceed main stream")
        config |= drawn
        self._max_queue_len = int(config["queue"] and config["buffer_count"] > 1)
        self.painters = {name: Painter(stream["size"]) for name, stream in drawn.items()}
        self.set_controls(config["controls"])
        self.camera_config = config

    def _adjusted(self, stream: Mapping[str, Any], name: str) -> dict[str, Any]:
        size = stream["size"]
        if type(size) is not tuple or len(size) != 2:
            raise RuntimeError(f"size in {name} stream should be (width, height)")
        if size[0] % 2 or size[1] % 2:
            raise RuntimeError("width and height should be even")
        if stream["format"] != "YUV420":
            raise RuntimeError(f"Bad format {stream['format']} in stream {name}; the stand-in draws YUV420 alone")
        width, height = self._sensor.largest(size)
        stride = -(-width // ALIGNED) * ALIGNED
        return {**stream, "size": (width, height), "stride": stride, "framesize": stride * height * 3 // 2}

    def camera_configuration(self) -> dict[str, Any]:
        """As it was configured indeed."""
        return self.camera_config

    def stream_configuration(self, name: str = "main") -> dict[str, Any]:
        """Of one stream."""
        return self.camera_config[name]  # type: ignore[no-any-return]

    def set_controls(self, controls: Mapping[str, Any]) -> None:
        """For the frames to come. Raises RuntimeError for one that the camera does not list."""
        for name, value in controls.items():
            listed = "FrameDurationLimits" if name == "FrameRate" else name
            if listed not in CONTROLS:
                raise RuntimeError(f"Control {listed} is not advertised by libcamera")
            if name == "FrameRate":
                self.frame_us = max(FRAME_US, int(1_000_000 / value))
            elif name == "FrameDurationLimits":
                self.frame_us = max(FRAME_US, int(value[0]))

    def start(self) -> None:
        """Frames come from now on. Raises RuntimeError."""
        look(self.scene)
        if not self.camera_config:
            raise RuntimeError("Camera has not been configured")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="scene", daemon=True)
            self._thread.start()
        with self.lock:
            self.in_use = 0
            self.started = True
            self.lock.notify_all()

    def stop(self) -> None:
        """Waits for its turn behind every job, however long that takes."""
        if self.started:
            self._dispatch(self._stop, None, immediate=True)

    def close(self) -> None:
        """Stop it, and let others have it. Waits for the camera's thread."""
        if not self.is_open:
            return
        if self._thread is not None:
            with self.lock:
                self._ending = True
                self.lock.notify_all()
            self._thread.join()
        self._stop()
        self._sensor.close()
        self.is_open = False
        self.camera_config = {}

    def cancel_all_and_flush(self) -> None:
        """Whoever waits for a job gets CancelledError; no job is left."""
        with self.lock:
            for job in self._jobs:
                job.cancel()
            self._jobs = []

    def capture_request(self, wait: float | None = None) -> CompletedRequest:
        """The next frame, which must be released. ``wait``: seconds until TimeoutError, None for no end."""
        return self._dispatch(self._capture, wait)

    def _dispatch(self, do: Callable[[], T | None], wait: float | None, *, immediate: bool = False) -> T:
        with self.lock:
            only_job = not self._jobs
            job = Job(do)
            self._jobs.append(job)
            if only_job and (self._completed or immediate):
                self._prodded = True
                self.lock.notify_all()
        return job.get_result(wait)

    def _capture(self) -> CompletedRequest | None:
        return self._completed.pop(0) if self._completed else None

    def _stop(self) -> bool:
        look(self.scene)
        if self.started:
            self.stop_count += 1
            self.started = False
            self._exposed = None
            while self._completed:
                self._completed.pop(0).release()
        return True

    def _run(self) -> None:
        """The camera's thread: frames at their pace, jobs when there is a frame or a prod."""
        next_s = time.monotonic()
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self._ending or self._prodded, max(0.0, next_s - time.monotonic()))
                if self._ending:
                    return
                self._prodded = False
            if time.monotonic() >= next_s:
                if self._exposed is None:
                    self._exposed = self._expose()
                    next_s = max(next_s, time.monotonic()) + READOUT_S
                else:
                    self._complete()
                    next_s = max(next_s - READOUT_S + self.frame_us / 1e6, time.monotonic())
            self._work()

    def _expose(self) -> CompletedRequest | None:
        """A frame; none while it is stopped, where there is none any more, or where no buffer is free for it."""
        if not self.started or (seen := self._sensor.expose()) is None:
            return None
        with self.lock:
            if self.in_use >= self.camera_config["buffer_count"]:
                return None
            self.in_use += 1
            give_back = partial(self._free, self.stop_count)
            return CompletedRequest(*seen, self.camera_config, self.painters, give_back)

    def _free(self, stop_count: int) -> None:
        """A buffer, unless it is from before the last stop, which took them all."""
        with self.lock:
            if stop_count == self.stop_count:
                self.in_use -= 1

    def _complete(self) -> None:
        with self.lock:
            if self._exposed is not None:  # else it was stopped meanwhile
                self._completed.append(self._exposed)
                self._exposed = None

    def _work(self) -> None:
        finished = []
        with self.lock:
            while self._jobs and self._jobs[0].execute():
                finished.append(self._jobs.pop(0))
            while len(self._completed) > self._max_queue_len:
                self._completed.pop(0).release()
        for job in finished:
            job.signal()


def _stream(defaults: dict[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    valid = ("format", "size", "stride", "preserve_ar")
    for key in wanted:
        if key not in valid:
            raise ValueError(f"Bad key {key!r}: valid stream configuration keys are {valid}")
    return defaults | dict(wanted)


def module(scene: Path) -> ModuleType:
    """To be put under the name picamera2 into ``sys.modules``. ``scene``: the file that says what is so."""
    made = ModuleType("picamera2")
    made.Picamera2 = type("Picamera2", (Picamera2,), {"scene": scene})  # type: ignore[attr-defined]
    return made

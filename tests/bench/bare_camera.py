"""``python tests/bench/bare_camera.py SCENE``: the least that a program does with picamera2, or its stand-in.

One command a line comes on standard input, as with ``bare``. With ``--pi`` it is the real picamera2, on libcamera's
virtual camera.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from device.hardware.camera.frame import Layout, layout_of
from simulator import standin

SIZE, SMALL = (1920, 1080), (320, 180)
_WAIT_S = 10.0


class Bare:
    """What each command does, with the configuration that the camera's child asks for."""

    def __init__(self, folder: Path, drawn: bool) -> None:
        """``folder``: where pictures are stored. ``drawn``: by the stand-in, when it is read."""
        from picamera2 import Picamera2

        self._folder = folder
        self._drawn = drawn
        self._camera = Picamera2(0)
        self._camera.configure(
            self._camera.create_preview_configuration(
                main={"format": "YUV420", "size": SIZE},
                lores={"format": "YUV420", "size": SMALL},
                raw=None,
                buffer_count=4,
                queue=False,
                display=None,
                encode=None,
            )
        )
        least, most, _ = self._camera.camera_controls["FrameDurationLimits"]
        duration_us = max(least, min(most, 100_000))
        self._camera.set_controls({"FrameDurationLimits": (duration_us, duration_us)})
        self._layout: Layout = layout_of(self._camera.camera_configuration()["main"])
        self._camera.start()

    def loop(self, seconds: float, rate: int) -> int:
        """Capture ``rate`` frames a second and give them back; how many.

        Those of the stand-in are read too: what it costs to draw them is nothing of ours.
        """
        ends_s = due_s = time.monotonic()
        ends_s += seconds
        count = 0
        while time.monotonic() < ends_s:
            request = self._camera.capture_request(wait=_WAIT_S)
            if self._drawn:
                request.make_buffer("main")
                request.make_buffer("lores")
            request.release()
            count += 1
            due_s += 1 / rate
            time.sleep(max(0.0, due_s - time.monotonic()))
        return count

    def pictures(self, count: int, pause_s: tuple[float, float], quality: int) -> list[tuple[int, int]]:
        """Pictures of the first frame that is no older than its trigger: encoded, and durable under their name.

        Nanoseconds from the trigger to the frame, and until it was stored.
        """
        pause, taken = random.Random(1), []
        for number in range(count):
            time.sleep(pause.uniform(*pause_s))
            began_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            data, at_ns = self._first(began_ns)
            u, v = (np.ascontiguousarray(plane) for plane in self._layout.chroma(data))
            jpeg = simplejpeg.encode_jpeg_yuv_planes(self._layout.luma(data), u, v, quality)
            self._store(f"{number}.jpg", jpeg)
            taken.append((at_ns - began_ns, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - began_ns))
        return taken

    def _first(self, from_ns: int) -> tuple[Any, int]:
        while True:
            request = self._camera.capture_request(wait=_WAIT_S)
            try:
                at_ns = int(request.get_metadata()["SensorTimestamp"])
                if at_ns >= from_ns:
                    return request.make_buffer("main"), at_ns
            finally:
                request.release()

    def _store(self, name: str, content: bytes) -> None:
        new = self._folder / f"{name}.new"
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)


def main() -> None:
    parser = argparse.ArgumentParser("bare_camera.py")
    parser.add_argument("scene", type=Path)
    parser.add_argument("--pi", action="store_true")
    args = parser.parse_args()
    if args.pi:
        from pi.shim import install

        install(lambda: "")
    else:
        sys.modules["picamera2"] = standin.module(args.scene)
    bare = Bare(args.scene.parent, drawn=not args.pi)
    commands: dict[str, Callable[..., Any]] = {"loop": bare.loop, "pictures": bare.pictures}
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(commands[asked.pop("do")](**asked)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()

"""What ``guardpost check`` sees through the camera: its child started as the post starts it, and one picture."""

import os
import queue
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from device.config import Config
from device.config_camera import CameraSection
from device.effects import TakePicture
from device.hardware.camera.wire import INSTALL
from device.hardware.camera.worker import CameraWorker
from device.machine import holder
from device.readings import Clock, PartBlind, PartSighted, Photo, PictureFailed, Refused
from device.record.opening import LOCK
from device.result import Result

PICTURE_WITHIN_S = 20.0
_PART = "camera"
_REAL = "this looks at a real camera: a simulated one is tried with guardpost-sim do ... camera black"


def camera(
    config: Config, clock: Clock, command: Sequence[str], within_s: float = PICTURE_WITHIN_S
) -> Iterator[Result]:
    """``command``: of the child. Nothing is kept of the picture. A post that runs is not disturbed."""
    if config.camera is None:
        return
    if _runs(config.post.state_dir):
        why = "the post is running and has it; its state tells whether it sees. Stop the post to try it here"
        yield Result(_PART, True, why, advised=True)
        return
    yield _picture(config.camera, config.source, clock, command, within_s)


def _runs(state_dir: Path) -> bool:
    return holder(state_dir / LOCK) not in (None, os.getpid())


def _picture(section: CameraSection, source: str, clock: Clock, command: Sequence[str], within_s: float) -> Result:
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    worker = CameraWorker(command, section, source, clock, heard, heard.put)
    told: list[str] = []
    began_s = time.monotonic()
    worker.start()
    try:
        while True:
            left_s = began_s + within_s - time.monotonic()
            match heard.get(timeout=max(0.0, left_s)):
                case PartSighted():
                    worker.take(TakePicture("check", clock.now(), (0,)))
                case Photo(size=(width, height), jpeg=jpeg):
                    took = f"{width} x {height} pixels, a picture of {len(jpeg) / 1000:.0f} kB"
                    after = f"{time.monotonic() - began_s:.1f} s after its start"
                    return Result(_PART, True, "; ".join([f"{took} {after}", *told]), advised=bool(told))
                case PartBlind(why=why) | PictureFailed(why=why):
                    real = [_REAL] if INSTALL in why else []
                    return Result(_PART, False, "; ".join([why, *told, *real]))
                case Refused(why=why):
                    told.append(why)
    except queue.Empty:
        why = f"no picture within {within_s:g} s: see its ribbon cable, then camera.number"
        return Result(_PART, False, "; ".join([why, *told]))
    finally:
        worker.stop()

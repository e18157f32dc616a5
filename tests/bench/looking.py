"""``python -m bench.looking SECONDS``: what the camera's child costs that only looks, beside a bare loop.

With ``--pi`` on real picamera2, inside the tree of ``make test-pi``; without it, on the simulator's stand-in.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from camera_child import SETTINGS, CameraChild, Scene

from bench.process import Worker, used
from device.hardware.camera.ring import places

SIZE = (1920, 1080)
RATE = 4
BEFORE_MS = 3_000
FRAME_BYTES = SIZE[0] * SIZE[1] * 3 // 2
PLACES = places(BEFORE_MS, RATE)
_FILLED_S = PLACES / RATE + 1


@dataclass(frozen=True, slots=True)
class Cost:
    """``cpu``: of one core, the part. ``resident_kb``: at the end."""

    cpu: float
    resident_kb: int


def looked(scene: Path, seconds: float, *, pi: bool) -> Cost:
    """The child, with a ring that is full if ``seconds`` are enough for that."""
    module = "pi.child" if pi else "simulator.camera"
    settings = SETTINGS.model_copy(update={"size": SIZE, "rate": RATE, "before_ms": BEFORE_MS})
    with CameraChild([sys.executable, "-m", module, str(scene)], settings) as child:
        child.sees()
        return _cost(child.pid, time.sleep, seconds)


def looped(scene: Path, seconds: float, *, pi: bool) -> Cost:
    """The bare loop."""
    program = Path(__file__).with_name("bare_camera.py")
    with closing(Worker(program, scene, *(["--pi"] if pi else []))) as bare:
        return _cost(bare.pid, lambda span_s: bare.ask("loop", seconds=span_s, rate=RATE), seconds)


def _cost(pid: int, let_pass: Callable[[float], object], seconds: float) -> Cost:
    let_pass(min(_FILLED_S, seconds))
    before = used(pid)
    let_pass(seconds)
    after = used(pid)
    return Cost((after.cpu_ns - before.cpu_ns) / (after.at_ns - before.at_ns), after.resident_kb)


def main() -> None:
    parser = argparse.ArgumentParser("bench.looking")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--pi", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        scene = Path(folder) / "scene.json"
        Scene(scene)
        ours, floor = (cost(scene, args.seconds, pi=args.pi) for cost in (looked, looped))
    print(json.dumps({"ours": asdict(ours), "floor": asdict(floor)}))


if __name__ == "__main__":
    main()

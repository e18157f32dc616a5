"""The camera's child process as the post sees it: started, spoken with over the wire, faulted, killed."""

import io
import itertools
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from PIL import Image
from waiting import until

from device.hardware.camera import wire
from device.hardware.camera.wire import Alive, Missed, Settings, Shot, Take, Told

COMMAND = shlex.split(os.environ.get("GUARDPOST_CAMERA", "")) or [sys.executable, "-m", "simulator.camera"]
"""A scene file is appended to it."""
SETTINGS = Settings(
    camera=0,
    size=(640, 480),
    rate=10,
    before_ms=2_000,
    masks=(),
    controls={},
    quality=85,
    source="jember/kpu-gate",
)
WHY = "3f8a0c1e-5b7d-4e7a-9a4e-2f1d8c6b5a49/1041"
"""An event's id."""


def uptime_ms() -> int:
    """CLOCK_BOOTTIME."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Scene:
    """What is before the camera, and its fault: the last argument of the child's command."""

    def __init__(self, file: Path) -> None:
        """All is well."""
        self.file = file
        self.fault("")

    def fault(self, fault: str, **truth: object) -> None:
        """From now on the camera has this fault; empty for none. ``truth``: what else is so."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"doors": {}, "at_reader": None, "camera": fault, **truth}))
        new.replace(self.file)


class CameraChild:
    """A child that runs, and what it has said."""

    def __init__(self, command: list[str], settings: Settings | None = SETTINGS) -> None:
        """``settings``: its first line; None leaves that to the caller."""
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self.pid = self._process.pid
        self.alive: list[Alive] = []
        self.told: list[str] = []
        self.shots: dict[int, tuple[Shot, bytes]] = {}
        self.missed: dict[int, str] = {}
        self.answers: list[int] = []
        self.heard_ms = uptime_ms()
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        self._errors: list[bytes] = []
        self._error_thread = threading.Thread(target=self._listen_to_errors)
        self._error_thread.start()
        if settings is not None:
            self.write(wire.down(settings))

    def __enter__(self) -> "CameraChild":
        """It runs."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It is killed, if it still runs."""
        self._process.kill()
        self.ended()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        # Not the unbuffered pipe itself, which may read less than was asked for.
        with open(self._process.stdout.fileno(), "rb", closefd=False) as up:
            while len(length := up.read(wire.LENGTH.size)) == wire.LENGTH.size:
                (size,) = wire.LENGTH.unpack(length)
                assert size <= wire.MOST_HEADER_BYTES
                message = wire.read_up(up.read(size))
                self._heard(message, up.read(message.body))

    def _listen_to_errors(self) -> None:
        assert self._process.stderr is not None
        errors = self._process.stderr.fileno()
        self._errors += iter(lambda: os.read(errors, 65536), b"")

    def _heard(self, message: Alive | Told | Shot | Missed, body: bytes) -> None:
        self.heard_ms = uptime_ms()
        match message:
            case Alive():
                self.alive.append(message)
            case Told():
                self.told.append(message.why)
            case Shot():
                self.shots[message.number] = message, body
                self.answers.append(message.number)
            case Missed():
                self.missed[message.number] = message.why
                self.answers.append(message.number)

    def write(self, data: bytes) -> None:
        """To its standard input."""
        assert self._process.stdin is not None
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) :]

    def close(self) -> None:
        """Its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        code = self._process.wait(timeout=30)
        self._thread.join()
        self._error_thread.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        return code

    @property
    def errors(self) -> str:
        """What it wrote to standard error."""
        return b"".join(self._errors).decode()

    @property
    def blind(self) -> str:
        """The last word about that."""
        return self.alive[-1].blind if self.alive else ""

    def sees(self, beyond_ms: int = 0) -> int:
        """Wait until it is not blind and has a frame of later than ``beyond_ms``; that frame's uptime."""

        def seen() -> int | None:
            last = self.alive[-1] if self.alive else None
            return last.frame_ms if last and not last.blind and (last.frame_ms or 0) > beyond_ms else None

        frame_ms = until(seen, 60, "a frame")  # a slow machine takes its time for the libraries
        assert frame_ms is not None
        return frame_ms

    def asked(self, at_ms: int, *offsets_ms: int, wall_ms: int = 1_790_000_000_123) -> list[int]:
        """Ask for pictures; their numbers."""
        numbers = [next(self._numbers) for _ in offsets_ms]
        takes = [
            Take(
                number=number,
                why=WHY,
                at_ms=at_ms,
                wall_ms=wall_ms,
                clock="holdover",
                offset_ms=offset_ms,
            )
            for number, offset_ms in zip(numbers, offsets_ms, strict=True)
        ]
        self.write(b"".join(map(wire.down, takes)))
        return numbers

    def shot(self, number: int) -> tuple[Shot, bytes]:
        """The picture of that number, once it is there."""
        until(lambda: number in self.shots or number in self.missed, what=f"picture {number}")
        assert number in self.shots, self.missed[number]
        return self.shots[number]

    def miss(self, number: int) -> str:
        """Why there is no such picture, once that is said."""
        until(lambda: number in self.shots or number in self.missed, what=f"no picture {number}")
        return self.missed[number]


def child(scene: Scene, **changes: object) -> CameraChild:
    """One before that scene, with ``changes`` to the usual settings."""
    return CameraChild([*COMMAND, str(scene.file)], SETTINGS.model_copy(update=changes))


def opened(jpeg: bytes) -> Image.Image:
    """The picture, decoded."""
    picture = Image.open(io.BytesIO(jpeg))
    picture.load()
    return picture


def brightest(grey: Image.Image) -> int:
    """Of its pixels."""
    return max(level for level, pixels in enumerate(grey.histogram()) if pixels)

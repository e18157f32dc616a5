"""What is before the camera of one post, kept in the file that its stand-in reads."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from device.config import Config
from simulator import truth
from simulator.errors import CommandError, SimulatorError
from simulator.truth import FAULTS, WELL, Truth

FILE = "scene.json"
STANDS_S = 0.3
"""How long somebody stands there before and after: the camera keeps a frame every quarter of a second."""


class Scenery:
    """Any thread may call. A post without a camera has none: then nothing is written, and nobody waits."""

    def __init__(self, config: Config) -> None:
        """All doors are shut, and nobody is there. Raises SimulatorError."""
        self._file = config.post.state_dir / FILE
        self._there = config.camera is not None
        self._lock = threading.Lock()
        names = [door.name for door in (*config.door, *config.tamper)]
        self._truth = Truth(doors=dict.fromkeys(names, False), timezone=config.post.timezone)
        if self._there:
            self._begin()

    def _begin(self) -> None:
        folder = self._file.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            truth.write(self._file, self._truth)
        except OSError as error:
            raise SimulatorError(f"{self._file}: cannot be written ({error.strerror}); see who owns it") from None

    @property
    def command(self) -> tuple[str, ...]:
        """Of the camera's child."""
        return (sys.executable, "-m", "simulator.camera", str(self._file))

    def door(self, name: str, *, is_open: bool) -> None:
        """A door or lid moves."""
        with self._lock:
            self._now(doors={**self._truth.doors, name: is_open})

    @contextmanager
    def someone(self, at: str) -> Iterator[None]:
        """Somebody steps up to a reader or a button, and goes away again."""
        with self._lock:
            self._now(at_reader=at)
        self._stand()
        try:
            yield
        finally:
            self._stand()
            with self._lock:
                self._now(at_reader=None)

    def _stand(self) -> None:
        if self._there:
            time.sleep(STANDS_S)

    def camera(self, fault: str) -> str:
        """The camera fails, or is ``well``; what it does then. Raises CommandError."""
        if not self._there:
            raise CommandError("no camera in this post's configuration; write its [camera] section")
        words = {"well": "is well", **FAULTS}
        if fault not in words:
            raise CommandError(f"no {fault!r} here; there is: {', '.join(words)}")
        with self._lock:
            self._now(camera=WELL if fault == "well" else fault)
        return words[fault]

    def _now(self, **what: object) -> None:
        self._truth = self._truth.model_copy(update=what)
        if self._there:
            truth.write(self._file, self._truth)

"""What is before the camera of one post, kept in the file that its stand-in reads."""

import os
import shutil
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from device.config import Config
from simulator import truth
from simulator.errors import CommandError
from simulator.truth import FAULTS, WELL, Truth

FILE = "scene.json"
_PREFIX = "guardpost-scene-"
STANDS_S = 0.3
"""How long somebody stands there before and after: the camera keeps a frame every quarter of a second."""


class Scenery:
    """Any thread may call, and gets CommandError where the file cannot be written.

    A post without a camera has none: then nothing is written, and nobody waits.
    """

    def __init__(self, config: Config) -> None:
        """All doors are shut, and nobody is there. Raises CommandError."""
        self._there = config.camera is not None
        self._lock = threading.Lock()
        names = [door.name for door in (*config.door, *config.tamper)]
        self._truth = Truth(doors=dict.fromkeys(names, False), timezone=config.post.timezone)
        self._file = Path(FILE)
        if self._there:
            self._begin()

    def _begin(self) -> None:
        # Not in the post's state folder: its disk may be full, and the post is tried with just that.
        _sweep()
        try:
            folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        except OSError as error:
            raise _unwritable(error, Path(tempfile.gettempdir())) from None
        self._file = folder / FILE
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._now()

    def close(self) -> None:
        """The scene is gone; end its camera first."""
        if self._there:
            self._remove()

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
        now = self._truth.model_copy(update=what)
        if self._there:
            try:
                truth.write(self._file, now)
            except OSError as error:
                raise _unwritable(error, self._file.parent) from None
        self._truth = now


def _sweep() -> None:
    """What simulators that were killed left behind goes with the next one: folders of processes that are gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        if not Path("/proc", folder.name.removeprefix(_PREFIX).partition("-")[0]).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _unwritable(error: OSError, folder: Path) -> CommandError:
    return CommandError(f"the camera's scene cannot be written ({error.strerror}): {folder}")

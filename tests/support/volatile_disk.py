"""A disk with a volatile cache, in a process of its own: cut its power, let it lie, fill it, break it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from waiting import until

from simulator.client import ask
from simulator.errors import ControlError

FUSERMOUNT = shutil.which("fusermount3") or shutil.which("fusermount") or ""
_DAEMON = Path(__file__).with_name("volatile_disk_daemon.py")
_ROOT = Path(__file__).parents[2]


def unusable() -> str | None:
    """Why no such disk can be mounted here, as far as one can tell without trying."""
    if not FUSERMOUNT:
        return "no fusermount3; install fuse3"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "no /dev/fuse that this user may open"
    return None


@dataclass
class VolatileDisk:
    """``mount``: where its files are. Everything on it is well and honest until told otherwise.

    A cut settles at once what the drive had written, and nothing works from then on. ``power_on`` mounts what
    survived, once nobody has files open on the dead disk any more.
    """

    folder: Path
    seed: str = "0"
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.mount = self.folder / "disk"
        self.control = self.folder / "disk.control"

    def start(self) -> None:
        self.mount.mkdir(parents=True)
        with (self.folder / "disk.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(_DAEMON), str(self.mount), str(self.control), self.seed],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
            )
        until(self._mounted, 20, "the disk")

    def stop(self) -> None:
        """End it, whatever state it is in and whoever still has files open on it."""
        assert self.process is not None
        self.process.kill()  # before it is unmounted, since it would mount itself anew
        self.process.wait(10)
        self.process = None
        subprocess.run([FUSERMOUNT, "-u", "-z", "-q", str(self.mount)], check=False, timeout=10)

    def do(self, command: str) -> str:
        return ask(self.control, command)

    # The power

    def cut_after(self, operations: int, name: str | None = None) -> None:
        """Cut in that many changes and flushes from now, of file ``name`` if given; its caller dies with it."""
        self.do(f"cut-after {operations} {name or ''}")

    def cut(self, share: float | None = None) -> None:
        """Cut now. ``share``: how much of what was not flushed survives, from 0 to 1; None for any."""
        self.do(f"cut {'' if share is None else share}")

    @property
    def was_cut(self) -> str | None:
        """In which operation on which file, while it has no power; ``at rest`` between two."""
        where = self.do("was-cut")
        return None if where == "no" else where

    @property
    def operations(self) -> int:
        """Changes and flushes since it was mounted."""
        return int(self.do("operations"))

    def power_on(self) -> None:
        """Mount what survived; the processes that used it must have ended."""
        subprocess.run([FUSERMOUNT, "-u", str(self.mount)], check=True, timeout=10)
        until(self._mounted, 20, "the disk, mounted again")

    # Its troubles; ``well`` ends all of them

    def lie(self, drains: float = 0.01) -> None:
        """Flushes succeed and flush nothing; after that share of them the cache drains by itself."""
        self.do(f"lie {drains}")

    def fill(self, room_bytes: int = 0) -> None:
        """ENOSPC once so many more bytes were taken."""
        self.do(f"room {room_bytes}")

    def read_only(self) -> None:
        """EROFS for every change."""
        self.do("read-only")

    def fail(self, *kinds: str) -> None:
        """EIO for ``write`` (names, too), ``fsync`` or ``read``."""
        self.do(f"fail EIO {' '.join(kinds)}")

    def forget_cached(self, name: str) -> None:
        """What the kernel holds of a file in memory is let go: the next read is one of the disk."""
        with (self.mount / name).open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def well(self) -> None:
        self.do("well")

    def drain(self) -> None:
        """Everything so far is durable."""
        self.do("drain")

    def _mounted(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "disk.log").read_text()
        try:
            return os.path.ismount(self.mount) and self.was_cut is None
        except ControlError:
            return False


@contextmanager
def volatile_disk(folder: Path, seed: str = "0") -> Iterator[VolatileDisk]:
    """A mounted disk."""
    disk = VolatileDisk(folder, seed)
    disk.start()
    try:
        yield disk
    finally:
        disk.stop()

"""The disk's own process: kernel FUSE on one side, a control socket on the other; mounts anew after a cut."""

import errno
import os
import random
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import mfusepy
from volatile_disk_model import AT_REST, Fate, File, Folder, any_share

from simulator.control import ControlServer

BLOCK_BYTES = 4096
CAPACITY_BYTES = 1 << 30


@dataclass
class Trouble:
    """What the disk answers instead of working. ``room_bytes``: how much more it takes; None for plenty.

    ``drains``: the share of flushes that a lying disk does after all; None for an honest one.
    """

    drains: float | None = None
    read_only: bool = False
    room_bytes: int | None = None
    failing: dict[str, int] = field(default_factory=dict)


@dataclass
class Coming:
    """The cut comes in operation number ``left`` from now, of those on ``name`` if one is given."""

    left: int
    name: str | None


class Disk:
    """FUSE operations (mfusepy's names). One at a time: ``held`` is, for each."""

    use_ns = True

    def __init__(self, seed: str) -> None:
        """An empty disk, honest and well."""
        self.held = threading.Lock()
        self.root = Folder()
        self.trouble = Trouble()
        self.coming: Coming | None = None
        self.operations = 0
        self.found: Folder | None = None
        self.where = ""
        self._seed = seed
        self._cuts = 0
        self._lying = random.Random(f"{seed} lying")
        self._open: dict[int, File] = {}
        self._opened = 0

    # What is done to it from outside; the lock is held by the caller

    def cut(self, where: str, share: float | None = None) -> None:
        """The power goes: what is found later is settled now, and nothing works any more."""
        if self.found is None:
            self.where = where
            self._cuts += 1
            chance = random.Random(f"{self._seed} cut {self._cuts}")
            self.found = self.root.after_cut(chance, any_share(chance) if share is None else share)

    def power_on(self) -> None:
        """What was found after the cut is the disk."""
        if self.found is not None:
            self.root, self.found = self.found, None
        self.trouble, self.coming, self.operations = Trouble(), None, 0
        self._open.clear()

    # Names

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        with self._works():
            node = self._open[fh] if fh in self._open else self._node(path)
            kind = stat.S_IFDIR if isinstance(node, Folder) else stat.S_IFREG
            size, when = (0, 0) if isinstance(node, Folder) else (len(node.data), node.changed_ns)
            return {
                "st_mode": kind | node.mode,
                "st_nlink": 1,
                "st_size": size,
                "st_blocks": -(-size // 512),
                "st_uid": os.getuid(),
                "st_gid": os.getgid(),
                "st_mtime": when,
                "st_ctime": when,
                "st_atime": when,
            }

    def readdir(self, path: str, fh: int) -> list[str]:
        with self._works("read"):
            return [".", "..", *self._folder(path).names]

    def create(self, path: str, mode: int) -> int:
        with self._changes("create", path):
            file = File(stat.S_IMODE(mode))
            self._set(path, file)
            return self._handle(file)

    def open(self, path: str, flags: int) -> int:
        with self._works():
            if flags & os.O_ACCMODE != os.O_RDONLY and self.trouble.read_only:
                raise OSError(errno.EROFS, path)
            return self._handle(self._file(path))

    def release(self, path: str | None, fh: int) -> int:
        with self.held:
            self._open.pop(fh, None)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        with self._changes("mkdir", path):
            self._set(path, Folder(stat.S_IMODE(mode)))
        return 0

    def unlink(self, path: str) -> int:
        with self._changes("unlink", path):
            self._file(path)
            self._set(path, None)
        return 0

    def rmdir(self, path: str) -> int:
        with self._changes("rmdir", path):
            if self._folder(path).names:
                raise OSError(errno.ENOTEMPTY, path)
            self._set(path, None)
        return 0

    def rename(self, old: str, new: str) -> int:
        with self._changes("rename", new):
            one, other = PurePosixPath(old), PurePosixPath(new)
            node, folder, fate = self._node(old), self._folder(str(other.parent)), Fate()
            if one.parent == other.parent:
                folder.change({one.name: None, other.name: node})
            else:
                self._folder(str(one.parent)).change({one.name: None}, fate)
                folder.change({other.name: node}, fate)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        with self._works("write"):
            self._node(path).mode = stat.S_IMODE(mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        return 0

    # Content

    def read(self, path: str | None, size: int, offset: int, fh: int) -> bytes:
        with self._works("read"):
            return bytes(self._open[fh].data[offset : offset + size])

    def write(self, path: str | None, data: bytes, offset: int, fh: int) -> int:
        with self._changes("write", path):
            file = self._open[fh]
            self._make_room(file, offset + len(data))
            file.write(offset, data)
            file.changed_ns = time.time_ns()
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        with self._changes("truncate", path):
            file = self._open[fh] if fh in self._open else self._file(path)
            self._make_room(file, length)
            file.truncate(length)
            file.changed_ns = time.time_ns()
        return 0

    def fallocate(self, path: str, mode: int, offset: int, length: int, fh: int) -> int:
        if mode != 0:
            raise OSError(errno.EOPNOTSUPP, path)
        with self._changes("fallocate", path):
            file = self._open[fh]
            size = max(len(file.data), offset + length)
            self._make_room(file, size)
            file.truncate(size)
        return 0

    def fsync(self, path: str | None, datasync: int, fh: int) -> int:
        with self._flushes("fsync", path):
            file = self._open[fh]
            if "fsync" in self.trouble.failing:
                file.sink()
                raise OSError(self.trouble.failing["fsync"], path)
            self._flush(file.flush)
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        with self._flushes("fsyncdir", path):
            if "fsync" in self.trouble.failing:
                raise OSError(self.trouble.failing["fsync"], path)
            self._flush(self._folder(path).flush)
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        with self._works():
            used = sum(len(file.data) for file in self.root.files())
            room = CAPACITY_BYTES - used if self.trouble.room_bytes is None else self.trouble.room_bytes
            free = max(room, 0) // BLOCK_BYTES
            blocks = {"f_blocks": used // BLOCK_BYTES + free, "f_bfree": free, "f_bavail": free}
            return {"f_bsize": BLOCK_BYTES, "f_frsize": BLOCK_BYTES, "f_namemax": 255, **blocks}

    # Within

    @contextmanager
    def _works(self, kind: str = "") -> Iterator[None]:
        with self.held:
            if self.found is not None:
                raise OSError(errno.EIO, "no power")
            if kind in self.trouble.failing:
                raise OSError(self.trouble.failing[kind], kind)
            yield

    @contextmanager
    def _changes(self, what: str, path: str | None) -> Iterator[None]:
        """An operation that changes something: it is in the cache when the power goes, and nobody is told."""
        with self._works("write"):
            if self.trouble.read_only:
                raise OSError(errno.EROFS, path)
            yield
            self._count(what, path)

    @contextmanager
    def _flushes(self, what: str, path: str | None) -> Iterator[None]:
        """A flush: if the power goes in it, it has flushed nothing."""
        with self._works():
            self._count(what, path)
            yield

    def _count(self, what: str, path: str | None) -> None:
        self.operations += 1
        name = PurePosixPath(path or "").name
        if self.coming is None or self.coming.name not in (None, name):
            return
        self.coming.left -= 1
        if self.coming.left <= 0:
            self.cut(f"{what} {name}")
            if (caller := mfusepy.fuse_get_context()[2]) > 0:  # 0 where the kernel writes a mapped page back
                os.kill(caller, signal.SIGKILL)
            raise OSError(errno.EIO, "no power")

    def _flush(self, flush: Callable[[], None]) -> None:
        if self.trouble.drains is None:
            flush()
        elif self._lying.random() < self.trouble.drains:
            self.root.drain()

    def _make_room(self, file: File, size: int) -> None:
        """Raises ENOSPC."""
        more = size - len(file.data)
        if self.trouble.room_bytes is None or more <= 0:
            return
        if more > self.trouble.room_bytes:
            raise OSError(errno.ENOSPC, "full")
        self.trouble.room_bytes -= more

    def _node(self, path: str) -> File | Folder:
        node: File | Folder = self.root
        for name in PurePosixPath(path).parts[1:]:
            if not isinstance(node, Folder):
                raise OSError(errno.ENOTDIR, path)
            if name not in node.names:
                raise OSError(errno.ENOENT, path)
            node = node.names[name]
        return node

    def _folder(self, path: str) -> Folder:
        node = self._node(path)
        if isinstance(node, File):
            raise OSError(errno.ENOTDIR, path)
        return node

    def _file(self, path: str) -> File:
        node = self._node(path)
        if isinstance(node, Folder):
            raise OSError(errno.EISDIR, path)
        return node

    def _set(self, path: str, node: File | Folder | None) -> None:
        place = PurePosixPath(path)
        folder = self._folder(str(place.parent))
        if node is None and self.trouble.room_bytes is not None:
            gone = folder.names[place.name]
            self.trouble.room_bytes += len(gone.data) if isinstance(gone, File) else 0
        folder.change({place.name: node})

    def _handle(self, file: File) -> int:
        self._opened += 1
        self._open[self._opened] = file
        return self._opened


class Panel:
    """The control commands: one line in, one line out."""

    def __init__(self, disk: Disk) -> None:
        """``disk``: the one they are done on."""
        self._disk = disk
        self._known: dict[str, Callable[..., str]] = {
            "cut-after": self._cut_after,
            "cut": self._cut,
            "was-cut": lambda: disk.where if disk.found is not None else "no",
            "operations": lambda: str(disk.operations),
            "drain": self._drain,
            "lie": self._lie,
            "read-only": self._read_only,
            "room": self._room,
            "fail": self._fail,
            "well": self._well,
        }

    def __call__(self, line: str) -> str:
        verb, *words = line.split()
        with self._disk.held:
            return self._known[verb](*words)

    def _cut_after(self, operations: str, name: str | None = None) -> str:
        self._disk.coming = Coming(int(operations), name)
        return "ok"

    def _cut(self, share: str | None = None) -> str:
        self._disk.cut(AT_REST, None if share is None else float(share))
        return "ok"

    def _drain(self) -> str:
        self._disk.root.drain()
        return "ok"

    def _lie(self, drains: str) -> str:
        self._disk.trouble.drains = float(drains)
        return "ok"

    def _read_only(self) -> str:
        self._disk.trouble.read_only = True
        return "ok"

    def _room(self, size_bytes: str) -> str:
        self._disk.trouble.room_bytes = int(size_bytes)
        return "ok"

    def _fail(self, name: str, *kinds: str) -> str:
        self._disk.trouble.failing.update(dict.fromkeys(kinds, getattr(errno, name)))
        return "ok"

    def _well(self) -> str:
        self._disk.trouble = Trouble()
        return "ok"


def main(mount: Path, control: Path, seed: str) -> NoReturn:
    """Serve until killed; whoever unmounts it gets it mounted again with what survived."""
    disk = Disk(seed)
    options: dict[str, Any] = {"hard_remove": True, "default_permissions": True, "fsname": "volatile-disk"}
    with ControlServer(control, Panel(disk)):
        while True:
            mfusepy.FUSE(_Operations(disk), str(mount), foreground=True, nothreads=True, **options)
            with disk.held:
                disk.power_on()


class _Operations:
    """mfusepy forgets the operations that it was given once the disk is unmounted, so each mount gets its own."""

    use_ns = True

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])

"""What the machine can tell of itself to whoever helps: versions, files, disks, who holds a lock."""

import contextlib
import os
import platform
import sqlite3
import ssl
import stat
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from device import BUILT, __version__
from device.events import rfc3339

_LIBRARIES = (
    "paho-mqtt",
    "pydantic",
    "pydantic-core",
    "cryptography",
    "rfc8785",
    "tzdata",
    "gpiozero",
    "lgpio",
    "picamera2",
    "numpy",
)


def versions() -> str:
    """A line each."""
    told = {
        "guardpost": f"{__version__} ({BUILT})",
        "python": sys.version,
        **{name: _version(name) for name in _LIBRARIES},
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION,
        "kernel": f"{platform.release()} {platform.version()} {platform.machine()}",
        "system": _os_release(),
        "model": _text(Path("/proc/device-tree/model")) or "no Raspberry Pi, as far as /proc/device-tree tells",
        "uptime": f"{_text(Path('/proc/uptime')).partition(' ')[0]} s",
        "user": f"{os.geteuid()}:{os.getegid()}",
    }
    return "".join(f"{name:<15}{' '.join(value.split())}\n" for name, value in told.items())


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not there"


def _os_release() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unnamed")
    except OSError:
        return "unknown"


def _text(file: Path) -> str:
    """A file of /proc, empty where there is none."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip("\0\n")
    except OSError:
        return ""


def listing(folder: Path) -> str:
    """Every file of a folder: mode, owner, group, size, time, name; what folders in it hold. Raises OSError."""
    lines = []
    for file in (folder, *sorted(folder.iterdir())):
        found = file.lstat()
        when = rfc3339(found.st_mtime_ns // 1_000_000)
        name = "." if file == folder else file.name
        mode = stat.filemode(found.st_mode)
        lines.append(f"{mode} {found.st_uid:>5} {found.st_gid:>5} {found.st_size:>12} {when} {name}\n")
    for below in sorted(each for each in folder.rglob("*") if each.is_dir()):
        sizes = [*_sizes(below)]
        lines.append(f"{below.relative_to(folder)}: {len(sizes)} files, {sum(sizes)} bytes\n")
    return "".join(lines)


def _sizes(folder: Path) -> Iterator[int]:
    """Of its files; one that goes meanwhile is passed over."""
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISREG((found := file.lstat()).st_mode):
                yield found.st_size


def disks(folder: Path) -> str:
    """What is free where a folder is, and the mounted disks. Raises OSError."""
    found = os.statvfs(folder)
    free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    read_only = ", read-only" if found.f_flag & os.ST_RDONLY else ""
    lines = [f"{folder}: {free} of {size} bytes free, {found.f_favail} of {found.f_files} files{read_only}\n"]
    # Of network disks nothing but that they are there: their options may tell a user.
    lines += [f"{mount}\n" for mount in _text(Path("/proc/mounts")).splitlines() if mount.startswith("/dev/")]
    return "".join(lines)


def holder(lock: Path) -> int | None:
    """The process that holds a flock on a file (proc(5), "/proc/locks"), None for none."""
    try:
        found = lock.stat()
    except OSError:
        return None
    wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in _text(Path("/proc/locks")).splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5] == wanted:
            return int(fields[4])
    return None

"""Folders made once and kept between runs, named after what defines them, for every checkout of this machine."""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

UNUSED_AFTER_S = 30 * 86_400


def cache() -> Path:
    """Where they are kept: below ``XDG_CACHE_HOME``, or ``/var/cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "guardpost"


def kept(kind: str, definition: Iterable[str], make: Callable[[Path], None]) -> Path:
    """The folder of this kind and definition; ``make`` fills it where there is none yet.

    It is made beside its place and renamed, so a half-made one is never taken for whole.
    """
    home = cache()
    home.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256("\0".join(definition).encode()).hexdigest()[:16]
    whole = home / f"{kind}-{digest}"
    with (home / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.is_dir():
            half = home / f"{kind}.half"
            if half.exists():
                shutil.rmtree(half)
            half.mkdir()
            make(half)
            half.rename(whole)
            _forget_unused(home, kind)
        os.utime(whole)
    return whole


def _forget_unused(home: Path, kind: str) -> None:
    for folder in home.glob(f"{kind}-*"):
        if folder.stat().st_mtime < time.time() - UNUSED_AFTER_S:
            shutil.rmtree(folder)

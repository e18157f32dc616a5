"""The files of the picture store: what their names say, and a folder of them read."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_NEW_NAME = re.compile(r"[0-9a-f]{64}")
_EVENT_NAME = re.compile(r"([0-9a-f]{64})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9][0-9]{0,15})")
PROBE = "probe"
_HALF_NAME = re.compile(rf"(?:[0-9a-f]{{64}}|{PROBE})\.new|{PROBE}")


@dataclass(slots=True)
class Kept:
    """A picture in the store. ``event``: the id of the event that announced it, empty while none is known to have.

    ``at_ms``: wall time when it was stored; of one that was sent, when it was, or 0 where no clock knew.
    ``position``: of that event, or one after it; 0 for one of an earlier life of the program. ``tries``: how often
    the disk did not give it back. ``breaks``: how often the line broke in the middle of it. ``flying``: it is on
    its way to a broker.
    """

    sha256: str
    event: str
    length: int
    at_ms: int
    file: Path
    position: int = 0
    tries: int = 0
    breaks: int = 0
    flying: bool = False

    @property
    def name(self) -> str:
        """The name that its file should have."""
        return ".".join([self.sha256, *self.event.split("/")]) if self.event else self.sha256


def listed(folder: Path) -> dict[str, Kept]:
    """The pictures of a folder by name, oldest first; what others put there is left alone. Raises OSError."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if (named := _named(entry.name)) is not None and entry.is_file(follow_symlinks=False):
                stat = entry.stat()
                found.append(Kept(*named, stat.st_size, stat.st_mtime_ns // 1_000_000, Path(entry.path)))
    return {kept.name: kept for kept in sorted(found, key=_age)}


def _age(kept: Kept) -> tuple[int, int]:
    """By the clock, and by number where it tells no two apart."""
    return kept.at_ms, int(kept.event.partition("/")[2] or 0)


def _named(name: str) -> tuple[str, str] | None:
    """SHA-256 and event that a name says."""
    if (announced := _EVENT_NAME.fullmatch(name)) is not None:
        return announced[1], f"{announced[2]}/{announced[3]}"
    return (name, "") if _NEW_NAME.fullmatch(name) else None


def remove_halves(folder: Path) -> None:
    """What was not yet whole when the power went. Raises OSError."""
    for file in folder.iterdir():
        if _HALF_NAME.fullmatch(file.name):
            file.unlink()


def unannounced(folder: Path) -> list[str]:
    """The pictures of a folder that wait for their event, by sha256; none of a folder that cannot be read."""
    try:
        return [file.name for file in folder.iterdir() if _NEW_NAME.fullmatch(file.name)]
    except OSError:
        return []

"""A file that holds disk space back, so that a post can still say that its disk is full."""

import os
from pathlib import Path
from typing import Self

RESERVE_BYTES = 1 << 20
ROOM_AT_LEAST = 4 * RESERVE_BYTES
"""What is free where it is taken, and taken again: a disk at its brim must not flap."""


class Reserve:
    """``RESERVE_BYTES`` of real blocks in one file; given up when the disk is full."""

    def __init__(self, file: Path) -> None:
        """Whether it is held shows in the folder, also over restarts."""
        self._file = file

    @classmethod
    def of(cls, journal: Path) -> Self:
        """The one that stands beside a journal."""
        return cls(journal.with_name(f"{journal.name}.reserve"))

    @property
    def held(self) -> bool:
        """The space is there to be given up."""
        try:
            return self._file.stat().st_size >= RESERVE_BYTES
        except OSError:
            return False

    def tight(self, bytes_to_come: int = 0) -> bool:
        """Whether the disk would have too little left to hold the space, after so much more; a dying one has."""
        try:
            disk = os.statvfs(self._file.parent)
        except OSError:
            return True
        return disk.f_bavail * disk.f_frsize < ROOM_AT_LEAST + bytes_to_come

    def take(self) -> bool:
        """Hold the space if the disk has plenty; whether it is held now. A full or dying disk only says no."""
        if self.held:
            return True
        if self.tight():
            return False
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            finally:
                os.close(descriptor)
        except OSError:
            self.spend()  # half of it is nobody's
            return False
        return True

    def spend(self) -> bool:
        """Give the space to whoever writes next; whether there was any."""
        try:
            self._file.unlink()
        except OSError:
            return False  # spent before, or the disk takes not even this
        return True

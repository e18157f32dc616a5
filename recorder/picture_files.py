"""The bytes of pictures, in a folder beside the store: durable before their row says so."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from recorder.errors import Damaged, NotStored

LEFT_FREE_BYTES = 64 << 20
"""Room on the disk that pictures leave to the events, which are worth more."""


class PictureFiles:
    """``<store>.pictures/<root>/<site>/<post>/<sha256>``: the bytes as on the wire, sealed or a JPEG."""

    def __init__(self, store: Path, left_free_bytes: int = LEFT_FREE_BYTES) -> None:
        self.folder = store.with_name(f"{store.name}.pictures")
        self._left_free_bytes = left_free_bytes

    def path(self, source: str, sha256: str) -> Path:
        """Where a picture of a post, ``source``, lies."""
        return self.folder / source[1:] / sha256

    def put(self, source: str, sha256: str, content: bytes) -> None:
        """Durable on return, whatever was there before. Raises NotStored."""
        path = self.path(source, sha256)
        part = path.with_name(f".{sha256}.part")
        try:
            _made(path.parent, self.folder.parent)
            if not self.has_room(len(content)):
                raise NotStored(f"{self.folder}: {self._left_free_bytes >> 20} MiB of its disk are left to events")
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync(path.parent)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise NotStored(f"{path}: {error.strerror}") from None

    def read(self, source: str, sha256: str) -> bytes:
        """The bytes, if they are still those. Raises Damaged."""
        path = self.path(source, sha256)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise Damaged(f"{path}: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Damaged(f"{path}: its bytes have changed on the disk")
        return content

    def has_room(self, length: int = 0) -> bool:
        """Whether so many bytes more leave to events what is theirs."""
        try:
            disk = os.statvfs(self.folder.parent)
        except OSError:
            return False
        return disk.f_bavail * disk.f_frsize >= length + self._left_free_bytes


def _made(folder: Path, known: Path) -> None:
    """Made with its parents up to ``known``, each durably."""
    if folder == known or folder.is_dir():
        return
    _made(folder.parent, known)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

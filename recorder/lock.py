"""One recorder a store: two would answer the same posts with different receipts."""

import fcntl
import os
from pathlib import Path

from recorder.errors import StoreError


class StoreLock:
    """Held from its making until ``release`` or the end of the process, however that comes.

    On a file of its own beside the store: closing any descriptor of the store itself would drop SQLite's locks.
    """

    def __init__(self, store: Path) -> None:
        """Raises StoreError."""
        path = store.with_name(f"{store.name}.lock")
        try:
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}; is the folder there, and may we write in it?") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise StoreError(f"{store}: another recorder runs on it; stop that one or name another file") from None

    def release(self) -> None:
        """Let another recorder in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

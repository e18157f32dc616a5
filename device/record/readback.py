"""Whether the disk gives files back at all: SQLite says of a read that failed what it says of wrong bytes."""

import os
from collections.abc import Sequence
from pathlib import Path

_AT_ONCE_BYTES = 1 << 20


class Readback:
    """Reads files whole, from the disk and not from memory. The place that failed last is tried first."""

    def __init__(self, files: Sequence[Path]) -> None:
        """``files``: those that are not there are passed over."""
        self._files = tuple(files)
        self._failed: tuple[Path, int] | None = None

    def trouble(self) -> str | None:
        """Why one of them cannot be read, None if all can. As long as reading all of them takes."""
        if self._failed is not None and (why := self._read(*self._failed, _AT_ONCE_BYTES)) is not None:
            return why
        self._failed = None
        return next((why for file in self._files if (why := self._read(file)) is not None), None)

    def _read(self, file: Path, at: int = 0, most_bytes: int | None = None) -> str | None:
        end = None if most_bytes is None else at + most_bytes
        try:
            with file.open("rb", buffering=0) as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                while (end is None or at < end) and (content := os.pread(stream.fileno(), _AT_ONCE_BYTES, at)):
                    at += len(content)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._failed = file, at
            return f"{file}: {error.strerror}"
        return None

"""The log of what the outputs did: whoever is killed, every change before it is in the file, whole."""

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


class PinsLog:
    """Appends lines, each with exactly one write(2), so that neither a kill nor a second writer tears one."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises OSError."""
        self._path = path
        self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._failing = False

    def write(self, line: str) -> None:
        """Append one line. A disk that takes none is the post's trouble, not the lights': it is only logged."""
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, line.encode())
        except OSError as error:
            if not self._failing:
                logger.warning(
                    "%s: cannot be written (%s); changes are missing from it", self._path, error.strerror
                )
            self._failing = True
        else:
            self._failing = False

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

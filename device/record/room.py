"""How much room the journal has, by its own limit and on its disk: the last of it is kept for the last words."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from device.record.reserve import RESERVE_BYTES, Reserve


class Tables(NamedTuple):
    """Bytes that events and the rest take, and bytes of the file that what was removed has left for what comes."""

    used: int
    free: int


class Room:
    """Where it gets narrow, three marks follow each other: remove what may go, the last words alone, nothing."""

    def __init__(self, file: Path, most_bytes: int | None, reserve: Reserve, tables: Callable[[], Tables]) -> None:
        """``file``: the journal. ``most_bytes``: how large its tables may grow; None for as large as the disk."""
        self._file = file
        self._most_bytes = most_bytes
        self._tables = tables
        self._reserve = reserve
        self._short = False

    def pressed(self) -> bool:
        """Whether what may be removed should be, however young it is."""
        return self._why(2 * RESERVE_BYTES) is not None

    def short(self) -> str | None:
        """Why there is room for no more than what ``RESERVE_BYTES`` are kept for; None while there is.

        What was short stays so until half as much again is free, or each removed event would make two new ones.
        """
        why = self._why(RESERVE_BYTES * 3 // 2 if self._short else RESERVE_BYTES)
        self._short = why is not None
        return why

    def over(self) -> str | None:
        """Why nothing more may be written at all, whatever the disk would take."""
        used = self._tables().used
        if self._most_bytes is None or used < self._most_bytes:
            return None
        return f"{self._file}: {used} bytes, its limit is {self._most_bytes}"

    def _why(self, wanted_bytes: int) -> str | None:
        """Why there is no room for so much. What was removed makes room in the file, though none on the disk."""
        tables = self._tables()
        if self._most_bytes is not None and tables.used >= self._most_bytes - wanted_bytes:
            mend = "run a recorder, whose receipts let old events go, or raise journal.most_bytes"
            return f"{self._file}: full, its limit is {self._most_bytes} bytes; {mend}"
        if not self._reserve.take() and tables.free < wanted_bytes:
            return f"{self._file}: the disk is full; make room"
        return None

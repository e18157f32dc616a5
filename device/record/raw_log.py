"""The write-ahead log read without SQLite, which stops at its first damaged frame and says nothing."""

import errno
import io
import struct
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

PAGE_BYTES = 4096
"""SQLite's page size since 3.12, and so of every journal."""

# Database File Format, section 4.1: the header of the log and of each of its frames.
_HEADER_BYTES = 32
_MAGIC = b"\x37\x7f\x06"
_SUMS = struct.Struct(">2I")
_FRAME_HEADER = struct.Struct(">6I")
_FRAME_BYTES = _FRAME_HEADER.size + PAGE_BYTES

# WAL-mode File Format, section 2.1: the index begins with two copies of a header, in the machine's byte order but
# for the salts, which are copied from the log: isInit, szPage, mxFrame, aSalt, aCksum.
_NO_SALTS = bytes(8)
_INDEX_HEADER = struct.Struct("=12xBxHI4x8x8s2I")


class Frame(NamedTuple):
    """A page in the log: the ``number``-th frame of its file, from 1. ``commits``: the last one of a commit."""

    number: int
    page: int
    commits: bool


class Counted(NamedTuple):
    """How many frames the index says are committed, and the salts of the log's life in which they are."""

    frames: int
    salts: bytes


class Log:
    """The frames of a log's present life. It may be damaged, or gone. Raises OSError."""

    def __init__(self, file: Path, counted: Counted | None = None) -> None:
        """``counted``: what the index said before anybody opened the database anew."""
        self._file = opened(file)
        self._header = read_at(self._file, 0, _HEADER_BYTES)
        self._frames, self._salts = self._present_life(b"" if counted is None else counted.salts)
        self._counted = 0
        if counted is not None and (counted.salts == self._salts or not _is_sound(self._header)):
            self._counted = counted.frames

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def page(self, frame: int) -> bytes:
        """The page in a frame; one that is cut off or unreadable is filled with zeros."""
        return page_at(self._file, _place(frame) + _FRAME_HEADER.size)

    def broke_off(self, taken: Counted | None) -> bool:
        """Whether something was committed behind what SQLite took. ``taken``: what the index says of that.

        A power cut leaves one commit that is not whole and no other behind it, since each is on the disk before the
        next begins; a kill leaves the index.
        """
        frames, salts = taken or Counted(0, _NO_SALTS)
        if salts not in (self._salts, _NO_SALTS) and self._frames and _is_sound(self._header):
            return False  # its writer has just begun the log anew
        return max(self._counted, self._last_but_one) > frames

    def committed(self) -> Iterator[Frame]:
        """The frames of every commit that was completed, also behind damaged ones.

        Those of the last one where its checksums hold or the index counts it: else a power cut left half of it, or
        it is what is left of one that failed, behind a shorter one that was written over it.
        """
        return (frame for frame in self._frames if frame.number <= self._end)

    @cached_property
    def _end(self) -> int:
        last = self._commits[-1] if self._commits else 0
        sound = all(self._follows(number) for number in range(self._last_but_one + 1, last + 1))
        return max(self._counted, last if sound else self._last_but_one)

    @property
    def _commits(self) -> list[int]:
        return [frame.number for frame in self._frames if frame.commits]

    @property
    def _last_but_one(self) -> int:
        """The last frame of the newest commit that another one follows: it is on the disk before that begins."""
        return self._commits[-2] if len(self._commits) > 1 else 0

    def _follows(self, number: int) -> bool:
        """Whether a frame's checksums go on from those of the one before it, or of the header."""
        before = self._header[24:] if number == 1 else read_at(self._file, _place(number - 1) + 16, 8)
        content = read_at(self._file, _place(number), _FRAME_BYTES)
        if len(before) + len(content) < 8 + _FRAME_BYTES:
            return False
        sums = _checksum(content[:8] + content[_FRAME_HEADER.size :], _SUMS.unpack(before))
        return sums == _SUMS.unpack(content[16:24])

    def _present_life(self, counted: bytes) -> tuple[list[Frame], bytes]:
        """The frames of the log's present life: those of earlier ones, which were copied, have other salts."""
        if _is_sound(self._header):
            return list(self._frames_of(self._header[16:24])), self._header[16:24]
        for salts in (counted, self._first_salts()):
            if len(salts) == 8 and salts != _NO_SALTS and (frames := list(self._frames_of(salts))):
                return frames, salts
        return [], b""

    def _first_salts(self) -> bytes:
        """Those of the first frames that are whole, where the log's own header is not."""
        number, before = 1, b""
        while len(salts := read_at(self._file, _place(number) + 8, 8)) == 8:
            if salts == before and salts != _NO_SALTS and self._follows(number):
                return salts
            number, before = number + 1, salts
        return read_at(self._file, _place(1) + 8, 8)

    def _frames_of(self, salts: bytes) -> Iterator[Frame]:
        number = 1
        while True:
            header = read_at(self._file, _place(number), _FRAME_HEADER.size)
            if len(header) < _FRAME_HEADER.size:
                return
            if header[8:16] == salts:
                page, size_after, *_ = _FRAME_HEADER.unpack(header)
                yield Frame(number, page, size_after != 0)
            number += 1


def frames_counted(index: Path) -> Counted | None:
    """How many frames of the log its index (``-shm``) counts as committed; None where it is damaged or gone."""
    with opened(index) as stream:
        first, second = (read_at(stream, place, 48) for place in (0, 48))
    if len(first) < 48 or first != second:
        return None
    initialised, _, frames, salts, *sums = _INDEX_HEADER.unpack(first)
    if not initialised or tuple(sums) != _checksum(first[:40], (0, 0)):
        return None
    return Counted(frames, salts)


def log_broke_off(database: Path, counted: Counted | None = None) -> bool:
    """Whether the log of an open database holds more than SQLite takes. ``counted``: as for ``Log``."""
    with closing(Log(beside(database, "-wal"), counted)) as log:
        return log.broke_off(frames_counted(beside(database, "-shm")))


def _place(frame: int) -> int:
    return _HEADER_BYTES + (frame - 1) * _FRAME_BYTES


def _is_sound(header: bytes) -> bool:
    return (
        header.startswith(_MAGIC)
        and len(header) == _HEADER_BYTES
        and _checksum(header[:24], (0, 0)) == _SUMS.unpack(header[24:])
    )


def _checksum(content: bytes, sums: tuple[int, ...]) -> tuple[int, ...]:
    """Section 4.2 of the Database File Format, in the byte order of this machine, which wrote the file."""
    one, two = sums
    words = struct.unpack(f"={len(content) // 4}I", content)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = one + first + two & 0xFFFFFFFF
        two = two + second + one & 0xFFFFFFFF
    return one, two


def beside(file: Path, suffix: str) -> Path:
    """The log (``-wal``) or its index (``-shm``) of a database."""
    return file.with_name(file.name + suffix)


def page_at(file: BinaryIO, place: int) -> bytes:
    """The page that begins at a byte of a file, filled with zeros where it is cut off; empty behind the end."""
    content = read_at(file, place, PAGE_BYTES)
    return content.ljust(PAGE_BYTES, b"\0") if content else b""


def read_at(file: BinaryIO, place: int, size: int) -> bytes:
    """Bytes of a file; zeros where the disk does not give them back."""
    try:
        file.seek(place)
        return file.read(size)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return bytes(size)


def opened(file: Path) -> BinaryIO:
    """A file to be read; one that is not there is empty."""
    return file.open("rb") if file.is_file() else io.BytesIO()

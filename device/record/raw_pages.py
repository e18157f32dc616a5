"""Rows of the events table found in the bare pages of a journal's two files, where SQLite finds no way to them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from device.events import MAX_EVENT_BYTES
from device.record.raw_log import PAGE_BYTES, Log, opened, page_at

# Database File Format, section 1.6: how much of a row stands on its leaf page, and how much on an overflow page.
_TABLE_LEAF = 0x0D
_LARGEST_LOCAL = PAGE_BYTES - 35
_SMALLEST_LOCAL = (PAGE_BYTES - 12) * 32 // 255 - 23
_OVERFLOW = PAGE_BYTES - 4
_LARGEST_PAYLOAD = MAX_EVENT_BYTES + 64  # the record's header and the hash


class Found(NamedTuple):
    """A row as it stands on a page. Nothing here says that it is sound. ``hash``: None where none is kept."""

    position: int
    event: bytes
    hash: bytes | None


class Pages:
    """The pages of a database file and of its log. Both may be damaged, or gone. Raises OSError."""

    def __init__(self, database: Path, log: Log) -> None:
        """Nothing is held of them but where the log's pages are."""
        self._file = opened(database)
        self._log = log
        self._in_log = {frame.page: frame.number for frame in log.committed()}

    def close(self) -> None:
        """Close the database."""
        self._file.close()

    def rows(self) -> Iterator[Found]:
        """Every row on a leaf page, first of the database and then of what the log has committed.

        Another table's give nothing, or what does not verify.
        """
        number = 2  # the first page only says what tables there are
        while content := self._database_page(number):
            yield from _rows(content, self._page)
            number += 1
        for frame in self._log.committed():
            yield from _rows(self._log.page(frame.number), self._page)

    def _page(self, number: int) -> bytes:
        frame = self._in_log.get(number)
        return self._database_page(number) if frame is None else self._log.page(frame)

    def _database_page(self, number: int) -> bytes:
        """Empty behind the end of the file."""
        return page_at(self._file, (number - 1) * PAGE_BYTES) if number > 0 else b""


def _rows(content: bytes, page: Callable[[int], bytes]) -> Iterator[Found]:
    """The rows of a table's leaf page; none where it is another page."""
    if content[:1] != bytes([_TABLE_LEAF]):
        return
    cells = int.from_bytes(content[3:5], "big")
    for at in range(8, min(8 + 2 * cells, PAGE_BYTES - 1), 2):
        try:
            found = _row(content, int.from_bytes(content[at : at + 2], "big"), page)
        except IndexError:
            continue  # it points beyond the page
        if found is not None:
            yield found


def _row(content: bytes, at: int, page: Callable[[int], bytes]) -> Found | None:
    """One cell (section 1.6) whose record (section 2.1) is a row of ``events``: NULL, a BLOB, perhaps another."""
    size, at = _varint(content, at)
    position, at = _varint(content, at)
    if size > _LARGEST_PAYLOAD:
        return None
    payload = _payload(content, at, size, page)
    header, at = _varint(payload, 0)
    types = []
    while at < header:
        serial, at = _varint(payload, at)
        types.append(serial)
    if len(types) not in (2, 3) or types[0] != 0 or any(serial < 12 or serial % 2 for serial in types[1:]):
        return None
    end = header + (types[1] - 12) // 2
    return Found(position, payload[header:end], payload[end:] if len(types) == 3 else None)


def _payload(content: bytes, at: int, size: int, page: Callable[[int], bytes]) -> bytes:
    if size <= _LARGEST_LOCAL:
        return content[at : at + size]
    local = _SMALLEST_LOCAL + (size - _SMALLEST_LOCAL) % _OVERFLOW
    if local > _LARGEST_LOCAL:
        local = _SMALLEST_LOCAL
    payload = content[at : at + local]
    following = content[at + local : at + local + 4]
    while len(payload) < size and (more := page(int.from_bytes(following, "big"))):
        payload += more[4 : 4 + size - len(payload)]
        following = more[:4]
    return payload


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer of at most 9 bytes, and where it ends. Raises IndexError."""
    value = 0
    for end in range(at + 1, at + 9):
        byte = content[end - 1]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, end
    return value << 8 | content[at + 8], at + 9

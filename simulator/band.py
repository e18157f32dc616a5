"""The band of black and white blocks along the lower edge of the scene, from which tests read what was true."""

import binascii
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import SimulatorError

ROWS, COLUMNS = 4, 32
HEIGHT = 0.2
"""Of the picture. Everything is in fractions of it, so that the band is read at any size."""
MOST_DOORS = 16
BLACK, WHITE = 16, 235
_BITS = ROWS * COLUMNS
_QUIET = 1  # blocks left black at either end, and half a one above and below


class Unreadable(SimulatorError):
    """No whole band is in the picture: it is covered, turned away, or too small."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a picture shows.

    ``frame``: its number since the camera was opened. ``uptime_ms``: when it was taken (CLOCK_BOOTTIME).
    ``doors``: of each door and lid, in the order of the configuration, whether it is open. ``someone``: at a reader
    or a button.
    """

    frame: int
    uptime_ms: int
    doors: tuple[bool, ...]
    someone: bool


def blocks(seen: Seen) -> NDArray[np.bool_]:
    """``ROWS`` x ``COLUMNS``, True for white."""
    doors = sum(is_open << place for place, is_open in enumerate(seen.doors[:MOST_DOORS]))
    body = b"".join(
        (
            (seen.frame % (1 << 32)).to_bytes(4, "big"),
            seen.uptime_ms.to_bytes(6, "big"),
            bytes([len(seen.doors[:MOST_DOORS])]),
            doors.to_bytes(2, "big"),
            bytes([seen.someone]),
        )
    )
    whole = np.frombuffer(body + _checksum(body), dtype=np.uint8)
    return np.unpackbits(whole).reshape(ROWS, COLUMNS).astype(np.bool_)


def paint(luma: NDArray[np.uint8], seen: Seen) -> None:
    """Into the lower edge of a picture's luma."""
    height, width = luma.shape
    luma[_y(height, -_QUIET / 2) :, :] = BLACK
    for row, line in enumerate(blocks(seen)):
        top, bottom = _y(height, row), _y(height, row + 1)
        for column, white in enumerate(line):
            if white:
                luma[top:bottom, _x(width, column) : _x(width, column + 1)] = WHITE


def read(luma: NDArray[Any]) -> Seen:
    """From a picture's luma, whatever its size. Raises Unreadable."""
    height, width = luma.shape
    bits = np.array(
        [
            _inner(luma, (_y(height, row), _y(height, row + 1)), (_x(width, column), _x(width, column + 1)))
            > (BLACK + WHITE) / 2
            for row in range(ROWS)
            for column in range(COLUMNS)
        ]
    )
    whole = np.packbits(bits).tobytes()
    body, checksum = whole[:-2], whole[-2:]
    if checksum != _checksum(body):
        raise Unreadable(f"no whole band along the lower edge of this picture of {width} x {height}")
    doors = int.from_bytes(body[11:13], "big")
    return Seen(
        frame=int.from_bytes(body[0:4], "big"),
        uptime_ms=int.from_bytes(body[4:10], "big"),
        doors=tuple(bool(doors >> place & 1) for place in range(body[10])),
        someone=bool(body[13]),
    )


def _inner(luma: NDArray[Any], rows: tuple[int, int], columns: tuple[int, int]) -> float:
    """The middle of a block: its edges are soft in a picture that was shrunk."""
    (top, bottom), (left, right) = rows, columns
    down, across = (bottom - top) // 4, (right - left) // 4
    inner = luma[
        top + down : max(bottom - down, top + down + 1), left + across : max(right - across, left + across + 1)
    ]
    return float(inner.mean())


def _x(width: int, column: float) -> int:
    return round(width * (column + _QUIET) / (COLUMNS + 2 * _QUIET))


def _y(height: int, row: float) -> int:
    return round(height * (1 - HEIGHT + HEIGHT * (row + _QUIET / 2) / (ROWS + _QUIET)))


def _checksum(body: bytes) -> bytes:
    return binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")

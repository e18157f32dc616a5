"""Frames between a host and the PN532, pure: NXP UM0701-02 rev. 02, section 6.2."""

from dataclasses import dataclass
from enum import Enum, IntEnum

HOST, CHIP = 0xD4, 0xD5
"""TFI: who speaks (6.2.1.1)."""
MAX_LENGTH = 265
"""TFI and packet data of an extended frame (6.2.1.2)."""
_START = b"\x00\xff"
_SYNTAX_ERROR = b"\x7f"


class Code(IntEnum):
    """Commands (7, table 14); the ones used here. An answer's code is one more."""

    GET_FIRMWARE_VERSION = 0x02
    SET_PARAMETERS = 0x12
    SAM_CONFIGURATION = 0x14
    RF_CONFIGURATION = 0x32
    IN_DATA_EXCHANGE = 0x40
    IN_LIST_PASSIVE_TARGET = 0x4A


class Sign(Enum):
    """Frames that carry nothing but themselves, as their bytes (6.2.1.3 to 6.2.1.5)."""

    ACK = b"\x00\x00\xff\x00\xff\x00"
    NACK = b"\x00\x00\xff\xff\x00\x00"
    SYNTAX_ERROR = b"\x00\x00\xff\x01\xff\x7f\x81\x00"


@dataclass(frozen=True, slots=True)
class Information:
    """A command or an answer whose check sums are right. ``tfi``: HOST or CHIP, or nonsense."""

    tfi: int
    code: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """What began like a frame and is none. ``why``: for people."""

    why: str


Frame = Sign | Information | Broken


def frame(tfi: int, code: int, data: bytes = b"") -> bytes:
    """The bytes of an information frame, extended where it has to be. Raises ValueError if it is too long."""
    body = bytes([tfi, code]) + data
    size = len(body)
    if size > MAX_LENGTH:
        raise ValueError(f"{size} bytes do not fit into a frame of {MAX_LENGTH}")
    if size > 0xFF:
        head = b"\xff\xff" + size.to_bytes(2) + bytes([-(size >> 8) - size & 0xFF])
    else:
        head = bytes([size, -size & 0xFF])
    return b"\x00" + _START + head + body + bytes([-sum(body) & 0xFF, 0x00])


class FrameParser:
    """Bytes in, frames out, in pieces of any size. Preamble, postamble and noise between frames are passed over."""

    def __init__(self) -> None:
        """Nothing was heard."""
        self._held = bytearray()

    @property
    def mid_frame(self) -> bool:
        """Whether a frame has begun and not ended."""
        return len(self._held) > 1  # one zero may be a postamble

    def drop(self) -> None:
        """Forget what has begun."""
        self._held.clear()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that end in ``data``. Holds at most one frame's bytes after that."""
        self._held += data
        found = []
        while (one := self._take()) is not None:
            found.append(one)
        return found

    def _take(self) -> Frame | None:
        held = self._held
        start = held.find(_START)
        # Without a start code, only a last zero may still become the begin of one.
        del held[: start if start >= 0 else len(held) - held.endswith(b"\x00")]
        if len(held) < 4:
            return None
        match held[2:4]:
            case b"\x00\xff":
                return self._cut(4, Sign.ACK)
            case b"\xff\x00":
                return self._cut(4, Sign.NACK)
            case b"\xff\xff":
                if len(held) < 7:
                    return None
                head, size, sound = 7, held[4] << 8 | held[5], not sum(held[4:7]) & 0xFF
            case _:
                head, size, sound = 4, held[2], not sum(held[2:4]) & 0xFF
        if not sound:
            return self._cut(len(_START), Broken("a wrong length check sum (LCS)"))
        if not 0 < size <= MAX_LENGTH:
            return self._cut(len(_START), Broken(f"a frame of {size} bytes"))
        if len(held) <= head + size:
            return None
        body, checked = bytes(held[head : head + size]), held[head : head + size + 1]
        # Its length is believed, so nothing in a card's bytes is ever taken for a frame of the chip's own.
        return self._cut(head + size + 1, _read(body, sound=not sum(checked) & 0xFF))

    def _cut(self, size: int, found: Frame) -> Frame:
        del self._held[:size]
        return found


def _read(body: bytes, *, sound: bool) -> Frame:
    if not sound:
        return Broken("a wrong data check sum (DCS)")
    if body == _SYNTAX_ERROR:
        return Sign.SYNTAX_ERROR
    if len(body) < 2:
        return Broken("a frame without a code")
    return Information(body[0], body[1], body[2:])

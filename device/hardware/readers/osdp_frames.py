"""OSDP frames, pure: bytes in, frames out, and whether a frame may answer a command.

SIA OSDP 2.2 (IEC 60839-11-5:2020), packet format: SOM, address with 0x80 for a reply, length (2 bytes, low first,
of all but a mark before it), control (sequence, CRC, security block), security block, code, data, MAC of 4 bytes
on a secure channel, CRC or check sum. Security blocks: annex D.
"""

from binascii import crc_hqx
from dataclasses import dataclass
from enum import IntEnum

from device.hardware.readers.reader import FrameRefused

SOM = 0x53
QUIET = b"\xff\x00"
"""Marks between frames, and what a transceiver hears while the line's direction turns."""
HEADER_BYTES = 5
LEAST_BYTES = 7
MOST_BYTES = 256
"""What libosdp's buffer takes, a mark before it included."""
MAC_BYTES = 4
_REPLY = 0x80
_SEQUENCE, _CRC, _SECURED = 0x03, 0x04, 0x08
_CRC_START = 0x1D0F


class Command(IntEnum):
    """Those that the gate and the people who read of it tell apart."""

    POLL = 0x60
    ID = 0x61
    CAPABILITIES = 0x62
    LOCAL_STATUS = 0x64
    LED = 0x69
    BUZZER = 0x6A
    KEYSET = 0x75
    CHALLENGE = 0x76
    SERVER_CRYPTOGRAM = 0x77


class Reply(IntEnum):
    """The same of the other direction."""

    ACK = 0x40
    NAK = 0x41
    ID = 0x45
    CAPABILITIES = 0x46
    CLIENT_CRYPTOGRAM = 0x76
    INITIAL_MAC = 0x78
    BUSY = 0x79


class Block(IntEnum):
    """SCS_11 to SCS_18: odd ones from the panel, even ones from the reader. From 15 on there is a MAC."""

    CHALLENGE = 0x11
    CLIENT_CRYPTOGRAM = 0x12
    SERVER_CRYPTOGRAM = 0x13
    INITIAL_MAC = 0x14
    COMMAND_MAC = 0x15
    REPLY_MAC = 0x16
    COMMAND_ENCRYPTED = 0x17
    REPLY_ENCRYPTED = 0x18


@dataclass(frozen=True, slots=True)
class Frame:
    """``raw``: from SOM on. ``key``: the third byte of a handshake's security block. ``data``: without a MAC."""

    raw: bytes
    address: int
    is_reply: bool
    sequence: int
    block: Block | None
    key: int | None
    code: int
    data: bytes


def read_frame(raw: bytes) -> Frame:
    """A whole frame, from SOM to its CRC or check sum. Raises FrameRefused."""
    if not LEAST_BYTES <= len(raw) <= MOST_BYTES or raw[0] != SOM or length_of(raw) != len(raw):
        raise FrameRefused("bytes that are no frame")
    control = raw[4]
    if not _checks(raw, crc=bool(control & _CRC)):
        raise FrameRefused("a frame with a wrong check sum")
    body = raw[HEADER_BYTES : -2 if control & _CRC else -1]
    block, key = None, None
    if control & _SECURED:
        block, key, body = _block(body)
    if not body:
        raise FrameRefused("a frame without a code")
    return Frame(
        raw=raw,
        address=raw[1] & ~_REPLY,
        is_reply=bool(raw[1] & _REPLY),
        sequence=control & _SEQUENCE,
        block=block,
        key=key,
        code=body[0],
        data=body[1:],
    )


def length_of(raw: bytes | bytearray) -> int:
    """What a frame says of its length, from a whole header."""
    return raw[2] | raw[3] << 8


def _checks(raw: bytes, *, crc: bool) -> bool:
    """CRC-16 of the ITU (polynomial 0x1021) from 0x1D0F, low byte first; or all bytes adding up to nothing."""
    if crc:
        return crc_hqx(raw[:-2], _CRC_START) == int.from_bytes(raw[-2:], "little")
    return sum(raw) & 0xFF == 0


def _block(body: bytes) -> tuple[Block, int | None, bytes]:
    """A security block, its third byte in a handshake, and what is behind it less the MAC."""
    try:
        block = Block(body[1])
    except (IndexError, ValueError):
        raise FrameRefused("a frame with an unknown security block") from None
    handshake = block < Block.COMMAND_MAC
    size = 3 if handshake else 2
    if body[0] != size or len(body) < size:
        raise FrameRefused("a frame whose security block has a wrong length")
    if handshake:
        return block, body[2], body[size:]
    if len(body) < size + 1 + MAC_BYTES:
        raise FrameRefused("a frame that is too short for its MAC")
    return block, None, body[size:-MAC_BYTES]


class Cutter:
    """A stream of bytes in, whole frames out. ``noise``: bytes that belonged to none, since it was last zeroed."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._held = bytearray()
        self.noise = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Frames that are whole now and check, each from SOM on."""
        self._held += data
        frames = []
        while self._to_som() and len(self._held) >= HEADER_BYTES:
            length = length_of(self._held)
            if LEAST_BYTES <= length <= MOST_BYTES:
                if len(self._held) < length:
                    break
                raw = bytes(self._held[:length])
                if _checks(raw, crc=bool(raw[4] & _CRC)):
                    frames.append(raw)
                    del self._held[:length]
                    continue
            self._drop(1)
        return frames

    def reset(self) -> None:
        """What is unfinished will not be finished any more."""
        self._drop(len(self._held))

    def _to_som(self) -> bool:
        """Whether a frame seems to begin."""
        start = self._held.find(SOM)
        self._drop(len(self._held) if start < 0 else start)
        return start >= 0

    def _drop(self, count: int) -> None:
        self.noise += sum(byte not in QUIET for byte in self._held[:count])
        del self._held[:count]


_MAY_ANSWER: dict[Block | None, frozenset[Block | None]] = {
    None: frozenset({None}),
    Block.CHALLENGE: frozenset({Block.CLIENT_CRYPTOGRAM}),
    Block.SERVER_CRYPTOGRAM: frozenset({Block.INITIAL_MAC}),
    Block.COMMAND_MAC: frozenset({Block.REPLY_MAC, Block.REPLY_ENCRYPTED}),
    Block.COMMAND_ENCRYPTED: frozenset({Block.REPLY_MAC, Block.REPLY_ENCRYPTED}),
}
_MEANS: dict[Block | None, frozenset[int]] = {
    None: frozenset({Reply.ID, Reply.CAPABILITIES}),
    Block.CLIENT_CRYPTOGRAM: frozenset({Reply.CLIENT_CRYPTOGRAM}),
    Block.INITIAL_MAC: frozenset({Reply.INITIAL_MAC}),
}
"""The only replies there are outside a secure channel."""


def judge(asked: Frame, answer: Frame, *, installing: bool = False) -> None:
    """Whether ``answer`` may be taken for one to ``asked``. Raises FrameRefused.

    libosdp 3.2.9 checks no MAC where the security block is a handshake's, so that anybody on the line could send a
    badge number in the middle of a secure session. What comes through here on one has a MAC, which libosdp checks.
    A NAK may come in the clear and out of sequence, from a reader that lost its session: all it can do is end ours.
    ``installing``: a reader that has taken a new key may say so in the clear.
    """
    if not answer.is_reply or answer.address != asked.address:
        raise FrameRefused("an answer of somebody who was not asked")
    if answer.block is None and answer.code == Reply.NAK:
        return
    if answer.sequence != asked.sequence:
        raise FrameRefused("an answer to something that was not asked")
    if installing and answer.block is None and (asked.code, answer.code) == (Command.KEYSET, Reply.ACK):
        return
    if answer.block not in _MAY_ANSWER.get(asked.block, frozenset()):
        raise FrameRefused("an unsecured answer on a secure channel: somebody else sends on the line")
    if answer.block in _MEANS and answer.code not in _MEANS[answer.block]:
        raise FrameRefused(f"an answer (0x{answer.code:02X}) that needs a secure channel, without one")

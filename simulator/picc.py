"""A contactless card, bit by bit: the state machine of ISO/IEC 14443-3:2011 type A, without the radio."""

from enum import Enum

from device.hardware.readers.iso14443a import (
    CASCADE_TAG,
    HLTA,
    REQA,
    SAK_CASCADE,
    SELECT_LEVELS,
    SELECT_NVB,
    WUPA,
    bcc,
    crc_a,
)

Bits = list[int]
"""A frame on the air, first bit first (the lowest of each byte), without start, parity and end."""

_SAK_COMPLETE = 0x08


class State(Enum):
    """Clause 6.3; the starred states are told by ``Card.was_halted``."""

    IDLE = "idle"
    READY = "ready"
    ACTIVE = "active"
    HALT = "halt"


def to_bits(data: bytes) -> Bits:
    """The bytes as they go over the air."""
    return [byte >> n & 1 for byte in data for n in range(8)]


def to_bytes(bits: Bits) -> bytes:
    """The bits as a FIFO stores them; the last byte is filled up with zeros."""
    return sum(bit << n for n, bit in enumerate(bits)).to_bytes((len(bits) + 7) // 8, "little")


class Card:
    """One card in the field. ``reads``: how often it was selected and then halted."""

    def __init__(self, uid: bytes) -> None:
        """``uid``: 4, 7 or 10 bytes. Raises ValueError for what cannot be a card's UID."""
        self.uid = uid
        self.reads = 0
        self.state = State.IDLE
        self.was_halted = False
        self._level = 0
        self._levels = _levels(uid)

    def power_off(self) -> None:
        """The field went away."""
        self.state, self.was_halted, self._level = State.IDLE, False, 0

    def hear(self, frame: Bits) -> Bits | None:
        """What the card answers to a frame; None for silence."""
        if len(frame) == 7:
            return self._requested(to_bytes(frame)[0])
        if self.state is State.READY:
            return self._selecting(frame)
        if self.state is State.ACTIVE:
            if frame == to_bits(HLTA):
                self.state = State.HALT
                self.reads += 1
            else:
                self._fall_back()
        return None

    def _requested(self, command: int) -> Bits | None:
        woken = (State.IDLE, State.HALT) if command == WUPA else (State.IDLE,) if command == REQA else ()
        if self.state in woken:
            self.was_halted = self.state is State.HALT
            self.state, self._level = State.READY, 0
            # ATQA (6.5.2): bit frame anticollision, and the UID's size in bits 7 and 8.
            return to_bits(bytes([0x04 | len(self._levels) - 1 << 6, 0x00]))
        if self.state in {State.READY, State.ACTIVE}:
            self._fall_back()
        return None

    def _selecting(self, frame: Bits) -> Bits | None:
        own = to_bits(self._levels[self._level])
        sel, nvb = (*to_bytes(frame[:16]), 0, 0)[:2]
        known = frame[16:]
        if len(frame) >= 16 and sel == SELECT_LEVELS[self._level]:
            if nvb == SELECT_NVB and to_bytes(frame) == _with_crc(bytes([sel, nvb]) + to_bytes(own)):
                return self._selected()
            whole, odd = divmod(len(known), 8)
            if nvb == (2 + whole) << 4 | odd and len(known) <= 32 and known == own[: len(known)]:
                return own[len(known) :]
        self._fall_back()  # another card is meant, or the frame is garbled (figure 7)
        return None

    def _selected(self) -> Bits:
        self._level += 1
        if self._level < len(self._levels):
            return to_bits(_with_crc(bytes([SAK_CASCADE])))
        self.state = State.ACTIVE
        return to_bits(_with_crc(bytes([_SAK_COMPLETE])))

    def _fall_back(self) -> None:
        """READY and ACTIVE go back to IDLE, their starred twins to HALT."""
        self.state = State.HALT if self.was_halted else State.IDLE


def _levels(uid: bytes) -> list[bytes]:
    """UID CLn of each cascade level with its BCC (6.5.4)."""
    if len(uid) not in {4, 7, 10}:
        raise ValueError(f"a UID has 4, 7 or 10 bytes, not {len(uid)}")
    if (len(uid), CASCADE_TAG) in {(4, uid[0]), (7, uid[3])}:
        raise ValueError(f"a UID part must not begin with the cascade tag 0x88: {uid.hex()}")
    parts = []
    while len(uid) > 4:
        parts.append(bytes([CASCADE_TAG]) + uid[:3])
        uid = uid[3:]
    return [part + bytes([bcc(part)]) for part in (*parts, uid)]


def _with_crc(data: bytes) -> bytes:
    return data + crc_a(data)

"""ISO/IEC 14443-3:2011 type A, the reader's side: wake, anticollision through the cascade levels, select, halt."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from device.hardware.readers.reader import CardGarbled

WUPA = 0x52
REQA = 0x26
"""Short frames of 7 bits (6.4.1): REQA wakes cards that are IDLE, WUPA those in HALT too."""
SELECT_LEVELS = (0x93, 0x95, 0x97)
"""SEL of cascade levels 1 to 3 (6.5.3.2)."""
SELECT_NVB = 0x70
CASCADE_TAG = 0x88
SAK_CASCADE = 0x04
"""SAK: the UID is not complete, go on to the next level (6.5.3.4)."""
HLTA = b"\x50\x00\x57\xcd"
"""With its CRC_A (6.4.3)."""
MAX_CARDS = 4
_UID_BITS = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from the field.

    ``data``: with the first received bit at the alignment asked for. ``last_bits``: valid bits of the
    last byte, 0 for all. ``collided``: cards answered differently; ``collision_bit`` then says where
    first, counted from 1 at the lowest bit of ``data``, None where the chip cannot tell.
    """

    data: bytes
    last_bits: int = 0
    collided: bool = False
    collision_bit: int | None = None


class Pcd(Protocol):
    """A proximity coupling device: it sends a frame and hears the answer."""

    def exchange(self, frame: bytes, last_bits: int = 0, align: int = 0) -> Answer | None:
        """Send; None for a clean time-out.

        ``last_bits``: how many bits of the last byte to send, 0 for all; ``align``: bit position at
        which the first received bit is stored. Raises CardGarbled for anything but a collision.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Branch:
    """A path through the UIDs: whole levels, then the first ``count`` bits of the next one."""

    levels: tuple[bytes, ...] = ()
    bits: int = 0
    count: int = 0


def cards_in_field(pcd: Pcd) -> list[bytes]:
    """UIDs of at most ``MAX_CARDS`` cards; empty when nobody answers WUPA.

    Raises CardGarbled with the UIDs read until then. A card that has lain there since the last call
    and loses an anticollision falls back to HALT (6.3.6), where REQA no longer reaches it: so the
    other branch of every collision is walked with a WUPA of its own. The REQA at the end finds cards
    that came later or that a stronger one had drowned out.
    """
    uids: list[bytes] = []
    branches: list[_Branch] = []
    request, branch = WUPA, _Branch()
    try:
        for _ in range(MAX_CARDS):
            if not _answered(pcd, request):
                break
            uid, others = _select(pcd, branch)
            if uid not in uids:
                uids.append(uid)
            pcd.exchange(HLTA)
            branches += others
            request, branch = (WUPA, branches.pop()) if branches else (REQA, _Branch())
    except CardGarbled as garbled:
        # Cards left in READY would take the next WUPA for an error and fall silent, like an empty field (6.3.3).
        with suppress(CardGarbled):
            pcd.exchange(HLTA)
        raise CardGarbled(str(garbled), tuple(uids)) from garbled
    return uids


def _answered(pcd: Pcd, request: int) -> bool:
    answer = pcd.exchange(bytes([request]), last_bits=7)
    if answer is None:
        return False
    # Different cards' ATQAs collide as a rule; only their presence is of interest.
    if not answer.collided and (len(answer.data), answer.last_bits) != (2, 0):
        raise CardGarbled("the answer to a request is not two bytes long")
    return True


def _select(pcd: Pcd, branch: _Branch) -> tuple[bytes, list[_Branch]]:
    """Select the card at the end of ``branch``; returns its UID and the branches not taken."""
    others: list[_Branch] = []
    levels: tuple[bytes, ...] = ()
    for number, sel in enumerate(SELECT_LEVELS):
        if number < len(branch.levels):
            level = branch.levels[number]
        else:
            here = number == len(branch.levels)
            level, zeros = _anticollision(pcd, sel, *((branch.bits, branch.count) if here else (0, 0)))
            others += [_Branch(levels, bits, count) for bits, count in zeros]
        levels += (level,)
        goes_on = _select_level(pcd, sel, level)
        # The tag announces a further level; no UID may begin with it in its place (6.5.4).
        if sel != SELECT_LEVELS[-1] and goes_on != (level[0] == CASCADE_TAG):
            raise CardGarbled("the SAK and the cascade tag contradict each other")
        if not goes_on:
            return b"".join(part[1:] for part in levels[:-1]) + level, others
    raise CardGarbled("the card asks for a fourth cascade level")


def _anticollision(pcd: Pcd, sel: int, bits: int, count: int) -> tuple[bytes, list[tuple[int, int]]]:
    """The bitwise loop (6.5.3.1) from ``count`` known bits on.

    Returns the four bytes of one level, and ``(bits, count)`` of the branches not taken. At a
    collision the 1 is followed. Ends because every round knows at least one bit more.
    """
    zeros: list[tuple[int, int]] = []
    while count < _UID_BITS:
        whole, odd = divmod(count, 8)
        known = bits.to_bytes(4, "little")[: whole + (odd > 0)]
        answer = pcd.exchange(bytes([sel, (2 + whole) << 4 | odd]) + known, last_bits=odd, align=odd)
        if answer is None:
            raise CardGarbled("a card answered and fell silent in the anticollision")
        heard = int.from_bytes(answer.data, "little") >> odd << odd + 8 * whole | bits
        if not answer.collided:
            if (len(answer.data), answer.last_bits) != (5 - whole, 0):
                raise CardGarbled("an anticollision answer has the wrong length")
            level = heard.to_bytes(5, "little")
            if level[4] != bcc(level[:4]):
                raise CardGarbled("a UID does not match its check byte BCC")
            return level[:4], zeros
        at = 8 * whole + (answer.collision_bit or 0)
        if not count < at <= _UID_BITS:
            raise CardGarbled("cards collided, and the chip cannot tell where")
        zero = heard & (1 << at - 1) - 1
        zeros.append((zero, at))
        bits, count = zero | 1 << at - 1, at
    return bits.to_bytes(4, "little"), zeros


def _select_level(pcd: Pcd, sel: int, level: bytes) -> bool:
    """SELECT (6.5.3.3); returns whether the SAK announces a further level."""
    frame = bytes([sel, SELECT_NVB]) + level + bytes([bcc(level)])
    answer = pcd.exchange(frame + crc_a(frame))
    if answer is None:
        raise CardGarbled("a card answered and fell silent when it was selected")
    if answer.collided or (len(answer.data), answer.last_bits) != (3, 0):
        raise CardGarbled("a SAK has the wrong length or collided")
    if crc_a(answer.data[:1]) != answer.data[1:]:
        raise CardGarbled("a SAK does not match its CRC")
    return bool(answer.data[0] & SAK_CASCADE)


def bcc(level: bytes) -> int:
    """Exclusive-or of the four bytes of one cascade level (6.5.3.1)."""
    return level[0] ^ level[1] ^ level[2] ^ level[3]


def crc_a(data: bytes) -> bytes:
    """CRC_A (6.2.4, annex B): ISO/IEC 13239's polynomial, preset 0x6363, low byte first."""
    crc = 0x6363
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc.to_bytes(2, "little")

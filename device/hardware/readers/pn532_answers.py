"""What the PN532's answers say, pure: the cards it found, and what it complains of (UM0701-02 rev. 02)."""

from dataclasses import dataclass

from device.errors import GuardpostError

_SAK_ISO_DEP = 0x20
"""SEL_RES: the card speaks ISO/IEC 14443-4, so its ATS follows (7.3.5)."""


class BadAnswer(GuardpostError):
    """A whole frame whose content is not what the manual says."""


@dataclass(frozen=True, slots=True)
class Target:
    """A type A card that the chip has selected. ``number``: for InDataExchange. ``ats``: empty unless ISO-DEP."""

    number: int
    uid: bytes
    sak: int
    ats: bytes = b""


def read_targets(data: bytes) -> tuple[Target, ...]:
    """The cards of an answer to InListPassiveTarget at 106 kbps type A (7.3.5). Raises BadAnswer."""
    if not data:
        raise BadAnswer("a list of cards without their number")
    targets, rest = [], data[1:]
    for _ in range(data[0]):
        target, rest = _read_target(rest)
        targets.append(target)
    if rest:
        raise BadAnswer("a list of cards with something behind its last one")
    return tuple(targets)


def _read_target(data: bytes) -> tuple[Target, bytes]:
    """Number, SENS_RES (2 bytes), SEL_RES, length and bytes of the UID, and an ATS that counts its length byte."""
    number, sak, size = (data[0], data[3], data[4]) if len(data) >= 5 else (0, 0, 0)
    uid, rest = data[5 : 5 + size], data[5 + size :]
    if size not in {4, 7, 10} or len(uid) != size:
        raise BadAnswer("a card without a UID of 4, 7 or 10 bytes")
    if not sak & _SAK_ISO_DEP:
        return Target(number, uid, sak), rest
    if not rest or not 0 < rest[0] <= len(rest):
        raise BadAnswer("a smart card without its ATS")
    return Target(number, uid, sak, rest[1 : rest[0]]), rest[rest[0] :]


ERROR_BITS, MORE_BIT = 0x3F, 0x40
"""In a status byte (7.1): an error, and that the card has more to say."""
_ERRORS = {
    0x01: "the card does not answer in time",
    0x02: "a wrong CRC",
    0x03: "a wrong parity",
    0x04: "a wrong bit count in the anticollision",
    0x05: "a framing error",
    0x06: "a bit collision",
    0x07: "too small a buffer",
    0x09: "an overflow of its receive buffer",
    0x0A: "no field in time",
    0x0B: "a broken protocol",
    0x0D: "it is too hot",
    0x0E: "an overflow of its own buffer",
    0x10: "a parameter out of range",
    0x13: "data not in the card's format",
    0x14: "the card refuses the key",
    0x23: "a wrong check byte of the UID",
    0x25: "not possible in this state",
    0x26: "not allowed in this configuration",
    0x27: "not possible now: no such card is selected",
    0x29: "the card was released",
    0x2A: "the card was exchanged for another",
    0x2B: "the card is gone",
    0x2D: "too much current",
}


def error_named(status: int) -> str | None:
    """What an answer's status byte complains of (table 15); None for nothing."""
    code = status & ERROR_BITS
    return f"{_ERRORS.get(code, 'an unknown error')} (error 0x{code:02X})" if code else None

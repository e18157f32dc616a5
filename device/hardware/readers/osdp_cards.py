"""What OSDP readers tell, pure, and the badge number in it."""

from dataclasses import dataclass

from device.hardware.readers.reader import FrameRefused
from device.hardware.readers.wiegand_frames import FORMATS, value

RAW, WIEGAND = 0, 1
"""Format codes of osdp_RAW (SIA OSDP 2.2): bits as they are, or with parity bits at both ends."""
LEAST_BITS, MOST_BITS = 24, 80


@dataclass(frozen=True, slots=True)
class CardRead:
    """osdp_RAW. ``data``: the bits, the first one highest in the first byte."""

    format_code: int
    bits: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LocalStatus:
    """osdp_LSTATR. ``tamper``: its housing is open. ``power``: its supply fails."""

    tamper: bool = False
    power: bool = False


def number(card: CardRead) -> bytes:
    """3 to 10 bytes. Raises FrameRefused.

    Frames of 26, 34 and 37 bits lose their parity bits, so that a badge has one number at Wiegand and OSDP readers;
    any other length is a number as it is.
    """
    bits, data = card.bits, card.data
    if card.format_code not in (RAW, WIEGAND):
        raise FrameRefused(f"a badge in format {card.format_code}, which is none: set the reader to raw or Wiegand")
    if bits < 0 or len(data) != (bits + 7) // 8:
        raise FrameRefused(f"a badge of {bits} bits in {len(data)} bytes: update the reader's firmware")
    if not LEAST_BITS <= bits <= MOST_BITS:
        raise FrameRefused(f"a badge of {bits} bits, not {LEAST_BITS} to {MOST_BITS}: set the reader's format")
    whole = int.from_bytes(data, "big") >> (8 * len(data) - bits)
    if bits in FORMATS:
        return value([int(bit) for bit in f"{whole:0{bits}b}"], bits)
    return whole.to_bytes((bits + 7) // 8, "big")

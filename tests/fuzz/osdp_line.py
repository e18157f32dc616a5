"""What comes over an OSDP line, and the bits of a badge, as bytes to bend."""

import random
from itertools import pairwise

from osdp_bench import ACK, FORGED_CARD, NAK, PDCAP, PDID, RAW, crc, frame

from device.hardware.readers.osdp_cards import CardRead, number
from device.hardware.readers.osdp_frames import MOST_BYTES, Block, Cutter, Frame, Reply, judge, read_frame
from device.hardware.readers.reader import FrameRefused

_MAC = bytes(4)
ASKED = [
    read_frame(frame(0x61, b"\x00", reply=False)),
    read_frame(frame(0x62, b"\x00", reply=False, sequence=1)),
    read_frame(frame(0x76, bytes(8), reply=False, sequence=2, block=b"\x03\x11\x01")),
    read_frame(frame(0x77, bytes(16), reply=False, sequence=3, block=b"\x03\x13\x01")),
    read_frame(frame(0x60, reply=False, sequence=1, block=b"\x02\x15", mac=_MAC)),
    read_frame(frame(0x75, bytes(32), reply=False, sequence=2, block=b"\x02\x17", mac=_MAC)),
]
"""The first byte of an input says which one was asked, and whether a reader is being installed."""


def osdp(data: bytes) -> None:
    """``device.hardware.readers.osdp_frames``: what is admitted on a secure channel has a MAC, or is a NAK."""
    asked, installing = ASKED[data[0] // 2 % len(ASKED)] if data else ASKED[0], bool(data[:1] and data[0] & 1)
    for answer in heard(data[1:]):
        try:
            judge(asked, answer, installing=installing)
        except FrameRefused as refused:
            assert str(refused).isprintable() and len(str(refused)) < 200, refused
            continue
        assert answer.is_reply and answer.address == asked.address
        if answer.block is None and asked.block is not None:
            assert answer.code == Reply.NAK or (installing and answer.code == Reply.ACK), answer
        elif asked.block is not None and asked.block >= Block.COMMAND_MAC:
            assert answer.block in (Block.REPLY_MAC, Block.REPLY_ENCRYPTED), answer
        elif answer.block is not None:
            assert answer.code in (Reply.CLIENT_CRYPTOGRAM, Reply.INITIAL_MAC), answer
        else:
            assert answer.code in (Reply.ID, Reply.CAPABILITIES, Reply.NAK), answer


def heard(data: bytes) -> list[Frame]:
    """The frames in a stream that comes in two pieces."""
    cutter = Cutter()
    frames = []
    for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
        for raw in cutter.feed(piece):
            assert raw in data and len(raw) <= MOST_BYTES
            try:
                frames.append(read_frame(raw))
            except FrameRefused as refused:
                assert str(refused).isprintable(), refused
    cutter.reset()
    assert 0 <= cutter.noise <= len(data)
    return frames


def osdp_card(data: bytes) -> None:
    """``device.hardware.readers.osdp_cards``: format, bits (2 bytes, low first), then the bits."""
    card = CardRead(int.from_bytes(data[:1]), int.from_bytes(data[1:3], "little"), data[3:])
    try:
        assert 3 <= len(number(card)) <= 10
    except FrameRefused as refused:
        assert str(refused).isprintable() and len(str(refused)) < 200, refused


def bent_line(seed: bytes, chance: random.Random) -> bytes:
    """Bytes changed, doubled or cut out; half of the time the CRC of every frame is made right after that."""
    bent = bytearray(seed)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(bent) + 1)
        put = (b"", bytes([chance.choice((0x53, 0xFF, 0x83, chance.randrange(256)))]), bytes(bent[at : at + 12]))
        bent[at : at + chance.choice((0, 1, 1, 6))] = chance.choice(put)
    if chance.random() < 0.5:
        starts = [at for at, byte in enumerate(bent) if byte == 0x53 and at > 0]
        for start, end in pairwise([*starts, len(bent)]):
            if end - start >= 7:
                bent[start + 2 : start + 4] = (end - start).to_bytes(2, "little")
                bent[end - 2 : end] = crc(bytes(bent[start : end - 2])).to_bytes(2, "little")
    return bytes(bent)


LINES = [
    b"\x00" + frame(PDID, bytes(12)),
    b"\x02\xff" + frame(PDCAP, bytes([9, 1, 1, 4, 4, 1]), sequence=1),
    b"\x04" + frame(0x76, bytes(range(32)), sequence=2, block=b"\x03\x12\x01"),
    b"\x06" + frame(0x78, bytes(range(16)), sequence=3, block=b"\x03\x14\x01"),
    b"\x08" + frame(ACK, sequence=1, block=b"\x02\x16", mac=_MAC),
    b"\x08" + frame(RAW, bytes(16), sequence=1, block=b"\x02\x18", mac=_MAC) + frame(NAK, b"\x06", sequence=1),
    b"\x0b" + frame(ACK, sequence=2) + frame(RAW, FORGED_CARD, sequence=2, checksum=True),
]
CARDS = [
    b"\x00\x20\x00" + bytes.fromhex("01020304"),
    b"\x00\x38\x00" + bytes.fromhex("04A1B2C3D4E5F6"),
    b"\x01\x1a\x00" + bytes.fromhex("00000040"),
    b"\x01\x22\x00" + bytes.fromhex("0000000040"),
    b"\x01\x25\x00" + bytes.fromhex("0000000008"),
]

"""Readers that speak by themselves: their key events, and the edges on two Wiegand lines, as bytes to bend."""

import random
import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from zlib import crc32

from wired import section

from device.hardware.readers.hid_keys import (
    BADGE_BYTES,
    DIGITS,
    EV_KEY,
    EV_SYN,
    SYN_DROPPED,
    KeyEvent,
    NumberFormat,
    Typing,
)
from device.hardware.readers.reader import FrameRefused
from device.hardware.readers.wiegand_frames import FORMATS, MOST_BITS, Edge, Frames, number
from fuzz.mutation import MAX_BYTES
from simulator.far_ends.hid import packets
from simulator.far_ends.wiegand import frame

EVENT = struct.Struct("@llHHi")
"""``struct input_event`` (linux/input.h)."""
EDGE = struct.Struct(">BH")
"""Line in bit 0, whether it is low in bit 1; then how much later, in units of 10 us."""

NUMBERS = (NumberFormat(), NumberFormat("hex"), NumberFormat("decimal", 7, reversed=True), NumberFormat("hex", 4))
_GAP_S = 0.025
_CODES = (*DIGITS, 15, 28, 28, 42, 54, 58, 69, 96, 0, 12, 0x2FF)
_LATER = (0, 1, 5, 5, 195, 195, 2_499, 2_500, 2_501, 65_535)


Found = list[bytes | FrameRefused]
"""Numbers, and what was refused, in their order."""


def hid(data: bytes) -> None:
    """``device.hardware.readers.hid_keys``, by one of the formats of numbers."""
    _look(typed(data, NUMBERS[crc32(data) % len(NUMBERS)]), BADGE_BYTES)


def typed(data: bytes, number_format: NumberFormat) -> Found:
    """What is in whole events; what is left of them is cut off."""
    typing = Typing(number_format)
    found: Found = []
    for seconds, micros, *rest in EVENT.iter_unpack(data[: len(data) // EVENT.size * EVENT.size]):
        try:
            uid = typing.event(KeyEvent(seconds + micros / 1e6, *rest))
        except FrameRefused as refused:
            found.append(refused)
        else:
            found += [] if uid is None else [uid]
    try:
        typing.silent(1)
    except FrameRefused as refused:
        found.append(refused)
    typing.silent(1)  # told once
    return found


def wiegand(data: bytes) -> None:
    """``device.hardware.readers.wiegand_frames``, by one of the formats."""
    bits = FORMATS[crc32(data) % len(FORMATS)]
    _look(sent(data, bits), ((bits + 5) // 8,))


def sent(data: bytes, bits: int) -> Found:
    """What is in whole edges; what is left of them is cut off."""
    frames, at_s = Frames(bits, _GAP_S), 0.0
    ended = []
    for what, later in EDGE.iter_unpack(data[: len(data) // EDGE.size * EDGE.size]):
        at_s += later * 1e-5
        ended.append(frames.add(Edge(at_s, what & 1, bool(what & 2)), at_s))
    ended.append(frames.silent(at_s + 1))
    found: Found = []
    for a_frame in ended:
        if a_frame is not None:
            assert 0 < len(a_frame.edges) <= 2 * MOST_BITS
            try:
                found.append(number(a_frame, bits))
            except FrameRefused as refused:
                found.append(refused)
    return found


def _look(found: Found, lengths: Sequence[int]) -> None:
    for one in found:
        if isinstance(one, FrameRefused):
            assert str(one).isprintable() and len(str(one)) < 200, one
        else:
            assert len(one) in lengths, one


def bent_events(seed: bytes, chance: random.Random) -> bytes:
    """One to four whole events lost, doubled, moved or changed; now and then a byte."""

    def changed(event: bytes) -> bytes:
        seconds, micros, kind, code, value = EVENT.unpack(event)
        match chance.randrange(4):
            case 0:
                code = chance.choice(_CODES)
            case 1:
                kind, code = EV_SYN, SYN_DROPPED
            case 2:
                kind, value = EV_KEY, chance.choice((0, 1, 2, -1))
            case _:
                seconds = max(-(2**62), min(2**62, seconds + chance.choice((-3_600, 1, 2**62))))
        return EVENT.pack(seconds, micros, kind, code, value)

    return _bent(seed, chance, EVENT.size, changed)


def bent_edges(seed: bytes, chance: random.Random) -> bytes:
    """One to four edges, or whole pulses, lost, doubled, moved or changed; now and then a byte."""
    if chance.random() < 0.5:
        return _bent(seed, chance, EDGE.size, lambda _: EDGE.pack(chance.randrange(4), chance.choice(_LATER)))
    return _bent(seed, chance, 2 * EDGE.size, _on_the_other_line)


def _on_the_other_line(pulse: bytes) -> bytes:
    return b"".join(EDGE.pack(what ^ 1, later) for what, later in EDGE.iter_unpack(pulse))


def _bent(seed: bytes, chance: random.Random, size: int, changed: Callable[[bytes], bytes]) -> bytes:
    parts = [seed[at : at + size] for at in range(0, len(seed) - size + 1, size)]
    for _ in range(chance.choice((1, 1, 2, 4))):
        if not parts:
            break
        at = chance.randrange(len(parts))
        match chance.randrange(5):
            case 0:
                del parts[at]
            case 1:
                parts[at:at] = parts[at : at + chance.choice((1, 10, 100))]
            case 2:
                parts.insert(chance.randrange(len(parts)), parts.pop(at))
            case _:
                parts[at] = changed(parts[at])
    bent = bytearray(b"".join(parts)[:MAX_BYTES])
    if bent and chance.random() < 0.1:
        bent[chance.randrange(len(bent))] = chance.randrange(256)
    return bytes(bent)


def _events(*texts: str) -> bytes:
    """Numbers typed one after the other, a report every 10 ms."""
    at_us, events = 1_795_482_900_000_000, []
    for packet in chain.from_iterable(map(packets, texts)):
        at_us += 10_000
        events += [EVENT.pack(*divmod(at_us, 1_000_000), *event) for event in (*packet, (EV_SYN, 0, 0))]
    return b"".join(events)


def _edges(*frames: Iterable[int]) -> bytes:
    """Frames one after the other, a pulse every 2 ms, 30 ms between frames."""
    edges = [
        EDGE.pack(bit | 2 * low, 5 if not low else 195 if place else 3_000)
        for bits in frames
        for place, bit in enumerate(bits)
        for low in (True, False)
    ]
    return b"".join(edges)


def _frame(bits: int, uid: str) -> list[int]:
    keys = {"driver": "wiegand", "data0_pin": 20, "data1_pin": 21, "bits": bits}
    return frame(section(**keys), bytes.fromhex(uid))


KEY_EVENTS = [
    _events("0016909060"),
    _events("01020304"),
    _events("04A1B2C3D4E5F6", "01020304"),
    _events("7" * 40),
]
EDGES = [
    _edges(_frame(26, "D41B81")),
    _edges(_frame(34, "89D41B81"), _frame(34, "89D41B81")),
    _edges(_frame(37, "07FFFFFFFF")),
    _edges([0] * 150),
]

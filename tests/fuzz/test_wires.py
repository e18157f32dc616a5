"""The wires' seeds are what readers send, and bending them finds every way in which a frame is refused."""

import random

from device.hardware.readers.hid_keys import NumberFormat
from device.hardware.readers.reader import FrameRefused
from fuzz.wires import EDGES, KEY_EVENTS, Found, bent_edges, bent_events, sent, typed

DECIMAL, HEX = NumberFormat(), NumberFormat("hex")


def test_the_seeds_are_numbers() -> None:
    assert typed(KEY_EVENTS[0], DECIMAL) == [bytes.fromhex("01020304")]
    assert typed(KEY_EVENTS[2], HEX) == [bytes.fromhex("04A1B2C3D4E5F6"), bytes.fromhex("01020304")]
    assert sent(EDGES[0], 26) == [bytes.fromhex("D41B81")]
    assert sent(EDGES[1], 34) == [bytes.fromhex("89D41B81")] * 2
    assert sent(EDGES[2], 37) == [bytes.fromhex("07FFFFFFFF")]


def test_mutation_goes_deep() -> None:
    """Of a thousand bent inputs some are still numbers, and the others are refused for every reason there is."""
    chance = random.Random(7)
    found: Found = []
    for _ in range(1000):
        found += typed(bent_events(chance.choice(KEY_EVENTS), chance), chance.choice((DECIMAL, HEX)))
        found += sent(bent_edges(chance.choice(EDGES), chance), chance.choice((26, 34, 37)))
    refused = " ".join(str(one) for one in found if isinstance(one, FrameRefused))
    assert any(isinstance(one, bytes) for one in found)
    for why in (
        "letters in a decimal number", "more than 4 bytes", "hex digits, not", "keys were lost", "is no digit",
        "more than 32 digits", "a number stopped after", "pulses without a pause", "an edge of DATA", "stayed low",
        "both lines low", "bits instead of", "wrong parity", "write bits =", "noise, or another", "one was lost",
    ):  # fmt: skip
        assert why in refused, why

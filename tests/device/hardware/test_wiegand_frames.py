"""Wiegand frames: each format's numbers and parity, and every broken frame refused with its mend."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.hardware.readers.reader import FrameRefused
from device.hardware.readers.wiegand_frames import (
    FORMATS,
    LATE_S,
    MOST_BITS,
    Edge,
    Frame,
    Frames,
    bits_of,
    number,
    value,
)

GAP_S = 0.025
BIT_S, PULSE_S = 0.002, 50e-6
W26 = "1 11010100 00011011 10000001 0"
W34 = "1 10001001 11010100 00011011 10000001 1"
"""Both as they stand in a reader's manual, for D4 1B 81 and 89 D4 1B 81."""
CABLE = "check the cable, the common ground and the level shifter"


def bits(text: str) -> list[int]:
    return [int(bit) for bit in text.replace(" ", "")]


def pulses(sent: Iterable[int], at_s: float = 1000.0) -> list[Edge]:
    """A frame as a reader sends it."""
    edges = []
    for index, bit in enumerate(sent):
        began_s = at_s + index * BIT_S
        edges += [Edge(began_s, bit, True), Edge(began_s + PULSE_S, bit, False)]
    return edges


def collected(edges: Iterable[Edge], expected: int = 26) -> list[Frame]:
    """The frames in edges that were seen all at once, then nothing for long."""
    frames = Frames(expected, GAP_S)
    done = [frame for edge in edges if (frame := frames.add(edge, 0.0)) is not None]
    last = frames.silent(60.0)
    return done if last is None else [*done, last]


def numbers(edges: Iterable[Edge], expected: int = 26) -> list[str]:
    """What comes of edges: numbers in hex, or why they are none."""
    told = []
    for frame in collected(edges, expected):
        try:
            told.append(number(frame, expected).hex().upper())
        except FrameRefused as refused:
            told.append(str(refused))
    return told


def framed(data: int, count: int) -> list[int]:
    """Parity as the formats' descriptions word it, by the numbers of the bits from 1."""
    numbered = {place: data >> (count - 1 - place) & 1 for place in range(2, count)}
    last_even, first_odd = {26: (13, 14), 34: (17, 18), 37: (19, 19)}[count]
    even = sum(bit for place, bit in numbered.items() if place <= last_even) % 2
    odd = 1 - sum(bit for place, bit in numbered.items() if place >= first_odd) % 2
    return [even, *numbered.values(), odd]


def test_frames_of_a_readers_manual() -> None:
    assert numbers(pulses(bits(W26))) == ["D41B81"]
    assert numbers(pulses(bits(W34)), 34) == ["89D41B81"]
    assert framed(0xD41B81, 26) == bits(W26)
    assert framed(0x89D41B81, 34) == bits(W34)


def test_the_middle_bit_of_37_is_in_both_parities() -> None:
    middle = 1 << 17  # the 19th bit of the frame
    assert numbers(pulses(framed(middle, 37)), 37) == ["0000020000"]
    sent = framed(middle, 37)
    assert (sent[0], sent[18], sent[-1]) == (1, 1, 0)
    assert numbers(pulses(framed(2**35 - 1, 37)), 37) == ["07FFFFFFFF"]


@settings(deadline=None)
@given(st.sampled_from(FORMATS), st.integers(0, 2**35 - 1), st.booleans())
def test_every_number_of_every_format_is_read(count: int, data: int, backwards: bool) -> None:
    data &= (1 << count - 2) - 1
    (frame,) = collected(pulses(framed(data, count)), count)
    read = number(frame, count, reversed_bytes=backwards)
    assert len(read) == {26: 3, 34: 4, 37: 5}[count]
    assert int.from_bytes(read, "little" if backwards else "big") == data


@settings(deadline=None)
@given(st.sampled_from(FORMATS), st.integers(0, 2**35 - 1), st.data())
def test_a_single_bit_that_was_misread_is_always_found(count: int, data: int, chance: st.DataObject) -> None:
    sent = framed(data & (1 << count - 2) - 1, count)
    sent[chance.draw(st.integers(0, count - 1))] ^= 1
    with pytest.raises(FrameRefused, match="wrong parity"):
        value(sent, count)


@settings(deadline=None)
@given(st.sampled_from(FORMATS), st.integers(0, 2**35 - 1), st.data())
def test_a_single_lost_bit_is_always_found(count: int, data: int, chance: st.DataObject) -> None:
    sent = framed(data & (1 << count - 2) - 1, count)
    del sent[chance.draw(st.integers(0, count - 1))]
    with pytest.raises(FrameRefused, match=f"{count - 1} bits instead of {count}: one was lost"):
        value(sent, count)


def test_another_length_says_what_it_may_be() -> None:
    sent = bits(W26)
    key = "or it is a key of the reader's keypad"
    assert numbers(pulses(sent[:-1])) == [f"25 bits instead of 26: one was lost, {key}; {CABLE}"]
    assert numbers(pulses(sent[:4])) == [f"4 bits instead of 26: 22 were lost, {key}; {CABLE}"]
    assert numbers(pulses([*sent, 1])) == [f"27 bits instead of 26: noise, or another format; {CABLE}"]
    assert numbers(pulses(bits(W34))) == [
        "34 bits instead of 26: the reader is set to another format; write bits = 34"
    ]
    assert numbers(pulses(sent), 37) == [
        "26 bits instead of 37: the reader is set to another format; write bits = 26"
    ]


def test_both_lines_low_at_once_are_no_bits() -> None:
    edges = pulses(bits(W26))
    edges[5] = Edge(edges[6].at_s + PULSE_S / 2, 1, False)  # the third pulse reaches into the fourth
    edges.sort(key=lambda edge: edge.at_s)
    assert numbers(edges) == [f"both lines low at once: they touch, or one disturbs the other; {CABLE}"]


@pytest.mark.parametrize("lost", range(52))
def test_a_lost_edge_is_found(lost: int) -> None:
    edges = pulses(bits(W26))
    line = edges.pop(lost).line
    (told,) = numbers(edges)
    assert told.endswith(CABLE)
    assert told.startswith((f"an edge of DATA{line} was lost", f"DATA{line} stayed low", "both lines low at once"))


def test_edges_that_are_handed_over_in_the_wrong_order_are_put_right_by_their_times() -> None:
    for seed in range(100):
        chance = random.Random(seed)
        edges = sorted(pulses(bits(W26)), key=lambda edge: edge.at_s + chance.uniform(0, GAP_S / 2))
        (frame,) = collected(edges)
        assert bits_of(frame) == bits(W26)


def test_frames_that_were_all_seen_late_are_still_two() -> None:
    edges = pulses(bits(W26)) + pulses(framed(0x010203, 26), 1000.0 + 26 * BIT_S + 2 * GAP_S)
    assert numbers(edges) == ["D41B81", "010203"]
    halves = pulses(bits(W26)[:13]) + pulses(bits(W26)[13:], 1000.0 + 13 * BIT_S + 2 * GAP_S)
    assert [told[:22] for told in numbers(halves)] == ["13 bits instead of 26:"] * 2


def test_a_whole_frame_ends_after_the_gap_and_an_unfinished_one_is_waited_for() -> None:
    assert Frames(26, GAP_S).due_s is None
    frames = Frames(26, GAP_S)
    edges = pulses(bits(W26))
    for edge in edges[:20]:
        assert frames.add(edge, 5.0) is None
    assert frames.due_s == 5.0 + LATE_S
    assert frames.silent(5.0 + GAP_S) is None
    for edge in edges[20:]:
        assert frames.add(edge, 5.2) is None
    assert frames.due_s == 5.2 + GAP_S
    assert frames.silent(5.2 + GAP_S / 2) is None
    frame = frames.silent(5.2 + GAP_S)
    assert frame is not None
    assert number(frame, 26) == bytes.fromhex("D41B81")
    assert frames.silent(60.0) is None


def hum(seconds: float, at_s: float = 1000.0) -> list[Edge]:
    """50 Hz on DATA0."""
    return [Edge(at_s + 0.01 * half, 0, half % 2 == 0) for half in range(round(seconds * 100))]


def test_hum_that_never_pauses_is_cut_and_refused_and_no_piece_of_it_is_a_number() -> None:
    for halves in range(2, 4 * MOST_BITS + 100, 2):
        told = numbers(hum(halves / 100))
        assert all(" " in line for line in told)
        assert len(told) == -(-halves // (2 * MOST_BITS))
        if halves > 2 * MOST_BITS:
            assert set(told) == {f"pulses without a pause: hum or noise on the lines; {CABLE}"}


def test_the_first_badge_after_hum_is_read() -> None:
    for halves in (2 * MOST_BITS, 2 * MOST_BITS + 20):
        told = numbers(hum(halves / 100) + pulses(bits(W26), 1000.0 + halves / 100 + 1))
        assert told[-1] == "D41B81"


ANY_EDGES = st.lists(st.tuples(st.floats(0, 0.05), st.integers(0, 1), st.booleans()), max_size=3 * MOST_BITS)


@settings(deadline=None)
@given(ANY_EDGES, st.sampled_from(FORMATS))
def test_whatever_the_lines_do_it_is_a_number_or_refused_and_the_next_badge_is_read(
    edges: list[tuple[float, int, bool]], count: int
) -> None:
    at_s, seen = 1000.0, []
    for after_s, line, low in edges:
        at_s += after_s
        seen.append(Edge(at_s, line, low))
    told = numbers(seen + pulses(framed(0x1234, count), at_s + 1), count)
    assert told[-1] == f"{0x1234:0{2 * ((count + 5) // 8)}X}"

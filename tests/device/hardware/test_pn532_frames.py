"""Frames of the PN532: the manual's own bytes, any cut of a stream, and every broken bit."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.hardware.readers.pn532_frames import (
    CHIP,
    HOST,
    MAX_LENGTH,
    Broken,
    Code,
    Frame,
    FrameParser,
    Information,
    Sign,
    frame,
)

FIRMWARE = bytes.fromhex("0000ff06fad50332010607e800")
"""UM0701-02, 7.2.2: the answer of firmware 1.6."""

DATA = st.binary(max_size=MAX_LENGTH - 2)
BYTES = st.integers(0, 255)
QUIET = st.binary(max_size=20).map(lambda noise: noise.replace(b"\x00", b"\x01"))
"""Noise that begins no frame."""


def parsed(*pieces: bytes) -> list[Frame]:
    parser = FrameParser()
    return [found for piece in pieces for found in parser.feed(piece)]


@pytest.mark.parametrize(
    ("code", "data", "sent"),
    [
        (Code.GET_FIRMWARE_VERSION, b"", "0000ff02fed4022a00"),
        (Code.SAM_CONFIGURATION, b"\x01", "0000ff03fdd414011700"),
        (Code.RF_CONFIGURATION, b"\x05\xff\x01\x01", "0000ff06fad43205ff0101f400"),
        (Code.IN_LIST_PASSIVE_TARGET, b"\x01\x00", "0000ff04fcd44a0100e100"),
    ],
)
def test_commands_are_the_bytes_that_others_send_too(code: Code, data: bytes, sent: str) -> None:
    assert frame(HOST, code, data).hex() == sent


def test_the_manuals_answer_is_read() -> None:
    assert parsed(FIRMWARE) == [Information(CHIP, 0x03, bytes.fromhex("32010607"))]
    assert parsed(bytes.fromhex("0000ff03fdd54b00e000")) == [Information(CHIP, 0x4B, b"\x00")]


def test_ack_nack_and_syntax_error_are_read() -> None:
    assert parsed(b"".join(sign.value for sign in Sign)) == list(Sign)


def test_an_extended_frame_begins_at_256_bytes_and_ends_at_265() -> None:
    assert frame(CHIP, 0x41, bytes(253))[3:5] == b"\xff\x01"
    assert frame(CHIP, 0x41, bytes(254))[3:8] == b"\xff\xff\x01\x00\xff"
    assert frame(CHIP, 0x41, bytes(263))[3:8] == b"\xff\xff\x01\x09\xf6"
    with pytest.raises(ValueError, match="266 bytes"):
        frame(CHIP, 0x41, bytes(264))


@settings(deadline=None)
@given(BYTES, BYTES, DATA, st.lists(st.integers(0, 290), max_size=5), QUIET)
def test_a_frame_is_read_however_the_stream_is_cut(
    tfi: int, code: int, data: bytes, cuts: list[int], noise: bytes
) -> None:
    whole = noise + frame(tfi, code, data) + Sign.ACK.value
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(edges)]
    assert parsed(*pieces) == [Information(tfi, code, data), Sign.ACK]


@settings(deadline=None)
@given(DATA, st.data())
def test_one_flipped_bit_never_makes_another_answer(data: bytes, choose: st.DataObject) -> None:
    sound = frame(CHIP, 0x41, data)
    bit = choose.draw(st.integers(0, len(sound) * 8 - 1))
    bent = (int.from_bytes(sound, "little") ^ 1 << bit).to_bytes(len(sound), "little")
    assert {found for found in parsed(bent) if isinstance(found, Information)} <= {Information(CHIP, 0x41, data)}


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ("0000ff06fbd50332010607e800", "LCS"),
        ("0000ff06fad50332010607e900", "DCS"),
        ("0000fffffff0090ad500", "LCS"),
        ("0000ffffff010af500", "266 bytes"),
        ("0000ffffff000000d500", "0 bytes"),
        ("0000ff01ffd52b00", "without a code"),
    ],
)
def test_each_way_to_be_broken_is_named_and_the_next_frame_is_read(sent: str, why: str) -> None:
    broken, *after = parsed(bytes.fromhex(sent) + FIRMWARE)
    assert isinstance(broken, Broken)
    assert why in broken.why
    assert after == parsed(FIRMWARE)


def test_a_frame_within_a_cards_bytes_is_never_taken_for_the_chips_own() -> None:
    """Not even where the one around it is broken."""
    around = bytearray(frame(CHIP, 0x41, FIRMWARE))
    around[-2] ^= 1
    assert [type(found) for found in parsed(bytes(around))] == [Broken]


def test_a_frame_that_has_begun_can_be_dropped() -> None:
    parser = FrameParser()
    assert parser.feed(FIRMWARE[:7]) == []
    mid_frame = [parser.mid_frame]
    parser.drop()
    mid_frame.append(parser.mid_frame)
    assert parser.feed(FIRMWARE) == parsed(FIRMWARE)
    mid_frame.append(parser.mid_frame)
    assert mid_frame == [True, False, False]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=400), max_size=10))
def test_noise_raises_nothing_and_is_not_kept(pieces: list[bytes]) -> None:
    parser = FrameParser()
    for piece in pieces:
        for found in parser.feed(piece):
            assert isinstance(found, Sign | Information | Broken)
    assert len(parser.feed(bytes(2 * MAX_LENGTH) + FIRMWARE)) >= 1

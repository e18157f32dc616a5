"""Numbers of OSDP readers, and what their lights and buzzers say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.effects import Answer
from device.hardware.readers.osdp_cards import RAW, WIEGAND, CardRead, number
from device.hardware.readers.osdp_signs import ReaderSign, reader_sign
from device.hardware.readers.reader import FrameRefused
from device.hardware.readers.wiegand_frames import FORMATS


def packed(bits: list[int]) -> bytes:
    """The first bit highest, unused ones zero."""
    text = "".join(map(str, bits))
    return int(text.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def with_parity(data: list[int]) -> list[int]:
    half = (len(data) + 1) // 2
    return [sum(data[:half]) % 2, *data, 1 - sum(data[-half:]) % 2]


def test_a_26_bit_badge_has_the_number_that_a_wiegand_reader_gives() -> None:
    facility, badge = 41, 49_982
    data = [int(bit) for bit in f"{facility:08b}{badge:016b}"]
    assert number(CardRead(WIEGAND, 26, packed(with_parity(data)))) == bytes([41, 0xC3, 0x3E])


@settings(deadline=None)
@given(st.sampled_from(FORMATS), st.sampled_from([RAW, WIEGAND]), st.data())
def test_a_frame_with_parity_bits_loses_them_and_one_wrong_bit_is_refused(
    bits: int, format_code: int, data: st.DataObject
) -> None:
    value = data.draw(st.integers(0, 2 ** (bits - 2) - 1))
    sent = with_parity([int(bit) for bit in f"{value:0{bits - 2}b}"])
    assert number(CardRead(format_code, bits, packed(sent))) == value.to_bytes(-(-(bits - 2) // 8), "big")
    sent[data.draw(st.integers(0, bits - 1))] ^= 1
    with pytest.raises(FrameRefused, match="parity"):
        number(CardRead(format_code, bits, packed(sent)))


@settings(deadline=None)
@given(st.binary(min_size=3, max_size=10))
def test_whole_bytes_are_the_number_as_they_are(uid: bytes) -> None:
    assert number(CardRead(RAW, 8 * len(uid), uid)) == uid


def test_bits_that_fill_no_bytes_are_a_number_all_the_same() -> None:
    assert number(CardRead(RAW, 36, bytes.fromhex("8000000010"))) == bytes.fromhex("0800000001")


@pytest.mark.parametrize(
    ("card", "why"),
    [
        (CardRead(2, 32, bytes(4)), "format 2"),
        (CardRead(255, 32, bytes(4)), "format 255"),
        (CardRead(RAW, 33, bytes(4)), "33 bits in 4 bytes"),
        (CardRead(RAW, -8, b""), "-8 bits"),
        (CardRead(RAW, 0, b""), "0 bits"),
        (CardRead(RAW, 8, bytes(1)), "8 bits, not 24 to 80"),
        (CardRead(RAW, 88, bytes(11)), "88 bits, not 24 to 80"),
    ],
)
def test_what_is_no_badge_is_refused_with_the_mend(card: CardRead, why: str) -> None:
    with pytest.raises(FrameRefused, match=why):
        number(card)


@settings(deadline=None)
@given(st.integers(0, 255), st.integers(-1, 600), st.binary(max_size=70))
def test_nothing_but_a_number_or_a_refusal_comes_of_any_reply(format_code: int, bits: int, data: bytes) -> None:
    try:
        assert 3 <= len(number(CardRead(format_code, bits, data))) <= 10
    except FrameRefused as refused:
        assert str(refused).isprintable()


def test_the_reader_says_what_the_post_says() -> None:
    assert {answer: reader_sign(answer) for answer in Answer} == {
        Answer.ACCEPTED: ReaderSign(green=True, light=20, beeps=1, beep=1),
        Answer.REPEATED: ReaderSign(green=True, light=20, beeps=2, beep=1),
        Answer.REFUSED: ReaderSign(green=False, light=20, beeps=1, beep=8),
        Answer.NOT_RECORDED: ReaderSign(green=False, light=26, beeps=8, beep=1),
        Answer.SELFTEST: ReaderSign(green=True, light=20, beeps=2, beep=1),
    }

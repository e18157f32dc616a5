"""Key events into badge numbers: what readers type, what they should not, and what the kernel drops."""

from collections.abc import Iterable

import pytest
from evdev import ecodes
from hypothesis import given, settings
from hypothesis import strategies as st

from device.hardware.readers import hid_keys
from device.hardware.readers.hid_keys import (
    BADGE_BYTES,
    BETWEEN_KEYS_S,
    DIGITS,
    EV_KEY,
    EV_SYN,
    MOST_DIGITS,
    SYN_DROPPED,
    SYN_REPORT,
    KeyEvent,
    NumberFormat,
    Typing,
)
from device.hardware.readers.reader import FrameRefused

ENTER, TAB, KEYPAD_ENTER = ecodes.KEY_ENTER, ecodes.KEY_TAB, ecodes.KEY_KPENTER
SHIFT, RIGHT_SHIFT, CAPS = ecodes.KEY_LEFTSHIFT, ecodes.KEY_RIGHTSHIFT, ecodes.KEY_CAPSLOCK
DECIMAL, HEX = NumberFormat(), NumberFormat("hex")


class Reader:
    """Types on a keyboard of its own; ``said``: numbers in hex, and why what was typed is none."""

    def __init__(self, number: NumberFormat = DECIMAL) -> None:
        self.typing = Typing(number)
        self.now_s = 1_795_482_900.0
        self.said: list[str] = []

    def event(self, kind: int, code: int, value: int) -> None:
        try:
            number = self.typing.event(KeyEvent(self.now_s, kind, code, value))
        except FrameRefused as refused:
            self.said.append(str(refused))
        else:
            if number is not None:
                self.said.append(number.hex().upper())

    def key(self, code: int, value: int) -> None:
        self.event(ecodes.EV_MSC, ecodes.MSC_SCAN, 0x70000 | code)
        self.event(EV_KEY, code, value)
        self.event(EV_SYN, SYN_REPORT, 0)

    def press(self, *codes: int) -> None:
        for code in codes:
            self.now_s += 0.01
            self.key(code, 1)
            self.key(code, 0)

    def type(self, digits: str) -> None:
        for digit in digits:
            if digit in "ABCDEF":
                self.key(SHIFT, 1)
            self.press(getattr(ecodes, f"KEY_{digit.upper()}"))
            if digit in "ABCDEF":
                self.key(SHIFT, 0)

    def pause(self, seconds: float) -> None:
        self.now_s += seconds


def said(number: NumberFormat, *lines: str) -> list[str]:
    reader = Reader(number)
    for line in lines:
        reader.type(line)
        reader.press(ENTER)
    return reader.said


def test_the_codes_are_the_kernels() -> None:
    upper_row = {getattr(ecodes, f"KEY_{digit}"): digit for digit in "0123456789"}
    keypad = {getattr(ecodes, f"KEY_KP{digit}"): digit for digit in "0123456789"}
    letters = {getattr(ecodes, f"KEY_{digit}"): digit for digit in "ABCDEF"}
    assert upper_row | keypad | letters == DIGITS
    assert {ENTER, TAB, KEYPAD_ENTER} == hid_keys.ENDS
    assert {SHIFT, RIGHT_SHIFT} == hid_keys.SHIFTS
    assert (EV_SYN, EV_KEY) == (ecodes.EV_SYN, ecodes.EV_KEY)
    assert (SYN_REPORT, SYN_DROPPED) == (ecodes.SYN_REPORT, ecodes.SYN_DROPPED)
    assert (hid_keys.KEY_1, hid_keys.KEY_ENTER) == (ecodes.KEY_1, ecodes.KEY_ENTER)


def test_a_decimal_number_is_as_many_bytes_as_a_badge_has() -> None:
    assert said(DECIMAL, "0016909060", "16909060", "4294967295", "0") == [
        "01020304", "01020304", "FFFFFFFF", "00000000",
    ]  # fmt: skip
    assert said(NumberFormat("decimal", 7), "0001313000000000") == [f"{1_313_000_000_000:014X}"]
    assert said(NumberFormat("decimal", reversed=True), "16909060") == ["04030201"]
    refused = ["10 digits, more than 4 bytes: write bytes = as many as a badge has"]
    assert said(DECIMAL, "4294967296") == refused


def test_a_hexadecimal_number_says_itself_how_long_it_is_unless_the_configuration_does() -> None:
    assert said(HEX, "01020304", "04a1B2C3D4e5f6") == ["01020304", "04A1B2C3D4E5F6"]
    assert said(NumberFormat("hex", reversed=True), "01020304") == ["04030201"]
    short, long = said(HEX, "0102030", "010203040506")
    assert short.startswith("7 hex digits, not 6 or 8 or 10 or 14 or 20: tap again")
    assert long.startswith("12 hex digits, not 6 or")
    assert said(NumberFormat("hex", 7), "04A1B2C3D4E5F6") == ["04A1B2C3D4E5F6"]
    assert said(NumberFormat("hex", 7), "01020304")[0].startswith("8 hex digits, not 14: ")


def test_letters_in_a_decimal_number_name_the_key_to_change() -> None:
    assert said(DECIMAL, "04A1B2C3") == ['letters in a decimal number: write number = "hex"']


@pytest.mark.parametrize("end", [ENTER, TAB, KEYPAD_ENTER])
def test_enter_tab_and_the_keypads_enter_end_a_number_and_may_come_twice(end: int) -> None:
    reader = Reader()
    for _ in range(2):
        reader.type("16909060")
        reader.press(end, end)
    assert reader.said == ["01020304"] * 2


def test_the_keypad_types_digits_too_with_num_lock_or_caps_lock_on_or_off() -> None:
    reader = Reader()
    reader.press(ecodes.KEY_NUMLOCK, CAPS)
    reader.press(*(getattr(ecodes, f"KEY_KP{digit}") for digit in "16909060"), KEYPAD_ENTER)
    assert reader.said == ["01020304"]


def test_a_held_key_is_one_digit() -> None:
    reader = Reader()
    reader.type("1690906")
    reader.key(ecodes.KEY_0, 1)
    for _ in range(5):
        reader.key(ecodes.KEY_0, 2)
    reader.key(ecodes.KEY_0, 0)
    reader.press(ENTER)
    assert reader.said == ["01020304"]


@pytest.mark.parametrize("shift", [SHIFT, RIGHT_SHIFT])
def test_a_shifted_digit_is_none_and_its_number_is_refused_once(shift: int) -> None:
    reader = Reader()
    reader.type("16")
    reader.key(shift, 1)
    reader.press(ecodes.KEY_9, ecodes.KEY_0)
    reader.key(shift, 0)
    reader.type("9060")
    reader.press(ENTER)
    reader.type("16909060")
    reader.press(ENTER)
    why = "Shift and key 10 is no digit: set it to a US keyboard, digits and Enter alone"
    assert reader.said == [why, "01020304"]


def test_a_key_that_is_no_digit_refuses_the_number_up_to_its_end() -> None:
    reader = Reader()
    reader.type("1690")
    reader.press(ecodes.KEY_MINUS, ecodes.KEY_SPACE)
    reader.type("9060")
    reader.press(ENTER)
    reader.type("16909060")
    reader.press(ENTER)
    assert [line[:20] for line in reader.said] == ["key 12 is no digit: ", "01020304"]


def test_a_number_that_stops_half_way_is_refused_after_half_a_second() -> None:
    reader = Reader()
    reader.type("1690")
    reader.typing.silent(BETWEEN_KEYS_S)
    with pytest.raises(FrameRefused, match="stopped after 4 digits, and no Enter or Tab came: tap again"):
        reader.typing.silent(BETWEEN_KEYS_S + 0.1)
    reader.typing.silent(60)  # told once
    reader.pause(1)
    reader.type("16909060")
    reader.press(ENTER)
    assert reader.said == ["01020304"]


def test_two_halves_are_never_one_number_even_where_both_are_read_late() -> None:
    reader = Reader()
    reader.type("1690")
    reader.pause(BETWEEN_KEYS_S)
    reader.type("16909060")
    reader.press(ENTER)
    assert [line[:32] for line in reader.said] == ["a number stopped after 4 digits,", "01020304"]


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_clock_that_steps_in_mid_number_costs_that_number(step_s: int) -> None:
    reader = Reader()
    reader.type("1690")
    reader.pause(step_s)
    reader.press(ENTER)
    reader.type("16909060")
    reader.press(ENTER)
    assert [line[:32] for line in reader.said] == ["a number stopped after 4 digits,", "01020304"]


def test_the_rest_of_a_refused_number_is_forgotten_after_a_pause() -> None:
    reader = Reader()
    reader.press(ecodes.KEY_MINUS)
    reader.type("1690")
    reader.pause(1)
    reader.type("16909060")
    reader.press(ENTER)
    assert [line[:20] for line in reader.said] == ["key 12 is no digit: ", "01020304"]


def test_dropped_keys_cost_the_number_they_were_in_up_to_its_end() -> None:
    """Else the second half of a decimal number would be another badge's."""
    reader = Reader()
    reader.type("1690")
    reader.event(EV_SYN, SYN_DROPPED, 0)
    reader.event(EV_KEY, ecodes.KEY_9, 1)  # of a torn packet
    reader.event(EV_KEY, ENTER, 1)
    reader.event(EV_SYN, SYN_REPORT, 0)
    reader.type("9060")
    reader.press(ENTER)
    reader.type("16909060")
    reader.press(ENTER)
    assert reader.said == ["keys were lost, since the post did not read them in time: tap again", "01020304"]


def test_a_shift_whose_release_was_dropped_does_not_stay_down() -> None:
    reader = Reader()
    reader.key(SHIFT, 1)
    reader.event(EV_SYN, SYN_DROPPED, 0)
    reader.event(EV_SYN, SYN_REPORT, 0)
    reader.press(ENTER)
    reader.type("16909060")
    reader.press(ENTER)
    assert reader.said[1:] == ["01020304"]


def test_digits_without_end_are_refused_and_not_kept() -> None:
    reader = Reader()
    for _ in range(100):
        reader.type("0" * MOST_DIGITS)
    reader.press(ENTER)
    reader.type("16909060")
    reader.press(ENTER)
    assert [line[:20] for line in reader.said] == ["more than 32 digits ", "01020304"]


@settings(deadline=None)
@given(
    st.sampled_from(BADGE_BYTES).flatmap(lambda length: st.binary(min_size=length, max_size=length)),
    st.sampled_from(["decimal", "hex"]),
    st.booleans(),
)
def test_every_number_that_a_reader_types_is_read_back(uid: bytes, base: str, backwards: bool) -> None:
    typed = uid[::-1] if backwards else uid
    text = typed.hex().upper() if base == "hex" else str(int.from_bytes(typed, "big"))
    number = NumberFormat("hex" if base == "hex" else "decimal", len(uid), backwards)
    assert said(number, text) == [uid.hex().upper()]


Events = Iterable[tuple[int, int, int, int]]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 0, 0, 1, 2]),
            st.sampled_from([EV_SYN, EV_KEY, EV_KEY, EV_KEY, ecodes.EV_MSC]),
            st.one_of(st.sampled_from([*DIGITS, ENTER, SHIFT, SYN_DROPPED, SYN_REPORT]), st.integers(0, 0x2FF)),
            st.integers(0, 2),
        ),
        max_size=80,
    )
)
def test_whatever_is_typed_a_whole_number_after_a_pause_is_read(events: Events) -> None:
    reader = Reader()
    for pause, kind, code, value in events:
        reader.pause(pause)
        reader.event(kind, code, value)
    reader.key(SHIFT, 0)
    reader.key(RIGHT_SHIFT, 0)
    reader.pause(1)
    reader.type("16909060")
    reader.press(ENTER)
    assert reader.said[-1] == "01020304"

"""What the PN532 lists, and what it complains of."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.hardware.readers.pn532_answers import BadAnswer, Target, error_named, read_targets

FOUR = bytes.fromhex("01 0004 08 04 3a5c7e91")
SEVEN = bytes.fromhex("02 0344 20 07 04a1b2c3d4e5f6 06 7577810280")


def test_nobody_one_and_two_cards_are_read() -> None:
    badge = Target(1, bytes.fromhex("3a5c7e91"), 0x08)
    smart = Target(2, bytes.fromhex("04a1b2c3d4e5f6"), 0x20, bytes.fromhex("7577810280"))
    assert read_targets(b"\x00") == ()
    assert read_targets(b"\x01" + FOUR) == (badge,)
    assert read_targets(b"\x02" + FOUR + SEVEN) == (badge, smart)
    assert read_targets(b"\x01" + bytes.fromhex("01 0084 08 0a") + bytes(range(10))) == (
        Target(1, bytes(range(10)), 0x08),
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "number"),
        (b"\x02" + FOUR, "UID of 4, 7 or 10"),
        (b"\x01" + FOUR[:-1], "UID of 4, 7 or 10"),
        (b"\x01" + FOUR[:4] + b"\x05" + bytes(5), "UID of 4, 7 or 10"),
        (b"\x01" + FOUR + b"\x00", "behind its last"),
        (b"\x00\x00", "behind its last"),
        (b"\x01" + SEVEN[:-1], "ATS"),
        (b"\x01" + SEVEN[:12], "ATS"),
        (b"\x01" + SEVEN[:12] + b"\x00", "ATS"),
    ],
)
def test_an_answer_that_is_no_list_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadAnswer, match=why):
        read_targets(data)


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_list_or_a_bad_answer(data: bytes) -> None:
    try:
        found = read_targets(data)
    except BadAnswer:
        return
    assert len(found) == data[0]
    assert {len(target.uid) for target in found} <= {4, 7, 10}


def test_errors_are_named_by_their_six_bits() -> None:
    assert error_named(0x00) is None
    assert error_named(0x40) is None
    assert error_named(0x41) == "the card does not answer in time (error 0x01)"
    assert error_named(0x3F) == "an unknown error (error 0x3F)"

"""ISO/IEC 14443-3 from the reader's side, against answers that no honest card gives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.hardware.readers.iso14443a import Answer, bcc, cards_in_field, crc_a
from device.hardware.readers.reader import CardGarbled

ATQA = Answer(b"\x04\x00")
LEVEL_1 = bytes.fromhex("88010203")
LAST = bytes.fromhex("04050607")


class Script:
    """A field that gives prepared answers; after them it is silent."""

    def __init__(self, *answers: Answer | None) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []

    def exchange(self, frame: bytes, last_bits: int = 0, align: int = 0) -> Answer | None:
        self.sent.append(frame)
        return self.answers.pop(0) if self.answers else None


def level(uid: bytes) -> Answer:
    return Answer(uid + bytes([bcc(uid)]))


def sak(value: int) -> Answer:
    return Answer(bytes([value]) + crc_a(bytes([value])))


@pytest.mark.parametrize(("data", "crc"), [("0000", "a01e"), ("1234", "26cf"), ("5000", "57cd"), ("", "6363")])
def test_crc_a_gives_the_examples_of_annex_b(data: str, crc: str) -> None:
    assert crc_a(bytes.fromhex(data)) == bytes.fromhex(crc)


@given(st.binary(max_size=20))
@settings(deadline=None)
def test_crc_a_over_data_and_its_own_crc_is_zero(data: bytes) -> None:
    assert crc_a(data + crc_a(data)) == b"\0\0"


def test_a_seven_byte_card_is_selected_with_the_frames_of_the_standard() -> None:
    field = Script(ATQA, level(LEVEL_1), sak(0x04), level(LAST), sak(0x00), None)
    assert cards_in_field(field) == [bytes.fromhex("01020304050607")]
    assert [frame.hex() for frame in field.sent] == [
        "52",
        "9320",
        "9370" + "88010203" + "88" + crc_a(bytes.fromhex("93708801020388")).hex(),
        "9520",
        "9570" + "04050607" + "00" + crc_a(bytes.fromhex("95700405060700")).hex(),
        "500057cd",
        "26",
    ]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([ATQA], "fell silent in the anticollision"),
        ([ATQA, level(LAST)], "fell silent when it was selected"),
        ([ATQA, level(LAST), Answer(b"\x08")], "SAK has the wrong length"),
        ([ATQA, level(LAST), Answer(b"\x08\x00\x00")], "does not match its CRC"),
        ([ATQA, level(LAST), sak(0x04)], "contradict"),
        ([ATQA, level(LEVEL_1), sak(0x08)], "contradict"),
        ([ATQA, *[level(LEVEL_1), sak(0x04)] * 3], "a fourth cascade level"),
        ([Answer(b"\x04")], "not two bytes"),
        ([Answer(b"\x04\x00", last_bits=4)], "not two bytes"),
        ([ATQA, Answer(LAST)], "wrong length"),
        ([ATQA, Answer(LAST + b"\0", last_bits=7)], "wrong length"),
        ([ATQA, Answer(LAST + b"\xff")], "check byte"),
        ([ATQA, Answer(LAST, collided=True)], "cannot tell where"),
        ([ATQA, Answer(LAST + b"\0", collided=True, collision_bit=33)], "cannot tell where"),
        # The second answer must collide behind the bits that are known by then.
        ([ATQA, *[Answer(LAST + b"\0", collided=True, collision_bit=3)] * 2], "cannot tell where"),
    ],
)
def test_what_no_honest_card_answers_is_garbled_and_the_field_is_left_at_rest(
    answers: list[Answer | None], why: str
) -> None:
    field = Script(*answers)
    with pytest.raises(CardGarbled, match=why):
        cards_in_field(field)
    assert field.sent[-1] == b"\x50\x00\x57\xcd"


def test_a_card_that_does_not_obey_hlta_is_told_once() -> None:
    read = [ATQA, level(LAST), sak(0x08), None]
    assert cards_in_field(Script(*read * 10)) == [LAST]


def test_atqas_that_collide_are_only_presence() -> None:
    field = Script(Answer(b"\x04", 3, collided=True, collision_bit=7), level(LAST), sak(0x08))
    assert cards_in_field(field) == [LAST]

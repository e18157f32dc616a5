"""The chip model as the data sheet tells it, asked with bytes written out by hand, not with the driver's names."""

import threading
from dataclasses import replace

import pytest

from simulator.picc import Card, State, to_bits, to_bytes
from simulator.rc522 import Rc522
from simulator.rc522_faults import Faults

BADGE = bytes.fromhex("11223344")
WUPA, REQA = 0x52, 0x26


class Wires:
    """A chip in virtual time, and an SPI master with a hand on every byte."""

    def __init__(self, *cards: bytes) -> None:
        self.now_s = 50.0
        self.chip = Rc522(lambda: self.now_s)
        for uid in cards:
            self.chip.place(uid)
        self.now_s += 0.01

    def write(self, address: int, *values: int) -> None:
        self.chip.transfer([address << 1, *values])

    def read(self, address: int) -> int:
        return self.chip.transfer([0x80 | address << 1, 0x00])[1]

    def field_on(self) -> None:
        self.write(0x15, 0x40)  # Force100ASK
        self.write(0x0E, 0x00)  # ValuesAfterColl
        self.write(0x14, 0x83)
        self.now_s += 0.01

    def timer(self, prescaler: int, reload: int) -> None:
        self.write(0x2A, 0x80 | prescaler >> 8)
        self.write(0x2B, prescaler & 0xFF)
        self.write(0x2C, reload >> 8)
        self.write(0x2D, reload & 0xFF)

    def send(self, *frame: int, bits: int = 0) -> None:
        self.write(0x01, 0x00)
        self.write(0x04, 0x7F)
        self.write(0x0A, 0x80)
        self.write(0x09, *frame)
        framing = (bits << 4 if len(frame) > 1 else 0) | bits
        self.write(0x0D, framing)
        self.write(0x01, 0x0C)
        self.write(0x0D, 0x80 | framing)

    def exchange(self, *frame: int, bits: int = 0) -> bytes | None:
        self.send(*frame, bits=bits)
        self.now_s += 0.005
        if not self.read(0x04) & 0x20:
            return None
        return bytes(self.read(0x09) for _ in range(self.read(0x0A)))

    def request(self, command: int) -> bytes | None:
        return self.exchange(command, bits=7)


def test_registers_read_one_after_another_in_one_transfer() -> None:
    wires = Wires()
    # VersionReg, WaterLevelReg, TxControlReg: an address clocks the answer to the one before in.
    assert wires.chip.transfer([0xEE, 0x96, 0xA8, 0x00]) == [0x00, 0x92, 0x08, 0x80]


def test_version_and_error_registers_cannot_be_written() -> None:
    wires = Wires()
    wires.write(0x37, 0x55)
    wires.write(0x06, 0xFF)
    assert (wires.read(0x37), wires.read(0x06)) == (0x92, 0x00)


def test_the_fifo_holds_64_bytes_and_says_when_it_overflows() -> None:
    wires = Wires()
    wires.write(0x09, *range(64))
    assert (wires.read(0x0A), wires.read(0x06)) == (64, 0x00)
    wires.write(0x09, 99)
    assert (wires.read(0x0A), wires.read(0x06) & 0x10) == (64, 0x10)
    assert wires.chip.transfer([0x92] * 4 + [0]) == [0, 0, 1, 2, 3]
    wires.write(0x0A, 0x80)
    assert (wires.read(0x0A), wires.read(0x06)) == (0, 0x00)


def test_interrupt_bits_are_set_and_cleared_by_the_bit_beside_them() -> None:
    wires = Wires()
    wires.write(0x04, 0x7F)
    assert wires.read(0x04) == 0
    wires.write(0x04, 0x80 | 0x21)
    assert wires.read(0x04) == 0x21
    wires.write(0x04, 0x01)
    assert wires.read(0x04) == 0x20


@pytest.mark.parametrize(
    ("prescaler", "reload", "runs_s"), [(0xA9, 39, 0.001), (0xD3E, 30, 0.015506), (0x000, 9, 7.3746e-7)]
)
def test_the_timer_runs_from_the_end_of_the_frame_for_the_programmed_time(
    prescaler: int, reload: int, runs_s: float
) -> None:
    wires = Wires()
    wires.field_on()
    wires.timer(prescaler, reload)
    wires.send(REQA, bits=7)
    sent_s = 9 * 128 / 13.56e6  # start, 7 bits, end
    wires.now_s += sent_s + runs_s * 0.99
    assert not wires.read(0x04) & 0x01
    wires.now_s += runs_s * 0.02
    assert wires.read(0x04) & 0x61 == 0x41


def test_without_tauto_the_timer_never_comes() -> None:
    wires = Wires()
    wires.field_on()
    wires.timer(0xA9, 39)
    wires.write(0x2A, 0x00)
    wires.send(REQA, bits=7)
    wires.now_s += 100
    assert not wires.read(0x04) & 0x01


def test_an_answer_stops_the_timer() -> None:
    wires = Wires(BADGE)
    wires.field_on()
    wires.timer(0xA9, 39)
    assert wires.request(REQA) == b"\x04\x00"
    wires.now_s += 1
    assert not wires.read(0x04) & 0x01


def test_no_card_answers_without_a_field_or_without_full_modulation() -> None:
    wires = Wires(BADGE)
    assert wires.request(WUPA) is None
    wires.write(0x14, 0x83)
    wires.now_s += 0.01
    assert wires.request(WUPA) is None
    wires.field_on()
    assert wires.request(WUPA) == b"\x04\x00"


def test_a_selected_card_is_halted_and_only_wupa_wakes_it() -> None:
    wires = Wires(BADGE)
    wires.field_on()
    assert wires.request(REQA) == b"\x04\x00"
    assert wires.exchange(0x93, 0x20) == BADGE + b"\x44"
    select = bytes.fromhex("9370112233444423e4")
    assert wires.exchange(*select[:7], *crc(select[:7])) == b"\x08" + crc(b"\x08")
    assert wires.chip.reads(BADGE) == 0
    assert wires.exchange(0x50, 0x00, 0x57, 0xCD) is None
    assert wires.chip.reads(BADGE) == 1
    assert wires.request(REQA) is None
    assert wires.request(WUPA) == b"\x04\x00"


def crc(data: bytes) -> bytes:
    """CRC_A once more, from its polynomial, so that the model is not measured with its own rule."""
    value = 0x6363
    for bit in to_bits(data):
        value = value >> 1 ^ (0x8408 if (value ^ bit) & 1 else 0)
    return bytes([value & 0xFF, value >> 8])


def test_two_cards_collide_where_they_first_differ_and_zeros_follow() -> None:
    # 0x11 and 0x15 differ in the third bit, 0x33 and 0x73 never come to be compared.
    wires = Wires(bytes.fromhex("11223344"), bytes.fromhex("15227344"))
    wires.field_on()
    assert wires.request(REQA) == b"\x04\x00"  # alike: no collision
    assert wires.read(0x06) == 0
    assert wires.exchange(0x93, 0x20) == bytes([0x15 & 0x07, 0, 0, 0, 0])
    assert wires.read(0x06) & 0x08
    assert wires.read(0x0E) == 0x03
    assert wires.read(0x04) & 0x22 == 0x22
    # 3 bits are known, 101: the other card's answer lies at bit 3 of the first byte.
    assert wires.exchange(0x93, 0x23, 0x05, bits=3) == bytes(
        [0x15 | 0x07, 0x22, 0x73, 0x44, 0x15 ^ 0x22 ^ 0x73 ^ 0x44]
    )
    assert wires.read(0x0C) & 0x07 == 0


@pytest.mark.parametrize(
    ("one", "other", "register"), [("00000000", "00000080", 0x00), ("00800000", "00000000", 0x10)]
)
def test_the_position_of_a_collision_is_counted_from_one_and_32_reads_zero(
    one: str, other: str, register: int
) -> None:
    wires = Wires(bytes.fromhex(one), bytes.fromhex(other))
    wires.field_on()
    wires.request(REQA)
    wires.exchange(0x93, 0x20)
    assert wires.read(0x0E) == register


def test_a_sticky_startsend_sends_as_soon_as_the_command_is_written() -> None:
    wires = Wires(BADGE)
    wires.field_on()
    assert wires.request(REQA) == b"\x04\x00"
    wires.write(0x01, 0x00)
    wires.write(0x04, 0x7F)
    wires.write(0x09, 0x93, 0x20)
    wires.write(0x01, 0x0C)  # with the 7 bits of the frame before
    wires.now_s += 0.005
    assert wires.read(0x04) & 0x60 == 0x40


def test_soft_reset_takes_its_time_and_forgets_everything() -> None:
    wires = Wires(BADGE)
    wires.field_on()
    wires.write(0x0B, 0x2A)
    wires.write(0x01, 0x0F)
    assert wires.read(0x01) & 0x10
    wires.now_s += 0.001
    assert (wires.read(0x01), wires.read(0x0B), wires.read(0x14)) == (0x20, 0x08, 0x80)


def test_frozen_registers_read_as_they_stood_until_the_thaw() -> None:
    wires = Wires(BADGE)
    wires.field_on()
    wires.write(0x0B, 0x2A)
    wires.chip.freeze()
    wires.write(0x0B, 0x15)
    wires.chip.reset()
    assert wires.request(WUPA) is None
    assert wires.read(0x0B) == 0x2A
    wires.chip.thaw()
    assert wires.request(WUPA) == b"\x04\x00"


def test_a_dead_chip_reads_one_byte_only() -> None:
    wires = Wires()
    wires.chip.faults = Faults(dead=0xFF)
    assert wires.chip.transfer([0xEE, 0xA8, 0]) == [0xFF] * 3


def test_faults_are_used_up() -> None:
    wires = Wires(BADGE)
    wires.field_on()
    wires.chip.faults = replace(Faults(), bad_bcc=1, cut_short=1, cut_bits=4)
    assert wires.request(REQA) == b"\x04\x00"[:2]
    assert wires.read(0x0C) & 0x07 == 4
    assert wires.exchange(0x93, 0x20) == BADGE + bytes([0x44 ^ 0x80])
    assert wires.chip.faults == Faults(cut_bits=4)
    assert wires.exchange(0x93, 0x20) == BADGE + b"\x44"


def test_flicker_is_the_same_in_every_run() -> None:
    def night() -> list[bool]:
        wires = Wires(BADGE)
        wires.field_on()
        wires.chip.faults = Faults(flicker=0.3)
        seen = []
        for _ in range(50):
            seen.append(wires.request(WUPA) is not None)
            wires.exchange(0x50, 0x00, 0x57, 0xCD)
        return seen

    first = night()
    assert first == night()
    assert {True, False} == set(first)


def test_somebody_waits_for_a_card_to_be_read_and_for_one_that_is_taken_away() -> None:
    wires = Wires(BADGE)
    wires.field_on()
    results: list[bool] = []
    waiting = threading.Thread(target=lambda: results.append(wires.chip.wait_read(BADGE, 20)))
    waiting.start()
    wires.request(WUPA)
    select = b"\x93\x70" + BADGE + b"\x44"
    wires.exchange(*select, *crc(select))
    wires.exchange(0x50, 0x00, 0x57, 0xCD)
    waiting.join()
    waiting = threading.Thread(target=lambda: results.append(wires.chip.wait_read(b"\x09\x08\x07\x06", 20)))
    wires.chip.place(b"\x09\x08\x07\x06")
    waiting.start()
    wires.chip.remove(b"\x09\x08\x07\x06")
    waiting.join()
    assert results == [True, False]
    assert not wires.chip.wait_read(b"\0\0\0\1", 20)


def test_a_card_that_lies_there_already_keeps_its_state_and_one_that_is_gone_can_go_again() -> None:
    chip = Rc522()
    chip.place(BADGE)
    chip.place(BADGE)
    chip.remove(BADGE)
    chip.remove(BADGE)
    assert chip.reads(BADGE) == 0


@pytest.mark.parametrize("uid", [b"", b"\1\2\3", b"\1\2\3\4\5", b"\x88\1\2\3", b"\1\2\3\x88\5\6\7", bytes(11)])
def test_what_is_no_uid_is_refused(uid: bytes) -> None:
    with pytest.raises(ValueError, match="UID"):
        Rc522().place(uid)


# The card alone: clause 6.3.


def heard(card: Card, *frame: int) -> bytes | None:
    answer = card.hear(to_bits(bytes(frame))[:7] if len(frame) == 1 else to_bits(bytes(frame)))
    return None if answer is None else to_bytes(answer)


def test_the_answer_to_a_request_tells_the_uid_size() -> None:
    assert [heard(Card(bytes(size)), REQA) for size in (4, 7, 10)] == [b"\x04\x00", b"\x44\x00", b"\x84\x00"]


@pytest.mark.parametrize(
    "frame",
    [
        (REQA,),
        (WUPA,),
        (0x95, 0x20),
        (0x93, 0x28, 0x12),
        (0x50, 0x00, 0x57, 0xCD),
        (0x93, 0x70, 1, 2, 3, 4, 4, 0, 0),
    ],
)
def test_a_ready_card_that_hears_anything_else_is_silent_and_goes_where_it_came_from(
    frame: tuple[int, ...],
) -> None:
    card = Card(BADGE)
    heard(card, REQA)
    assert heard(card, *frame) is None
    assert card.state is State.IDLE
    card.state = State.HALT
    assert heard(card, REQA) is None
    assert heard(card, WUPA) == b"\x04\x00"
    assert heard(card, *frame) is None
    assert card.state is State.HALT
    card.power_off()
    assert heard(card, REQA) == b"\x04\x00"


def test_a_card_of_ten_bytes_goes_through_three_levels() -> None:
    card = Card(bytes(range(1, 11)))
    heard(card, REQA)
    for sel, part, sak in [(0x93, "88010203", 0x04), (0x95, "88040506", 0x04), (0x97, "0708090a", 0x08)]:
        level = bytes.fromhex(part)
        level += bytes([level[0] ^ level[1] ^ level[2] ^ level[3]])
        assert heard(card, sel, 0x20) == level
        frame = bytes([sel, 0x70]) + level
        assert heard(card, *frame, *crc(frame)) == bytes([sak]) + crc(bytes([sak]))
    assert card.state is State.ACTIVE
    heard(card, 0x50, 0x00, 0x57, 0xCD)
    assert (card.state, card.reads) == (State.HALT, 1)

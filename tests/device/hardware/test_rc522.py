"""The RC522 driver's histories: cards that collide and garble, chips that freeze, hang and come back."""

import math
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import groupby
from pathlib import Path
from random import Random

import pytest
from gpiozero.pins.mock import MockFactory
from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import RunningClock
from rc522_bench import Bench

from device.hardware.readers import driver
from device.hardware.readers.mfrc522_registers import ANTENNA_ON, Reg
from device.hardware.readers.rc522 import DRIVER, VERSIONS, Rc522, Rc522Section, pulse
from device.hardware.readers.reader import CardGarbled, ReaderSilent
from simulator.rc522 import Rc522 as Chip
from simulator.rc522_faults import Faults

BADGE = bytes.fromhex("3a5c7e91")
BADGE_7 = bytes.fromhex("04a1b2c3d4e5f6")
BADGE_10 = bytes.fromhex("0102030405060708090a")
EMPTY_POLL = 8
ONE_CARD = 44


def uids() -> st.SearchStrategy[bytes]:
    sizes = st.sampled_from((4, 7, 10)).flatmap(lambda size: st.binary(min_size=size, max_size=size))
    return sizes.filter(lambda uid: (len(uid), 0x88) not in {(4, uid[0]), (7, uid[3])})


def started(*cards: bytes, rst: bool = False) -> Bench:
    bench = Bench(rst=rst)
    bench.reader.start()
    for uid in cards:
        bench.chip.place(uid)
    return bench


def poll_until_silent(bench: Bench, within_s: float) -> ReaderSilent:
    """Go on polling as the worker does; whatever else the polls say, this must come in time."""
    end_s = bench.now_s + within_s
    while bench.now_s < end_s:
        try:
            bench.reader.cards()
        except CardGarbled:
            pass
        except ReaderSilent as silent:
            return silent
        bench.sleep(0.040)
    raise AssertionError(f"nobody noticed within {within_s} s")


def test_an_empty_field_costs_eight_transfers_and_one_more_each_second() -> None:
    bench = started()
    assert bench.poll() == ([], EMPTY_POLL)
    assert bench.poll() == ([], EMPTY_POLL)
    bench.sleep(1.0)
    assert bench.poll() == ([], EMPTY_POLL + 1)
    assert bench.poll() == ([], EMPTY_POLL)


@pytest.mark.parametrize("uid", [BADGE, BADGE_7, BADGE_10, bytes(4), b"\xff" * 10, b"\x88" * 3 + b"\0" * 4])
def test_uids_of_all_sizes_are_read(uid: bytes) -> None:
    bench = started(uid)
    assert bench.reader.cards() == [uid]
    assert bench.chip.reads(uid) == 1
    bench.chip.remove(uid)
    assert bench.reader.cards() == []


def test_a_four_byte_card_costs_forty_four_transfers() -> None:
    assert started(BADGE).poll() == ([BADGE], ONE_CARD)


def test_a_resting_card_is_halted_and_every_wupa_wakes_it_again() -> None:
    bench = started(BADGE)
    for times in range(1, 20):
        assert bench.reader.cards() == [BADGE]
        assert bench.chip.reads(BADGE) == times


@pytest.mark.parametrize("bit", range(32))
def test_two_cards_that_differ_in_one_bit_are_told_apart(bit: int) -> None:
    other = (int.from_bytes(BADGE, "little") ^ 1 << bit).to_bytes(4, "little")
    bench = started(BADGE, other)
    for _ in range(3):
        assert sorted(bench.reader.cards()) == sorted((BADGE, other))


def test_two_cards_that_differ_only_in_their_last_cascade_level_are_told_apart() -> None:
    cards = [BADGE_10, BADGE_10[:-1] + b"\x0b", BADGE_7, BADGE_7[:-1] + b"\xf7"]
    bench = started(*cards)
    for _ in range(3):
        assert sorted(bench.reader.cards()) == sorted(cards)


@given(st.sets(uids(), min_size=1, max_size=4), st.data())
@settings(deadline=None)
def test_any_cards_together_are_all_read_however_long_they_lie_there(
    cards: set[bytes], data: st.DataObject
) -> None:
    bench = started(*cards)
    assert sorted(bench.reader.cards()) == sorted(cards)
    assert sorted(bench.reader.cards()) == sorted(cards)
    taken = data.draw(st.sampled_from(sorted(cards)))
    bench.chip.remove(taken)
    assert sorted(bench.reader.cards()) == sorted(cards - {taken})


@given(st.integers(0, 2**32 - 1), st.sets(st.integers(0, 31), min_size=2, max_size=2))
@settings(deadline=None)
def test_three_cards_collide_twice_in_the_middle_of_bytes(one: int, bits: set[int]) -> None:
    one &= ~0xFF  # a first byte of 0x00 is never the cascade tag
    cards = {(one ^ 1 << bit).to_bytes(4, "little") for bit in bits} | {one.to_bytes(4, "little")}
    cards = {card for card in cards if card[0] != 0x88}
    assert sorted(started(*cards).reader.cards()) == sorted(cards)


def test_of_a_whole_purse_four_cards_are_read() -> None:
    cards = [bytes([n, 1, 2, 3]) for n in range(7)]
    bench = started(*cards)
    for _ in range(3):
        found = bench.reader.cards()
        assert len(set(found)) == 4
        assert set(found) <= set(cards)


def test_a_card_that_comes_while_another_is_read_is_found_in_the_same_poll() -> None:
    bench = started(BADGE)
    bench.before = lambda _: bench.chip.place(BADGE_7) if bench.chip.reads(BADGE) else None
    assert bench.reader.cards() == [BADGE, BADGE_7]


@pytest.mark.parametrize("fault", [Faults(bad_bcc=1), Faults(bad_crc=1), Faults(bad_parity=1), Faults(cut_short=1)])
def test_one_garbled_answer_proves_a_card_and_the_next_poll_reads_it(fault: Faults) -> None:
    bench = started(BADGE)
    bench.chip.faults = fault
    with pytest.raises(CardGarbled) as garbled:
        bench.reader.cards()
    assert garbled.value.uids == ()
    assert bench.reader.cards() == [BADGE]


@pytest.mark.parametrize(
    "fault",
    [
        Faults(bad_bcc=math.inf),
        Faults(bad_crc=math.inf),
        Faults(bad_parity=math.inf),
        Faults(cut_short=math.inf),
        Faults(cut_short=math.inf, cut_bits=8),
    ],
)
def test_a_card_that_is_always_garbled_is_never_taken_for_an_empty_field(fault: Faults) -> None:
    bench = started(BADGE)
    bench.chip.faults = fault
    for _ in range(5):
        with pytest.raises(CardGarbled):
            bench.reader.cards()
    bench.chip.remove(BADGE)
    assert bench.reader.cards() == []


@pytest.mark.parametrize("cut_bits", [1, 3, 8, 16])
@pytest.mark.parametrize("uid", [BADGE, BADGE_7])
def test_an_answer_cut_short_anywhere_is_never_an_empty_field_nor_a_wrong_uid(uid: bytes, cut_bits: int) -> None:
    _, transfers = started(uid).poll()
    garbled = 0
    for at in range(transfers):
        bench = started(uid)
        first = bench.transfers
        bench.before = on_transfer(first + at, bench, Faults(cut_short=1, cut_bits=cut_bits))
        try:
            assert bench.reader.cards() == [uid]  # cut too late to matter
        except CardGarbled:
            garbled += 1
        bench.before = lambda _: None
        bench.chip.faults = Faults()
        assert bench.reader.cards() == [uid]
    assert garbled > transfers / 2


def test_a_good_card_is_not_lost_for_a_bad_one_beside_it() -> None:
    bench = started(BADGE, BADGE_7)
    first = bench.reader.cards()[0]

    def spoil_the_second(_: int) -> None:
        if bench.chip.reads(first) == 2:
            bench.chip.faults = Faults(bad_crc=1)

    bench.before = spoil_the_second
    with pytest.raises(CardGarbled) as garbled:
        bench.reader.cards()
    assert garbled.value.uids == (first,)


def test_a_card_taken_away_in_the_middle_of_its_reading_leaves_a_garbled_poll_at_most() -> None:
    _, transfers = started(BADGE).poll()
    outcomes = set()
    for at in range(transfers):
        bench = started(BADGE)
        bench.before = lambda number, gone=bench.transfers + at, chip=bench.chip: (  # type: ignore[misc]
            chip.remove(BADGE) if number == gone else None
        )
        try:
            outcomes.add(tuple(bench.reader.cards()))
        except CardGarbled:
            outcomes.add((b"garbled",))
        assert bench.reader.cards() == []
    assert outcomes == {(), (BADGE,), (b"garbled",)}


def test_a_flickering_card_is_seen_in_some_polls_and_read_right_in_all_of_them() -> None:
    bench = started(BADGE)
    bench.chip.faults = Faults(flicker=0.5)
    polls = [bench.reader.cards() for _ in range(100)]
    assert 20 < polls.count([BADGE]) < 80
    assert polls.count([BADGE]) + polls.count([]) == 100


# Chips that fail.


def on_transfer(number: int, bench: Bench, faults: Faults) -> Callable[[int], None]:
    def before(coming: int) -> None:
        if coming == number:
            bench.chip.faults = faults

    return before


@pytest.mark.parametrize("read", [0x00, 0xFF])
def test_a_dead_chip_is_told_at_the_start_in_one_line_and_works_once_it_is_wired(read: int) -> None:
    bench = Bench()
    bench.chip.faults = Faults(dead=read)
    with pytest.raises(ReaderSilent, match=r"^RC522 on SPI 0\.0: .*0x(00|FF).*: check .*") as silent:
        bench.reader.start()
    assert "\n" not in str(silent.value)
    bench.chip.faults = Faults()
    bench.chip.place(BADGE)
    bench.reader.start()
    assert bench.reader.cards() == [BADGE]


@pytest.mark.parametrize("read", [0x00, 0xFF])
def test_a_wire_that_breaks_is_told_at_the_next_poll(read: int) -> None:
    bench = started(BADGE)
    bench.reader.cards()
    bench.chip.faults = Faults(dead=read)
    with pytest.raises(ReaderSilent):
        bench.reader.cards()


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_genuine_chips_and_known_clones_are_accepted(version: int) -> None:
    bench = Bench(version)
    bench.reader.start()
    bench.chip.place(BADGE)
    assert bench.reader.cards() == [BADGE]


def test_another_chip_is_refused() -> None:
    with pytest.raises(ReaderSilent, match="0x37"):
        Bench(version=0x37).reader.start()


@pytest.mark.parametrize("card", [(), (BADGE,)], ids=["empty", "card"])
def test_a_chip_frozen_at_any_moment_is_noticed_within_a_second_or_two_and_comes_back(
    card: tuple[bytes, ...],
) -> None:
    _, transfers = started(*card).poll()
    for at in range(transfers):
        bench = started(*card)
        bench.before = on_transfer(bench.transfers + at, bench, Faults(frozen=True))
        poll_until_silent(bench, within_s=1.2)
        bench.before = lambda _: None
        with pytest.raises(ReaderSilent):
            bench.reader.start()
        bench.chip.thaw()
        bench.reader.start()
        assert bench.reader.cards() == list(card)


def test_a_chip_that_hangs_at_any_moment_is_noticed_at_once_and_a_soft_reset_mends_it() -> None:
    _, transfers = started(BADGE).poll()
    for at in range(transfers):
        bench = started(BADGE)
        bench.before = on_transfer(bench.transfers + at, bench, Faults(hung=True))
        poll_until_silent(bench, within_s=0.1)
        bench.before = lambda _: None
        bench.reader.start()
        assert bench.reader.cards() == [BADGE]


def test_a_locked_chip_needs_the_rst_line() -> None:
    without, wired = started(BADGE), started(BADGE, rst=True)
    for bench in (without, wired):
        bench.chip.faults = Faults(locked=True)
        poll_until_silent(bench, within_s=1.2)
    with pytest.raises(ReaderSilent):
        without.reader.start()
    wired.reader.start()
    assert wired.reader.cards() == [BADGE]


def test_a_dip_of_the_supply_resets_the_chip_and_is_no_empty_field() -> None:
    bench = started(BADGE)
    assert bench.reader.cards() == [BADGE]
    bench.chip.reset()
    with pytest.raises(ReaderSilent, match="forgot its settings"):
        bench.reader.cards()
    bench.reader.start()
    assert bench.reader.cards() == [BADGE]


def test_an_overheated_chip_has_switched_its_field_off_and_says_so() -> None:
    bench = started(BADGE)
    bench.chip.faults = Faults(hot=True)
    with pytest.raises(ReaderSilent, match="too hot"):
        bench.reader.cards()


@pytest.mark.parametrize("register", [0x0B, 0x14, 0x15, 0x26, 0x2A, 0x2B, 0x2D])
def test_settings_that_do_not_reach_the_chip_are_noticed_at_the_start(register: int) -> None:
    bench = Bench()
    bench.swallow = register << 1
    with pytest.raises(ReaderSilent):
        bench.reader.start()


def test_a_spike_on_the_wires_is_no_dead_chip() -> None:
    bench = started(BADGE)
    spikes = [0, 0]

    def spike(out: list[int], back: list[int]) -> list[int]:
        if len(out) == 9 and out[0] & 0x80 and spikes:
            spikes.pop()
            return [byte ^ 0x40 for byte in back]
        return back

    bench.bend = spike
    assert bench.reader.cards() == [BADGE]
    assert not spikes


@pytest.mark.parametrize("place", [6, 7, 8], ids=["TxControlReg", "WaterLevelReg", "VersionReg"])
def test_each_register_that_proves_the_chip_is_looked_at(place: int) -> None:
    bench = started(BADGE)
    bench.bend = lambda out, back: [0 if n == place and len(out) == 9 else byte for n, byte in enumerate(back)]
    with pytest.raises(ReaderSilent, match="forgot its settings"):
        bench.reader.cards()


def test_after_the_start_bits_behind_a_collision_read_as_zeros() -> None:
    assert not started().chip.transfer([0x80 | 0x0E << 1, 0])[1] & 0x80  # CollReg: ValuesAfterColl


def test_a_machine_that_stops_between_two_looks_does_not_blame_the_chip() -> None:
    bench = started(BADGE)

    def stop_after_a_look(out: list[int], back: list[int]) -> list[int]:
        if len(out) == 9 and out[0] & 0x80:
            bench.now_s += 2.0
        return back

    bench.bend = stop_after_a_look
    assert bench.reader.cards() == [BADGE]


def test_a_machine_too_busy_to_look_in_time_does_not_blame_the_chip() -> None:
    bench = started(BADGE)
    bench.oversleep_s = 2.0
    assert bench.reader.cards() == [BADGE]
    bench.chip.remove(BADGE)
    assert bench.reader.cards() == []


def test_a_bus_that_loses_bytes_is_told() -> None:
    bench = started(BADGE)
    bench.bend = lambda _, back: back[:-1]
    with pytest.raises(ReaderSilent, match="lost bytes"):
        bench.reader.cards()


def test_close_switches_the_field_off_and_frees_the_bus_even_a_broken_one() -> None:
    bench = started(BADGE)
    bench.reader.close()
    assert bench.closed
    assert bench.chip.transfer([0x80 | 0x14 << 1, 0]) == [0, 0x80]  # TxControlReg
    bench = started()

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    bench.before = broken
    with pytest.raises(OSError, match="Input/output"):
        bench.reader.close()
    assert bench.closed


def test_the_rst_line_is_held_low_for_longer_than_100_ns() -> None:
    happened: list[str | float] = []

    class Line:
        def on(self) -> None:
            happened.append("high")

        def off(self) -> None:
            happened.append("low")

    pulse(Line(), happened.append)
    low, held_s, high = happened
    assert (low, high) == ("low", "high")
    assert isinstance(held_s, float)
    assert held_s > 100e-9


@pytest.mark.parametrize(("gain_db", "field"), [(18, 0), (23, 1), (33, 4), (38, 5), (43, 6), (48, 7)])
def test_the_gain_reaches_its_register(gain_db: int, field: int) -> None:
    bench = Bench()
    reader = Rc522(bench.open, "SPI 0.0", gain_db=gain_db, monotonic=bench.clock, sleep=bench.sleep)  # type: ignore[arg-type]
    reader.start()
    assert bench.chip.transfer([0x80 | 0x26 << 1, 0])[1] >> 4 == field


def test_a_chip_that_answers_to_nothing_but_its_rst_pin_is_started_by_it_without_a_new_program() -> None:
    bench = started(BADGE, rst=True)
    bench.chip.faults = Faults(locked=True)
    poll_until_silent(bench, 3.0)
    bench.reader.start()
    assert bench.reader.cards() == [BADGE]


def test_a_chip_that_a_soft_reset_helps_is_spared_its_rst_pin() -> None:
    pulses: list[None] = []
    bench = Bench()
    reader = Rc522(bench.open, "SPI 0.0", lambda: pulses.append(None), monotonic=bench.clock, sleep=bench.sleep)
    reader.start()
    bench.chip.faults = Faults(hung=True)
    reader.start()
    assert not pulses


def test_after_five_garbled_polls_the_field_is_cycled_and_the_card_begins_anew() -> None:
    bench = started(BADGE)
    bench.chip.faults = Faults(bad_bcc=5)
    fields: list[int] = []

    def before(_: int) -> None:
        fields.append(bench.chip._registers[Reg.TX_CONTROL] & ANTENNA_ON)

    bench.before = before
    for _ in range(5):
        with pytest.raises(CardGarbled):
            bench.reader.cards()
    assert bench.reader.cards() == [BADGE]
    assert [int(on) for on, _ in groupby(map(bool, fields))] == [1, 0, 1]


class Woken:
    """The IRQ pin, whose level the chip drives; to wait for it takes the bench's time."""

    def __init__(self, wired: bool = True) -> None:
        self.bench = Bench()
        self.low = False
        self.waits = 0
        self.chip = self.bench.chip = Chip(self.bench.clock, irq=self.drive if wired else None)
        self.reader = Rc522(
            self.bench.open, "SPI 0.0", irq=self, monotonic=self.bench.clock, sleep=self.bench.sleep
        )

    def drive(self, level: bool) -> None:
        self.low = not level

    def wait_for_active(self, timeout: float | None = None) -> object:
        assert timeout is not None
        self.waits += 1
        end_s = self.bench.now_s + timeout
        while not self.low and self.bench.now_s < end_s:
            self.bench.now_s += 0.00002
            with self.chip._lock:
                self.chip._advance()
                self.chip._drive_irq()
        return self.low


def test_with_its_irq_pin_wired_a_card_is_read_sooner_and_no_dearer() -> None:
    woken, plain = Woken(), started(BADGE)
    woken.reader.start()
    woken.chip.place(BADGE)
    began_s = woken.bench.now_s
    assert woken.reader.cards() == [BADGE]
    took_s = woken.bench.now_s - began_s
    assert woken.waits > 0
    began_s = plain.now_s
    assert plain.reader.cards() == [BADGE]
    assert took_s < plain.now_s - began_s


def test_with_a_broken_irq_wire_it_is_as_if_there_were_none() -> None:
    woken = Woken(wired=False)
    woken.reader.start()
    woken.chip.place(BADGE)
    assert woken.reader.cards() == [BADGE]
    woken.chip.remove(BADGE)
    assert woken.reader.cards() == []


# Nonsense on the wires.


@given(st.integers(), st.booleans())
@settings(deadline=None)
def test_random_bytes_never_raise_anything_else_and_never_loop(seed: int, at_start: bool) -> None:
    random = Random(seed)
    bench = Bench() if at_start else started(BADGE)
    bench.bend = lambda _, back: [random.randrange(256) for _ in back]
    began_s = bench.now_s
    with pytest.raises((ReaderSilent, CardGarbled)):
        if at_start:
            bench.reader.start()
        bench.reader.cards()
    assert bench.now_s - began_s < 1.0


SOUND = frozenset({0x14, 0x0B, 0x37})  # TxControlReg, WaterLevelReg, VersionReg: what the driver checks


@settings(max_examples=300, deadline=None)
@given(st.integers())
def test_a_chip_that_answers_nonsense_to_sound_questions_never_breaks_the_driver(seed: int) -> None:
    random = Random(seed)
    bench = started(BADGE, BADGE_7)
    interesting = (0x00, 0x03, 0x08, 0x20, 0x21, 0x40, 0x88, 0x91, 0xFF)

    def nonsense(out: list[int], back: list[int]) -> list[int]:
        if not out[0] & 0x80:
            return back
        asked = [0, *(byte >> 1 & 0x3F for byte in out[:-1])]
        bytes_ = (random.choice((*interesting, random.randrange(256))) for _ in back)
        return [
            kept if register in SOUND else byte for register, kept, byte in zip(asked, back, bytes_, strict=True)
        ]

    bench.bend = nonsense
    began_s = bench.now_s
    for _ in range(3):
        with suppress(ReaderSilent, CardGarbled):
            assert all(len(uid) in {4, 7, 10} for uid in bench.reader.cards())
    assert bench.now_s - began_s < 30.0


def test_where_spi_is_off_the_reader_is_silent_with_the_mend(tmp_path: Path) -> None:
    section = Rc522Section(name="gate", driver="rc522", chip_select=1)
    with ExitStack() as closing:
        bench = driver.Bench(driver.Copper(MockFactory()), RunningClock(), tmp_path, closing)
        reader = DRIVER.open(section, bench)
        for _ in range(2):
            with pytest.raises(ReaderSilent, match=r"RC522 on SPI 0\.1: failed to .*: write dtparam=spi=on into"):
                reader.start()


@given(st.integers(0, ONE_CARD), st.integers(0, 7), st.integers(1, 8))
@settings(deadline=None)
def test_flipped_bits_in_one_transfer_never_break_the_driver(at: int, bit: int, byte: int) -> None:
    bench = started(BADGE)
    first = bench.transfers

    def flip(out: list[int], back: list[int]) -> list[int]:
        if bench.transfers == first + at and byte < len(back):
            back[byte] ^= 1 << bit
        return back

    bench.bend = flip
    found: list[bytes] = []
    silent = False
    try:
        found = bench.reader.cards()
    except CardGarbled:
        pass
    except ReaderSilent:
        silent = True
    assert set(found) <= {BADGE}
    bench.bend = lambda _, back: back
    if silent:
        bench.reader.start()  # as the worker does
    assert bench.reader.cards() == [BADGE]

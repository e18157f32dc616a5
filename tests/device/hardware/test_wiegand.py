"""The Wiegand driver on gpiozero's mock pins, and its histories with a reader at the other end."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from gpiozero.exc import GPIOPinInUse
from postkit import RunningClock
from waiting import until
from wired import SlowClock, section, wired

from device.errors import ConfigError
from device.hardware.readers.driver import Bench, Copper
from device.hardware.readers.reader import FrameRefused, ReaderSilent
from device.hardware.readers.wiegand import DRIVER, MOST_EDGES, WiegandSection
from device.hardware.readers.wiegand_frames import MOST_BITS
from device.readings import BadgeRead, Garbled, PartBlind
from simulator.factory import SimFactory
from simulator.far_ends.wiegand import frame

PINS = {"driver": "wiegand", "data0_pin": 20, "data1_pin": 21}
PATIENT = PINS | {"gap": "250ms"}
"""For a reader that is a program: a busy machine may hold it up in mid-frame."""
BADGE, OTHER = bytes.fromhex("A1B2C3"), bytes.fromhex("010203")
STUCK = "is stuck low: a short, or the level shifter or the reader has no 5 V; check these"


class Lines:
    """A driver, and its two lines in a hand. A frame of ``send`` is sent at once, as a pin can be moved."""

    def __init__(self, **keys: Any) -> None:
        self.section: WiegandSection = section(**PATIENT | keys)
        self.factory = SimFactory()
        self.closing = ExitStack()
        for pin in (20, 21):
            self.factory.hold(pin, True)
        bench = Bench(Copper(self.factory), RunningClock(), Path(), self.closing)
        self.reader = DRIVER.open(self.section, bench)

    def pulse(self, bit: int) -> None:
        for level in (False, True):
            self.factory.hold((20, 21)[bit], level)

    def send(self, uid: bytes) -> None:
        for bit in frame(self.section, uid):
            self.pulse(bit)

    def next(self) -> list[bytes]:
        """What the driver gives, once it gives something."""
        return until(self.reader.cards)

    def close(self) -> None:
        self.reader.close()
        self.closing.close()
        self.factory.close()


@pytest.fixture
def lines() -> Iterator[Lines]:
    made = Lines()
    yield made
    made.close()


def test_a_frame_is_read_and_nothing_comes_of_quiet_lines(lines: Lines) -> None:
    lines.reader.start()
    assert lines.reader.cards() == []
    lines.send(BADGE)
    assert lines.next() == [BADGE]
    assert lines.reader.cards() == []


@pytest.mark.parametrize(("bits", "uid"), [(34, "89D41B81"), (37, "0789ABCDEF")])
def test_other_formats_and_byte_orders_are_read(bits: int, uid: str) -> None:
    for backwards in (False, True):
        number = bytes.fromhex(uid)[:: -1 if backwards else 1]
        lines = Lines(bits=bits, reversed=backwards)
        lines.reader.start()
        lines.send(number)
        assert lines.next() == [number]
        lines.close()


def test_bits_that_came_before_it_listened_are_no_part_of_a_frame(lines: Lines) -> None:
    sent = frame(lines.section, BADGE)
    for bit in sent[:10]:
        lines.pulse(bit)
    lines.reader.start()
    for bit in sent[10:]:
        lines.pulse(bit)
    with pytest.raises(FrameRefused, match="16 bits instead of 26: 10 were lost"):
        lines.next()
    for bit in sent[:10]:
        lines.pulse(bit)
    lines.reader.start()
    lines.send(BADGE)
    assert lines.next() == [BADGE]


def test_lines_that_touch_are_told(lines: Lines) -> None:
    lines.reader.start()
    for level in (False, True):
        for pin in (20, 21):
            lines.factory.hold(pin, level)
    with pytest.raises(FrameRefused, match="both lines low at once"):
        lines.next()


@pytest.mark.parametrize("line", [0, 1])
def test_a_line_that_stays_low_is_a_silent_reader_until_it_is_free(lines: Lines, line: int) -> None:
    lines.reader.start()
    lines.factory.hold(20 + line, False)

    def silent() -> str:
        try:
            lines.reader.cards()
        except FrameRefused:
            return ""
        except ReaderSilent as error:
            return str(error)
        return ""

    assert until(silent) == f"Wiegand DATA{line} (GPIO{20 + line}) {STUCK}"
    with pytest.raises(ReaderSilent, match=STUCK):
        lines.reader.start()
    lines.factory.hold(20 + line, True)
    lines.reader.start()
    lines.send(BADGE)
    assert lines.next() == [BADGE]


def test_more_edges_than_a_badge_can_make_do_not_pile_up(lines: Lines) -> None:
    lines.reader.start()
    for _ in range(3 * MOST_EDGES):
        lines.pulse(0)
    for _ in range(-(-MOST_EDGES // (2 * MOST_BITS))):
        with pytest.raises(FrameRefused, match="pulses without a pause"):
            lines.next()
    lines.send(BADGE)
    assert lines.next() == [BADGE]


def test_a_pin_that_somebody_else_has_is_told_as_it_is_opened(lines: Lines) -> None:
    with pytest.raises(GPIOPinInUse), ExitStack() as closing:
        DRIVER.open(lines.section, Bench(Copper(lines.factory), RunningClock(), Path(), closing))


def told_of(**keys: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        section(**PINS | keys)
    return str(refused.value)


def test_the_keys_of_the_configuration() -> None:
    plain = section(**PINS)
    assert isinstance(plain, WiegandSection)
    assert (plain.bits, plain.gap.total_seconds(), plain.reversed) == (26, 0.025, False)
    assert told_of(gap="1ms").endswith('must be from "5ms" to "250ms"')
    assert "bits" in told_of(bits=32)
    assert "pin 20 is used by" in told_of(data1_pin=20)


def test_a_tap_then_a_shorted_line_then_a_tap_again() -> None:
    with wired(section(**PATIENT)) as post:
        post.tap(BADGE)
        post.until_told("sighted", "A1B2C3")
        post.do("short")
        until(lambda: "blind" in post.told())
        told = post.told()  # the cut frame may have been refused before
        (blind,) = (reading for reading in post.readings if isinstance(reading, PartBlind))
        assert blind.why == f"Wiegand DATA0 (GPIO20) {STUCK}"
        post.do("mend")
        post.until_told(*told, "sighted")
        post.tap(OTHER)
        post.until_told(*told, "sighted", "010203")


@pytest.mark.parametrize(
    ("fault", "why"), [("lose", "25 bits instead of 26"), ("flip", "wrong parity"), ("touch", "both lines low")]
)
def test_a_broken_frame_is_refused_and_counted_and_the_next_badge_is_read(fault: str, why: str) -> None:
    with wired(section(**PATIENT)) as post:
        post.do(fault)
        post.tap(BADGE)
        garbled = post.until_told("sighted", "garbled")
        assert isinstance(garbled, Garbled)
        assert garbled.why.startswith(why)
        post.tap(BADGE)
        post.do("mend")
        post.tap(OTHER)
        post.until_told("sighted", "garbled", "010203")


def test_a_line_at_50_hz_hum_is_told_once_a_minute_and_reads_nothing() -> None:
    with wired(section(**PATIENT), clock=SlowClock()) as post:
        post.do("hum")
        garbled = post.until_told("sighted", "garbled")
        assert isinstance(garbled, Garbled)
        assert garbled.why.endswith("check the cable, the common ground and the level shifter")
        post.tap(BADGE)
        post.do("mend")

        def read() -> bool:
            post.tap(OTHER)
            return "010203" in post.told()

        until(read)
        assert post.told() == ["sighted", "garbled", "010203"]


def test_one_number_for_ever_is_one_tap() -> None:
    with wired(section(**PATIENT | {"gap": "50ms"}), clock=SlowClock()) as post:
        post.do("repeat")
        until(lambda: "000000" in post.told())
        end_s = time.monotonic() + 1
        until(lambda: time.monotonic() > end_s)
        assert post.told().count("000000") == 1


def test_a_badge_after_the_other_without_a_pause_is_bounded(lines: Lines) -> None:
    """A pause of 25 ms ends a frame: more than 40 badges a second cannot be sent."""
    lines.reader.start()
    for _ in range(2):
        lines.send(BADGE)
    with pytest.raises(FrameRefused, match="52 bits instead of 26"):
        lines.next()


def test_a_cut_cable_looks_like_nobody_who_taps() -> None:
    with wired(section(**PATIENT)) as post:
        post.do("cut")
        post.tap(BADGE)
        post.do("mend")
        post.tap(OTHER)
        post.until_told("sighted", "010203")
        assert [type(reading) for reading in post.readings[1:]] == [BadgeRead]

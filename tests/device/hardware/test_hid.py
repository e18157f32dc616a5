"""The USB reader's driver: on a device that speaks in events, and on a real one where the kernel can make one."""

import os
import queue
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EACCES, ENOTTY
from pathlib import Path
from typing import Any

import pytest
from evdev import UInput, UInputError, ecodes
from postkit import RunningClock
from waiting import until
from wired import FEW_TAPS, WITHIN_S, SlowClock, section, wired

from device.errors import ConfigError
from device.hardware.readers.complaints import PER_S
from device.hardware.readers.hid import Hid, HidSection, InputNode, open_evdev
from device.hardware.readers.hid_keys import DIGITS, EV_KEY, KEY_ENTER, NumberFormat
from device.hardware.readers.reader import FrameRefused, ReaderSilent, ReaderWorker
from device.readings import BadgeRead, Garbled, PartBlind, PartSighted, Reading
from simulator.event_device import EventDevice, TypeCodeValue
from simulator.far_ends.hid import packets

PATH = "/dev/input/by-id/usb-Sycreader_RFID_Reader-event-kbd"
BADGE, OTHER = b"\x01\x02\x03\x04", b"\x05\x06\x07\x08"
NUMBER, OTHER_NUMBER = "0016909060", "0084281096"


class Bench:
    """A driver at a device; ``type`` sends all at once, as if the post had been late."""

    def __init__(self) -> None:
        self.device = EventDevice(PATH, [*DIGITS, KEY_ENTER])
        self.reader = Hid(PATH, NumberFormat(), self.opened)
        self.refuses: OSError | None = None

    def opened(self, path: str) -> InputNode:
        assert path == PATH
        if self.refuses is not None:
            raise self.refuses
        return self.device.open()

    def type(self, text: str, fault: str = "") -> None:
        for packet in packets(text, fault):
            self.device.emit(*packet)

    def silent(self) -> str:
        """Why it cannot be started."""
        with pytest.raises(ReaderSilent) as error:
            self.reader.start()
        return str(error.value)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.reader.close()
    made.device.plug(False)


def test_numbers_that_came_together_are_read_together(bench: Bench) -> None:
    bench.reader.start()
    assert bench.reader.cards() == []  # waits, and then nobody was there
    bench.type(NUMBER)
    assert bench.reader.cards() + bench.reader.cards() == [BADGE]
    for _ in range(3):
        bench.type(OTHER_NUMBER)
    read: list[bytes] = []
    while len(read) < 3:
        read += bench.reader.cards()
    assert read == [OTHER] * 3


def test_a_refused_number_hides_none_of_those_beside_it(bench: Bench) -> None:
    bench.reader.start()
    for text, fault in ((NUMBER, ""), (NUMBER, "layout"), (OTHER_NUMBER, ""), (NUMBER, "overflow")):
        bench.type(text, fault)
    told: list[bytes | str] = []
    while len(told) < 4:
        try:
            told += bench.reader.cards()
        except FrameRefused as refused:
            told += [*refused.uids, str(refused)[:9]]
    assert told == [BADGE, "Shift and", OTHER, "keys were"]


def test_nobody_else_hears_a_number_while_the_post_runs(bench: Bench) -> None:
    bench.type("1")
    bench.reader.start()
    bench.type(NUMBER)
    assert bench.device.console == [ecodes.KEY_1, KEY_ENTER]
    bench.reader.close()
    bench.type("2")
    assert bench.device.console[2:] == [ecodes.KEY_2, KEY_ENTER]


def test_a_number_that_was_being_typed_as_the_post_began_to_read_is_not_taken_for_another(bench: Bench) -> None:
    half: list[tuple[TypeCodeValue, ...]] = list(packets(NUMBER))
    end = half[len(half) // 2 :]

    def opened(path: str) -> InputNode:
        node = bench.device.open()
        for packet in end:
            bench.device.emit(*packet)
        return node

    reader = Hid(PATH, NumberFormat(), opened)
    reader.start()
    with pytest.raises(FrameRefused, match="keys were lost, since the post did not read them in time"):
        reader.cards()
    assert reader.cards() == []
    bench.type(NUMBER)
    assert reader.cards() + reader.cards() == [BADGE]
    reader.close()


def test_a_number_that_stops_half_way_is_refused_though_nothing_more_comes(bench: Bench) -> None:
    bench.reader.start()
    bench.type(NUMBER, "half")

    def refused() -> str:
        try:
            assert bench.reader.cards() == []
        except FrameRefused as error:
            return str(error)
        return ""

    assert until(refused).startswith("a number stopped after 5 digits")


def test_a_reader_that_is_pulled_in_mid_number_is_blind_and_may_be_plugged_in_again(bench: Bench) -> None:
    bench.reader.start()
    bench.type(NUMBER, "half")
    bench.device.plug(False)
    with pytest.raises(ReaderSilent) as error:
        bench.reader.cards()
    mend = "check its cable and plug it in again"
    assert str(error.value) == f"USB reader {PATH} was unplugged or failed (No such device): {mend}"
    assert bench.silent() == (
        f"USB reader {PATH} cannot be opened (No such file or directory): "
        "plug it in, or name another; ls /dev/input/by-id shows what there is"
    )
    bench.device.plug(True)
    bench.reader.start()
    bench.type(NUMBER)
    assert bench.reader.cards() == [BADGE]


def test_a_reader_that_another_program_holds_is_told_and_let_go_of(bench: Bench) -> None:
    other = bench.device.open()
    other.grab()
    assert "(Device or resource busy): another program has grabbed it; stop that one" in bench.silent()
    other.close()
    bench.reader.start()


@pytest.mark.parametrize(
    ("number", "mend"),
    [(EACCES, "add it to the group input"), (ENOTTY, "it is no input device"), (5, "plug it in again")],
)
def test_why_a_device_cannot_be_opened_comes_with_its_mend(bench: Bench, number: int, mend: str) -> None:
    bench.refuses = OSError(number, os.strerror(number))
    assert bench.silent().startswith(f"USB reader {PATH} cannot be opened ({os.strerror(number)}): ")
    assert mend in bench.silent()


def test_a_device_without_digits_is_another_part_of_the_reader(bench: Bench) -> None:
    bench.device = EventDevice(PATH, [ecodes.BTN_LEFT, ecodes.BTN_RIGHT])
    assert bench.silent().endswith("or another part of the reader: name its entry that ends in -event-kbd")


def test_a_path_that_is_no_input_device_is_told_by_evdev_itself() -> None:
    with pytest.raises(ReaderSilent, match=r"/dev/null cannot be opened \(.*\): it is no input device"):
        Hid("/dev/null", NumberFormat()).start()


def test_without_python_evdev_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evdev", None)
    with pytest.raises(ReaderSilent, match="a USB reader needs python-evdev: apt install python3-evdev"):
        open_evdev(PATH)


def told_of(**keys: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        section(driver="hid", **keys)
    return str(refused.value)


def test_the_keys_of_the_configuration() -> None:
    plain = section(driver="hid", device=PATH)
    assert isinstance(plain, HidSection)
    assert (plain.number, plain.bytes, plain.reversed) == ("decimal", None, False)
    mend = "write its name below /dev/input/by-id; ls /dev/input/by-id shows what there is"
    assert told_of(device="/dev/input/event3").endswith(
        f"'/dev/input/event3' may be another device after the next start; {mend}"
    )
    assert told_of(device="Sycreader").endswith(f"'Sycreader' is no device; {mend}")
    assert "bytes" in told_of(device=PATH, bytes=6)
    assert "reversed" in told_of(device=PATH, reversed="yes")
    assert "device: missing" in told_of()


def test_a_tap_then_a_pulled_cable_then_a_tap_again() -> None:
    with wired(section(driver="hid", device=PATH)) as post:
        post.tap(BADGE)
        post.until_told("sighted", "01020304")
        post.do("unplug")
        blind = post.until_told("sighted", "01020304", "blind")
        assert isinstance(blind, PartBlind)
        assert "unplugged" in blind.why
        post.do("plug")
        post.until_told("sighted", "01020304", "blind", "sighted")
        post.tap(OTHER)
        post.until_told("sighted", "01020304", "blind", "sighted", "05060708")


def test_a_reader_that_is_not_there_at_the_start_is_blind_until_it_is() -> None:
    with wired(section(driver="hid", device=PATH, number="hex"), ready=False) as post:
        post.do("unplug")
        until(lambda: "blind" in post.told())
        seen = post.told()
        post.do("plug")
        post.until_told(*seen, "sighted")
        post.tap(BADGE)
        post.until_told(*seen, "sighted", "01020304")


def test_garbage_is_refused_and_counted_not_told_one_by_one() -> None:
    with wired(section(driver="hid", device=PATH)) as post:
        post.do("layout")
        for _ in range(3):
            post.tap(BADGE)
        post.do("mend")
        post.tap(OTHER)
        until(lambda: "05060708" in post.told())
        assert sorted(post.told()) == ["05060708", "garbled", "sighted"]
        (garbled,) = (reading for reading in post.readings if isinstance(reading, Garbled))
        assert garbled.why.startswith("Shift and key ")


def test_one_number_for_ever_is_one_tap() -> None:
    with wired(section(driver="hid", device=PATH), clock=SlowClock()) as post:
        post.do("jam")
        post.until_told("sighted", "00000000")
        end_s = time.monotonic() + 1
        until(lambda: time.monotonic() > end_s)
        assert post.told() == ["sighted", "00000000"]


def test_a_tap_every_few_milliseconds_is_bounded() -> None:
    with wired(section(driver="hid", device=PATH), clock=SlowClock()) as post:
        for number in range(2 * FEW_TAPS):
            post.tap(number.to_bytes(4, "big"))
        until(lambda: "garbled" in post.told())
        taps = [reading for reading in post.readings if isinstance(reading, BadgeRead)]
        seconds = (taps[-1].at.uptime_ms - taps[0].at.uptime_ms) / 1000
        assert FEW_TAPS <= len(taps) <= FEW_TAPS + 1 + PER_S * seconds


@contextmanager
def keyboard() -> Iterator[UInput]:
    """A keyboard that the kernel itself makes, with the events that it makes of a USB reader's."""
    try:
        keys = [*DIGITS, KEY_ENTER, ecodes.KEY_LEFTSHIFT]
        made = UInput({EV_KEY: keys, ecodes.EV_MSC: [ecodes.MSC_SCAN]}, name="guardpost test reader")
    except UInputError as error:
        pytest.skip(f"no uinput for us: {error}")
    with made:
        yield made


def type_on(device: UInput, text: str, after_each: Callable[[], Any] = lambda: None) -> None:
    for packet in packets(text):
        for event in packet:
            device.write(*event)
        device.syn()
        after_each()


@pytest.mark.skipif(not Path("/dev/uinput").exists(), reason="this kernel has no uinput")
def test_on_a_keyboard_of_the_kernel_itself() -> None:
    """Read; kept from others; too late for the kernel's buffer; pulled in mid-number; back."""
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    paths: list[str] = []
    reader = Hid(PATH, NumberFormat(), lambda _: open_evdev(paths[-1]))
    with keyboard() as device:
        paths.append(str(device.device.path))
        reader.start()
        with pytest.raises(ReaderSilent, match="another program has grabbed it"):
            Hid(PATH, NumberFormat(), lambda _: open_evdev(paths[-1])).start()
        read: list[bytes] = []
        type_on(device, NUMBER, lambda: read.extend(reader.cards()))
        assert read == [BADGE]
        type_on(device, NUMBER)  # 66 events, and nobody reads
        with pytest.raises(FrameRefused, match="keys were lost"):
            reader.cards()
        reader.close()
        worker = ReaderWorker("gate", reader, RunningClock(), inbox, retry_s=0.01)
        worker.start()
        assert isinstance(inbox.get(timeout=WITHIN_S), PartSighted)
        device.write(EV_KEY, ecodes.KEY_1, 1)
        device.syn()
    assert isinstance(inbox.get(timeout=WITHIN_S), PartBlind)
    with keyboard() as device:
        paths.append(str(device.device.path))
        assert isinstance(inbox.get(timeout=WITHIN_S), PartSighted)
        type_on(device, OTHER_NUMBER, lambda: time.sleep(0.01))
        last = inbox.get(timeout=WITHIN_S)
        assert isinstance(last, BadgeRead)
        assert last.uid == OTHER
        worker.stop()

"""The model of a USB reader: what it types, as bytes of the kernel, and how it fails."""

import os
import struct
import sys
from errno import EBUSY, ENODEV

import pytest
from evdev import ecodes
from waiting import until
from wired import section, wired

from device.hardware.readers.hid_keys import DIGITS, KEY_ENTER
from simulator.errors import SimulatorError
from simulator.event_device import EventDevice
from simulator.factory import SimFactory
from simulator.far_ends import Site, far_end
from simulator.far_ends.hid import packets, typed

PATH = "/dev/input/by-id/usb-reader-event-kbd"
KEYS = {"driver": "hid", "device": PATH}
BADGE = bytes.fromhex("01020304")


def pressed(text: str, fault: str = "") -> list[str]:
    """What is pressed, by the kernel's names."""
    events = [event for packet in packets(text, fault) for event in packet]
    names = [
        name if isinstance(name := ecodes.KEY[code], str) else name[0]
        for kind, code, value in events
        if kind == ecodes.EV_KEY and value == 1
    ]
    return [name.removeprefix("KEY_") for name in names]


def test_a_number_is_typed_as_the_configuration_expects_it() -> None:
    assert typed(section(**KEYS), BADGE) == "0016909060"
    assert typed(section(**KEYS, reversed=True), BADGE) == "0067305985"
    assert typed(section(**KEYS, bytes=3), BADGE[1:]) == "00131844"
    hexadecimal = section(**KEYS, number="hex")
    assert typed(hexadecimal, bytes.fromhex("04a1b2c3d4e5f6")) == "04A1B2C3D4E5F6"
    with pytest.raises(ValueError, match="6 bytes; this reader gives 3 or 4 or 5 or 7 or 10"):
        typed(hexadecimal, bytes(6))
    with pytest.raises(ValueError, match="7 bytes; this reader gives 4"):
        typed(section(**KEYS), bytes(7))


def test_letters_are_shifted_and_faults_bend_the_number() -> None:
    assert pressed("1A") == ["1", "LEFTSHIFT", "A", "ENTER"]
    assert pressed("12", "layout") == ["LEFTSHIFT", "1", "LEFTSHIFT", "2", "ENTER"]
    assert pressed("1234", "half") == ["1", "2"]
    assert pressed("1234", "overflow") == ["1", "2", "4", "ENTER"]


def test_every_key_that_is_pressed_is_released() -> None:
    down: set[int] = set()
    for packet in packets("04A1B2C3D4E5F6"):
        for kind, code, value in packet:
            if kind == ecodes.EV_KEY:
                (down.add if value else down.remove)(code)
    assert not down


def test_a_node_gives_the_bytes_of_struct_input_event() -> None:
    device = EventDevice(PATH, [*DIGITS, KEY_ENTER])
    node = device.open()
    assert device.emit((ecodes.EV_KEY, ecodes.KEY_1, 1))
    raw = os.read(node.fileno(), 1024)
    _, _, *key = struct.unpack_from("@llHHi", raw)
    assert key == [ecodes.EV_KEY, ecodes.KEY_1, 1]
    assert struct.unpack_from("@llHHi", raw, 24)[2:] == (ecodes.EV_SYN, ecodes.SYN_REPORT, 0)
    assert len(raw) == 48
    node.close()
    node.close()
    assert not device.emit((ecodes.EV_KEY, ecodes.KEY_1, 0))


def test_only_one_program_can_grab_it_and_the_others_hear_nothing_then() -> None:
    device = EventDevice(PATH, [KEY_ENTER])
    one, other = device.open(), device.open()
    one.grab()
    with pytest.raises(OSError) as busy:
        other.grab()
    assert busy.value.errno == EBUSY
    device.emit((ecodes.EV_KEY, KEY_ENTER, 1))
    assert [event.code for event in one.read()] == [KEY_ENTER, ecodes.SYN_REPORT]
    with pytest.raises(BlockingIOError):
        list(other.read())
    one.close()
    other.grab()
    device.plug(False)
    for use in (other.read, other.grab):
        with pytest.raises(OSError) as gone:
            use()
        assert gone.value.errno == ENODEV
    other.close()
    with pytest.raises(FileNotFoundError):
        device.open()


def test_a_program_that_never_reads_is_told_that_keys_were_dropped() -> None:
    device = EventDevice(PATH, [KEY_ENTER])
    node = device.open()
    for _ in range(2000):
        device.emit((ecodes.EV_KEY, KEY_ENTER, 1))

    def read() -> list[tuple[int, int]]:
        try:
            return [(event.type, event.code) for event in node.read()]
        except BlockingIOError:
            return []

    while read():
        pass
    device.emit((ecodes.EV_KEY, KEY_ENTER, 1))
    assert read()[:2] == [(ecodes.EV_SYN, ecodes.SYN_DROPPED), (ecodes.EV_KEY, KEY_ENTER)]
    node.close()


def test_a_card_that_stays_is_typed_once_and_one_that_nobody_hears_was_not_read() -> None:
    with wired(section(**KEYS)) as post:
        for _ in range(2):
            post.far.place(BADGE)
            assert post.far.wait_read(BADGE, 0)
        post.until_told("sighted", "01020304")
        post.far.remove(BADGE)
        assert not post.far.wait_read(BADGE, 0)
        post.do("unplug")
        post.until_told("sighted", "01020304", "blind")
        post.far.place(BADGE)
        assert not post.far.wait_read(BADGE, 0)


def test_each_fault_has_its_mend() -> None:
    with wired(section(**KEYS)) as post:
        for fault in ("half", "layout", "overflow"):
            post.do(fault)
            post.tap(BADGE)
        post.do("mend")
        until(lambda: "garbled" in post.told())
        post.tap(BADGE)
        until(lambda: "01020304" in post.told())


def test_the_simulator_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "simulator.event_device")
    monkeypatch.setitem(sys.modules, "evdev", None)
    with pytest.raises(SimulatorError, match="reader gate: the simulator reads its events with python-evdev"):
        far_end(section(**KEYS), Site(SimFactory()))

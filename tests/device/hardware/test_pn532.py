"""The PN532 driver's histories on a real pty: cards, phones, broken wires, dead chips and pulled plugs."""

import gc
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pn532_bench import WITHIN_S, Bench, watched, wired
from serial import Serial

from device.config import Config, parse
from device.errors import ConfigError
from device.hardware.readers.pn532 import MAX_EXCHANGE, Pn532, Pn532Section
from device.hardware.readers.pn532_frames import CHIP, Code, Sign, frame
from device.hardware.readers.reader import CardGarbled, FrameRefused, ReaderSilent
from device.readings import BadgeRead, Garbled, PartBlind, PartSighted, Reading
from simulator.pn532 import Faults, Said

BADGE = bytes.fromhex("3a5c7e91")
BADGE_7 = bytes.fromhex("04a1b2c3d4e5f6")
BADGE_10 = bytes.fromhex("0102030405060708090a")
PHONE = bytes.fromhex("08112233")
ATS = bytes.fromhex("75778102")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with wired(tmp_path) as made:
        yield made


@pytest.fixture
def started(bench: Bench) -> Bench:
    bench.reader.start()
    return bench


# Cards.


@pytest.mark.parametrize("uid", [BADGE, BADGE_7, BADGE_10])
def test_uids_of_all_sizes_are_read_and_gone_when_they_leave(started: Bench, uid: bytes) -> None:
    assert started.reader.cards() == []
    started.chip.place(uid)
    assert started.reader.cards() == [uid]
    started.chip.remove(uid)
    assert started.reader.cards() == []


def test_cards_that_rest_are_found_in_every_poll_though_the_chip_leaves_them_deaf_to_its_call(
    started: Bench,
) -> None:
    started.chip.place(BADGE)
    started.chip.place(BADGE_7, ATS)
    for _ in range(5):
        assert started.reader.cards() == [BADGE, BADGE_7]


def test_of_three_cards_the_chip_can_hold_two(started: Bench) -> None:
    for uid in (BADGE, BADGE_7, BADGE_10):
        started.chip.place(uid)
    assert started.reader.cards() == [BADGE, BADGE_7]


def test_an_empty_poll_is_one_command_and_once_a_second_the_field_is_new(
    started: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = frame(0xD4, Code.IN_LIST_PASSIVE_TARGET, b"\x02\x00")
    field = [frame(0xD4, Code.RF_CONFIGURATION, bytes([1, on])) for on in (0, 1)]
    started.sent = b""
    assert started.reader.cards() == []
    assert started.sent == ask
    monkeypatch.setattr("device.hardware.readers.pn532._NEW_FIELD_EVERY_S", 0.0)
    started.reader.start()
    started.sent = b""
    assert started.reader.cards() == []
    assert started.sent == b"".join(field) + ask


def test_a_phone_is_refused_once_each_time_it_comes_and_hides_no_badge(started: Bench) -> None:
    started.chip.place(PHONE)
    with pytest.raises(FrameRefused, match=r"random number .*; give its bearer a badge") as refused:
        started.reader.cards()
    assert refused.value.uids == ()
    started.chip.place(BADGE)
    assert started.reader.cards() == [BADGE]
    assert started.reader.cards() == [BADGE]
    started.reader.start()
    with pytest.raises(FrameRefused) as refused:
        started.reader.cards()
    assert refused.value.uids == (BADGE,)


# Smart cards.


def test_a_smart_badge_is_spoken_to_with_up_to_262_bytes_each_way(started: Bench) -> None:
    said = []

    def answers(apdu: bytes) -> bytes:
        said.append(apdu)
        return apdu[::-1]

    started.chip.place(BADGE)
    started.chip.place(BADGE_7, ATS, answers)
    started.reader.cards()
    assert [(target.number, target.ats) for target in started.reader.targets] == [(1, b""), (2, ATS)]
    for size in (1, 5, 251, 252, 253, 254, 255, 256, MAX_EXCHANGE):
        apdu = bytes(n & 0xFF for n in range(size))
        assert started.reader.exchange(2, apdu) == apdu[::-1]
        assert said.pop() == apdu


@pytest.mark.parametrize("size", [0, MAX_EXCHANGE + 1])
def test_what_does_not_fit_into_one_frame_is_not_sent(started: Bench, size: int) -> None:
    sent = started.sent
    with pytest.raises(ValueError, match="from 1 to 262"):
        started.reader.exchange(1, bytes(size))
    assert started.sent == sent


def test_the_chips_own_errors_are_named(started: Bench) -> None:
    with pytest.raises(CardGarbled, match=r"no such card is selected \(error 0x27\)"):
        started.reader.exchange(1, b"\x00")
    started.chip.place(BADGE_7, ATS, lambda _: b"\x90\x00")
    started.reader.cards()
    assert started.reader.exchange(1, b"\x00") == b"\x90\x00"
    started.chip.remove(BADGE_7)
    with pytest.raises(CardGarbled, match=r"the card does not answer in time \(error 0x01\)"):
        started.reader.exchange(1, b"\x00")


def test_an_answer_longer_than_a_frame_is_refused(started: Bench) -> None:
    started.chip.place(BADGE_7, ATS, lambda _: bytes(MAX_EXCHANGE + 1))
    started.reader.cards()
    with pytest.raises(CardGarbled, match="more than 262 bytes"):
        started.reader.exchange(1, b"\x00")


def test_a_card_is_never_told_twice_what_it_was_told_once(bench: Bench) -> None:
    said: list[bytes] = []

    def answers(apdu: bytes) -> bytes:
        said.append(apdu)
        return b"\x90\x00"

    def hears(data: bytes) -> list[Said]:
        bench.chip.hear(data)
        return []

    bench.hasty.start()
    bench.chip.place(BADGE_7, ATS, answers)
    bench.hasty.cards()
    bench.hears = hears
    with pytest.raises(ReaderSilent, match="does not acknowledge"):
        bench.hasty.exchange(1, b"pay")
    assert said == [b"pay"]


# Broken frames.


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (Faults(bad_lcs=2), r"length check sum \(LCS\)"),
        (Faults(bad_dcs=2), r"data check sum \(DCS\)"),
        (Faults(cut_short=2), "cut short"),
    ],
)
def test_a_broken_answer_is_asked_for_again_and_told(started: Bench, faults: Faults, why: str) -> None:
    started.chip.place(BADGE)
    started.chip.faults = faults
    with pytest.raises(FrameRefused, match=rf"^PN532 on .*gate\.tty: .*{why}.*: check its cable") as refused:
        started.reader.cards()
    assert refused.value.uids == (BADGE,)
    assert started.sent.count(Sign.NACK.value) == 2
    assert started.reader.cards() == [BADGE]


@pytest.mark.parametrize("faults", [Faults(bad_lcs=math.inf), Faults(bad_dcs=math.inf), Faults(cut_short=math.inf)])
def test_answers_that_are_always_broken_are_a_blind_reader(started: Bench, faults: Faults) -> None:
    started.chip.place(BADGE)
    started.chip.faults = faults
    with pytest.raises(ReaderSilent, match="garbled again and again"):
        started.reader.cards()
    with pytest.raises(ReaderSilent, match="garbled again and again"):
        started.reader.start()
    started.chip.faults = Faults()
    started.reader.start()
    assert started.reader.cards() == [BADGE]


def test_an_answer_without_its_ack_is_taken(started: Bench) -> None:
    started.chip.place(BADGE)
    started.chip.faults = Faults(lost_acks=3)
    assert started.reader.cards() == [BADGE]
    assert started.sent.count(b"\xd4\x4a") == 1


def test_a_search_of_which_nothing_was_heard_is_done_again_and_hides_no_card_for_long(bench: Bench) -> None:
    lost = [b"\xd4\x4a"]

    def hears(data: bytes) -> list[Said] | None:
        if not lost or lost[0] not in data:
            return None
        lost.clear()
        bench.chip.hear(data)
        return []

    bench.hasty.start()
    bench.chip.place(BADGE)
    bench.hears = hears
    with pytest.raises(FrameRefused, match="a command without an ACK, asked for again"):
        bench.hasty.cards()
    assert bench.hasty.cards() == [BADGE]


@pytest.mark.parametrize("noise", [b"\xaa\xff\x55\x80", b"\x00" * 9, frame(CHIP, 0x77, b"\x01\x02")])
def test_noise_and_answers_to_nothing_between_the_frames_are_passed_over(bench: Bench, noise: bytes) -> None:
    bench.chip.faults = Faults(noise=noise)
    bench.chip.place(BADGE)
    bench.reader.start()
    assert bench.reader.cards() == [BADGE]


@pytest.mark.parametrize("noise", [b"\x00\xff\x12" * 50, Sign.ACK.value * 50, os.urandom(300)])
def test_a_line_full_of_noise_is_a_blind_reader_and_no_hang(bench: Bench, noise: bytes) -> None:
    bench.hears = lambda _: [Said(noise)]
    with pytest.raises(ReaderSilent):
        bench.hasty.start()


def test_nonsense_under_right_check_sums_is_a_blind_reader(started: Bench) -> None:
    nonsense = frame(CHIP, Code.IN_LIST_PASSIVE_TARGET + 1, b"\x01\x01\x00\x04\x08\x09" + bytes(9))
    started.hears = lambda data: [Said(Sign.ACK.value + nonsense)] if b"\xd4\x4a" in data else None
    with pytest.raises(ReaderSilent, match="a card without a UID of 4, 7 or 10 bytes"):
        started.reader.cards()
    started.hears = lambda _: [Said(Sign.ACK.value + frame(CHIP, Code.IN_DATA_EXCHANGE + 1))]
    with pytest.raises(ReaderSilent, match="without a status"):
        started.reader.exchange(1, b"\x00")


def test_a_command_that_the_chip_does_not_take_is_told(bench: Bench) -> None:
    bench.hears = lambda _: [Said(Sign.ACK.value + Sign.SYNTAX_ERROR.value)]
    with pytest.raises(ReaderSilent, match="0x14 for a syntax error"):
        bench.reader.start()


# Chips and ports that fail.


@pytest.mark.parametrize(
    ("faults", "why"), [(Faults(dead=True), "does not acknowledge"), (Faults(mute=True), "does not answer")]
)
def test_a_dead_chip_is_told_in_one_line_and_works_again_when_it_lives(
    bench: Bench, faults: Faults, why: str
) -> None:
    bench.chip.faults = faults
    with pytest.raises(ReaderSilent, match=rf"^PN532 on .*gate\.tty: it {why}.*: check ") as silent:
        bench.hasty.start()
    assert "\n" not in str(silent.value)
    bench.chip.faults = Faults()
    bench.hasty.start()
    bench.chip.place(BADGE)
    bench.chip.faults = faults
    with pytest.raises(ReaderSilent, match=why):
        bench.hasty.cards()
    bench.chip.faults = Faults()
    bench.hasty.close()
    bench.reader.start()
    assert bench.reader.cards() == [BADGE]


def test_a_dip_of_the_supply_puts_the_chip_to_sleep_and_is_no_empty_field(bench: Bench) -> None:
    bench.hasty.start()
    bench.chip.reset()
    bench.chip.place(BADGE)
    with pytest.raises(ReaderSilent, match="does not acknowledge"):
        bench.hasty.cards()
    bench.hasty.start()
    assert bench.hasty.cards() == [BADGE]


@pytest.mark.parametrize("firmware", [b"\x33\x01\x06\x07", b"\x32\x01\x06\x06", b"\x32", b""])
def test_another_chip_is_refused(tmp_path: Path, firmware: bytes) -> None:
    with wired(tmp_path, firmware) as bench, pytest.raises(ReaderSilent, match="another chip answers"):
        bench.reader.start()


def test_a_port_that_is_not_there_is_told_and_found_when_it_comes(bench: Bench) -> None:
    bench.line.unplug()
    with pytest.raises(ReaderSilent, match=r"gate\.tty: there is no such serial port: plug the reader in"):
        bench.reader.start()
    bench.replug()
    bench.reader.start()
    assert bench.reader.cards() == []


def test_a_port_that_somebody_else_has_is_told_and_taken_when_it_is_free(bench: Bench) -> None:
    other = Serial(str(bench.port), 115_200, exclusive=True)
    with pytest.raises(ReaderSilent, match="another program, or another reader of this post, has the serial port"):
        bench.reader.start()
    other.close()
    bench.reader.start()
    with pytest.raises(OSError, match="exclusively lock"):
        Serial(str(bench.port), 115_200, exclusive=True)


@contextmanager
def not_root() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_port_that_this_user_may_not_open_is_told(bench: Bench) -> None:
    bench.port.resolve().chmod(0)
    with (
        not_root(),
        pytest.raises(ReaderSilent, match="not ours to open: put the post's user into the group dialout"),
    ):
        bench.reader.start()


def test_a_port_that_is_no_serial_port_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    for path in (file, tmp_path):
        with pytest.raises(ReaderSilent, match=r"cannot be opened \(.*\): check port"):
            Pn532(path).start()


def test_without_pyserial_the_mend_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(ReaderSilent, match="install python3-serial"):
        bench.reader.start()


def test_the_plug_pulled_in_mid_read_is_told_and_mended(started: Bench) -> None:
    started.chip.place(BADGE)
    started.pull_at(Code.IN_LIST_PASSIVE_TARGET)
    with pytest.raises(ReaderSilent, match=r"gate\.tty: its serial port failed \(.*\): check its plug and cable"):
        started.reader.cards()
    with pytest.raises(ReaderSilent, match="no such serial port"):
        started.reader.start()
    started.hears = lambda _: None
    started.replug()
    started.reader.start()
    assert started.reader.cards() == [BADGE]


def test_a_night_of_blindness_costs_no_file_descriptors(started: Bench) -> None:
    def held() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    gc.collect()  # what tests before this one left
    started.reader.start()
    before = held()
    for _ in range(5):
        started.reader.start()
    assert held() == before
    started.line.unplug()
    for _ in range(5):
        with pytest.raises(ReaderSilent):
            started.reader.start()
    started.replug()
    started.reader.start()
    assert held() == before


def test_close_switches_the_field_off_and_frees_the_port_even_of_a_dead_chip(bench: Bench) -> None:
    bench.reader.start()
    fields = [bench.chip.field_on]
    bench.reader.close()
    fields.append(bench.chip.field_on)
    assert fields == [True, False]
    Serial(str(bench.port), 115_200, exclusive=True).close()
    bench.hasty.start()
    bench.chip.faults = Faults(dead=True)
    with pytest.raises(ReaderSilent):
        bench.hasty.close()
    Serial(str(bench.port), 115_200, exclusive=True).close()
    bench.hasty.close()


# The configuration.


def config(*readers: dict[str, Any]) -> Config:
    return parse(
        {
            "post": {"site": "demo", "name": "gate"},
            "link": {"brokers": ["mqtt://127.0.0.1:1"]},
            "reader": [{"name": f"gate-{n}", "driver": "pn532", **reader} for n, reader in enumerate(readers)],
            "door": [{"name": "front", "pin": 14}],
        },
        Path("/etc/guardpost/post.toml"),
    )


def port(reader: dict[str, Any]) -> str:
    (section,) = config(reader).reader
    assert isinstance(section, Pn532Section)
    return str(section.port)


def test_the_pis_own_uart_takes_its_pins_and_a_usb_adapter_none() -> None:
    with pytest.raises(ConfigError, match="14"):
        config({})
    assert port({"port": "/dev/serial/by-id/usb-1"}) == "/dev/serial/by-id/usb-1"


def test_a_port_is_relative_to_its_file_and_is_one_readers_alone() -> None:
    assert port({"port": "gate.tty"}) == "/etc/guardpost/gate.tty"
    with pytest.raises(ConfigError, match=r"gate\.tty.*give each its own"):
        config({"port": "gate.tty"}, {"port": "gate.tty"})


def test_other_keys_are_refused() -> None:
    with pytest.raises(ConfigError, match="baud: unknown key"):
        config({"port": "gate.tty", "baud": 9600})


# A whole history.


def in_words(reading: Reading) -> str | bytes:
    match reading:
        case BadgeRead(reader="gate", uid=uid, assurance="uid"):
            return uid
        case PartBlind(part="reader gate"):
            return "blind"
        case PartSighted(part="reader gate"):
            return "sighted"
        case Garbled(part="reader gate"):
            return "refused"
    raise AssertionError(reading)


def test_a_tap_then_a_pulled_plug_then_a_tap_again(bench: Bench) -> None:
    with watched(bench) as inbox:
        bench.chip.place(BADGE)
        told = [inbox.get(timeout=WITHIN_S) for _ in range(2)]
        bench.chip.remove(BADGE)
        bench.line.unplug()
        told.append(inbox.get(timeout=WITHIN_S))
        bench.replug()
        told.append(inbox.get(timeout=WITHIN_S))
        bench.chip.place(BADGE_7)
        told.append(inbox.get(timeout=WITHIN_S))
    assert [in_words(reading) for reading in told] == ["sighted", BADGE, "blind", "sighted", BADGE_7]
    blind = told[2]
    assert isinstance(blind, PartBlind)
    assert "gate.tty" in blind.why


def test_one_number_for_ever_is_one_tap_and_broken_frames_and_phones_are_counted(bench: Bench) -> None:
    with watched(bench, step_ms=20_000) as inbox:
        bench.chip.place(BADGE)
        told = [inbox.get(timeout=WITHIN_S) for _ in range(2)]
        bench.chip.faults = Faults(bad_dcs=1)
        told.append(inbox.get(timeout=WITHIN_S))
        bench.chip.place(PHONE)
        assert bench.chip.wait_read(PHONE, WITHIN_S)
        told.append(inbox.get(timeout=WITHIN_S))  # a minute later, as the clock goes here
    assert [in_words(reading) for reading in told] == ["sighted", BADGE, "refused", "refused"]
    assert inbox.empty()
    broken, phone = told[2:]
    assert isinstance(broken, Garbled)
    assert isinstance(phone, Garbled)
    assert (broken.count, phone.count) == (1, 1)
    assert "(DCS), asked for again" in broken.why
    assert "random number" in phone.why


def test_more_taps_than_hands_can_make_are_bounded_and_counted(bench: Bench) -> None:
    taps, told = 40, []
    with watched(bench, step_ms=10) as inbox:
        for n in range(taps):
            uid = bytes([0x10 + n, 1, 2, 3])
            bench.chip.place(uid)
            assert bench.chip.wait_read(uid, WITHIN_S)
            bench.chip.remove(uid)
        while not inbox.empty():
            told.append(inbox.get())
    assert 20 <= len([reading for reading in told if isinstance(reading, BadgeRead)]) < taps
    (flood,) = [reading for reading in told if isinstance(reading, Garbled)]
    assert "more than 4 badges a second" in flood.why

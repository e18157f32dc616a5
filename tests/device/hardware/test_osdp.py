"""OSDP readers: their configuration, their key, their port, and what happens to them on a wall."""

import fcntl
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import osdp
import pytest
from osdp_bench import (
    KEY,
    OTHER_ADDRESS,
    Post,
    a_section,
    asked,
    driver,
    far_ends,
    why_silent,
    wired_readers,
)
from waiting import until

from device.config import Config, parse
from device.effects import Answer
from device.errors import ConfigError
from device.hardware.readers.osdp import OsdpSection
from device.hardware.readers.osdp_bus import MOST_READERS, Line
from device.hardware.readers.osdp_key import DEFAULT_KEY, KEY_BYTES, key_file, read_key, written
from device.hardware.readers.osdp_station import Station
from device.hardware.readers.reader import Answering, ReaderSilent
from device.readings import PartBlind, PartSighted

BADGE, OTHER = bytes.fromhex("01020304"), bytes.fromhex("04A1B2C3D4E5F6")


def configured(*readers: dict[str, Any]) -> Config:
    keys = {"driver": "osdp", "port": "/dev/ttyUSB0"}
    content = {
        "post": {"site": "jember", "name": "kpu-gate"},
        "link": {"brokers": ["mqtt://127.0.0.1:1"]},
        "reader": [keys | reader for reader in readers],
    }
    return parse(content, Path("post.toml"))


def refusal(*readers: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as refused:
        configured(*readers)
    return str(refused.value)


def test_a_port_is_enough() -> None:
    (section,) = configured({"name": "gate"}).reader
    assert isinstance(section, OsdpSection)
    assert (section.baud, section.address, str(section.port)) == (9600, 0, "/dev/ttyUSB0")


def test_readers_share_a_port_at_one_speed_with_an_address_each() -> None:
    assert len(configured({"name": "gate", "address": 1}, {"name": "yard", "address": 2}).reader) == 2
    same = refusal({"name": "gate", "address": 1}, {"name": "yard", "address": 1})
    assert same.endswith("port /dev/ttyUSB0 address 1 is used by reader gate and by reader yard; give each its own")
    speeds = refusal({"name": "gate"}, {"name": "yard", "address": 1, "baud": 115_200})
    assert "port /dev/ttyUSB0 is used by OSDP at 9600 baud and by OSDP at 115200 baud" in speeds
    configured({"name": "gate"}, {"name": "yard", "port": "/dev/ttyUSB1", "baud": 115_200})


def test_the_header_s_own_uart_keeps_its_pins() -> None:
    header: dict[str, Any] = {"driver": "osdp", "port": "/dev/serial0"}
    shared = [header | {"name": "gate"}, header | {"name": "yard", "address": 1}]
    assert len(configured(*shared).reader) == 2
    wiegand = {"name": "back", "driver": "wiegand", "data0_pin": 14, "data1_pin": 20}
    with pytest.raises(ConfigError, match="pin 14 is used by OSDP on /dev/serial0 and by"):
        parse(
            {
                "post": {"site": "jember", "name": "kpu-gate"},
                "link": {"brokers": ["mqtt://127.0.0.1:1"]},
                "reader": [shared[0], wiegand],
            },
            Path("post.toml"),
        )


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"address": 127}, "127"),
        ({"address": -1}, "-1"),
        ({"baud": 1200}, "9600"),
        ({"port": "ttyUSB0"}, "write its path, like"),
        ({"speed": 9600}, "unknown key"),
    ],
)
def test_a_mistake_is_one_line(keys: dict[str, Any], why: str) -> None:
    line = refusal({"name": "gate"} | keys)
    assert why in line
    assert "\n" not in line


def test_a_key_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = key_file(tmp_path, "gate")
    file.write_bytes(written(KEY))
    assert file.name == "osdp-gate.key"
    assert read_key(file, "gate") == KEY


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"xyz\n", written(KEY)[2:], written(DEFAULT_KEY)])
def test_no_key_a_damaged_one_and_the_one_that_everybody_knows_are_refused(tmp_path: Path, content: bytes) -> None:
    file = key_file(tmp_path, "gate")
    with pytest.raises(ReaderSilent, match="given no key; stop the post and run guardpost osdp install"):
        read_key(file, "gate")
    file.write_bytes(content)
    with pytest.raises(ReaderSilent, match="no key of 16 secret bytes"):
        read_key(file, "gate")


def test_a_post_without_a_key_does_not_ask_its_reader(tmp_path: Path) -> None:
    with driver(tmp_path, a_section(tmp_path)) as reader:
        assert "this reader has been given no key" in why_silent(reader)


@pytest.fixture
def with_key(tmp_path: Path) -> Path:
    key_file(tmp_path, "gate").write_bytes(written(secrets.token_bytes(KEY_BYTES)))
    return tmp_path


def test_a_port_that_is_not_there_or_belongs_to_somebody_else_says_so_and_is_tried_again(with_key: Path) -> None:
    section = a_section(with_key)
    with driver(with_key, section) as reader:
        assert "there is no such serial port: plug the reader in" in why_silent(reader)
        with far_ends(with_key, section):
            descriptor = os.open(section.port, os.O_RDWR | os.O_NOCTTY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            assert "another program" in why_silent(reader)
            os.close(descriptor)
            until(lambda: why_silent(reader) == "")


def test_a_port_that_is_no_serial_line_says_so(with_key: Path) -> None:
    section = a_section(with_key)
    section.port.write_bytes(b"")
    with driver(with_key, section) as reader:
        assert "cannot be opened" in why_silent(reader)


def test_without_a_library_the_line_names_it(with_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with driver(with_key, a_section(with_key)) as reader:
        monkeypatch.setitem(sys.modules, "serial", None)
        assert why_silent(reader) == "OSDP needs pyserial: install python3-serial"
        monkeypatch.setitem(sys.modules, "device.hardware.readers.osdp_panel", None)
        assert why_silent(reader) == "OSDP needs libosdp: pip install libosdp"


def test_nobody_at_the_address_says_what_to_check(tmp_path: Path) -> None:
    section = a_section(tmp_path)
    with far_ends(tmp_path, section) as far, driver(tmp_path, section) as reader:
        far["gate"].faults["cut"].do()
        assert why_silent(reader) == (
            "OSDP reader gate: no answer at address 3 and 115200 baud: check its 12 V, that A and B are not "
            "swapped, its address and its speed"
        )


def test_a_tap_is_a_reading_with_the_assurance_of_the_secure_channel(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        post.far["gate"].place(BADGE)
        (read,) = post.until_badges(BADGE)
        assert (read.reader, read.assurance) == ("gate", "osdp-sc")
        post.far["gate"].remove(BADGE)
        post.far["gate"].place(OTHER)
        post.until_badges(BADGE, OTHER)


def test_two_readers_on_one_line_are_told_apart_and_a_dead_one_does_not_stop_the_other(tmp_path: Path) -> None:
    sections = a_section(tmp_path), a_section(tmp_path, "yard", OTHER_ADDRESS)
    with wired_readers(tmp_path, *sections) as post:
        assert len(post.far["gate"].line.readers) == 2
        post.far["gate"].place(BADGE)
        post.far["yard"].place(BADGE)
        post.until_badges(BADGE, name="gate")
        post.until_badges(BADGE, name="yard")
        post.far["yard"].faults["cut"].do()
        assert "no answer at address 7" in post.until_blind("yard")
        post.far["gate"].place(OTHER)
        post.until_badges(BADGE, OTHER, name="gate")
        post.far["yard"].faults["mend"].do()
        post.until_sees("yard")
        assert post.sees("gate")


def test_a_reader_that_restarts_is_blind_and_comes_back_by_itself(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        post.far["gate"].faults["reboot"].do()
        assert "broke off its secure channel" in post.until_blind()
        post.until_sees()
        post.far["gate"].place(BADGE)
        post.until_badges(BADGE)


def test_an_adapter_that_is_pulled_out_in_mid_talk_is_found_again(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        post.far["gate"].faults["unplug"].do()
        assert "the port failed" in post.until_blind()
        post.far["gate"].faults["plug"].do()
        post.until_sees()
        post.far["gate"].place(BADGE)
        post.until_badges(BADGE)


def test_garbage_is_refused_and_counted_and_what_follows_is_heard(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        post.far["gate"].faults["garble"].do()
        until(post.refused)
        assert "bytes that are no frame; check termination" in post.refused()[0].why
        post.far["gate"].faults["clear"].do()
        until(lambda: _asked_well(post, BADGE))


def _asked_well(post: Post, uid: bytes) -> bool:
    """A tap now and then, as an officer would; a session that broke meanwhile is begun anew."""
    post.far["gate"].place(uid)
    post.far["gate"].wait_read(uid, 1.0)
    post.far["gate"].remove(uid)
    return uid in post.badges()


def test_one_number_for_ever_is_one_tap(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        post.far["gate"].faults["repeat"].do()
        sent = post.far["gate"].device
        until(lambda: sent.sent >= 5)
        post.far["gate"].faults["rest"].do()
        assert post.badges() == [bytes(range(4))]


def test_a_machine_s_flood_of_taps_is_bounded_and_told(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        for number in range(200):
            post.far["gate"].device.send_bits(32, number.to_bytes(4, "big"))
        until(lambda: post.far["gate"].device.sent >= 40)
        until(post.refused)
        assert "a machine" in post.refused()[0].why
        assert len(post.badges()) < 40


def test_a_badge_with_a_wrong_parity_is_refused_and_not_guessed(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        post.far["gate"].device.send_bits(26, bytes.fromhex("01020300"), format_code=1)
        until(post.refused)
        assert "parity" in post.refused()[0].why
        post.far["gate"].device.send_bits(26, bytes.fromhex("00000000"), format_code=1)
        post.far["gate"].device.send_bits(26, bytes.fromhex("00000040"), format_code=1)
        post.until_badges(bytes(3))


def test_keys_on_a_keypad_are_no_badge_and_no_fault(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        post.far["gate"].device.submit({"event": osdp.Event.KeyPress, "reader_no": 0, "data": b"12"})
        post.far["gate"].place(BADGE)
        post.until_badges(BADGE)
        assert post.refused() == []
        assert len(post.of(PartSighted)) == 1


def test_an_open_housing_is_a_blind_reader_from_the_start_on_and_until_it_is_shut(tmp_path: Path) -> None:
    section = a_section(tmp_path)
    with far_ends(tmp_path, section) as far, driver(tmp_path, section) as reader:
        far["gate"].faults["open"].do()
        until(lambda: "its housing is open" in why_silent(reader))
        far["gate"].faults["shut"].do()
        until(lambda: why_silent(reader) == "")
        far["gate"].faults["open"].do()
        with pytest.raises(ReaderSilent, match="its housing is open"):
            until(lambda: reader.cards() and False)
        far["gate"].place(BADGE)
        assert far["gate"].wait_read(BADGE, 20)
        far["gate"].faults["shut"].do()
        until(lambda: why_silent(reader) == "")
        assert reader.cards() == []


def test_a_failing_supply_is_told_and_the_reader_still_sees(tmp_path: Path) -> None:
    with wired_readers(tmp_path) as post:
        post.far["gate"].device.report(False, True)
        until(post.refused)
        assert "its supply fails" in post.refused()[0].why
        post.far["gate"].place(BADGE)
        post.until_badges(BADGE)


def test_the_officer_sees_green_and_hears_a_beep_at_the_reader_itself(tmp_path: Path) -> None:
    sections = a_section(tmp_path), a_section(tmp_path, "yard", OTHER_ADDRESS)
    with wired_readers(tmp_path, *sections) as post:
        reader, shown = post.readers["gate"], post.far["gate"].device.shown
        assert isinstance(reader, Answering)
        reader.show(Answer.ACCEPTED)
        until(lambda: len(shown) == 2)
        light, buzzer = shown
        assert light["temporary"] and light["control_code"] == 2
        assert (light["on_color"], light["on_count"], light["timer_count"]) == (osdp.CommandLEDColor.Green, 20, 20)
        assert (buzzer["control_code"], buzzer["on_count"], buzzer["rep_count"]) == (2, 1, 1)
        reader.show(Answer.NOT_RECORDED)
        until(lambda: len(shown) == 4)
        assert (shown[2]["on_color"], shown[2]["timer_count"]) == (osdp.CommandLEDColor.Red, 26)
        assert (shown[3]["on_count"], shown[3]["rep_count"]) == (1, 8)
        assert not post.far["yard"].device.shown


@pytest.mark.parametrize("meanwhile", ["reboot", "shut"])
def test_an_answer_to_a_reader_that_cannot_be_reached_is_not_shown_later(tmp_path: Path, meanwhile: str) -> None:
    with wired_readers(tmp_path) as post:
        end, shown = post.far["gate"], post.far["gate"].device.shown
        end.faults["cut"].do()
        post.readers["gate"].show(Answer.ACCEPTED)  # on its way as the line breaks
        post.until_blind()
        post.readers["gate"].show(Answer.ACCEPTED)
        end.faults[meanwhile].do()
        end.faults["mend"].do()
        post.until_sees()
        post.readers["gate"].show(Answer.REFUSED)
        until(lambda: len(shown) >= 2)
        assert [command.get("on_color") for command in shown] == [osdp.CommandLEDColor.Red, None]


@pytest.mark.parametrize("declined", [osdp.Command.LED, osdp.Command.Buzzer, osdp.Command.Status])
def test_a_reader_that_declines_a_command_is_not_sent_it_again(tmp_path: Path, declined: int) -> None:
    section = a_section(tmp_path)
    with far_ends(tmp_path, section) as far:
        device = far["gate"].device
        device.declines.add(declined)
        others = {osdp.Command.LED, osdp.Command.Buzzer} - {declined}
        with asked(tmp_path, section, far=far) as post:

            def shows_the_rest() -> bool:
                post.readers["gate"].show(Answer.REFUSED)
                return {command["command"] for command in [*device.shown]} == others

            post.until_sees()
            until(shows_the_rest, every_s=0.05)
            post.until_sees()
            blind = len(post.of(PartBlind))
            device.reboot(device.key)
            until(lambda: len(post.of(PartBlind)) > blind)
            device.shown.clear()
            until(shows_the_rest, every_s=0.05)
            assert device.declined == 1


def test_more_readers_than_a_line_carries_are_refused(tmp_path: Path) -> None:
    line = Line(tmp_path / "rs485.tty", 9600)
    for address in range(MOST_READERS):
        with pytest.raises(ReaderSilent, match="no such serial port"):
            line.join(Station(f"r{address}", address, 9600, KEY))
    with pytest.raises(ReaderSilent, match="more than 32 readers: use another port"):
        line.join(Station("one-more", MOST_READERS, 9600, KEY))


def test_a_driver_that_was_never_started_is_closed_and_shows_nothing(tmp_path: Path) -> None:
    with driver(tmp_path, a_section(tmp_path)) as reader:
        reader.show(Answer.ACCEPTED)

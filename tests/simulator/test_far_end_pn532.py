"""The PN532's stand-in: a chip as harsh as the manual allows, on a line that can be unplugged, on a board."""

import os
import queue
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pn532_bench import WITHIN_S, Ticking

from device.config import Config, parse
from device.hardware.readers.pn532 import Pn532, Pn532Section
from device.hardware.readers.pn532_answers import read_targets
from device.hardware.readers.pn532_frames import HOST, Code, FrameParser, Information, Sign, frame
from device.hardware.readers.pn532_hsu import WAKE_UP, Waits
from device.hardware.readers.reader import ReaderWorker
from device.readings import BadgeRead, PartBlind, PartSighted, Reading
from simulator.board import Board
from simulator.commands import Commands
from simulator.errors import SimulatorError
from simulator.far_ends.pn532 import PluggedPn532
from simulator.pn532 import Pn532 as Chip
from simulator.pn532 import Said
from simulator.pty_line import PtyLine

BADGE, OTHER = bytes.fromhex("3a5c7e91"), bytes.fromhex("04a1b2c3d4e5f6")
LIST = (Code.IN_LIST_PASSIVE_TARGET, b"\x02\x00")
NEVER_MORE_THAN_TWICE = (Code.RF_CONFIGURATION, b"\x05\x00\x01\x01")


def asked(chip: Chip, code: int, data: bytes = b"") -> list[bytes]:
    """What the chip sends for one command."""
    return [said.data for said in chip.hear(frame(HOST, code, data))]


def awake(*cards: bytes) -> Chip:
    chip = Chip()
    chip.hear(WAKE_UP)
    asked(chip, Code.SAM_CONFIGURATION, b"\x01")
    asked(chip, *NEVER_MORE_THAN_TWICE)
    for uid in cards:
        chip.place(uid)
    return chip


def listed(chip: Chip) -> list[bytes]:
    ack, answer = asked(chip, *LIST)
    assert ack == Sign.ACK.value
    (found,) = FrameParser().feed(answer)
    assert isinstance(found, Information)
    return [target.uid for target in read_targets(found.data)]


def test_a_chip_that_sleeps_hears_nothing_until_it_is_woken_and_its_clock_runs() -> None:
    chip = Chip()
    assert asked(chip, Code.GET_FIRMWARE_VERSION) == []
    assert chip.hear(b"\x55" + frame(HOST, Code.GET_FIRMWARE_VERSION)) == []
    assert len(asked(chip, Code.GET_FIRMWARE_VERSION)) == 2
    chip.reset()
    assert asked(chip, Code.GET_FIRMWARE_VERSION) == []


def test_a_chip_that_was_not_set_up_switches_no_field_on_and_then_waits_for_ever() -> None:
    chip = Chip()
    chip.hear(WAKE_UP)
    assert asked(chip, *LIST)[1] == Sign.SYNTAX_ERROR.value
    asked(chip, Code.SAM_CONFIGURATION, b"\x01")
    assert asked(chip, *LIST) == [Sign.ACK.value]
    asked(chip, *NEVER_MORE_THAN_TWICE)
    assert listed(chip) == []


def test_a_card_that_was_listed_is_found_again_only_in_a_new_field() -> None:
    """As people found it in the field: of MaxTg 2, not every search tells of a card that lies there."""
    chip = awake(BADGE, OTHER)
    assert listed(chip) == [BADGE, OTHER]
    assert listed(chip) != [BADGE, OTHER]
    for on in (0, 1):
        asked(chip, Code.RF_CONFIGURATION, bytes([1, on]))
    assert listed(chip) == [BADGE, OTHER]


def test_a_nack_brings_the_last_answer_again_and_nonsense_a_syntax_error() -> None:
    chip = awake(BADGE)
    _, answer = asked(chip, *LIST)
    assert [said.data for said in chip.hear(Sign.NACK.value)] == [answer]
    assert asked(chip, 0x77)[1] == Sign.SYNTAX_ERROR.value
    assert chip.hear(Sign.ACK.value + frame(0xD5, Code.GET_FIRMWARE_VERSION) + b"\x00\xff\x12") == []


def test_what_is_no_uid_cannot_be_placed() -> None:
    with pytest.raises(ValueError, match="4, 7 or 10 bytes"):
        Chip().place(b"\x01")


# The line.


@pytest.fixture
def line(tmp_path: Path) -> Iterator[PtyLine]:
    made = PtyLine(tmp_path / "a" / "port", 115_200, lambda data: [Said(data[::-1])], lambda: None)
    yield made
    made.unplug()


def test_the_line_is_found_under_its_path_and_gone_with_its_plug(line: PtyLine, tmp_path: Path) -> None:
    path = tmp_path / "a" / "port"
    host = os.open(path, os.O_RDWR | os.O_NOCTTY)
    os.write(host, b"abc")
    assert os.read(host, 10) == b"cba"
    line.unplug()
    line.unplug()
    assert not path.is_symlink()
    with pytest.raises(OSError, match="Input/output"):
        os.write(host, b"abc")
    os.close(host)
    line.plug()
    line.plug()
    assert path.is_char_device()


def test_a_link_of_an_earlier_run_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "port"
    path.symlink_to("/dev/pts/99999")
    PtyLine(path, 115_200, lambda _: [], lambda: None).unplug()
    path.write_text("mine")
    with pytest.raises(SimulatorError, match=r"port: the simulator cannot .*File exists") as error:
        PtyLine(path, 115_200, lambda _: [], lambda: None)
    assert "\n" not in str(error.value)
    assert path.read_text() == "mine"


def test_no_port_of_this_machine_is_touched() -> None:
    with pytest.raises(SimulatorError, match=r"^/dev/serial0: .*write another port, like port = \"gate.tty\""):
        PluggedPn532(Pn532Section(name="gate", driver="pn532"))
    assert not Path("/dev/serial0").is_symlink()


# The board.


def config(folder: Path) -> Config:
    content: dict[str, Any] = {
        "post": {"site": "demo", "name": "gate"},
        "link": {"brokers": ["mqtt://127.0.0.1:1"]},
        "reader": [{"name": "gate", "driver": "pn532", "port": "gate.tty"}],
    }
    return parse(content, folder / "post.toml")


def test_on_a_board_a_tap_is_read_each_fault_blinds_and_each_mend_mends(tmp_path: Path) -> None:
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()

    def told(kind: type[Reading]) -> Reading:
        reading = inbox.get(timeout=WITHIN_S)
        assert isinstance(reading, kind)
        return reading

    with closing(Board(config(tmp_path), patience_s=WITHIN_S)) as board:
        waits = Waits(answer=WITHIN_S, found=WITHIN_S)
        worker = ReaderWorker("gate", Pn532(tmp_path / "gate.tty", waits), Ticking(500), inbox, retry_s=0.001)
        worker.start()
        do = Commands(board)
        assert do("tap 3A5C7E91") == "tap 3A5C7E91: done; this post has no lights to answer with"
        told(PartSighted)
        told(BadgeRead)
        faults = {"freeze": "frozen", "garble": "its answers garbled", "unplug": "unplugged"}
        mends = {"thaw": "thawed", "clear": "its answers clear", "plug": "plugged in"}
        for (fault, broken), (mend, mended) in zip(faults.items(), mends.items(), strict=True):
            assert do(f"reader gate {fault}") == f"reader gate: {broken}"
            told(PartBlind)
            assert do(f"reader gate {mend}") == f"reader gate: {mended}"
            told(PartSighted)
            assert do("tap 04A1B2C3D4E5F6").endswith("no lights to answer with")
            told(BadgeRead)
        assert do("tap 01") == "error: no card has this number: a UID has 4, 7 or 10 bytes, not 1"
        worker.stop()
    assert not (tmp_path / "gate.tty").is_symlink()

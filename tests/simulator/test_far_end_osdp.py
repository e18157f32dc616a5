"""OSDP readers' stand-ins: their line, their key, and what can be done to them on a board."""

import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from osdp_bench import KEY, asked

from device.config import Config, parse
from device.hardware.readers.osdp_key import key_file, read_key, written
from simulator.board import Board
from simulator.commands import Commands
from simulator.errors import SimulatorError
from simulator.far_ends.osdp import WiredOsdp

BADGE, OTHER = bytes.fromhex("01020304"), bytes.fromhex("04A1B2C3D4E5F6")


def config(folder: Path, *readers: dict[str, Any]) -> Config:
    keys = {"driver": "osdp", "port": str(folder / "rs485.tty"), "baud": 115_200}
    content = {
        "post": {"site": "demo", "name": "gate", "state_dir": str(folder / "state")},
        "link": {"brokers": ["mqtt://127.0.0.1:1"]},
        "reader": [keys | reader for reader in readers or ({"name": "gate", "address": 3},)],
    }
    return parse(content, folder / "post.toml")


@contextmanager
def running(folder: Path, *readers: dict[str, Any]) -> Iterator[tuple[Board, Any]]:
    """A board, and the readers of a post that asks them."""
    configured = config(folder, *readers)
    with closing(Board(configured, patience_s=10.0)) as board:
        sections: Any = configured.reader
        far: dict[str, Any] = {section.name: board.reader(section.name) for section in sections}
        with asked(folder / "state", *sections, far=far) as post:
            for name in far:
                post.until_sees(name)
            yield board, post


def test_a_board_s_reader_has_its_key_from_the_state_folder_and_reads(tmp_path: Path) -> None:
    with running(tmp_path) as (board, post):
        file = key_file(tmp_path / "state", "gate")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        end = board.reader("gate")
        assert isinstance(end, WiredOsdp)
        assert end.device.key == read_key(file, "gate")
        assert Commands(board)("tap 01020304") == "tap 01020304: done; this post has no lights to answer with"
        post.until_badges(BADGE)


def test_a_reader_keeps_the_key_that_it_has(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    key_file(tmp_path / "state", "gate").write_bytes(written(KEY))
    with closing(Board(config(tmp_path))) as board:
        assert board.reader("gate").device.key == KEY  # type: ignore[attr-defined]


def test_two_readers_on_one_line_are_tapped_and_cut_each_by_its_name(tmp_path: Path) -> None:
    with running(tmp_path, {"name": "gate", "address": 3}, {"name": "yard", "address": 7}) as (board, post):
        do = Commands(board)
        assert do("tap 01020304 yard").startswith("tap 01020304: done")
        post.until_badges(BADGE, name="yard")
        assert do("reader gate cut") == "reader gate: its wires are cut"
        assert "no answer at address 3" in post.until_blind("gate")
        assert do("tap 04A1B2C3D4E5F6 yard").startswith("tap 04A1B2C3D4E5F6: done")
        post.until_badges(BADGE, OTHER, name="yard")
        assert post.badges("gate") == []


def test_a_card_that_was_taken_away_before_it_was_asked_for_is_never_sent(tmp_path: Path) -> None:
    with running(tmp_path) as (board, post):
        end = board.reader("gate")
        end.faults["cut"].do()
        end.place(BADGE)
        assert not end.wait_read(BADGE, 0)
        end.remove(BADGE)
        end.faults["mend"].do()
        end.place(OTHER)
        post.until_badges(OTHER)


def test_a_card_that_stays_is_sent_once(tmp_path: Path) -> None:
    with running(tmp_path) as (board, post):
        end = board.reader("gate")
        end.place(BADGE)
        end.place(BADGE)
        assert end.wait_read(BADGE, 10)
        end.place(OTHER)
        post.until_badges(BADGE, OTHER)


def test_every_fault_says_what_it_does_and_can_be_undone(tmp_path: Path) -> None:
    with running(tmp_path) as (board, post):
        do = Commands(board)
        for fault, end in (
            ("swap", "reboot"), ("reset", "reboot"), ("open", "shut"), ("garble", "clear"), ("unplug", "plug"),
        ):  # fmt: skip
            assert do(f"reader gate {fault}").startswith("reader gate: ")
            assert post.until_blind()
            assert do(f"reader gate {end}").startswith("reader gate: ")
            post.until_sees()


def test_a_number_that_no_badge_has_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as (board, _):
        assert "a badge has 3 to 10 bytes" in Commands(board)("tap 0102")


def test_a_port_that_the_simulator_cannot_make_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="the simulator cannot put its serial port there"):
        Board(config(tmp_path, {"name": "gate", "port": "/dev/ttyUSB9"}))


def test_the_port_goes_with_the_board(tmp_path: Path) -> None:
    with closing(Board(config(tmp_path))):
        assert (tmp_path / "rs485.tty").readlink().is_relative_to("/dev/pts")
    assert not (tmp_path / "rs485.tty").is_symlink()

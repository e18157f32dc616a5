"""The board under the real reader driver and indicator, with a post of a few lines that answers as it is told."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from gpiozero import DigitalInputDevice, DigitalOutputDevice
from waiting import until

from device.config import Config, parse
from device.effects import Answer
from device.hardware.buzzer import Sound
from device.hardware.indicator import Indicator
from device.hardware.readers.rc522 import Rc522
from device.hardware.readers.reader import ReaderWorker
from device.readings import BadgeRead, Reading, StopRequested
from simulator.board import Board
from simulator.clock import SimClock
from simulator.commands import Commands
from simulator.errors import CommandError
from simulator.far_ends.rc522 import WiredRc522
from simulator.officer import Sign

GREEN, RED, MUTE = bytes.fromhex("01020304"), bytes.fromhex("04A1B2C3D4E5F6"), bytes.fromhex("0A0B0C0D0E0F0A0B0C0D")
ANSWERS = {GREEN: Answer.ACCEPTED, RED: Answer.REFUSED, MUTE: None}


def config(**sections: Any) -> Config:
    content = {
        "post": {"site": "demo", "name": "gate"},
        "link": {"brokers": ["mqtt://127.0.0.1:1"]},
        "reader": [{"name": "gate", "driver": "rc522"}, {"name": "yard", "driver": "rc522", "chip_select": 1}],
        "indicator": {"green": 5, "red": 6, "buzzer": 13},
    }
    return parse(content | sections, Path("post.toml"))


def greens(board: Board) -> int:
    """How often the green light has risen."""
    return sum(change.pin == 5 and change.level for change in list(board.factory.changes))


class Post:
    """Reads both readers and answers by the card."""

    def __init__(self, board: Board) -> None:
        self.inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        self.read: list[tuple[str, bytes]] = []
        self.indicator = Indicator(5, 6, 13, board.factory, SimClock(), self.inbox)
        self.workers = [
            ReaderWorker(name, Rc522(partial(board.factory.spi, device=n), name), SimClock(), self.inbox)
            for n, name in enumerate(("gate", "yard"))
        ]
        self.thread = threading.Thread(target=self._run)
        self.indicator.start()
        for worker in self.workers:
            worker.start()
        self.thread.start()
        self.indicator.line(True)

    def _run(self) -> None:
        while not isinstance(reading := self.inbox.get(), StopRequested):
            if isinstance(reading, BadgeRead):
                self.read.append((reading.reader, reading.uid))
                if answer := ANSWERS[reading.uid]:
                    self.indicator.show(answer)

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()
        self.inbox.put(StopRequested(SimClock().now(), "the test ends"))
        self.thread.join()
        self.indicator.stop()


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board(config())
    yield made
    made.close()


@pytest.fixture
def post(board: Board) -> Iterator[Post]:
    made = Post(board)
    yield made
    made.stop()


def test_a_tap_at_the_named_or_the_first_reader_is_answered(board: Board, post: Post) -> None:
    taps = ((GREEN, None, Sign.ACCEPTED), (RED, "yard", Sign.REFUSED), (GREEN, "yard", Sign.ACCEPTED))
    for uid, reader, sign in taps:
        seen = board.tap(uid, reader).seen
        assert seen is not None
        assert seen.sign == sign
    assert post.read == [("gate", GREEN), ("yard", RED), ("yard", GREEN)]


def test_the_same_card_again_is_a_second_tap(board: Board, post: Post) -> None:
    assert [str(board.tap(RED)) for _ in range(3)] == ["refused (red, one long beep)"] * 3
    assert post.read == [("gate", RED)] * 3


def test_a_tap_without_an_answer_says_so_and_never_takes_an_old_one(board: Board, post: Post) -> None:
    board.tap(GREEN)
    before = greens(board)
    assert str(board.tap(MUTE)) == "no answer within 3 s"  # though the green light of before was still lit
    post.indicator.show(Answer.ACCEPTED)  # too late for the tap before
    until(lambda: greens(board) > before)
    assert str(board.tap(RED)) == "refused (red, one long beep)"


def test_two_clients_tap_one_after_the_other(board: Board, post: Post) -> None:
    answers: list[tuple[bytes, str]] = []
    taps = [
        threading.Thread(target=lambda uid=uid, reader=reader: answers.append((uid, str(board.tap(uid, reader)))))
        for uid, reader in ((GREEN, "gate"), (RED, "yard"))
        for _ in range(2)
    ]
    for tap in taps:
        tap.start()
    for tap in taps:
        tap.join()
    words = {GREEN: "accepted (green, one short beep)", RED: "refused (red, one long beep)"}
    assert len(answers) == len(taps)
    assert all(answer == words[uid] for uid, answer in answers)


def test_a_frozen_reader_reads_nothing_until_it_thaws(board: Board, post: Post) -> None:
    do = Commands(board)
    assert do("reader yard freeze") == "reader yard: frozen"
    assert do("tap 01020304 yard") == "tap 01020304: not read within 3 s"
    assert do("tap 01020304 gate") == "tap 01020304: accepted (green, one short beep)"
    assert do("reader yard thaw") == "reader yard: thawed"
    until(lambda: do("tap 01020304 yard").endswith("accepted (green, one short beep)"))


def test_cards_that_are_laid_there_at_once_are_both_read_and_stay_until_they_are_taken(
    board: Board, post: Post
) -> None:
    do = Commands(board)
    assert do("lay 01020304 yard") == "card 01020304: lies there"
    assert do("lay 04A1B2C3D4E5F6 yard") == "card 04A1B2C3D4E5F6: lies there"
    until(lambda: len(post.read) == 2)
    assert sorted(post.read) == [("yard", GREEN), ("yard", RED)]
    assert do("take 01020304 yard") == "card 01020304: taken away"
    assert not board.reader("yard").wait_read(GREEN, 0)
    assert board.reader("yard").wait_read(RED, 0)
    assert do("lay 0102 yard") == "error: no card has this number: a UID has 4, 7 or 10 bytes, not 2"


def test_a_reader_whose_bus_blocks_reads_nothing_until_it_thaws(board: Board, post: Post) -> None:
    do = Commands(board)
    assert do("reader yard block") == "reader yard: blocked"
    assert do("tap 01020304 yard") == "tap 01020304: not read within 3 s"
    assert do("tap 01020304 gate") == "tap 01020304: accepted (green, one short beep)"
    assert do("reader yard thaw") == "reader yard: thawed"
    assert do("tap 01020304 yard") == "tap 01020304: accepted (green, one short beep)"


@pytest.mark.parametrize(("mains_when", "levels"), [("high", [True, False, True]), ("low", [False, True, False])])
def test_a_ups_tells_by_its_line_whether_there_are_mains(mains_when: str, levels: list[bool]) -> None:
    board = Board(config(reader=[], ups={"pin": 4, "mains_when": mains_when}))
    do = Commands(board)
    seen = [board.factory.level(4)]
    line = DigitalInputDevice(4, pull_up=True, pin_factory=board.factory)
    line.when_activated = line.when_deactivated = lambda: None  # the post watches it
    for state in ("off", "on"):
        assert do(f"mains {state}") == f"mains: {state}"
        seen.append(board.factory.level(4))
    assert seen == levels
    assert do("mains up") == "error: no 'up' here; there is: on, off"
    line.close()
    board.close()


@pytest.mark.parametrize("by_low", [False, True])
@pytest.mark.parametrize("kind", ["active", "passive"])
def test_however_lights_and_buzzer_are_wired_the_officer_sees_and_hears_the_same(
    tmp_path: Path, kind: str, by_low: bool
) -> None:
    level = "low" if by_low else "high"
    wired = {"green": 5, "red": 6, "buzzer": 13, "lit_by": level, "buzzer_by": level, "buzzer_kind": kind}
    board = Board(config(reader=[], indicator=wired), log=tmp_path / "pins.log")
    sound = Sound(tone_hz=2_700 if kind == "passive" else None, by_low=by_low)
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    indicator = Indicator(5, 6, 13, board.factory, SimClock(), inbox, lit_by_low=by_low, sound=sound)
    assert board.lights() == "green off, red off, buzzer off; no answer yet"
    indicator.line(True)
    indicator.start()
    for answer in Answer:
        indicator.show(answer)
        until(lambda answer=answer: f"last answer: {answer}" in board.lights())  # type: ignore[misc]

    def beeps() -> bool:
        """Once more where its beeps were over before anybody looked."""
        if board.lights().startswith("green off, red off"):
            indicator.show(Answer.SELFTEST)
        return "buzzer on" in board.lights()

    until(beeps)
    indicator.stop()
    assert board.lights().startswith("green off, red off, buzzer off; last answer: ")
    sounded = [line for line in (tmp_path / "pins.log").read_text().splitlines() if line.endswith("buzzer 2700Hz")]
    assert bool(sounded) is (kind == "passive")
    board.close()


def test_a_lid_is_opened_and_shut_like_a_door_and_lines_hum_and_buttons_stick() -> None:
    sections = {
        "tamper": [{"name": "lid", "pin": 23}],
        "button": [{"name": "bell", "pin": 22, "does": "checkin"}],
    }
    board = Board(config(reader=[], **sections))
    do = Commands(board)
    lines = [DigitalInputDevice(pin, pull_up=True, pin_factory=board.factory) for pin in (23, 22)]
    edges: queue.SimpleQueue[None] = queue.SimpleQueue()
    for line in lines:
        line.when_activated = line.when_deactivated = lambda: edges.put(None)
    lid, bell = lines
    assert lid.is_active  # shut: connected to ground
    assert do("open lid") == "door lid: open"
    assert not lid.is_active
    assert do("close lid") == "door lid: closed"
    assert do("button bell stuck") == "button bell: stuck"
    assert bell.is_active
    assert do("button bell free") == "button bell: free"
    assert not bell.is_active
    before = edges.qsize()
    assert do("input lid hums") == "input lid: hums"
    until(lambda: edges.qsize() >= before + 10)
    assert do("input lid quiet") == "input lid: quiet"
    assert lid.is_active
    assert do("input gate hums") == "error: no input 'gate' in this post's configuration; there is: lid, bell"
    do("input bell hums")
    for line in lines:
        line.close()
    board.close()


def test_a_post_without_a_ups_says_so(board: Board, post: Post) -> None:
    assert Commands(board)("mains off") == "error: no UPS in this post's configuration; write its [ups] section"


def test_the_edges_of_every_input_can_be_lost_and_brought_back(board: Board, post: Post) -> None:
    do = Commands(board)
    for state in ("lost", "back"):
        assert do(f"edges {state}") == f"edges: {state}"
        assert board.factory.deaf is (state == "lost")


def test_the_reset_line_brings_a_locked_chip_back(tmp_path: Path) -> None:
    board = Board(config(reader=[{"name": "gate", "driver": "rc522", "reset_pin": 25}]), log=tmp_path / "pins.log")
    line = DigitalOutputDevice(25, initial_value=True, pin_factory=board.factory)
    gate = board.reader("gate")
    assert isinstance(gate, WiredRc522)
    chip = gate.chip
    chip.faults = replace(chip.faults, locked=True)
    line.off()
    assert not chip.faults.locked
    line.on()
    line.close()
    board.close()
    told = [line.split(" ", 1)[1] for line in (tmp_path / "pins.log").read_text().splitlines()]
    assert told == [f"GPIO25 reset-gate {level}" for level in (1, 0, 1, 0)]


def test_a_post_that_never_takes_its_pins_is_told(monkeypatch: pytest.MonkeyPatch, board: Board) -> None:
    monkeypatch.setattr("simulator.board.START_WITHIN_S", 0.05)
    with pytest.raises(CommandError, match="has not taken its pins"):
        board.wait_ready()
    assert Commands(board)("lights").startswith("error: the post has not taken its pins")


@pytest.mark.parametrize("driver", ["rc522", "pn532", "hid", "wiegand", "osdp"])
def test_nobody_waits_for_a_post_that_has_ended(tmp_path: Path, driver: str) -> None:
    more: dict[str, dict[str, Any]] = {
        "pn532": {"port": str(tmp_path / "tty")},
        "osdp": {"port": str(tmp_path / "tty")},
        "hid": {"device": "/dev/input/by-id/usb-desk-event-kbd"},
        "wiegand": {"data0_pin": 20, "data1_pin": 21},
    }
    made = {"name": "post", "site": "demo", "state_dir": str(tmp_path)}
    reader = {"name": "gate", "driver": driver, **more.get(driver, {})}
    board = Board(config(post=made, reader=[reader]))
    board.gone()
    with pytest.raises(CommandError, match="the post has ended; see what it said"):
        board.wait_ready()
    board.close()


def test_a_post_without_lights_or_readers_answers_in_words() -> None:
    board = Board(config(indicator=None, reader=[], button=[{"name": "bell", "pin": 22, "does": "checkin"}]))
    assert str(board.press("bell")) == "done; this post has no lights to answer with"
    assert board.lights() == "no lights; no answer yet"
    with pytest.raises(CommandError, match="there is: none"):
        board.tap(GREEN)
    board.close()

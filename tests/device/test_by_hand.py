"""``guardpost check --by-hand``: a person before a stopped post, who moves what stands at the far end of its wires.

What comes is never waited for in vain: the person acts before the wait for it begins.
"""

import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from brokers import free_port, mosquitto
from gpiozero import DigitalInputDevice
from postkit import acknowledged, tapped

from device.__main__ import main
from device.by_hand import by_hand
from device.config import Config, load
from device.errors import ConfigError
from device.events import SelfTested
from device.hardware.clock import boot_id
from device.journal_view import show, verify
from device.readings import Instant
from device.record.journal_reader import JournalReader
from device.record.opening import JOURNAL, lock_folder, open_record
from device.trial import Patience, Person
from simulator.board import Board

BADGE = bytes.fromhex("04A1B2C3D4E5F6")
BRIEF = Patience(badge_s=0.2, move_s=0.2)
"""For what does not come."""
OTHER_BOOT = "5a1d7c22-1111-4222-8333-944455556666"

CONFIG = """
[post]
site = "jember"
name = "kpu-gate"
state_dir = "state"
[link]
brokers = ["mqtt://127.0.0.1:{port}"]
[roster]
file = "roster.toml"
[[reader]]
name = "gate"
driver = "rc522"
[[door]]
name = "front"
pin = 17
[[tamper]]
name = "lid"
pin = 23
normally = "open"
[[button]]
name = "bell"
pin = 22
does = "checkin"
[indicator]
green = 5
red = 6
lit_by = "low"
buzzer = 13
buzzer_kind = "passive"
[ups]
pin = 24
mains_when = "low"
"""


class Synced:
    """The machine's time, as if a time server had set it."""

    def now(self) -> Instant:
        return Instant(
            time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000, time.time_ns() // 1_000_000, "synced", 5
        )


@dataclass
class Guard:
    """Does what a line asks for, by its begin, and answers by what the lights and the buzzer really do."""

    folder: Path
    board: Board
    config: Config
    does: dict[str, Callable[[], object]] = field(default_factory=dict)
    denies: str = "nothing"
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.does = {
            "hold a badge to reader gate": lambda: self.board.reader("gate").place(BADGE),
            "move front": lambda: self.moves("front"),
            "move lid": lambda: self.moves("lid"),
            "press bell twice": self.presses_twice,
        }

    def moves(self, name: str) -> None:
        self.board.open_door(name)
        self.board.close_door(name)

    def presses_twice(self) -> None:
        for down in (True, False) * 2:
            self.board.hold("bell", down)

    def say(self, line: str) -> None:
        self.said.append(line)
        for begin, act in self.does.items():
            if line.startswith(begin):
                act()

    def ask(self, question: str) -> str:
        self.say(question)
        what = next(what for what in ("green", "red", "buzzer") if what in question)
        lit = {word.split()[0] for word in self.board.lights().split(";")[0].split(", ") if word.endswith(" on")}
        return "y" if lit == {what} and what != self.denies else "n"

    def tests(self, patience: Patience = BRIEF) -> int:
        person = Person(self.say, self.ask)
        return by_hand(self.config, nullcontext(self.board.copper), Synced(), person, patience)

    def line(self, part: str) -> str:
        """What was said of a part in the end."""
        (line,) = (line for line in self.said if line[6:].startswith(f"{part} ") and line[:6] in RESULTS)
        return line

    @property
    def state(self) -> Path:
        return self.config.post.state_dir

    def events(self) -> list[dict[str, Any]]:
        with closing(JournalReader.open(self.state / JOURNAL)) as journal:
            return [json.loads(row.event) for row in journal.all_rows()]

    def tested(self) -> SelfTested:
        """The newest event."""
        return SelfTested.model_validate(self.events()[-1]["data"])


RESULTS = ("pass  ", "FAIL  ", "note  ")


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """A shell starts what runs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    yield from guarding(tmp_path, free_port())


def guarding(folder: Path, port: int) -> Iterator[Guard]:
    file = folder / "post.toml"
    file.write_text(CONFIG.format(port=port), encoding="utf-8")
    (folder / "roster.toml").write_text(f'[[officer]]\nid = "one"\nbadges = ["{BADGE.hex().upper()}"]\n')
    config = load(file)
    with closing(Board(config)) as board:
        yield Guard(folder, board, config)


def test_every_part_that_works_passes_and_the_post_has_it_in_its_journal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with mosquitto(tmp_path / "mosquitto") as broker:
        for guard in guarding(tmp_path, broker.port):
            code = guard.tests()
            assert guard.line("reader gate") == "pass  reader gate     read a badge whose number has 7 bytes"
            assert guard.line("input front").endswith("seen to open and to close")
            assert guard.line("input lid").endswith("seen to open and to close")
            assert guard.line("input bell").endswith("pressed twice")
            for lamp in ("green light", "red light", "buzzer"):
                assert guard.line(lamp).endswith("confirmed by the person there")
            assert guard.line("mains").endswith("there")
            for part in ("roster", "state folder", "journal", "clock", "broker"):
                assert guard.line(part).startswith("pass  ")
            failed = [line for line in guard.said if line.startswith("FAIL")]
            assert code == bool(failed)
            began, event = guard.events()
            assert (began["data"]["change"], event["data"]["change"]) == ("chain", "selftest")
            assert guard.said[-1] == f"recorded as {event['id']}; it is sent with the post's next start"
            tested = guard.tested()
            assert (tested.why, tested.order, tested.passed) == ("check", None, not failed)
            kept = {line[6:].split("  ")[0] for line in guard.said if line[:6] in RESULTS}
            assert {part.what for part in tested.parts} == kept
            assert BADGE.hex() not in "".join([*guard.said, json.dumps(event)]).lower()
            capsys.readouterr()
            assert verify(guard.state) == 0
            assert show(guard.state, guard.config.timezone, 1, as_json=False) == 0
            out = capsys.readouterr().out
            assert "2 events in 1 chain verified" in out
            assert f"selftest {'passed' if tested.passed else 'FAILED'} (check): {len(tested.parts)} parts" in out


def test_a_frozen_reader_fails_with_its_reason_and_nobody_has_to_hold_a_badge_to_it(guard: Guard) -> None:
    guard.board.reader("gate").faults["freeze"].do()
    assert guard.tests(Patience(stands_s=0.5, badge_s=0.2, move_s=0.2)) == 1
    assert guard.line("reader gate").startswith("FAIL  reader gate     RC522 on SPI 0.0: ")
    assert "check its 3.3 V" in guard.line("reader gate")
    assert not any(line.startswith("hold a badge") for line in guard.said)
    assert guard.line("input front").startswith("pass")
    first = guard.tested().parts[0]
    assert (first.what, first.ok) == ("reader gate", False)


def test_a_reader_that_freezes_while_a_badge_is_awaited_fails_at_once(guard: Guard) -> None:
    guard.does["hold a badge to reader gate"] = guard.board.reader("gate").faults["freeze"].do
    assert guard.tests(Patience(badge_s=600, move_s=0.2)) == 1
    assert "RC522 on SPI 0.0: " in guard.line("reader gate")


def test_a_reader_that_reads_no_badge_fails(guard: Guard) -> None:
    del guard.does["hold a badge to reader gate"]
    assert guard.tests() == 1
    assert guard.line("reader gate").startswith("FAIL  reader gate     read no badge within 0.2 s; hold one flat")


@pytest.mark.parametrize(("what", "part"), [("green", "green light"), ("red", "red light"), ("buzzer", "buzzer")])
def test_what_the_person_does_not_see_or_hear_fails(guard: Guard, what: str, part: str) -> None:
    guard.denies = what
    assert guard.tests() == 1
    assert guard.line(part).startswith(f"FAIL  {part:<14}  denied by the person there: check its pin, its wires")
    assert {found.what: found.ok for found in guard.tested().parts}[part] is False
    assert guard.board.lights().startswith("green off, red off, buzzer off")


@pytest.mark.parametrize(
    ("moves", "told"),
    [
        ((), "not seen to move within 0.2 s; check its pin, both wires"),
        ((Board.open_door,), "seen to open alone within 0.2 s; check"),
    ],
)
def test_a_contact_that_is_not_seen_to_open_and_close_fails(
    guard: Guard, moves: Sequence[Callable[[Board, str], None]], told: str
) -> None:
    guard.does["move front"] = lambda: [move(guard.board, "front") for move in moves]
    assert guard.tests() == 1
    assert guard.line("input front").startswith(f"FAIL  input front     {told}")
    assert guard.line("input lid").startswith("pass")


def test_a_button_that_stays_down_is_not_taken_for_one_that_works(guard: Guard) -> None:
    guard.does["press bell twice"] = lambda: guard.board.hold("bell", True)
    assert guard.tests() == 1
    assert guard.line("input bell").startswith("FAIL  input bell      pressed 1 times of 2 within 0.2 s")


def test_what_is_moved_before_it_is_asked_for_counts(guard: Guard) -> None:
    badge, front = guard.does.pop("hold a badge to reader gate"), guard.does.pop("move front")
    guard.does |= {"is the green light on?": badge, "is the red light on?": front}
    guard.tests(Patience(badge_s=20, move_s=20))
    assert guard.line("reader gate").startswith("pass")
    assert guard.line("input front").startswith("pass")


def test_an_input_whose_edges_do_not_come_fails_with_its_reason(guard: Guard) -> None:
    guard.board.factory.deaf = True
    guard.does["move front"] = lambda: guard.board.open_door("front")
    guard.does["move lid"] = lambda: signal.raise_signal(signal.SIGINT)  # enough has been seen
    assert guard.tests(Patience(move_s=600)) == 1
    assert "a change came without its edges" in guard.line("input front")


def test_no_mains_fails(guard: Guard) -> None:
    guard.board.mains(False)
    assert guard.tests() == 1
    assert guard.line("mains").startswith("FAIL  mains           none, or the wire of the UPS line is cut")


def test_pins_that_somebody_else_has_are_one_failed_part_and_the_others_are_tried(guard: Guard) -> None:
    with closing(DigitalInputDevice(17, pin_factory=guard.board.factory)):
        assert guard.tests() == 1
    assert "the door, button, tamper and UPS pins cannot be used" in guard.line("contacts")
    assert not any(line.startswith(("move", "press")) for line in guard.said)
    assert guard.line("reader gate").startswith("pass")


def test_a_post_that_runs_is_left_alone(guard: Guard, capsys: pytest.CaptureFixture[str]) -> None:
    lock = lock_folder(guard.state)
    try:
        assert main(["check", "--by-hand", "--config", str(guard.folder / "post.toml")]) == 1
    finally:
        os.close(lock)
    assert capsys.readouterr() == (
        "",
        "the post is running and watches its parts itself: stop it first (systemctl stop guardpost), "
        "or send order/selftest\n",
    )


def test_ctrl_c_ends_it_and_what_was_found_so_far_is_kept(guard: Guard) -> None:
    guard.does["move front"] = lambda: signal.raise_signal(signal.SIGINT)
    assert guard.tests() == 1
    assert guard.line("self-test").endswith("ended by Ctrl-C before every part was tried: run it again")
    assert [(part.what, part.ok) for part in guard.tested().parts] == [
        ("self-test", False), ("green light", True), ("red light", True), ("buzzer", True), ("reader gate", True)
    ]  # fmt: skip
    assert verify(guard.state) == 0


def test_where_nobody_can_answer_it_says_so_and_records_nothing(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ConfigError, match="nobody answers: run it in a terminal"):
        by_hand(guard.config, nullcontext(guard.board.copper), Synced(), Person(guard.say), BRIEF)
    assert guard.events() == []


def test_answers_may_come_through_a_pipe_and_what_is_none_is_asked_again(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("perhaps\nY\nno\n"))
    assert by_hand(guard.config, nullcontext(guard.board.copper), Synced(), Person(guard.say), BRIEF) == 1
    assert "answer y or n" in guard.said
    assert guard.line("green light").startswith("pass")
    assert guard.line("red light").startswith("FAIL")
    assert "nobody answers any more" in guard.line("self-test")


def works(guard: Guard, bootid: str, taps: int) -> None:
    """A life of the post, in a boot."""
    with closing(open_record(guard.state, guard.config.source, bootid)) as record:
        chain = record.chain
        for draft in (*record.began, *[tapped()] * taps):
            chain, sealed = chain.seal(draft, Synced().now())
            record.journal.append([sealed], {"doors": "{}"}, acknowledged(0))


@pytest.mark.parametrize("ran_before", [False, True])
def test_the_chain_goes_on_and_the_next_start_still_knows_in_which_boot_the_post_last_ran(
    guard: Guard, ran_before: bool
) -> None:
    """What the rules remember counts by the uptime of that boot."""
    works(guard, boot_id() if ran_before else OTHER_BOOT, 3)
    for _ in range(2):
        guard.tests()
    assert [event["seq"] for event in guard.events()] == [1, 2, 3, 4, 5, 6]
    with closing(open_record(guard.state, guard.config.source, boot_id())) as record:
        assert record.same_boot is ran_before


def test_a_damaged_journal_is_replaced_as_at_a_start_and_that_is_told_first(guard: Guard) -> None:
    works(guard, OTHER_BOOT, 3)
    (guard.state / JOURNAL).write_bytes(b"no journal at all")
    guard.tests()
    assert [event["data"]["change"] for event in guard.events()] == ["chain", "refused", "selftest"]
    assert guard.events()[0]["data"]["why"] == "damaged"
    with closing(open_record(guard.state, guard.config.source, boot_id())) as record:
        assert (record.began, record.troubles, record.same_boot) == ((), (), False)
    assert verify(guard.state) == 0


def test_a_thread_that_dies_ends_the_waiting_and_says_so(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    def spi(**_: object) -> None:
        raise RuntimeError("no such bus")

    monkeypatch.setattr(guard.board.factory, "spi", spi)
    assert guard.tests(Patience(stands_s=600, badge_s=600, move_s=600)) == 1
    assert guard.line("reader gate").endswith("the thread reader-gate died: RuntimeError: no such bus")


EVERY_READER = {
    "pn532": 'port = "{folder}/tty"',
    "osdp": 'port = "{folder}/tty"\nbaud = 115200',
    "hid": 'device = "/dev/input/by-id/reader"',
    "wiegand": "data0_pin = 20\ndata1_pin = 21\nbits = 34",
}


@pytest.mark.parametrize("driver", EVERY_READER)
def test_every_kind_of_reader_is_tried_in_the_same_way(tmp_path: Path, driver: str) -> None:
    badge = BADGE[:4]
    file = tmp_path / "post.toml"
    reader = f'[[reader]]\nname = "gate"\ndriver = "{driver}"\n{EVERY_READER[driver].format(folder=tmp_path)}\n'
    file.write_text(
        '[post]\nsite = "jember"\nname = "kpu-gate"\nstate_dir = "state"\n'
        f'[link]\nbrokers = ["mqtt://127.0.0.1:{free_port()}"]\n{reader}'
    )
    with closing(Board(config := load(file))) as board:
        guard = Guard(tmp_path, board, config)
        guard.does["hold a badge to reader gate"] = lambda: board.reader("gate").place(badge)
        guard.tests(Patience())
        assert guard.line("reader gate") == "pass  reader gate     read a badge whose number has 4 bytes"

"""A simulated post as a process: the unmodified device program, told what to do over its control socket."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.record.journal_reader import JournalReader
from device.record.opening import JOURNAL
from simulator.client import ask
from simulator.errors import ControlError
from simulator.script import EXPIRED, OFFICER_1, OFFICER_2, REVOKED, UNKNOWN, furnish

START_WITHIN_S = 30.0


class Post:
    """One post in a folder; its broker's port is closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.control = folder / "control"
        self.config = furnish(folder, 1)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *words: str) -> None:
        with (self.folder / "post.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command(), *words], stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        until(lambda: self.answers() or self.ended())
        assert not self.ended(), (self.folder / "post.log").read_text()

    def command(self) -> list[str]:
        words = ["--config", str(self.config), "--control", str(self.control)]
        return [sys.executable, "-m", "simulator", "post", *words]

    def answers(self) -> bool:
        try:
            return not self.do("lights").startswith("error")
        except ControlError:
            return False

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def do(self, command: str) -> str:
        return ask(self.control, command)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process.stdin.close()
        self.process = None
        return code

    def events(self, kind: str) -> list[dict[str, object]]:
        """``data`` of every recorded event of a kind."""
        journal = JournalReader.open(self.folder / "state" / JOURNAL)
        events = [json.loads(row.event) for row in journal.all_rows()]
        journal.close()
        return [event["data"] for event in events if event["type"] == f"guardpost.{kind}.v1"]


def until(true: Callable[[], bool], within_s: float = START_WITHIN_S) -> None:
    give_up_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    made = Post(tmp_path)
    made.start()
    yield made
    if made.process is not None:
        assert made.stop() == 0


def test_an_officer_taps_and_sees_what_the_roster_says(post: Post) -> None:
    assert post.do("lights") == "green off, red off, buzzer off; no answer yet"
    assert post.do(f"tap {OFFICER_1}") == f"tap {OFFICER_1}: accepted (green, one short beep)"
    assert re.fullmatch(
        r"green on, red off, buzzer o(n|ff); last answer: accepted [01]\.\d s ago", post.do("lights")
    )
    assert post.do(f"tap {OFFICER_1} gate") == f"tap {OFFICER_1}: repeated (green, two short beeps)"
    for badge in (EXPIRED, REVOKED, UNKNOWN):
        assert post.do(f"tap {badge}") == f"tap {badge}: refused (red, one long beep)"
    assert post.do("press bell") == "press bell: accepted (green, one short beep)"
    verdicts = [checkin["verdict"] for checkin in post.events("checkin")]
    assert verdicts == ["accepted", "repeated", "expired", "revoked", "unknown", "accepted"]


def test_a_door_moves_and_is_recorded_once(post: Post) -> None:
    for command, answer in (("open", "open"), ("close", "closed")):
        assert post.do(f"{command} front") == f"door front: {answer}"
        assert post.do(f"{command} front") == f"door front: {answer}"
    until(lambda: len(post.events("door")) == 2)
    assert [door["change"] for door in post.events("door")] == ["forced", "closed"]


def test_what_cannot_be_done_is_one_line_with_the_mend(post: Post) -> None:
    for command, error in {
        "open side": "no door 'side' in this post's configuration; there is: front",
        "press side": "no button 'side' in this post's configuration; there is: bell",
        f"tap {OFFICER_1} side": "no reader 'side' in this post's configuration; there is: gate",
        "tap 04A1B2": "no card has this number: a UID has 4, 7 or 10 bytes, not 3",
        "tap 04A1B2C": "'04A1B2C' is no UID; write its bytes as hex digits without gaps, like 04A1B2C3D4E5F6",
        "tap 88A1B2C3": "no card has this number: a UID part must not begin with the cascade tag 0x88: 88a1b2c3",
        "tap": "wrong number of words after 'tap'; write: tap UIDHEX [READER]",
        "open front door": "wrong number of words after 'open'; write: open DOOR",
        "reader gate melt": "no 'melt' here; there is: freeze, lock, block, thaw",
        "reader side freeze": "no reader 'side' in this post's configuration; there is: gate",
        "mains off": "no UPS in this post's configuration; write its [ups] section",
        "edges": "wrong number of words after 'edges'; write: edges lost|back",
        "dance": "no command 'dance'; there is: "
        "tap, lay, take, press, open, close, lights, mains, reader, input, button, camera, edges, help",
    }.items():
        assert post.do(command) == f"error: {error}"


def test_hundreds_of_commands_down_one_pipe_are_all_recorded(post: Post) -> None:
    badges = [f"{number:08X}" for number in range(0x10, 0x10 + 15)]  # more at once would be a flood
    lines = [line for badge in badges for line in (f"tap {badge}", *["lights"] * 19)]
    done = subprocess.run(
        [sys.executable, "-m", "simulator", "do", "--control", str(post.control), "-"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    answers = done.stdout.splitlines()
    assert answers[::20] == [f"tap {badge}: refused (red, one long beep)" for badge in badges]
    assert len(answers) == len(lines)
    assert all("last answer: refused" in answer for index, answer in enumerate(answers) if index % 20)
    assert len(post.events("checkin")) == len(badges)


def test_every_light_is_in_pins_log_beside_the_journal(post: Post) -> None:
    post.do(f"tap {OFFICER_1}")
    lines = (post.folder / "state" / "pins.log").read_text().splitlines()
    assert all(re.fullmatch(r"\d+\.\d{6} GPIO\d+ [a-z-]+ [01]", line) for line in lines)
    told = [line.split(" ", 1)[1] for line in lines]
    assert "GPIO25 reset-gate 1" in told
    buzzer = told.index("GPIO13 buzzer 1")
    assert told[buzzer + 1] == "GPIO5 green 1"


def test_a_killed_post_leaves_a_stale_socket_that_the_next_one_replaces(post: Post) -> None:
    assert post.do(f"tap {OFFICER_2}").endswith("accepted (green, one short beep)")
    assert post.stop(signal.SIGKILL) == -signal.SIGKILL
    assert post.control.exists()
    post.start()
    assert post.do(f"tap {OFFICER_2}").endswith("repeated (green, two short beeps)")
    assert post.stop() == 0
    assert not post.control.exists()


def test_a_second_post_on_the_same_socket_or_state_is_refused(post: Post) -> None:
    for control, code, why in (
        (post.control, 2, "a simulator answers there already"),
        (post.folder / "other", 3, "another guardpost is running on it"),
    ):
        words = [*post.command()[:-1], str(control)]
        second = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == code
        assert re.fullmatch(f".*{why}.*\n", second.stderr)
    assert post.answers()


def test_it_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    post = Post(tmp_path)
    post.start("--until-eof")
    assert post.process is not None
    assert post.process.stdin is not None
    post.process.stdin.close()
    assert post.process.wait(30) == 0
    assert [event.get("change") for event in post.events("system")][-1] == "stop"


def test_a_frozen_reader_is_told_and_comes_back(post: Post) -> None:
    assert post.do("reader gate freeze") == "reader gate: frozen"
    assert post.do(f"tap {OFFICER_1}") == f"tap {OFFICER_1}: not read within 3 s"
    until(lambda: any(event.get("change") == "blind" for event in post.events("system")))
    assert post.do("reader gate thaw") == "reader gate: thawed"
    until(lambda: any(event.get("change") == "sighted" for event in post.events("system")))
    assert post.do(f"tap {OFFICER_1}") == f"tap {OFFICER_1}: accepted (green, one short beep)"

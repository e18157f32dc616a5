"""A simulated post as a process of its own, with configuration and roster, worked over its control socket."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waiting import until

from device.record.journal_reader import JournalReader
from device.record.opening import JOURNAL
from recorder.errors import StoreError
from recorder.service import read_summary
from simulator.client import ask
from simulator.errors import ControlError

BASE = "guardpost/jember/kpu-gate"

CONFIG = """
[post]
site = "jember"
name = "kpu-gate"
state_dir = "state"
[link]
brokers = [{brokers}]
{link}
[roster]
file = "roster.toml"
[[reader]]
name = "gate"
driver = "rc522"
reset_pin = 25
[[door]]
name = "front"
pin = 17
held_after = "60s"
{door}
[[button]]
name = "bell"
pin = 22
does = "checkin"
[indicator]
green = 5
red = 6
buzzer = 13
{more}
"""


def badge(number: int) -> str:
    """The badge of officer ``number``: 7 bytes, upper-case hex."""
    return f"04{number:012X}"


@dataclass
class SimPost:
    """``link`` and ``door``: more lines of those sections. ``more``: more sections. ``officers``: in the roster."""

    folder: Path
    brokers: Sequence[str]
    link: str = ""
    door: str = ""
    more: str = ""
    officers: int = 60
    wrapper: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.config = self.folder / "post.toml"
        self.control = self.folder / "control"
        self.state = self.folder / "state"
        brokers = ", ".join(f'"{url}"' for url in self.brokers)
        self.config.write_text(CONFIG.format(brokers=brokers, link=self.link, door=self.door, more=self.more))
        officers = (
            f'[[officer]]\nid = "officer-{n}"\nbadges = ["{badge(n)}"]\n' for n in range(1, self.officers + 1)
        )
        (self.folder / "roster.toml").write_text("".join(officers))

    def start(self) -> None:
        command = [sys.executable, "-m", "simulator", "post", "--config", str(self.config)]
        with (self.folder / "post.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, *command, "--control", str(self.control)], stdout=log, stderr=log
            )
        until(self.answers, 30, f"the post; it said: {self.said()}")

    def answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.said()
        try:
            return not self.do("lights").startswith("error")
        except ControlError:
            return False

    def said(self) -> str:
        log = self.folder / "post.log"
        return log.read_text() if log.exists() else ""

    def do(self, command: str) -> str:
        return ask(self.control, command)

    def tap(self, number: int = 1) -> str:
        """What officer ``number`` was answered."""
        return self.do(f"tap {badge(number)}").split(": ", 1)[1]

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        os.kill(self.pid, how)
        code = self.process.wait(20)
        self.process = None
        return code

    @property
    def pid(self) -> int:
        """The post's own process, below whatever it was started with."""
        assert self.process is not None
        if not self.wrapper:
            return self.process.pid
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def events(self) -> list[dict[str, Any]]:
        journal = JournalReader.open(self.state / JOURNAL)
        rows = [json.loads(row.event) for row in journal.all_rows()]
        journal.close()
        return rows

    def told(self) -> list[str]:
        """Every event in a few letters."""
        return [
            f"{e['type'].split('.')[1]} {e['data'].get('verdict') or e['data'].get('change')}"
            for e in self.events()
        ]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``guardpost`` on this post's configuration."""
        return subprocess.run(
            [sys.executable, "-m", "device", *words, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@contextmanager
def post(folder: Path, *brokers: str, **settings: Any) -> Iterator[SimPost]:
    """A running post; killed at the end if the test did not end it."""
    made = SimPost(folder, brokers, **settings)
    made.start()
    try:
        yield made
    finally:
        if made.process is not None:
            os.kill(made.pid, signal.SIGKILL)
            made.process.wait(10)


def recorder(*words: str) -> subprocess.CompletedProcess[str]:
    """One ``guardpost-recorder`` command."""
    return subprocess.run(
        [sys.executable, "-m", "recorder", *words], capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def recording(store: Path, url: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """``guardpost-recorder run`` while the block runs, from when it is connected; ended by SIGTERM."""
    said = store.parent / "recorder.log"
    said.touch()
    before = said.stat().st_size
    with said.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "recorder", "run", "--broker", url, "--store", str(store), *more],
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: b"connected to" in said.read_bytes()[before:], what="the recorder's connection")
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(20)


def stored(store: Path) -> int:
    """How many events the recorder holds verified; none while it is still making its store."""
    if not store.exists():
        return 0
    try:
        return read_summary(store).verified
    except StoreError:
        return 0

"""The bench's workers: a post's folder, processes that answer, and what ``/proc`` says of them."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.post import BADGES, DOOR, READER, badge
from device.record.opening import JOURNAL

_HERE = Path(__file__).parent
_CONFIG = f"""
[post]
site = "jember"
name = "kpu-gate"
state_dir = "state"
[link]
brokers = ["{{broker}}"]
[roster]
file = "roster.toml"
[checkin]
repeat_after = "1ms"
[[reader]]
name = "{READER}"
driver = "rc522"
reset_pin = 25
[[door]]
name = "{DOOR}"
pin = 17
[indicator]
green = 5
red = 6
buzzer = 13
{{more}}
"""
SOURCE = "/guardpost/jember/kpu-gate"
NO_BROKER = "mqtt://127.0.0.1:1"
"""Nobody listens on port 1: a post without a line."""


class Worker:
    """A Python program that answers each line of JSON with one; killed at the end."""

    def __init__(self, *words: str | Path) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self.began_ns = time.monotonic_ns()
        self._process = subprocess.Popen(
            [sys.executable, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )
        self.pid = self._process.pid

    def ask(self, do: str, **more: Any) -> Any:
        """The answer to one command."""
        self.say(do, **more)
        return self.hear()

    def say(self, do: str, **more: Any) -> None:
        """A command whose answer is heard later."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """The next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._last_words()
        return json.loads(line)

    def close(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def _last_words(self) -> str:
        self._process.wait(10)
        self._said.seek(0)
        return self._said.read().decode(errors="replace")


@contextmanager
def posted(folder: Path, *more: str) -> Iterator[Worker]:
    """The post of ``folder`` at work; see ``bench.post``."""
    with closing(Worker(_HERE / "post.py", folder / "post.toml", *more)) as made:
        yield made


@contextmanager
def bared(folder: Path, port: int = 0) -> Iterator[Worker]:
    """The same work bare, on the same disk; see ``bench.bare``."""
    with closing(Worker(_HERE / "bare.py", folder, str(port))) as made:
        yield made


@contextmanager
def imported() -> Iterator[tuple[Worker, int]]:
    """The libraries alone, and the nanoseconds that it took to import them; see ``bench.imports``."""
    with closing(Worker(_HERE / "imports.py")) as made:
        yield made, made.hear() - made.began_ns


def post_folder(folder: Path, broker: str = NO_BROKER, more: str = "") -> Path:
    """A folder with a post's configuration, with ``more`` sections, and roster; what it has of a state stays."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "post.toml").write_text(_CONFIG.format(broker=broker, more=more))
    officers = (f'[[officer]]\nid = "officer-{n}"\nbadges = ["{badge(n).hex().upper()}"]\n' for n in range(BADGES))
    (folder / "roster.toml").write_text("".join(officers))
    return folder


def unsent(folder: Path) -> None:
    """All that is in the journal is a backlog again: no broker and no recorder has acknowledged any of it."""
    with closing(sqlite3.connect(folder / "state" / JOURNAL, isolation_level=None)) as journal:
        journal.execute("DELETE FROM cursors")
        journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@dataclass(frozen=True, slots=True)
class Used:
    """What a process has used so far. ``wakes``: voluntary context switches of all its threads."""

    at_ns: int
    cpu_ns: int
    wakes: int
    written_bytes: int
    resident_kb: int


def used(pid: int) -> Used:
    """What process ``pid`` has used (proc(5))."""
    folder = Path(f"/proc/{pid}")
    tasks = sorted((folder / "task").iterdir())
    return Used(
        at_ns=time.monotonic_ns(),
        cpu_ns=sum(int((task / "schedstat").read_text().split()[0]) for task in tasks),
        wakes=sum(_number(task / "status", "voluntary_ctxt_switches:") for task in tasks),
        written_bytes=_number(folder / "io", "write_bytes:"),
        resident_kb=_number(folder / "status", "VmRSS:"),
    )


def _number(file: Path, name: str) -> int:
    return int(file.read_text().partition(f"\n{name}")[2].split()[0])


def settle() -> None:
    """What was written before is on the disk, and does not weigh on what is measured next."""
    os.sync()

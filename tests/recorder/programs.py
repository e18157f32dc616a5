"""The recorder as its own process, and in this one."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from brokers import Mosquitto
from waiting import until

from recorder.errors import StoreError
from recorder.service import Recorder, Settings
from recorder.store import Store


@contextmanager
def recording(broker: str, path: Path, **more: Any) -> Iterator[Recorder]:
    """In this process, subscribed: what is published before that is lost to it."""
    made = Recorder(Settings(broker, path, backoff_s=(0.05, 0.2), **more))
    listens = threading.Event()
    duties = made._subscriber._duties
    listening = duties.listening

    def noted(now: float) -> None:
        listening(now)
        listens.set()

    duties.listening = noted  # type: ignore[method-assign]
    with made as recorder:
        until(listens.is_set, what="the recorder's SUBACK")
        yield recorder


def subscribed(broker: Mosquitto) -> bool:
    """Whether a recorder has got its SUBACK: what is published before that is lost to it."""
    return "Sending SUBACK to guardpost-recorder\n" in broker.log()


@contextmanager
def program(broker: str, path: Path, log: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """``guardpost-recorder run``; killed at the end if it still runs."""
    with _running(log, "-m", "recorder", "run", "--broker", broker, "--store", str(path), *more) as process:
        yield process


@contextmanager
def eager(broker: str, path: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The recorder as a part of another program, which asks at once for pictures that it lacks."""
    with _running(log, "-c", _EAGER, broker, str(path)) as process:
        yield process


_EAGER = """
import signal, sys
from pathlib import Path
from recorder.service import Recorder, Settings
recorder = Recorder(Settings(sys.argv[1], Path(sys.argv[2]), picture_grace_s=0.05))
signal.signal(signal.SIGTERM, lambda *_: recorder.request_stop())
recorder.run()
"""


@contextmanager
def _running(log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as stderr, subprocess.Popen([sys.executable, *words], stderr=stderr) as process:
        try:
            yield process
        finally:
            process.kill()


def whole(path: Path) -> int:
    """How far the first chain of a store is whole; 0 while there is none."""
    try:
        with Store.read(path) as store:
            return store.number("SELECT whole FROM chain ORDER BY id LIMIT 1")
    except (StoreError, sqlite3.OperationalError):
        return 0

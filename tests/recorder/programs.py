"""The recorder as its own process, and in this one."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from waiting import until

from recorder.errors import StoreError
from recorder.service import Recorder, Settings
from recorder.store import Store


@contextmanager
def recording(broker: str, path: Path, **more: Any) -> Iterator[Recorder]:
    """In this process, connected."""
    with Recorder(Settings(broker, path, backoff_s=(0.05, 0.2), **more)) as recorder:
        until(lambda: recorder.connected)
        yield recorder


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

"""A simulated post whose state folder is on a disk that can fail; all it needs besides is elsewhere."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backlog import rows_of
from posts import SimPost
from volatile_disk import VolatileDisk
from waiting import until

from simulator.errors import ControlError


class DiskPost(SimPost):
    """``guardpost-sim post`` with its state folder on a disk; its log and its pins' log are not there."""

    def on(self, disk: VolatileDisk) -> "DiskPost":
        self.state = disk.mount / "state"
        self.config.write_text(self.config.read_text().replace('"state"', f'"{self.state}"'))
        return self

    def start(self) -> None:
        assert self.launch(), self.said()

    def launch(self) -> bool:
        """Start it; whether it came up. False: it ended before."""
        command = [sys.executable, "-m", "simulator", "post", "--config", str(self.config)]
        paths = ["--control", str(self.control), "--pins-log", str(self.folder / "pins.log")]
        with (self.folder / "post.log").open("ab") as log:
            process = self.process = subprocess.Popen([*command, *paths], stdout=log, stderr=log)
        until(lambda: process.poll() is not None or self._up(), 30, f"the post; it said: {self.said()}")
        return process.poll() is None

    def _up(self) -> bool:
        try:
            return not self.do("lights").startswith("error")
        except ControlError:
            return False

    def raw(self) -> list[bytes]:
        """Every event of its journal."""
        return rows_of(self.state)

    def buried(self) -> int:
        """Kill it; what it ended with."""
        assert self.process is not None
        self.process.kill()
        code = self.process.wait(20)
        self.process = None
        return code


@contextmanager
def post_on(disk: VolatileDisk, folder: Path, *brokers: str, **settings: Any) -> Iterator[DiskPost]:
    """A running post; killed at the end if the test did not end it."""
    made = DiskPost(folder, brokers, **settings).on(disk)
    made.start()
    try:
        yield made
    finally:
        if made.process is not None:
            made.buried()

"""The unmodified PN532 driver on a real pty, with the simulated chip at its other end."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from device.hardware.readers.pn532 import Pn532
from device.hardware.readers.pn532_hsu import BAUD, Waits
from device.hardware.readers.reader import ReaderWorker
from device.readings import Instant, Reading
from simulator.pn532 import Pn532 as Chip
from simulator.pn532 import Said
from simulator.pty_line import PtyLine

WITHIN_S = 20.0


class Ticking:
    """A clock on which each look is ``step_ms`` later."""

    def __init__(self, step_ms: int) -> None:
        self._step_ms = step_ms
        self._uptime_ms = 0

    def now(self) -> Instant:
        self._uptime_ms += self._step_ms
        return Instant(self._uptime_ms, 1_700_000_000_000 + self._uptime_ms)


class Bench:
    """``hears``: may take what the host sends from the chip, and answer in its place.

    ``reader``: waits for as long as a busy machine may need. ``hasty``: as on a Pi; for what never answers.
    """

    def __init__(self, folder: Path, firmware: bytes = b"\x32\x01\x06\x07") -> None:
        self.port = folder / "gate.tty"
        self.chip = Chip(firmware)
        self.sent = b""
        self.hears: Callable[[bytes], list[Said] | None] = lambda _: None
        self.line = PtyLine(self.port, BAUD, self._hear, self.chip.told)
        self.reader = Pn532(self.port, Waits(WITHIN_S, WITHIN_S, WITHIN_S, WITHIN_S))
        self.hasty = Pn532(self.port)

    def _hear(self, data: bytes) -> list[Said]:
        self.sent += data
        said = self.hears(data)
        return self.chip.hear(data) if said is None else said

    def replug(self) -> None:
        """Out and in again: the chip lost its supply."""
        self.line.unplug()
        self.chip.reset()
        self.line.plug()

    def pull_at(self, code: int) -> None:
        """Pull the plug while the host waits for the answer to this command."""
        asked = threading.Event()

        def hear(data: bytes) -> list[Said] | None:
            if bytes([0xD4, code]) not in data:
                return None
            asked.set()
            return []

        def pull() -> None:
            assert asked.wait(WITHIN_S)
            self.line.unplug()

        self.hears = hear
        threading.Thread(target=pull).start()


@contextmanager
def wired(folder: Path, firmware: bytes = b"\x32\x01\x06\x07") -> Iterator[Bench]:
    """A chip that is plugged in, and a reader that was not started."""
    bench = Bench(folder, firmware)
    try:
        yield bench
    finally:
        bench.line.unplug()


@contextmanager
def watched(bench: Bench, step_ms: int = 500) -> Iterator["queue.SimpleQueue[Reading]"]:
    """What the reader's worker tells."""
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    worker = ReaderWorker("gate", bench.reader, Ticking(step_ms), inbox, retry_s=0.001, burst=20)
    worker.start()
    try:
        yield inbox
    finally:
        worker.stop()

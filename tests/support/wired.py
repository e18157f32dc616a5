"""One reader as a post has it: its section, its driver and worker, and its model at the other end of the wires."""

import queue
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postkit import RunningClock, at
from waiting import until

from device.config import ReaderSection, parse
from device.drivers import reader_driver
from device.hardware.readers.driver import Bench, Copper
from device.hardware.readers.reader import ReaderWorker
from device.readings import BadgeRead, Clock, Garbled, Instant, PartBlind, PartSighted, Reading
from simulator.factory import SimFactory
from simulator.far_ends import FarEnd, Site, far_end

WITHIN_S = 20.0


def section(**keys: Any) -> Any:
    """A ``[[reader]]`` named gate, as a post reads it. Raises ConfigError."""
    content = {
        "post": {"site": "jember", "name": "kpu-gate"},
        "link": {"brokers": ["mqtt://127.0.0.1:1"]},
        "reader": [{"name": "gate", **keys}],
    }
    return parse(content, Path("post.toml")).reader[0]


class SlowClock:
    """A clock on which a tenth of the time passes: on a busy machine, what must be quick is quick by it."""

    def now(self) -> Instant:
        return at(time.monotonic_ns() // 10_000_000)


@dataclass
class Wired:
    """``far``: what a person can do to it. ``readings``: all that came of it so far."""

    far: FarEnd
    site: Site
    inbox: "queue.SimpleQueue[Reading]"
    readings: list[Reading] = field(default_factory=list)

    def told(self) -> list[str]:
        """All that was put: a badge's number in hex, ``sighted``, ``blind``, ``garbled``."""
        while not self.inbox.empty():
            self.readings.append(self.inbox.get())
        return [_in_short(reading) for reading in self.readings]

    def until_told(self, *told: str) -> Reading:
        """Wait for exactly this; the newest of it."""
        until(lambda: len(self.told()) >= len(told), WITHIN_S, f"{told}")
        assert self.told() == list(told)
        return self.readings[-1]

    def do(self, fault: str) -> None:
        """As ``guardpost-sim do reader gate FAULT`` does."""
        self.far.faults[fault].do()

    def tap(self, uid: bytes) -> None:
        """Hold a card there, and take it away."""
        self.far.place(uid)
        self.far.remove(uid)


FEW_TAPS = 20
"""At once, so that a flood of them is soon played."""


@contextmanager
def wired(
    a_section: ReaderSection,
    *,
    clock: Clock | None = None,
    inbox: "queue.SimpleQueue[Reading] | None" = None,
    state_dir: Path = Path(),
    retry_s: float = 0.01,
    ready: bool = True,
) -> Iterator[Wired]:
    """A reader being asked. ``ready``: wait until it says that it sees."""
    clock = clock or RunningClock()
    inbox = queue.SimpleQueue() if inbox is None else inbox
    with ExitStack() as closing:
        site = Site(SimFactory(), state_dir=state_dir)
        closing.callback(site.factory.close)
        far = far_end(a_section, site)
        closing.callback(far.close)
        bench = Bench(Copper(site.factory, open_input=site.open_input), clock, state_dir, closing)
        worker = ReaderWorker(
            a_section.name,
            reader_driver(a_section.driver).open(a_section, bench),
            clock,
            inbox,
            retry_s=retry_s,
            burst=FEW_TAPS,
        )
        worker.start()
        closing.callback(worker.stop)
        post = Wired(far, site, inbox)
        if ready:
            post.until_told("sighted")
        yield post


def _in_short(reading: Reading) -> str:
    match reading:
        case BadgeRead(reader="gate", uid=uid):
            return uid.hex().upper()
        case PartBlind(part="reader gate"):
            return "blind"
        case PartSighted(part="reader gate"):
            return "sighted"
        case Garbled(part="reader gate"):
            return "garbled"
    raise AssertionError(reading)

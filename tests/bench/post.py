"""``python tests/bench/post.py CONFIG``: the whole program as a Pi runs it, on a simulated board.

Only the pin factory is not the Pi's. The loop and its panel are watched, not replaced. A command a line comes on
standard input as JSON, its answer goes out in the same way; all moments are CLOCK_MONOTONIC in nanoseconds.
"""

# ruff: noqa: E402 - what is imported first is timed

import gc

gc.disable()  # until all is imported, as ``guardpost run`` does

import argparse
import json
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

# What ``guardpost run`` imports, and nothing else yet: the simulator's part is timed apart.
import device.__main__ as program
import device.config
import device.hardware.clock
import device.hardware.pins
import device.hardware.readers.driver
import device.wiring
from device.effects import Answer
from device.hardware.readers.driver import Copper
from device.hardware.readers.rc522 import Rc522
from device.post import Post
from device.readings import BadgeRead, ContactChanged, Instant, Photo, Reading
from device.record.journal import CHECKPOINT_BUSY_BYTES, Journal
from device.seams import Panel

gc.freeze()
gc.enable()

if TYPE_CHECKING:
    from gpiozero.pins import Factory

    from simulator.board import Board
    from simulator.factory import SimFactory

BADGES = 60
"""Officers in the bench's roster; the badge of number n is ``badge(n)``."""
READER = "gate"
DOOR = "door"
_START_WITHIN_S = 30.0
_WITHIN_S = 600.0
_PICTURE_WITHIN_S = 30.0
_TICK_S = 0.005
_AT_ONCE = 256


def badge(number: int) -> bytes:
    """The badge of officer ``number`` from 0, around again after the last one."""
    return bytes.fromhex(f"04{number % BADGES + 1:012X}")


class WatchedPanel:
    """The real panel; notes when the loop asks it for an answer."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self.shown: queue.SimpleQueue[tuple[Answer, int]] = queue.SimpleQueue()

    def show(self, answer: Answer, reader: str | None = None) -> None:
        self.shown.put((answer, time.monotonic_ns()))
        self._panel.show(answer)

    def line(self, up: bool) -> None:
        self._panel.line(up)


class CountedChip:
    """The chip model behind the bus; counts transfers, and what the model itself costs."""

    def __init__(self, chip: Any) -> None:
        self._chip = chip
        self.transfers = 0
        self.cpu_ns = 0

    def transfer(self, data: list[int], /) -> list[int]:
        began = time.thread_time_ns()
        back: list[int] = self._chip.transfer(data)
        self.cpu_ns += time.thread_time_ns() - began
        self.transfers += 1
        return back


class Worked:
    """A running post in this process, and the commands of the bench."""

    def __init__(self, card: bool) -> None:
        """``card``: one lies on the reader from the start."""
        self._card = card
        self._posts: queue.SimpleQueue[WatchedPost] = queue.SimpleQueue()
        self._checkpoints: list[int] = []
        self._may_checkpoint, self._must_checkpoint = True, False
        self.log_bytes = self.commits = self.polls = 0
        self.simulator_ns = 0
        self.simulator_kb = 0
        self.board: Board
        self.chips: list[CountedChip] = []
        self._kept: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._greens: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._dark = threading.Event()

    def watch(self) -> None:
        """Put the watchers in: the loop's parts are told, commits and polls counted, checkpoints timed and held."""
        owner = self

        class Told(WatchedPost):
            def __init__(self, **parts: Any) -> None:
                super().__init__(**parts)
                owner._posts.put(self)

        append, checkpoint, cards = Journal.append, Journal.checkpoint, Rc522.cards

        def counted(journal: Journal, *what: Any) -> int:
            newest = append(journal, *what)
            owner.commits += 1
            owner.log_bytes = journal._log_bytes
            owner.post.newest = newest
            return newest

        def timed(journal: Journal, idle: bool) -> None:
            if owner._must_checkpoint:
                journal._log_bytes = CHECKPOINT_BUSY_BYTES
            elif not owner._may_checkpoint:
                return
            before, began = journal._log_bytes, time.monotonic_ns()
            checkpoint(journal, idle)
            if journal._log_bytes < before:
                owner._checkpoints.append(time.monotonic_ns() - began)
                owner.log_bytes, owner._must_checkpoint = journal._log_bytes, False

        def polled(reader: Rc522) -> list[bytes]:
            owner.polls += 1
            return cards(reader)

        device.wiring.Post = Told  # type: ignore[attr-defined]
        Journal.append = counted  # type: ignore[method-assign,assignment]
        Journal.checkpoint = timed  # type: ignore[method-assign,assignment]
        Rc522.cards = polled  # type: ignore[method-assign,assignment]

    def watch_pictures(self) -> None:
        """The simulator's camera in place of the Pi's; each picture is noted once it is stored."""
        import simulator.board  # noqa: F401 - before the Pi's copper is another
        from device.pictures.keeping import Keeping

        keep = Keeping.keep

        def kept(keeping: Keeping, photo: Photo, now: Instant) -> None:
            keep(keeping, photo, now)
            self._kept.put((time.monotonic_ns(), photo.offset_ms))

        def looking(factory: "Factory", bus_errors: tuple[type[Exception], ...]) -> Copper:
            return Copper(factory, bus_errors, camera=self.board.copper.camera)

        Keeping.keep = kept  # type: ignore[method-assign,assignment]
        device.hardware.readers.driver.Copper = looking  # type: ignore[misc,assignment]

    @contextmanager
    def pins(self, config: Path) -> Iterator[tuple["SimFactory", type[Exception]]]:
        """What stands for ``pi_factory``. The time and the memory that the simulator costs are told apart."""
        began, before_kb = time.monotonic_ns(), resident_kb()
        from device.hardware.readers.rc522 import Rc522Section
        from simulator.board import Board
        from simulator.far_ends.rc522 import WiredRc522

        loaded = device.config.load(config)
        self.board = Board(loaded)
        for reader in loaded.reader:
            gate = self.board.reader(reader.name)
            assert isinstance(gate, WiredRc522) and isinstance(reader, Rc522Section)
            chip = CountedChip(gate.chip)
            self.chips.append(chip)
            self.board.factory.connect(reader.chip_select, chip)
        if self._card:
            self.board.reader(loaded.reader[0].name).place(badge(0))
        green = loaded.indicator.green if loaded.indicator else None
        self._dark.set()

        def changed(change: Any) -> None:
            if change.pin == green:
                if change.level:
                    self._dark.clear()
                    self._greens.put(time.monotonic_ns())
                else:
                    self._dark.set()

        self.board.factory.listen(changed)
        self.simulator_ns, self.simulator_kb = time.monotonic_ns() - began, resident_kb() - before_kb
        try:
            yield self.board.factory, OSError
        finally:
            self.board.close()

    def serve(self) -> None:
        """Answer commands until standard input ends; then the process ends, however far it is."""
        threading.Thread(target=self._serve, name="bench", daemon=True).start()

    def _serve(self) -> None:
        commands: dict[str, Callable[..., Any]] = {
            "green": self._first_green,
            "up": self._up,
            "taps": self._taps,
            "bursts": self._bursts,
            "checkpoint": self._checkpoint,
            "flood": self._flood,
            "delivered": self._delivered,
            "cards": self._cards,
            "counts": self._counts,
            "pictures": self._pictures,
        }
        while line := os.read(0, 65_536):
            asked = json.loads(line)
            print(json.dumps(commands[asked.pop("do")](**asked)), flush=True)
        os._exit(0)

    @property
    def post(self) -> "WatchedPost":
        """The loop, once wiring has made it."""
        found = self._posts.get(timeout=_WITHIN_S)
        self._posts.put(found)
        return found

    # The commands

    def _first_green(self) -> dict[str, int]:
        """When the green light rose for the first time, and what of the time before was the simulator's."""
        at = self._greens.get(timeout=_START_WITHIN_S)
        if self._card:
            self.board.reader(READER).remove(badge(0))
        _empty(self.post.watched.shown)
        return {"at": at, "simulator_ns": self.simulator_ns}

    def _up(self) -> bool:
        _until(lambda: self.post.link.up)
        return True

    def _taps(self, count: int, pause_s: float) -> list[list[int]]:
        """One tap after the other, straight into the inbox: when it was put, and when green was asked for."""
        post, taken = self.post, []
        for number in range(count):
            time.sleep(pause_s)
            put_at = post.put(post.badge_read(number))
            answer, at = post.watched.shown.get(timeout=_WITHIN_S)
            assert answer is Answer.ACCEPTED, answer
            taken.append([put_at, at])
        return taken

    def _bursts(self, count: int, size: int, pause_s: float) -> int:
        """``count`` times ``size`` taps at once; how many commits they took."""
        post = self.post
        before = self.commits
        for _ in range(count):
            time.sleep(pause_s)
            taps = [post.badge_read(number) for number in range(size)]
            for tap in taps:
                post.put(tap)
            for _ in range(size):
                post.watched.shown.get(timeout=_WITHIN_S)
        return self.commits - before

    def _flood(self, count: int) -> int:
        """``count`` taps that all wait at once: nanoseconds until the last one was answered."""
        post = self.post
        taps = [post.badge_read(number) for number in range(count)]
        began = time.monotonic_ns()
        for tap in taps:
            post.put(tap)
        shown = post.watched.shown
        _until(lambda: shown.qsize() >= count)
        return max(shown.get_nowait()[1] for _ in range(count)) - began

    def _delivered(self, to: str) -> dict[str, int]:
        """Wait until everything is acknowledged by the broker, or by headquarters: ``to`` done, or receipt."""
        post = self.post
        _until(lambda: post.link.up)
        began, first = time.monotonic_ns(), post.reached(to)
        _until(lambda: post.reached(to) >= post.newest)
        return {"ns": time.monotonic_ns() - began, "events": post.newest - first}

    def _checkpoint(self) -> bool:
        """The write-ahead log into the database now, whatever its size; through the loop."""
        self._must_checkpoint = True
        _until(lambda: not self._must_checkpoint)
        return True

    def _cards(self, count: int, log_bytes: int) -> list[int]:
        """Cards held before the reader, from a dark light to the green one; nanoseconds each.

        Before each the write-ahead log has grown to ``log_bytes``; the loop copies it into the database as soon as
        the card is there.
        """
        chip, taken = self.board.reader(READER), []
        self._may_checkpoint = False
        for number in range(count):
            self._grow(log_bytes)
            assert self._dark.wait(_WITHIN_S)
            _empty(self._greens)
            uid = badge(number)
            began = time.monotonic_ns()
            chip.place(uid)
            self._must_checkpoint = True
            taken.append(self._greens.get(timeout=_WITHIN_S) - began)
            chip.remove(uid)
            _until(lambda: not self._must_checkpoint)
        self._may_checkpoint = True
        return taken

    def _grow(self, to_bytes: int) -> None:
        """A door opens and shuts until the write-ahead log is that long: events that no light answers."""
        post = self.post
        while self.log_bytes < to_bytes:
            before = self.commits
            for _ in range(_AT_ONCE // 2):
                post.put(post.moved(True))
                post.put(post.moved(False))
            _until(lambda before=before: self.commits > before)  # type: ignore[misc]

    def _pictures(self, count: int, pause_s: tuple[float, float]) -> list[tuple[int, int, int]]:
        """Taps with a picture each, at any moment between two frames.

        Nanoseconds from the tap to green, to the picture's frame, and until it was stored.
        """
        post, pause, taken = self.post, random.Random(1), []
        for number in range(count):
            time.sleep(pause.uniform(*pause_s))
            put_at = post.put(post.badge_read(number))
            _, green_at = post.watched.shown.get(timeout=_WITHIN_S)
            kept_at, offset_ms = self._kept.get(timeout=_PICTURE_WITHIN_S)
            taken.append((green_at - put_at, offset_ms * 1_000_000, kept_at - put_at))
        return taken

    def _counts(self) -> dict[str, Any]:
        """What was counted since the start."""
        post = self.post
        return {
            "transfers": sum(chip.transfers for chip in self.chips),
            "polls": self.polls,
            "model_cpu_ns": sum(chip.cpu_ns for chip in self.chips),
            "simulator_kb": self.simulator_kb,
            "checkpoints_ns": list(self._checkpoints),
            "newest": post.newest,
            "done": post.reached("done"),
        }


class WatchedPost(Post):
    """The loop itself, its parts in reach. ``newest``: position of the newest event."""

    def __init__(self, **parts: Any) -> None:
        self.watched = WatchedPanel(parts["panel"])
        self.link = parts["link"]
        self.newest: int = parts["newest"]
        self._in, self._time = parts["inbox"], parts["clock"]
        super().__init__(**{**parts, "panel": self.watched})

    def reached(self, to: str) -> int:
        """How far a broker, or headquarters, has acknowledged."""
        if to == "done":
            done: int = self.link.done
            return done
        return max(self.link._receipts.positions.values(), default=0)

    def badge_read(self, number: int) -> BadgeRead:
        """A tap, as the reader would tell it now."""
        return BadgeRead(self._time.now(), READER, badge(number), "uid")

    def moved(self, is_open: bool) -> ContactChanged:
        """A door, as its contact would tell it now."""
        return ContactChanged(self._time.now(), DOOR, is_open)

    def put(self, reading: Reading) -> int:
        """Into the inbox; when."""
        at = time.monotonic_ns()
        self._in.put(reading)
        return at


def resident_kb() -> int:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def _empty(waiting: "queue.SimpleQueue[Any]") -> None:
    with suppress(queue.Empty):
        while True:
            waiting.get_nowait()


def _until(condition: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + _WITHIN_S
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(_TICK_S)


def main() -> int:
    parser = argparse.ArgumentParser("post.py")
    parser.add_argument("config", type=Path)
    parser.add_argument("--card", action="store_true", help="a card lies on the reader from the start")
    parser.add_argument("--camera", action="store_true", help="it has the simulator's")
    args = parser.parse_args()
    worked = Worked(args.card)
    worked.watch()
    if args.camera:
        worked.watch_pictures()
    device.hardware.pins.pi_factory = lambda: worked.pins(args.config)
    worked.serve()
    return program.main(["run", "--config", str(args.config)])


if __name__ == "__main__":
    sys.exit(main())

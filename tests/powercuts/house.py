"""One state folder on a disk that loses its power again and again; everything green is remembered."""

import json
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from backlog import reading
from disk_posts import DiskPost
from volatile_disk import VolatileDisk

from device.errors import ChainError
from device.record.keys import aside_name
from device.record.opening import JOURNAL, SIGNING_KEY, SITE_KEY
from device.record.verification import public_keys, verified
from powercuts.writer import Synchronous, write
from simulator.errors import ControlError

OFFICERS = 400
_DOORS = 'forced_without_checkin = "1ms"\n[[door]]\nname = "side"\npin = 18'
_BAD = {"refused", "lost"}
"""Changes of ``system`` events that no power cut may bring about on an honest disk."""


@dataclass
class House:
    """``green``: the officers who were answered green, or whose commit was said. ``cuts``: where each came."""

    folder: Path
    seed: str
    green: set[str] = field(default_factory=set)
    cuts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.disk = VolatileDisk(self.folder, self.seed)
        self.post = DiskPost(self.folder / "post", ["mqtt://127.0.0.1:9"], door=_DOORS, officers=OFFICERS)
        self.post.on(self.disk)
        self.officers = iter(range(1, OFFICERS + 1))
        self._writers = count(OFFICERS + 1, 100_000)
        self._keys: tuple[bytes, bytes] | None = None

    # Lives; each ends in a cut

    def opening(self, operations: int, name: str | None = None) -> None:
        """The real program starts, and the power goes meanwhile; or, if it was quicker, in a burst."""
        self.disk.cut_after(operations, name)
        self._ended(came_up=self.post.launch())

    def burst(self, operations: int, name: str | None = None) -> None:
        """The real program is up, and the power goes while officers tap and doors are moved."""
        came_up = self.post.launch()
        if came_up:
            self.check()
            self.disk.cut_after(operations, name)
        self._ended(came_up)

    def stopping(self, operations: int, name: str) -> None:
        """The real program is told to stop, and the power goes while it puts its journal in order."""
        if self.post.launch():
            self.check()
            self._tap()
            self.disk.cut_after(operations, name)
            assert self.post.process is not None
            self.post.process.send_signal(signal.SIGTERM)
            self.post.process.wait(20)
        else:
            self.problems.append(f"the post did not start: {self.post.said()[-500:]}")
        self._bury()

    def written(
        self, batches: Sequence[int], operations: int, name: str | None = None, synchronous: Synchronous = "FULL"
    ) -> None:
        """The rig's writer commits, and the power goes at some moment from its opening on."""
        if operations:
            self.disk.cut_after(operations, name)
        code = self.write(batches, synchronous)
        if code not in (0, -signal.SIGKILL):
            self.problems.append(f"the writer ended with {code}")
        self.power_cut()

    def aside(self) -> str:
        """What the journal would be called if it were damaged."""
        return aside_name(self.post.state / JOURNAL).name

    def replacing(self, operations: int, name: str | None = None) -> None:
        """A damaged journal is opened, and the power goes while what is sound of it is put into a new one."""
        if self.write([3, 1]) != 0:
            self.problems.append("the writer did not get to its end")
        with (self.post.state / JOURNAL).open("r+b") as file:
            file.write(b"what was here says that this is a database")
            os.fsync(file.fileno())
        self.written([1], operations, name)
        if (code := self.write([1])) != 0:
            self.problems.append(f"after a cut in {self.cuts[-1]} the writer ended with {code}")
        self.lost |= self.green - self.still_there()

    def write(self, batches: Sequence[int], synchronous: Synchronous = "FULL") -> int:
        """What the writer ended with, be it done or dead."""
        first = next(self._writers)
        heard, said = _FORK.Pipe(duplex=False)
        writer = _FORK.Process(target=write, args=(self.post.state, batches, first, synchronous, said))
        with warnings.catch_warnings():
            # From 3.12 on Python warns where threads run; those of a test's runner hold nothing it needs.
            warnings.simplefilter("ignore", DeprecationWarning)
            writer.start()
        said.close()
        for last in _all_of(heard):
            self.green.update(f"officer-{n}" for n in range(first, last + 1))
        writer.join()
        assert writer.exitcode is not None
        return writer.exitcode

    def power_cut(self, share: float | None = None) -> None:
        """If the power has not gone yet, it goes now; then it comes back."""
        self.disk.cut(share)
        self.cuts.append(self.disk.was_cut or "")
        self.disk.power_on()

    def _ended(self, came_up: bool) -> None:
        if came_up:
            with _walking(self.post):
                while self.disk.was_cut is None and self._tap():
                    pass
        if self.disk.was_cut is None:
            self.problems.append(f"the post ended by itself: {self.post.said()[-500:]}")
        self._bury()

    def _bury(self) -> None:
        self.post.buried()
        self.power_cut()

    def _tap(self) -> bool:
        """One more officer taps; False where the post died of it."""
        officer = next(self.officers)
        try:
            answer = self.post.tap(officer)
        except ControlError:
            return False
        if answer.startswith("accepted"):
            self.green.add(f"officer-{officer}")
        elif self.disk.was_cut is None:
            self.problems.append(f"officer-{officer} was answered: {answer}")
        return True

    # What is there

    def closing(self) -> None:
        """The post starts once more and goes on; ``guardpost journal verify`` is content with all of it."""
        if not self.post.launch():
            self.problems.append(f"the post did not start: {self.post.said()[-500:]}")
            return
        self.check()
        self._tap()
        if (code := self.post.end()) != 0:
            self.problems.append(f"the post stopped with {code}")
        self.check()
        said = self.post.command("journal", "verify")
        if said.returncode != 0 or "1 chain verified" not in said.stdout:
            self.problems.append(f"journal verify: {said.stdout}{said.stderr}")

    def check(self) -> None:
        """Everything green is in the journal, which verifies whole, in one chain; the keys are the same."""
        with reading(self.post.state) as journal:
            rows = [row.event for row in journal.all_rows()]
            try:
                for _ in verified(journal.all_rows(), public_keys(journal.public_jwks())):
                    pass
            except ChainError as error:
                self.problems.append(f"the journal does not verify: {error}")
        events: list[dict[str, Any]] = [json.loads(row) for row in rows]
        self.lost |= self.green - {event["data"].get("officer") for event in events}
        chains = {event["chain"]: event["seq"] for event in events}
        if len(chains) > 1 or any(event["seq"] != n for n, event in enumerate(events, 1)):
            self.problems.append(f"not one chain without a gap: {chains}")
        self.problems += [f"{event['data']}" for event in events if event["data"].get("change") in _BAD]
        keys = (self.post.state / SIGNING_KEY).read_bytes(), (self.post.state / SITE_KEY).read_bytes()
        if self._keys not in (None, keys):
            self.problems.append("the keys have changed")
        self._keys = keys if events else self._keys

    def still_there(self) -> set[str]:
        """The officers whose taps can be read."""
        with reading(self.post.state) as journal:
            return {json.loads(row.event)["data"].get("officer") for row in journal.all_rows()}


@contextmanager
def _walking(post: DiskPost) -> Iterator[None]:
    """Doors are opened and shut all the while, so that one commit holds several events now and then."""
    enough = threading.Event()

    def walk() -> None:
        try:
            while not enough.is_set():
                for command in ("open front", "open side", "close side", "close front"):
                    post.do(command)
                enough.wait(0.05)
        except ControlError:
            return  # the post died

    walker = threading.Thread(target=walk)
    walker.start()
    try:
        yield
    finally:
        enough.set()
        walker.join()


def _all_of(heard: Connection) -> Iterator[int]:
    with heard:
        try:
            while True:
                yield heard.recv()
        except EOFError:
            return


# A writer starts in milliseconds: it has imported everything.
_FORK = multiprocessing.get_context("fork")

"""A worker's thread: it gives signs of life that the loop looks for, and it holds no end up."""

import logging
import queue
import threading
from collections.abc import Callable

from device.readings import Clock, Instant, PartBlind, PartSighted, Reading

LOOK_EVERY_MS = 1_000
LOOKS = 8
"""Looks in a row without a sign of life until a worker counts as hung. A worker's round is shorter than 6 s.

Looks are counted, not time: a process that was stopped for an hour, or whose loop waited for the disk, has not
looked, so it does not take its workers for dead when it goes on.
"""
END_WITHIN_S = 2.0
"""Longer than a reader on a serial line takes that is silent as it is started, and again as it is closed: 1.2 s."""

log = logging.getLogger(__name__)


class Worker:
    """The thread ``<part>``, with a hyphen for each space. It is a daemon: one that hangs ends with the process."""

    def __init__(self, part: str, clock: Clock, inbox: "queue.SimpleQueue[Reading]") -> None:
        """``part``: what is blind while the thread hangs."""
        self.part = part
        self._clock = clock
        self._inbox = inbox
        self._thread: threading.Thread | None = None
        # The thread writes the first two, the loop the other three, so there is no lock to hang on.
        self._beats, self._back = 0, -1
        self._seen = self._missed = self._given_up = 0

    def start(self, run: Callable[[], None]) -> None:
        """Do ``run`` in the thread."""
        self._thread = threading.Thread(target=run, name=self.part.replace(" ", "-"), daemon=True)
        self._thread.start()

    def beat(self) -> bool:
        """The thread begins a round; whether it has to say how its part stands.

        It has to in its first round, since the part may have been blind when the program last ended, and in the
        first after it was given up.
        """
        self._beats += 1
        if self._back == self._given_up:
            return False
        self._back = self._given_up
        return True

    def sighted(self) -> None:
        """The part works again."""
        self._inbox.put(PartSighted(self._clock.now(), self.part))

    def look(self, now: Instant) -> None:
        """The loop looks for a sign of life, every ``LOOK_EVERY_MS``."""
        if self._seen != self._beats:
            self._seen, self._missed = self._beats, 0
            return
        self._missed += 1
        if self._missed == LOOKS:
            self._inbox.put(PartBlind(now, self.part, f"its thread hangs: no sign of life in {LOOKS} looks"))
            self._given_up += 1

    def ended(self) -> bool:
        """Wait for the thread, which was asked to end; False for one that hangs: its devices are left to it."""
        if self._thread is not None:
            # One that was given up is not waited for, or each of them would cost the farewell its time.
            self._thread.join(0 if self._missed >= LOOKS else END_WITHIN_S)
            if self._thread.is_alive():
                log.error("%s hangs, and is left behind", self.part)
                return False
        return True


class Workers:
    """A ``seams.Watcher`` of the loop: looks at every worker once a second."""

    def __init__(self) -> None:
        """Watch nobody yet."""
        self._workers: list[Worker] = []
        self._looked_ms: int | None = None

    def watch(self, worker: Worker) -> None:
        """Look at one that runs."""
        self._workers.append(worker)

    def passed(self, now: Instant, status: Callable[[], str]) -> None:  # noqa: ARG002
        """The loop passes at least once a second."""
        if self._looked_ms is None or now.uptime_ms - self._looked_ms >= LOOK_EVERY_MS:
            self._looked_ms = now.uptime_ms
            for worker in self._workers:
                worker.look(now)

    def stopping(self, why: str) -> None:  # noqa: ARG002
        """Nobody is missed any more."""
        self._workers.clear()

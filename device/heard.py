"""What the parts of an open post have told since then, for whoever waits for one thing after the other."""

import queue
import time
from collections import Counter, defaultdict
from collections.abc import Callable

from device.readings import (
    BadgeRead,
    ButtonPressed,
    ContactChanged,
    Crashed,
    Garbled,
    MainsChanged,
    PartBlind,
    PartSighted,
    Reading,
    Vitals,
)


class Heard:
    """What the parts have told since they were opened, in whatever order somebody moves them.

    ``blind``: why, by part; empty for one that sees. ``badges``: bytes of the last number, by reader. ``died``: why
    a thread did, after which nothing that is waited for can be believed to come.
    """

    def __init__(self, inbox: "queue.SimpleQueue[Reading]") -> None:
        """``inbox``: what the parts put into."""
        self._inbox = inbox
        self.blind: dict[str, str] = {}
        self.badges: dict[str, int] = {}
        self.garbled: dict[str, str] = {}
        self.opened: defaultdict[str, set[bool]] = defaultdict(set)
        self.presses: Counter[str] = Counter()
        self.mains: bool | None = None
        self.vitals: Vitals | None = None
        self.died = ""

    def wait(self, within_s: float, done: Callable[[], object]) -> None:
        """Listen until ``done``, or a thread died, or for so long."""
        end_s = time.monotonic() + within_s
        while not (done() or self.died):
            try:
                self._take(self._inbox.get(timeout=max(0.0, end_s - time.monotonic())))
            except queue.Empty:
                return

    def _take(self, reading: Reading) -> None:
        match reading:
            case PartBlind(part=part, why=why):
                self.blind[part] = why
            case PartSighted(part=part):
                self.blind[part] = ""
            case Garbled(part=part, why=why):
                self.garbled[part] = why
            case Crashed(thread=thread, why=why):
                self.died = f"the thread {thread} died: {why}"
            case BadgeRead(reader=name, uid=uid):
                self.badges[name] = len(uid)
            case ContactChanged(contact=name, open=is_open, unseen=False):
                self.opened[name].add(is_open)
            case ButtonPressed(button=name):
                self.presses[name] += 1
            case MainsChanged(on=on):
                self.mains = on
            case Vitals():
                self.vitals = reading
            case _:
                pass

"""One reader on an OSDP line: what its own thread has from the line's thread."""

import queue
import threading
import time
from collections import deque

from device.effects import Answer
from device.hardware.readers.osdp_cards import CardRead, LocalStatus, number
from device.hardware.readers.osdp_channel import Heard
from device.hardware.readers.osdp_frames import Command
from device.hardware.readers.reader import FrameRefused

SILENT_S = 2.5
"""Without an answer for so long a reader is blind; libosdp asks again after 1 s."""
STUCK_S = 0.4
"""Longer than any exchange takes: what was answered last is what it did not go on from."""
_KEPT = 64

_INSTALL = "stop the post and run guardpost osdp install --reader {name}"
_STUCK: dict[int | None, str] = {
    Command.CAPABILITIES: "it offers no secure channel, so nothing it says is believed: take one that does",
    Command.CHALLENGE: f"it does not have the key of this post: if it is new or was reset, {_INSTALL}",
    Command.SERVER_CRYPTOGRAM: f"it does not believe that we have its key: if it is new or was reset, {_INSTALL}",
}
"""What a reader answered last before it did not go on."""


class Station:
    """The line's thread writes, the reader's own thread reads.

    ``sees``: it is on its secure channel and shut; ``why`` it was not, when it last was not; ``losses``: how often
    it ceased to. ``told``: numbers, and what was refused. ``answers``: what is to be shown by it.
    """

    def __init__(self, name: str, address: int, baud: int, key: bytes) -> None:
        """``key``: SCBK."""
        self.name, self.address, self.key = name, address, key
        self._no_answer = (
            f"no answer at address {address} and {baud} baud: check its 12 V, that A and B are not swapped, its "
            "address and its speed"
        )
        self.sees = threading.Event()
        self.why = self._no_answer
        self.losses = 0
        self.told: queue.Queue[bytes | FrameRefused] = queue.Queue(_KEPT)
        self.answers: deque[Answer] = deque(maxlen=1)
        self.secure = False
        self.restarted_s = time.monotonic()
        self._status = LocalStatus()

    def tell(self, what: bytes | FrameRefused) -> None:
        """What nobody takes in time is no news."""
        if not self.told.full():
            self.told.put_nowait(what)

    def take(self, event: CardRead | LocalStatus) -> None:
        """Something it told on its secure channel."""
        if isinstance(event, LocalStatus):
            if event.power and not self._status.power:
                self.tell(FrameRefused("it reports that its supply fails: check its 12 V under load"))
            self._status = event
        elif self.sees.is_set():
            try:
                self.tell(number(event))
            except FrameRefused as refused:
                self.tell(refused)

    def greeted(self) -> None:
        """A secure channel has begun."""
        self.secure, self._status = True, LocalStatus()

    def looked_at(self, heard: Heard, now_s: float, *, status_known: bool) -> None:
        """On a secure channel: does it see?"""
        if now_s - heard.at_s > SILENT_S:
            self._blind(self._no_answer)
        elif self._status.tamper:
            self._blind("its housing is open: look who did that, and close it")
        elif status_known:
            self.sees.set()

    def lost(self) -> None:
        """Its secure channel has ended."""
        self.secure = False
        self._blind("it broke off its secure channel: it restarted, or somebody disturbs the line")

    def missed(self, heard: Heard, now_s: float) -> None:
        """Without a secure channel: why?"""
        silent_s = now_s - heard.at_s
        if silent_s > SILENT_S and heard.answered is None:
            self.why = self._no_answer
        elif silent_s > STUCK_S and heard.answered is not None:
            self.why = _STUCK.get(heard.asked, self.why).format(name=self.name)
        elif self.why == self._no_answer:
            self.why = "it answers, and its secure channel is being set up"

    def _blind(self, why: str) -> None:
        self.why = why
        self.losses += self.sees.is_set()
        self.sees.clear()
        self.answers.clear()

"""The seam all badge readers share, and the worker that turns their cards into readings."""

import queue
import threading
from contextlib import suppress
from typing import Protocol, runtime_checkable

from device.effects import Answer
from device.errors import GuardpostError
from device.hardware.readers.complaints import BURST, Complaints
from device.hardware.readers.presence import Presence, Repeats, Seen
from device.hardware.worker import Worker
from device.readings import Assurance, BadgeRead, Clock, PartBlind, PartSighted, Reading

RETRY_S = 1.0
"""A blind reader is started again this often."""
REST_S = 0.040
BUSY_S = 0.005
BUSY_FOR_MS = 500
"""Polled every ``BUSY_S`` for so long after a card came: taps directly after one another are quick."""
WAIT_S = 0.2
"""How long ``cards()`` of a reader that speaks by itself waits for a number."""


class ReaderSilent(GuardpostError):
    """The chip does not answer, or no longer as it was set up. One line: what, where, the mend."""


class CardGarbled(GuardpostError):
    """A card is there, but what it sent is no good: check sum, parity, collision or length.

    ``uids``: the cards that were read whole in the same poll.
    """

    def __init__(self, why: str, uids: tuple[bytes, ...] = ()) -> None:
        """``why``: one line for people."""
        super().__init__(why)
        self.uids = uids


class FrameRefused(CardGarbled):
    """What came is no badge, and nothing sends it again, so it is told. It hides no card that was there before."""


class CardReader(Protocol):
    """A badge reader. It may be started again after any failure, and must not hang: every wait is bounded."""

    @property
    def rests(self) -> bool:
        """Whether a card that stays there is found in every poll; else each number that comes is told once."""
        ...

    @property
    def assurance(self) -> Assurance:
        """How hard what it reads is to copy."""
        ...

    def start(self) -> None:
        """Open the bus if it is not open, reset, set up. Raises ReaderSilent, or the bus's own error."""
        ...

    def cards(self) -> list[bytes]:
        """Numbers (3 to 10 bytes) of the cards in the field now; or, without ``rests``, that came in ``WAIT_S``.

        Empty only where there was cleanly nothing. Raises CardGarbled, ReaderSilent, or the bus's own error.
        """
        ...

    def close(self) -> None:
        """Field off, bus freed. Raises ReaderSilent or the bus's own error after that."""
        ...


@runtime_checkable
class Answering(Protocol):
    """A reader with lights or a buzzer of its own."""

    def show(self, answer: Answer) -> None:
        """Answer who stands at this reader. Called in the loop's thread: returns at once, raises nothing."""
        ...


class ReaderWorker:
    """Asks one reader in the thread ``reader-<name>``.

    Any exception but ReaderSilent, CardGarbled and ``bus_errors`` ends the thread through
    ``threading.excepthook``.
    """

    def __init__(
        self,
        name: str,
        reader: CardReader,
        clock: Clock,
        inbox: "queue.SimpleQueue[Reading]",
        bus_errors: tuple[type[Exception], ...] = (OSError,),
        retry_s: float = RETRY_S,
        burst: int = BURST,
    ) -> None:
        """``bus_errors``: what the bus's library raises when a transfer fails. ``burst``: see ``Complaints``."""
        self._name = name
        self._reader = reader
        self._clock = clock
        self._inbox = inbox
        self._bus_errors = bus_errors
        self._retry_s = retry_s
        self._blind: bool | None = None
        self._opened = False  # and not closed since
        self._stopping = threading.Event()
        self.worker = Worker(f"reader {name}", clock, inbox)
        self._complaints = Complaints(self.worker.part, burst)

    def start(self) -> None:
        """Begin to ask; a reader that does not answer is told as a reading, not raised."""
        self._opened = True
        self.worker.start(self._run)

    def stop(self) -> None:
        """End the thread, which closes the reader; one that hangs is left behind, and may close it later."""
        self._stopping.set()
        if self.worker.ended() and self._opened:
            self._close()  # the thread died of a fault, which was told at once

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._beat()
            try:
                self._reader.start()
                self._ask_until_stopped()
            except ReaderSilent as silent:
                self._put_blind(str(silent))
            except self._bus_errors as error:
                self._put_blind(f"its bus failed ({error}): check wiring, and that the bus is enabled")
            self._stopping.wait(self._retry_s)
        # Here and not where the thread is waited for: a bus that blocks now must not hold up the end.
        self._close()

    def _close(self) -> None:
        self._opened = False
        with suppress(ReaderSilent, *self._bus_errors):  # that a blind reader is blind was said before
            self._reader.close()

    def _ask_until_stopped(self) -> None:
        # A fresh memory after every start: better a tap told twice than one that nobody hears of.
        seen: Seen = Presence() if self._reader.rests else Repeats()
        card_ms: int | None = None
        while not self._stopping.is_set():
            self._beat()
            garbled: CardGarbled | None = None
            try:
                uids = self._reader.cards()
            except CardGarbled as error:
                uids, garbled = list(error.uids), error
            now = self._clock.now()
            # Only a poll proves that a reader which could be started also works. The first one is told as well:
            # the reader may have been blind when the program last ended.
            if self._blind is not False:
                self._blind = False
                self._inbox.put(PartSighted(now, self.worker.part))
            if isinstance(garbled, FrameRefused):
                self._complaints.add(str(garbled))
                garbled = None
            for uid in seen.polled(uids, garbled=garbled is not None, at_ms=now.uptime_ms):
                if self._complaints.allows_tap(now):
                    self._inbox.put(BadgeRead(now, self._name, uid, self._reader.assurance))
                card_ms = now.uptime_ms
            if (garbled_told := self._complaints.due(now)) is not None:
                self._inbox.put(garbled_told)
            if self._reader.rests:
                self._stopping.wait(poll_again_s(card_ms, now.uptime_ms))

    def _beat(self) -> None:
        if self.worker.beat():
            self._blind = None  # whether the reader sees, after the thread hung, only a poll can tell

    def _put_blind(self, why: str) -> None:
        if self._blind is not True:
            self._blind = True
            self._inbox.put(PartBlind(self._clock.now(), self.worker.part, why))


def poll_again_s(card_ms: int | None, at_ms: int) -> float:
    """Seconds to the next poll. ``card_ms``: uptime when a card last came, None for never."""
    return BUSY_S if card_ms is not None and at_ms - card_ms < BUSY_FOR_MS else REST_S

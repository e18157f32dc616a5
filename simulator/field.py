"""The field before a reader's antenna: several cards answer at once, and one can wait until a card was read."""

import random
import threading
from typing import NamedTuple

from device.hardware.readers.iso14443a import WUPA
from simulator.picc import Bits, Card, to_bits

_WAKE_UP = to_bits(bytes([WUPA]))[:7]


class OnAir(NamedTuple):
    """All answers on top of one another; ``collision``: index of the first bit where they differ."""

    bits: Bits
    collision: int | None


class Field:
    """The cards that lie before one antenna. Any thread may call."""

    def __init__(self, seed: int) -> None:
        """``seed``: of the flicker."""
        self._random = random.Random(seed)
        self._changed = threading.Condition()
        self._cards: dict[bytes, Card] = {}
        self._asleep: set[bytes] = set()

    def place(self, uid: bytes) -> None:
        """Bring a card; one that is there already stays. Raises ValueError for what is no card's UID."""
        with self._changed:
            self._cards.setdefault(uid, Card(uid))

    def remove(self, uid: bytes) -> None:
        """Take a card away; one that is not there is no error."""
        with self._changed:
            self._cards.pop(uid, None)
            self._changed.notify_all()

    def reads(self, uid: bytes) -> int:
        """How often the card was selected and then halted since it was placed."""
        with self._changed:
            card = self._cards.get(uid)
            return card.reads if card else 0

    def wait_read(self, uid: bytes, timeout_s: float) -> bool:
        """Wait for ``reads`` to rise above zero; false after ``timeout_s`` or when the card is not there."""
        with self._changed:
            self._changed.wait_for(lambda: uid not in self._cards or self.reads(uid) > 0, timeout_s)
            return self.reads(uid) > 0

    def power_off(self) -> None:
        """The antenna went off, and with it all cards."""
        with self._changed:
            for card in self._cards.values():
                card.power_off()

    def hear(self, frame: Bits, flicker: float) -> OnAir | None:
        """What the cards answer to a frame; None for silence.

        ``flicker``: how probable it is that a card sleeps through a WUPA and what follows it.
        """
        with self._changed:
            if frame == _WAKE_UP:
                self._asleep = {uid for uid in self._cards if self._random.random() < flicker}
            awake = [card for uid, card in self._cards.items() if uid not in self._asleep]
            answers = [answer for card in awake if (answer := card.hear(frame)) is not None]
            self._changed.notify_all()
        if not answers:
            return None
        # Cards that answer the same frame answer at the same length, and bit by bit at the same time.
        columns = list(zip(*answers, strict=True))
        differ = (n for n, column in enumerate(columns) if min(column) != max(column))
        return OnAir([max(column) for column in columns], next(differ, None))

"""Which card is newly there, pure: a resting card flickers, and flicker is no second tap."""

from collections.abc import Iterable
from dataclasses import dataclass

GONE_POLLS = 3
GONE_MS = 300
"""Gone: not in so many clean polls running, and not seen for so long."""


@dataclass(slots=True)
class _Card:
    seen_ms: int
    missed: int = 0


class Presence:
    """One reader's polls in, new arrivals out. Times are milliseconds of uptime and never go back."""

    def __init__(self) -> None:
        """Nobody is there."""
        self._cards: dict[bytes, _Card] = {}

    def polled(self, uids: Iterable[bytes], *, garbled: bool, at_ms: int) -> list[bytes]:
        """Feed one poll; returns the UIDs that are newly there, in their order.

        ``garbled``: somebody who could not be read is there too. It may be any of the cards that
        were there before, so such a poll counts against none of them.
        """
        self._forget_gone(at_ms)
        here = list(dict.fromkeys(uids))
        for uid, card in self._cards.items():
            if uid not in here:
                card.missed = 0 if garbled else card.missed + 1
        new = [uid for uid in here if uid not in self._cards]
        self._cards.update({uid: _Card(at_ms) for uid in here})
        return new

    def _forget_gone(self, at_ms: int) -> None:
        self._cards = {
            uid: card
            for uid, card in self._cards.items()
            if card.missed < GONE_POLLS or at_ms - card.seen_ms < GONE_MS
        }

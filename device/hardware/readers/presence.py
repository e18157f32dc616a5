"""Which card is newly there, pure: a resting card flickers, and flicker is no second tap."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

GONE_POLLS = 3
GONE_MS = 300
"""Gone: not in so many clean polls running, and not seen for so long."""
REPEATED_MS = 1_000
"""A reader that speaks by itself tells a card that stays there several times a second."""


class Seen(Protocol):
    """One reader's polls in, new arrivals out. Times are milliseconds of uptime and never go back."""

    def polled(self, uids: Iterable[bytes], *, garbled: bool, at_ms: int) -> list[bytes]:
        """Feed one poll; returns the numbers that are newly there, in their order."""
        ...


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


class Repeats:
    """For a reader that speaks by itself: a number again within ``REPEATED_MS`` of its last is no new tap."""

    def __init__(self) -> None:
        """Nobody was there."""
        self._last_ms: dict[bytes, int] = {}

    def polled(self, uids: Iterable[bytes], *, garbled: bool, at_ms: int) -> list[bytes]:  # noqa: ARG002
        """Feed what came; returns the numbers that are newly there, in their order."""
        self._last_ms = {uid: ms for uid, ms in self._last_ms.items() if at_ms - ms < REPEATED_MS}
        new = []
        for uid in uids:
            if uid not in self._last_ms:
                new.append(uid)
            self._last_ms[uid] = at_ms
        return new

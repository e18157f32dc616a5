"""When which post's receipt goes out, purely: coalesced, bounded, never in intake's way."""

from collections.abc import Iterable

EVERY_S = 0.1
"""Between two rounds of receipts to one post: ten a second under any load."""


class Pacing:
    """What is wanted and what is on its way. Whoever publishes reads the newest value only then."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._wanted: dict[str, set[str]] = {}
        self._rest_until: dict[str, float] = {}
        self._flight: dict[int, tuple[str, str]] = {}

    def want(self, source: str, chains: Iterable[str]) -> None:
        """Receipts for these chains of a post, as soon as may be."""
        if wanted := set(chains):
            self._wanted.setdefault(source, set()).update(wanted)

    def take(self, now: float) -> tuple[str, set[str]] | None:
        """A post and its chains whose turn it is; None while nothing is due."""
        for source in self._wanted:
            if self._rest_until.get(source, 0.0) <= now:
                self._rest_until[source] = now + self._every_s
                return source, self._wanted.pop(source)
        return None

    def due(self) -> float:
        """When ``take`` may have something again."""
        return min((self._rest_until.get(source, 0.0) for source in self._wanted), default=float("inf"))

    def sent(self, mid: int, source: str, chain: str) -> None:
        """A receipt waits for its PUBACK."""
        self._flight[mid] = (source, chain)

    def acknowledged(self, mid: int) -> bool:
        """A PUBACK came; False if it was not for a receipt."""
        return self._flight.pop(mid, None) is not None

    def disconnected(self) -> None:
        """What was on its way may be lost: the newest of each goes out again."""
        for source, chain in self._flight.values():
            self.want(source, [chain])
        self._flight.clear()
        self._rest_until.clear()

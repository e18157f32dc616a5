"""What a reader sends that is no tap, counted, pure: broken frames, and more taps than hands can make."""

from device.readings import Garbled, Instant

TELL_EVERY_MS = 60_000
BURST, PER_S = 500, 4
"""So many taps at once, as of a whole shift in line, and so many a second in the long run, are hands; more is a
fault or a machine."""


class Complaints:
    """One reader's. The first is told at once, the others counted, at most one reading a minute."""

    def __init__(self, part: str, burst: int = BURST) -> None:
        """``part``: as in ``PartBlind``. ``burst``: so many taps at once are let through."""
        self._part = part
        self._burst = burst
        self._why = ""
        self._count = 0
        self._told_ms: int | None = None
        self._room = float(burst)
        self._room_ms = 0

    def allows_tap(self, now: Instant) -> bool:
        """Whether a tap is one that hands can make; one more complaint if not."""
        grown = (now.uptime_ms - self._room_ms) * PER_S / 1000
        self._room, self._room_ms = min(self._burst, self._room + grown), now.uptime_ms
        if self._room < 1:
            self.add(f"more than {PER_S} badges a second: not recorded; a reader or cable at fault, or a machine")
            return False
        self._room -= 1
        return True

    def add(self, why: str) -> None:
        """One more. ``why``: what it is and the mend; the newest is told for all."""
        self._why = why
        self._count += 1

    def due(self, now: Instant) -> Garbled | None:
        """What is to be told now."""
        if not self._count or (self._told_ms is not None and now.uptime_ms - self._told_ms < TELL_EVERY_MS):
            return None
        told = Garbled(now, self._part, self._why, self._count)
        self._count, self._told_ms = 0, now.uptime_ms
        return told

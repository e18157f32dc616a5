"""Whether what an input says can be believed, pure: hum, a loose contact and a stuck button are no news."""

from collections import deque

HUM_MS = 3_000
"""Without 40 ms of rest in between: a hundred times as long as a contact bounces."""

MOST_CHANGES = 60
"""In a minute: thirty openings or presses, one every two seconds, are more than people make."""
WITHIN_MS = 60_000

QUIET_MS = 30_000
"""At rest for so long, it is believed again. Each relapse doubles that, up to ``LONGEST_QUIET_MS``."""
LONGEST_QUIET_MS = 480_000

STUCK_MS = 60_000
"""No finger stays on a button for so long."""

_HUMS = "hums: never at rest for {} s"
_FLAPS = "chatters: more than {} changes in a minute"
_MEND = "; tighten its contact and screws, and lead its cable away from mains cables"
_STUCK = "pressed for more than {} s; free the button, or find what connects its wire to ground"


class Chatter:
    """One input's. Times are milliseconds of uptime."""

    def __init__(self, low: bool, at_ms: int, *, sticks: bool) -> None:
        """``low``: the level at the start. ``sticks``: it is a button, which rests high."""
        self._sticks = sticks
        self._low_since_ms = at_ms if low else None
        self._changes: deque[int] = deque(maxlen=MOST_CHANGES)
        self._noise: str | None = None
        self._stuck = False
        self._moved_ms = at_ms
        self._quiet_ms = QUIET_MS
        self._ended_ms: int | None = None

    @property
    def why(self) -> str | None:
        """Why it is not believed, for people; None while it is."""
        if self._noise is not None:
            return self._noise + _MEND
        return _STUCK.format(STUCK_MS // 1_000) if self._stuck else None

    @property
    def noisy(self) -> bool:
        """It hums or chatters: no change of it counts."""
        return self._noise is not None

    def changed(self, low: bool, at_ms: int) -> None:
        """A change is settled; afterwards ``noisy`` says whether it counts."""
        many = len(self._changes) == MOST_CHANGES and at_ms - self._changes[0] < WITHIN_MS
        self._changes.append(at_ms)
        self._moved_ms = at_ms
        self._low_since_ms = at_ms if low else None
        if many:
            self._begin(_FLAPS.format(MOST_CHANGES), at_ms)

    def look(self, at_ms: int, moving_since_ms: int | None) -> None:
        """Called every second or more often. ``moving_since_ms``: ``Debounce.moving_since_ms``."""
        if moving_since_ms is not None:
            self._moved_ms = at_ms
            if at_ms - moving_since_ms >= HUM_MS:
                self._begin(_HUMS.format(HUM_MS // 1_000), at_ms)
        elif self._noise is not None and at_ms - self._moved_ms >= self._quiet_ms:
            self._noise, self._ended_ms = None, at_ms
            self._changes.clear()
        low_since_ms = self._low_since_ms
        self._stuck = self._sticks and low_since_ms is not None and at_ms - low_since_ms >= STUCK_MS

    def _begin(self, noise: str, at_ms: int) -> None:
        if self._noise is not None:
            return
        relapsed = self._ended_ms is not None and at_ms - self._ended_ms < LONGEST_QUIET_MS
        self._quiet_ms = min(2 * self._quiet_ms, LONGEST_QUIET_MS) if relapsed else QUIET_MS
        self._noise = noise

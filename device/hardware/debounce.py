"""Debounce, pure: when a contact has really changed. gpiozero's own differs from factory to factory."""

STABLE_MS = 40
"""Longer than any gap within the bounce of a door contact or button (up to 30 ms)."""


class Debounce:
    """One input's levels in, settled changes out. Times are milliseconds of uptime and never go back."""

    def __init__(self, level: bool, stable_ms: int = STABLE_MS) -> None:
        """``level``: what holds at the start."""
        self._settled = level
        self._level = level
        self._stable_ms = stable_ms
        self._edge_ms: int | None = None
        self._first_edge_ms: int | None = None

    @property
    def settled(self) -> bool:
        """The level that holds: changes are told against it."""
        return self._settled

    @property
    def due_ms(self) -> int | None:
        """When to sample again, while the level is not settled."""
        return None if self._edge_ms is None else self._edge_ms + self._stable_ms

    @property
    def moving_since_ms(self) -> int | None:
        """Since when the level has not held for ``stable_ms``; None while it is settled."""
        return self._first_edge_ms

    def edge(self, at_ms: int) -> None:
        """An edge came, which is fed later: what still moves has not been at rest since."""
        if self._edge_ms is not None:
            self._edge_ms = max(self._edge_ms, at_ms)

    def sample(self, level: bool, at_ms: int) -> int | None:
        """Feed an edge or a level that was read.

        Returns the time of the first edge of a change that has now held for ``stable_ms``, else None.
        """
        if level != self._level:
            self._level = level
            self._edge_ms = at_ms
            if self._first_edge_ms is None:
                self._first_edge_ms = at_ms
        if self._edge_ms is None or at_ms - self._edge_ms < self._stable_ms:
            return None
        began_ms, self._edge_ms, self._first_edge_ms = self._first_edge_ms, None, None
        if level == self._settled:
            return None
        self._settled = level
        return began_ms

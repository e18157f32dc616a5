"""Whether an input's edges are heard, pure: a change that only reading the level found tells that they are not."""

from enum import Enum, auto

AROUND_MS = 2_000
"""How far a change's edges may be from it: the driver's thread, or ours, may have to wait long for its turn."""


class Heard(Enum):
    """What a look at an input's hearing brought."""

    NOTHING_NEW = auto()
    WELL = auto()
    """Edges come, for the first time or again."""
    DEAF = auto()
    """A change had no edge: open the input again."""
    STAYS_DEAF = auto()
    """Nor had a change after it was opened again, though edges came in this program's life."""


class Hearing:
    """One input's. Times are milliseconds of uptime.

    A contact bounces, so a change has many edges: one that is lost, as drivers do now and then, means nothing. A
    change is unheard if not one edge came from ``AROUND_MS`` before it, but after the change before it was settled,
    until ``AROUND_MS`` after it was settled itself.
    """

    def __init__(self) -> None:
        """Nothing heard yet, and nothing missed."""
        self._edge_ms: int | None = None
        self._settled_ms = 0
        self._open: tuple[int, int] | None = None
        """Of a change that is not judged yet: from when on its edges may have come, and when they are overdue."""
        self._deaf: bool | None = None
        self._ever_well = False

    def edge(self, at_ms: int) -> None:
        """An edge came. Called in the driver's thread, all else in ours: it sets one value and reads none."""
        self._edge_ms = at_ms

    def changed(self, began_ms: int, settled_ms: int) -> None:
        """A change is settled and told. What follows one that is not judged yet is judged with it."""
        if self._open is None:
            self._open = max(began_ms - AROUND_MS, self._settled_ms), settled_ms + AROUND_MS
        self._settled_ms = settled_ms

    def look(self, at_ms: int) -> Heard:
        """Called every second or more often."""
        if self._open is None:
            return Heard.NOTHING_NEW
        since_ms, overdue_ms = self._open
        edge_ms = self._edge_ms
        heard = edge_ms is not None and edge_ms >= since_ms
        if not heard and at_ms < overdue_ms:
            return Heard.NOTHING_NEW
        self._open = None
        return self._well() if heard else self._unheard()

    def _well(self) -> Heard:
        before, self._deaf, self._ever_well = self._deaf, False, True
        return Heard.NOTHING_NEW if before is False else Heard.WELL

    def _unheard(self) -> Heard:
        before, self._deaf = self._deaf, True
        if before is not True:
            return Heard.DEAF
        return Heard.STAYS_DEAF if self._ever_well else Heard.NOTHING_NEW

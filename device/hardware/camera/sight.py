"""Whether a camera's frames show anything: black, covered, frozen, or turned away.

Four simple measures on the luma of a small frame, each with its limits:

- black: a room without any light is black too, and is told so;
- covered: fog, or a blank wall that fills the picture, is as flat as a hand on the lens;
- frozen: a sensor's noise changes every frame, so frames that are the same to the byte are one frame;
- turned away: what is seen is compared with what was seen over the last minutes. Lights that go on, or a lorry
  that parks in front of it, may change as much; so a new view counts as the usual one after ``LEARN_MS``. A camera
  that was turned while the post was off is not noticed.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from device.hardware.camera.frame import Pixels

BLACK, COVERED, FROZEN = "black: no light comes in", "covered: nothing but one flat tone", "frozen: the same frame"
TURNED = "turned away: not what it has been looking at"

LEARN_MS = 600_000
LOOK_EVERY_MS = 450
"""Faces pass in less, but nothing that is told here does."""
_ENTER_MS = {BLACK: 3_000, COVERED: 3_000, FROZEN: 10_000, TURNED: 20_000}
_LEAVE_MS = 2_000

_BLACK_BELOW, _BLACK_UNTIL = 24, 32
"""Luma below which 99 of 100 pixels are: a sensor's black with its noise, far below a street by night."""
_FLAT_BELOW, _FLAT_UNTIL = 3.0, 5.0
"""Steps of luma between neighbours, of 4 x 4 pixels each, below which 99 of 100 are."""
_CLEAR_FROM = 10.0
"""Steps between neighbours that stand out of the noise of a dark night; edges are not compared without them."""
_LIKE_BELOW, _LIKE_UNTIL = 0.35, 0.5
"""Correlation of the edges with the usual ones: 1 the same, 0 nothing in common."""
_CELL = 4
"""Pixels across one of the cells that are looked at, with a quarter of a pixel's noise."""
_BLOCK = 4
"""Cells across one of the blocks whose edges are compared."""
_LEARNING_MS = 120_000
"""Time constant of what is usual."""

Edges = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Held:
    """A measure that holds for some time before it is told, and is gone for some time before it is not."""

    since_ms: int | None = None
    told: bool = False
    began_ms: int | None = None

    def see(self, is_so: bool, now_ms: int, enter_ms: int) -> bool:
        """``is_so``: the measure now."""
        if is_so == self.told:
            self.since_ms = None
        elif self.since_ms is None:
            self.since_ms = now_ms
        elif now_ms - self.since_ms >= (_LEAVE_MS if self.told else enter_ms):
            self.told, self.began_ms, self.since_ms = is_so, self.since_ms if is_so else None, None
        return self.told


class Sight:
    """Looks at one frame after the other."""

    def __init__(self) -> None:
        """Know no frame yet."""
        self._held = {what: _Held() for what in _ENTER_MS}
        self._last: Pixels | None = None
        self._usual: Edges | None = None
        self._usual_ms = self._unlike_ms = 0
        self._looked_ms: int | None = None
        self._says = ""
        self.since_ms: int | None = None

    def look(self, luma: Pixels, now_ms: int) -> str:
        """Why nothing can be seen in frames as this one; empty where all is well.

        ``luma``: rows by columns, about 320 x 180. ``now_ms``: uptime of the frame. ``since_ms`` is then the uptime
        from which on it is so: it is told only after some seconds.
        """
        if self._looked_ms is None or now_ms - self._looked_ms >= LOOK_EVERY_MS:
            self._looked_ms = now_ms
            self._says = self._seen(luma, now_ms)
        return self._says

    def _seen(self, luma: Pixels, now_ms: int) -> str:
        if self._last is not None and self._last.shape != luma.shape:
            self._usual = None
        cells = _means(luma, _CELL)
        bright = float(np.percentile(cells, 99))
        steps = _steps(cells)
        detail = float(np.percentile(steps, 99))
        black = bright < (_BLACK_UNTIL if self._held[BLACK].told else _BLACK_BELOW)
        flat = not black and detail < (_FLAT_UNTIL if self._held[COVERED].told else _FLAT_BELOW)
        # Black and white that are clipped have no noise; they are told as what they are.
        same = not black and not flat and self._last is not None and np.array_equal(self._last, luma)
        self._last = luma
        if black or flat or same:
            turned = False
        elif detail < _CLEAR_FROM:
            turned = self._held[TURNED].told
        else:
            turned = self._unlike(steps, now_ms)
        found = {BLACK: black, COVERED: flat, FROZEN: same, TURNED: turned}
        told = [what for what, so in found.items() if self._held[what].see(so, now_ms, _ENTER_MS[what])]
        says = next(iter(told), "")
        self.since_ms = self._held[says].began_ms if says else None
        return says

    def _unlike(self, steps: Edges, now_ms: int) -> bool:
        """Whether the edges are not where they usually are; learns where they are."""
        # On a scale where a lamp does not outshine all else.
        seen = _means(np.log1p(steps), _BLOCK)
        if self._usual is None:
            self._usual, self._usual_ms, self._unlike_ms = seen, now_ms, now_ms
            return False
        like = _correlation(seen, self._usual)
        unlike = like < (_LIKE_UNTIL if self._held[TURNED].told else _LIKE_BELOW)
        if unlike:
            if now_ms - self._unlike_ms >= LEARN_MS:
                self._usual = None
            self._usual_ms = now_ms
            return True
        share = min(1.0, (now_ms - self._usual_ms) / _LEARNING_MS)
        self._usual = (self._usual + share * (seen - self._usual)).astype(np.float32)
        self._usual_ms = self._unlike_ms = now_ms
        return False


def _means(plane: Pixels | Edges, across: int) -> Edges:
    """The mean of each square of so many."""
    rows, columns = plane.shape[0] // across, plane.shape[1] // across
    cut = plane[: rows * across, : columns * across]
    sums = cut.reshape(rows, across, columns * across).sum(axis=1, dtype=np.float32)
    means: Edges = sums.reshape(rows, columns, across).sum(axis=2) / np.float32(across * across)
    return means


def _steps(cells: Edges) -> Edges:
    """How far each cell is from its right and its lower neighbour, whichever is further."""
    across = np.abs(np.diff(cells, axis=1))[:-1]
    down = np.abs(np.diff(cells, axis=0))[:, :-1]
    steps: Edges = np.maximum(across, down)
    return steps


def _correlation(one: Edges, other: Edges) -> float:
    """Pearson's; 1 for two that are both without any difference."""
    a, b = one - one.mean(), other - other.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size else 1.0

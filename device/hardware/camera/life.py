"""The life of one camera child, pure: whether it sees, and when it has to be killed. Instants are uptimes, ms."""

from device.hardware.camera.wire import Alive

SILENT_MS = 5_000
OPENS_MS = 20_000
"""A child that has not shown a frame yet may be silent for so long: a small Pi takes its time for the libraries."""
NO_FRAME_MS = 15_000
FIRST_FRAME_MS = 10_000
OPENING_MS = 3_000
"""How long the reason of blindness waits for what opening the camera anew has to say: closed, opened, no frame."""
AHEAD_MS = 1_000
"""A moment so far in the future is none that any clock shows."""


class Broken(Exception):
    """The child is of no use any more. The text is for people."""


class Life:
    """From the start of a child on. ``good_since_ms``: it has told nothing but good since then, None for not now.

    ``blind``: what it said last, empty while all is well.
    """

    def __init__(self, began_ms: int) -> None:
        """It has just been started."""
        self._began_ms = self._heard_ms = began_ms
        self._frame_ms: int | None = None
        self._opening_ms: int | None = None
        self.good_since_ms: int | None = None
        self.blind = ""

    def hear(self, now_ms: int) -> None:
        """It said something."""
        self._heard_ms = now_ms

    def alive(self, word: Alive, now_ms: int) -> int | None:
        """Its word of life; the newest frame, if it is a good one. Raises Broken for what cannot be true."""
        if any(ms is not None and not 0 < ms <= now_ms + AHEAD_MS for ms in (word.frame_ms, word.blind_ms)):
            raise Broken("the camera's program talks nonsense: a frame of no moment that has been")
        self._frame_ms, self.blind = word.frame_ms, word.blind
        if not word.opening:
            self._opening_ms = None
        elif self._opening_ms is None:
            self._opening_ms = now_ms
        good_ms = None if word.blind else word.frame_ms
        if good_ms is None:
            self.good_since_ms = None
        elif self.good_since_ms is None:
            self.good_since_ms = now_ms
        return good_ms

    def judge(self, now_ms: int, resumed_ms: int) -> None:
        """Raises Broken if it has to be killed. ``resumed_ms``: before, nobody listened, so it is not to blame."""
        silent_ms = now_ms - max(self._heard_ms, resumed_ms)
        if silent_ms > (OPENS_MS if self._frame_ms is None else SILENT_MS):
            raise Broken(f"the camera's program hangs: it said nothing for {silent_ms // 1000} s")
        if self._frame_ms is None:
            if now_ms - max(self._began_ms, resumed_ms) > OPENS_MS + NO_FRAME_MS:
                raise Broken(f"the camera gave no frame within {(OPENS_MS + NO_FRAME_MS) // 1000} s of its start")
        elif now_ms - max(self._frame_ms, resumed_ms) > NO_FRAME_MS:
            raise Broken(f"the camera gave no frame for {NO_FRAME_MS // 1000} s")

    def why_blind(self, now_ms: int) -> str | None:
        """Empty while it sees; None while that, or the reason, is not known yet."""
        if self._opening_ms is not None and now_ms - self._opening_ms <= OPENING_MS:
            return None
        if self.blind or self._frame_ms is not None:
            return self.blind
        late = now_ms - self._began_ms > FIRST_FRAME_MS
        return f"the camera gave no frame within {FIRST_FRAME_MS // 1000} s of its start" if late else None

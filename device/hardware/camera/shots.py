"""The pictures that are asked for: which frame each of them gets, now or when it comes, or why there is none."""

from collections.abc import Callable

from device.events import MOST_PICTURE_BYTES
from device.hardware.camera.frame import Frame
from device.hardware.camera.jpeg import Encoded, encoded, exif, with_exif
from device.hardware.camera.ring import Ring, places
from device.hardware.camera.wire import Missed, Settings, Shot, Take

LATEST_MS = 5_000
"""How much later than wanted a frame may come."""
MOST_BYTES = MOST_PICTURE_BYTES - 48
"""So that headquarters takes it sealed as well, which adds an HPKE key and tag (``record.sealing``)."""
MOST_WAITING = 64
"""Pictures that wait for a frame to come."""


class Shots:
    """Pictures of the frames that are kept, and of those to come."""

    def __init__(
        self, settings: Settings, most_frame_bytes: int, say: Callable[[Shot | Missed, bytes], None]
    ) -> None:
        """``most_frame_bytes``: of all frames that are kept. ``say``: where an answer goes, and its JPEG."""
        width, height = settings.size
        wished = places(settings.before_ms, settings.rate)
        self.places = max(2, min(wished, most_frame_bytes // (width * height * 3 // 2)))
        self.all_kept = self.places >= wished
        self._settings = settings
        self._say = say
        self._ring: Ring[Frame] = Ring(self.places)
        self._waiting: list[Take] = []
        self._most_bytes = MOST_BYTES
        self._made: tuple[Frame, Encoded | None] | None = None

    @property
    def wanted_ms(self) -> int | None:
        """The uptime from which on a frame is waited for; None where none is."""
        return min((take.at_ms + take.offset_ms for take in self._waiting), default=None)

    def fit(self, most_bytes: int) -> None:
        """From now on no JPEG is larger."""
        self._most_bytes, self._made = min(most_bytes, MOST_BYTES), None

    def ask(self, take: Take, why_none: str) -> None:
        """A picture is asked for. ``why_none``: why there are no frames now, or empty."""
        wanted_ms = take.at_ms + take.offset_ms
        if take.offset_ms < 0:
            frame = self._ring.before(take.at_ms, take.offset_ms)
            if frame is None:
                self._miss(take, why_none or "no frame from before the event is kept")
        else:
            frame = self._ring.first(wanted_ms, wanted_ms + LATEST_MS)
            if frame is None and len(self._waiting) < MOST_WAITING:
                self._waiting.append(take)
            elif frame is None:
                self._miss(take, f"too many at once: {MOST_WAITING} pictures wait for their frame already")
        if frame is not None:
            self._answer(take, frame)

    def see(self, frame: Frame, keep: bool) -> None:
        """A frame came, newer than all others."""
        if keep:
            self._ring.add(frame)
        come = [take for take in self._waiting if take.at_ms + take.offset_ms <= frame.taken_ms]
        self._waiting = [take for take in self._waiting if take not in come]
        for take in come:
            if frame.taken_ms > take.at_ms + take.offset_ms + LATEST_MS:
                self._miss(take, _late(""))
            else:
                self._answer(take, frame)

    def pass_time(self, now_ms: int, why_none: str) -> None:
        """Nothing waits for ever."""
        for take in [take for take in self._waiting if now_ms > take.at_ms + take.offset_ms + LATEST_MS]:
            self._waiting.remove(take)
            self._miss(take, _late(why_none))

    def _answer(self, take: Take, frame: Frame) -> None:
        segment = exif(take, frame.taken_ms, self._settings.source)
        if self._made is None or self._made[0] is not frame:
            self._made = frame, encoded(frame, self._settings.quality, self._most_bytes - len(segment))
        made = self._made[1]
        if made is None:
            self._miss(take, f"no JPEG of it is as small as {self._most_bytes} bytes")
            return
        jpeg = with_exif(made.jpeg, segment)
        shot = Shot(
            number=take.number, taken_ms=frame.taken_ms, width=made.width, height=made.height, body=len(jpeg)
        )
        self._say(shot, jpeg)

    def _miss(self, take: Take, why: str) -> None:
        self._say(Missed(number=take.number, why=why), b"")


def _late(why_none: str) -> str:
    return f"no frame came within {LATEST_MS // 1000} s" + (f": {why_none}" if why_none else "")

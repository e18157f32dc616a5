"""The pictures that were asked for and not answered yet, pure: each gets one answer, and few of them wait."""

from collections.abc import Callable
from dataclasses import dataclass

from device.effects import TakePicture
from device.hardware.camera.life import AHEAD_MS, Broken
from device.hardware.camera.wire import Shot, Take
from device.readings import Instant, Photo

ANSWER_MS = 8_000
"""From the moment that a picture is to show."""
MOST_ASKED = 64
TOO_MANY = f"{MOST_ASKED} pictures wait already"


@dataclass(frozen=True, slots=True)
class _Picture:
    """An answer to it is waited for until ``until_ms``."""

    wanted: TakePicture
    until_ms: int


class Asked:
    """By their numbers, of which none is used twice."""

    def __init__(self, fail: Callable[[str, str], None]) -> None:
        """``fail``: told the event of a picture that there will not be, and why."""
        self._fail = fail
        self._open: dict[int, _Picture] = {}
        self._number = 0

    def ask(self, wanted: TakePicture, offset_ms: int, now: Instant) -> Take | None:
        """What to tell the child; None where too many wait."""
        if len(self._open) >= MOST_ASKED:
            self._fail(wanted.why, TOO_MANY)
            return None
        self._number += 1
        at = wanted.at
        until_ms = max(now.uptime_ms, at.uptime_ms + offset_ms) + ANSWER_MS
        self._open[self._number] = _Picture(wanted, until_ms)
        return Take(
            number=self._number,
            why=wanted.why,
            at_ms=at.uptime_ms,
            wall_ms=at.wall_ms,
            clock=at.clock,
            offset_ms=offset_ms,
        )

    def shot(self, shot: Shot, jpeg: bytes, now: Instant) -> Photo | None:
        """The picture; None for one that nobody waits for any more. Raises Broken for what cannot be one."""
        if (picture := self._open.get(shot.number)) is None:
            return None
        sides = (shot.width, shot.height)
        if not (jpeg.startswith(b"\xff\xd8") and all(0 < side <= 0xFFFF for side in sides)):
            raise Broken("the camera's program talks nonsense: a picture that is none")
        if not 0 < shot.taken_ms <= now.uptime_ms + AHEAD_MS:
            raise Broken("the camera's program talks nonsense: a picture of no moment that has been")
        del self._open[shot.number]
        wanted = picture.wanted
        offset_ms = shot.taken_ms - wanted.at.uptime_ms
        return Photo(wanted.why, jpeg, sides, wanted.at.earlier(-offset_ms), offset_ms, wanted.urgent)

    def missed(self, number: int, why: str) -> None:
        """The child has none."""
        if (picture := self._open.pop(number, None)) is not None:
            self._fail(picture.wanted.why, why)

    def late(self, now: Instant) -> None:
        """Those that no answer came for in time."""
        for number in [number for number, picture in self._open.items() if now.uptime_ms > picture.until_ms]:
            self.missed(number, "the camera's program gave no answer")

    def lost(self, why: str) -> None:
        """None of them will be answered."""
        for number in [*self._open]:
            self.missed(number, why)

"""The frames of the last seconds, and which of them shows the moment that is asked for."""

from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

SLACK_MS = 2_000
"""A picture of ``before_ms`` ago is still found when its event took this long to be written down."""


class Dated(Protocol):
    """A frame."""

    @property
    def taken_ms(self) -> int:
        """Uptime."""
        ...


F = TypeVar("F", bound=Dated)


def places(before_ms: int, rate: int) -> int:
    """How many frames are kept where ``rate`` come in a second."""
    return (before_ms + SLACK_MS) * rate // 1000 + 1


class Ring(Generic[F]):
    """At most ``most`` frames, in the order of their times."""

    def __init__(self, most: int) -> None:
        """Begin empty."""
        self._frames: deque[F] = deque(maxlen=most)

    def __iter__(self) -> Iterator[F]:
        """From the oldest to the newest."""
        return iter(self._frames)

    def add(self, frame: F) -> None:
        """Keep one that is newer than all others; the oldest goes where there is no place."""
        self._frames.append(frame)

    def first(self, from_ms: int, to_ms: int) -> F | None:
        """The first frame of ``from_ms`` or later, if it is of ``to_ms`` at the latest."""
        return next((frame for frame in self._frames if from_ms <= frame.taken_ms <= to_ms), None)

    def before(self, at_ms: int, offset_ms: int) -> F | None:
        """The frame for a moment ``offset_ms``, which is negative, from the event at ``at_ms``.

        That is the newest one of that moment or earlier, by ``SLACK_MS`` at most; else the oldest later one that is
        still of before the event.
        """
        wanted_ms = at_ms + offset_ms
        near = [frame for frame in self._frames if wanted_ms - SLACK_MS <= frame.taken_ms < at_ms]
        earlier = [frame for frame in near if frame.taken_ms <= wanted_ms]
        return earlier[-1] if earlier else next(iter(near), None)

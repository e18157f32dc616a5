"""What goes out beside events: which retained message or reply is next, and when the state is told anew."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from device.link.hints import Hint, Hints, Rows
from device.link.inbound import reply_bytes
from device.readings import Instant

STATE_AT_MOST_MS = 5_000
REPLIES_WAITING = 100


class Notice(NamedTuple):
    """One message. ``kind``: as the budget counts it."""

    kind: str
    topic: str
    payload: bytes
    retain: bool


class Truth(NamedTuple):
    """What the state message is told anew for: the newest event, the last acknowledged one, why none are taken."""

    newest: int | None
    done: int
    refusal: str | None


class Notices:
    """Owned by the uplink. A reply goes again until it is acknowledged; a retained message is made anew."""

    def __init__(self, hints: Hints, rows: Rows, state_every_ms: int) -> None:
        """``state_every_ms``: how often the state is told while nothing changes."""
        self._hints = hints
        self._rows = rows
        self._state_every_ms = state_every_ms
        self._wanted: list[Hint] = []
        self._replies: deque[Notice] = deque(maxlen=REPLIES_WAITING)
        self._flying: dict[int, Notice] = {}
        self._state_ms = 0
        self._state_of: Truth | None = None

    def connected(self) -> None:
        """Every retained message is published once on each connection."""
        self._wanted = list(Hint)

    def disconnected(self) -> None:
        """Replies on their way go again, before the others."""
        self._replies.extendleft(reversed(self._flying.values()))
        self._flying.clear()

    def reply(self, order: str, members: Mapping[str, object]) -> None:
        """Answer an order; of too many answers, the newest are kept."""
        self._replies.append(Notice("reply", self._hints.topics.reply(order), reply_bytes(order, members), False))

    def state_due_ms(self, truth: Truth) -> int:
        """Uptime at which the state message is due: soon after a change, seldom without one."""
        return self._state_ms + (STATE_AT_MOST_MS if truth != self._state_of else self._state_every_ms)

    def renew(self, now: Instant, truth: Truth) -> None:
        """Want the state message where it is due."""
        if now.uptime_ms >= self.state_due_ms(truth) and Hint.STATE not in self._wanted:
            self._wanted.append(Hint.STATE)

    def next(self, now: Instant, truth: Truth, holds: Callable[[], Mapping[str, Any]]) -> Notice | None:
        """What to publish next. ``holds``: what the state message tells besides the chains."""
        if self._wanted:
            hint = self._wanted.pop(0)
            return Notice(hint.value, self._hints.topic(hint), self._payload(hint, now, truth, holds), True)
        return self._replies.popleft() if self._replies else None

    def _payload(self, hint: Hint, now: Instant, truth: Truth, holds: Callable[[], Mapping[str, Any]]) -> bytes:
        match hint:
            case Hint.STATE:
                self._state_ms, self._state_of = now.uptime_ms, truth
                return self._hints.state(now, self._rows, truth.done, holds())
            case Hint.IDENTITY:
                return self._hints.identity(self._rows)
            case Hint.STATUS:
                return self._hints.online(now)

    def published(self, mid: int, notice: Notice) -> None:
        """It is on its way."""
        if notice.kind == "reply":
            self._flying[mid] = notice

    def acknowledged(self, mid: int) -> None:
        """A broker has it, or refused it for good."""
        self._flying.pop(mid, None)

"""Which picture goes to the broker next, and what becomes of it there; pure of threads."""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from device.addresses import Broker
from device.errors import GuardpostError, NotReadable
from device.events import uptime_ms_of, wall_ms_of
from device.link.line import reason_text
from device.link.picture_line import Answer, PictureLine
from device.link.sender import REASON_SUCCESS
from device.readings import Connected, Instant, LinkReading, PictureGone, PictureTaken, Reading, Replayed
from device.record.announced import recorded
from device.record.picture_files import Kept
from device.record.pictures import PictureStore

Shrink = Callable[[bytes, int], tuple[bytes, int, int] | None]
"""Of a JPEG, one of at most so many bytes, with its width and height in pixels; None where there is none."""

ORDERS_WAITING = 256
GONE_AN_HOUR = 60
"""How many that are asked for and not here are recorded as lost: anybody's order can name any number of them."""
READ_TRIES = 5
READ_AGAIN_MS = 30_000
BREAKS = 8
"""So often in the middle of one picture, while events go on: larger than a broker takes that does not say so."""
NO_LIMIT_BYTES = 256 << 20
LEAST_BYTES = 32_000
"""A picture is taken whatever a broker allows: what is seen here is not for it to decide."""
_HOUR_MS = 3_600_000

log = logging.getLogger(__name__)


class _Order(NamedTuple):
    id: str
    sha256: str


class _Flying(NamedTuple):
    kept: Kept
    order: _Order | None
    through: tuple[Broker, str] | None


class Handing:
    """What was asked for goes first, then what has waited longest, each after the event that announces it."""

    def __init__(
        self,
        store: PictureStore,
        line: PictureLine,
        journal: Path,
        newest: int,
        tell: Callable[[Reading], None],
        fit: Callable[[int], None],
        shrink: Shrink,
    ) -> None:
        """``newest``: the journal's newest position; what waits since before was announced by then.

        ``fit``: is told how long a picture may be from now on.
        """
        self._store = store
        self._line = line
        self._journal = journal
        self._newest = newest
        self._tell = tell
        self._fit = fit
        self._shrink = shrink
        self._orders: deque[_Order] = deque()
        self._flying: _Flying | None = None
        self._through: tuple[Broker, str] | None = None
        self._hold_ms = 0
        self._fits: int | None = None
        self._gone_ms: deque[int] = deque(maxlen=GONE_AN_HOUR)

    def ask(self, order: str, sha256: str, now: Instant) -> None:
        """Headquarters wants a picture again; ``Replayed`` is told once a broker has it, or why it has not."""
        if self._store.of(sha256) is None:
            self._is_gone(_Order(order, sha256), "no such picture here: removed, or never taken", now)
        elif len(self._orders) >= ORDERS_WAITING:
            self._answer(order, {"ok": False, "error": f"{ORDERS_WAITING} pictures wait to be sent again"}, now)
        else:
            self._orders.append(_Order(order, sha256))
            self._line.somebody_listens(now)

    def hear(self, reading: LinkReading, now: Instant) -> None:
        """Something happened on the line."""
        self._settle(self._line.take(reading), now)
        if isinstance(reading, Connected) and self._line.most_bytes != self._fits:
            self._fits = self._line.most_bytes
            self._fit(NO_LIMIT_BYTES if self._fits is None else max(self._fits, LEAST_BYTES))

    def work(self, now: Instant, done: int, through: tuple[Broker, str] | None) -> bool:
        """Dial, and send what is due; whether there is more to do at once.

        ``done``: events up to this position are acknowledged. ``through``: by which broker, over which version.
        """
        self._through = through
        waits = self._next(now, done)
        self._settle(self._line.work(now, through, waits is not None), now)
        if waits is None or not self._line.ready(now) or now.uptime_ms < self._hold_ms:
            return False
        self._send(*waits, now)
        return not self._line.busy

    def close(self) -> None:
        """Let go of the line."""
        self._line.close()

    def _next(self, now: Instant, done: int) -> tuple[Kept, _Order | None] | None:
        """What wants a line: what is on its way, else what is due."""
        if self._flying is not None:
            return self._flying.kept, self._flying.order
        while self._orders:
            order = self._orders[0]
            if (kept := self._store.of(order.sha256)) is not None:
                return kept, order
            self._is_gone(self._orders.popleft(), "removed before it could be sent again", now)
        kept = next(iter(self._store.waiting.values()), None)
        return None if kept is None or done < (kept.position or self._newest) else (kept, None)

    def _send(self, kept: Kept, order: _Order | None, now: Instant) -> None:
        if order is not None:
            self._orders.popleft()
        try:
            content = self._store.read(kept)
        except NotReadable as error:
            self._is_unreadable(kept, order, str(error), now)
            return
        most = self._line.most_bytes
        if content is None:
            self._done(order, "gone: what is there is not what was announced", now)
        elif most is not None and len(content) > most:
            self._is_too_large(kept, order, most, f"larger than the broker takes ({most} bytes)", now)
        else:
            self._line.send(kept.sha256, content, now)
            self._flying, kept.flying = _Flying(kept, order, self._through), True

    def _settle(self, answer: Answer | None, now: Instant) -> None:
        """What was on its way has come to an end."""
        if answer is None or self._flying is None:
            return
        (kept, order, through), self._flying = self._flying, None
        kept.flying = False
        if answer.reason == REASON_SUCCESS:
            self._store.has_sent(kept, now)
            self._done(order, None, now)
            for asked in [asked for asked in self._orders if asked.sha256 == kept.sha256]:
                self._orders.remove(asked)  # while it was on its way
                self._done(asked, None, now)
        elif answer.reason is not None:
            self._store.later(kept)
            self._done(order, f"the broker does not take it: {reason_text(answer.reason)}", now)
        else:
            kept.breaks += through is not None and through == self._through
            if kept.breaks < BREAKS:
                self._store.later(kept)
                if order is not None:
                    self._orders.appendleft(order)
                return
            why, kept.breaks = f"the line broke {BREAKS} times in the middle of it", 0
            self._is_too_large(kept, order, kept.length // 2, why, now, is_sure=False)

    def _is_unreadable(self, kept: Kept, order: _Order | None, why: str, now: Instant) -> None:
        """The disk may have lost its mind for a moment: it is asked again, some times."""
        log.warning("%s", why)
        kept.tries += 1
        if kept.tries >= READ_TRIES:
            self._store.give_up(kept, "the disk does not give it back")
        else:
            self._store.later(kept)
        self._hold_ms = now.uptime_ms + READ_AGAIN_MS
        self._done(order, why, now)

    def _is_too_large(
        self, kept: Kept, order: _Order | None, most: int, why: str, now: Instant, *, is_sure: bool = True
    ) -> None:
        """It is made smaller, and announced as a picture of its own; the large one is not tried again."""
        try:
            smaller = self._smaller(kept, most, now)
        except GuardpostError as error:
            log.warning("a picture cannot be handed over: %s; no smaller one can be stored: %s", why, error)
            self._store.later(kept)
            self._hold_ms = now.uptime_ms + READ_AGAIN_MS
            self._done(order, why, now)
            return
        if isinstance(smaller, str) and not is_sure:
            self._store.later(kept)
            self._done(order, f"{why}, and {smaller}", now)
            return
        waited = kept.name in self._store.waiting
        self._store.has_sent(kept, now)
        if isinstance(smaller, PictureTaken):
            self._tell(smaller)
            self._done(order, f"{why}; a smaller one replaces it: {smaller.sha256}", now)
        elif waited:
            self._tell(PictureGone(now, kept.sha256, f"{why}, and {smaller}"))
            self._done(order, f"{why}, and {smaller}", now)
        else:
            self._done(order, f"{why}, and {smaller}", now)

    def _smaller(self, kept: Kept, most: int, now: Instant) -> PictureTaken | str:
        """A smaller one, stored; else why there is none. Raises GuardpostError where the disk is the reason."""
        event = recorded(self._journal, kept.event)
        if event is None:
            return "the event that announced it is not kept any more"
        told = event["data"]
        if told["sealed"]:
            return "sealed: nobody here can make it smaller"
        content = self._store.read(kept)
        if content is None or (made := self._shrink(content, most)) is None:
            return "it cannot be made smaller"
        smaller, width, height = made
        sha256 = self._store.store(smaller, now, urgent=False, instead=kept)
        taken_ms = wall_ms_of(told["taken"])
        return PictureTaken(
            now,
            told["why"],
            sha256,
            len(smaller),
            None,
            (width, height),
            replace(now, uptime_ms=now.uptime_ms - now.wall_ms + taken_ms, wall_ms=taken_ms),
            uptime_ms_of(told["offset"]),
            kept.sha256,
        )

    def _is_gone(self, order: _Order, why: str, now: Instant) -> None:
        """Told as lost, so that nobody need ask again; not without end, since an order may name anything."""
        if len(self._gone_ms) < GONE_AN_HOUR or now.uptime_ms - self._gone_ms[0] >= _HOUR_MS:
            self._gone_ms.append(now.uptime_ms)
            self._tell(PictureGone(now, order.sha256, why))
        self._answer(order.id, {"ok": False, "error": why}, now)

    def _done(self, order: _Order | None, error: str | None, now: Instant) -> None:
        """The order was worked off."""
        if order is not None:
            reply: dict[str, object] = {"ok": True, "sent": 1} if error is None else {"ok": False, "error": error}
            self._answer(order.id, reply, now)

    def _answer(self, order: str, reply: Mapping[str, object], now: Instant) -> None:
        self._tell(Replayed(now, order, reply))

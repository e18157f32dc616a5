"""Asks posts for the pictures that they have announced and that did not come: seldom, a few at a time."""

import json
import logging
import time
import uuid
from operator import itemgetter
from sqlite3 import Row

from device.events import rfc3339
from recorder.errors import DiskRefuses
from recorder.hints import is_online
from recorder.line import Link
from recorder.picture_files import PictureFiles
from recorder.picture_share import has_share
from recorder.store import Store

LONGEST_PAUSE_S = 6 * 3600
LOOK_EVERY_S = 5.0
"""A post is asked for one picture a look, which leaves its own bound on orders (one in two seconds) to others."""
UNANSWERED = 4
"""Orders to one post without a reply, at most. What is answered while we are away is not waited for."""
ORDER_LIVES_S = 600
GRACE_BYTES = 256 << 10
"""A picture that is so many times as large has so many times the grace: at 120 s that is 2 kB/s."""

_SOURCES = "SELECT DISTINCT source FROM picture WHERE since_ms NOT NULL"
_GRACE = f"?1 * max(1, bytes / {GRACE_BYTES})"
_LONGEST_WAITING = f"""
SELECT source, sha256, bytes, since_ms FROM picture
WHERE source = ?4 AND since_ms NOT NULL AND since_ms + min({_GRACE} << min(asked, 16), ?2) <= ?3
  AND NOT ((chain, seq) > (?5, ?6) AND ?7 < {_GRACE})
ORDER BY since_ms LIMIT 1
"""

_log = logging.getLogger(__name__)


class Asking:
    """What was announced ``grace_s`` ago and is not here is asked for, with pauses that double each time.

    Over a slow line pictures take longer. So a large one has more time, and none is asked for while those announced
    before it still come by themselves, each within that time: posts send in order.
    """

    def __init__(self, store: Store, files: PictureFiles, grace_s: float, per_post: int | None) -> None:
        """``per_post``: bytes that are kept of one post; beyond these it is not asked."""
        self._store = store
        self._files = files
        self._per_post = per_post
        self._came: dict[str, tuple[float, tuple[int, int]]] = {}
        self._grace_ms = round(grace_s * 1000)
        self._every_s = min(LOOK_EVERY_S, grace_s / 4)
        self._look_at = 0.0
        self._hears_since_ms = 0

    def due(self) -> float:
        """When ``work`` looks again."""
        return self._look_at

    def connected(self, now_ms: int) -> None:
        """From now on (UTC) replies are heard."""
        self._hears_since_ms = now_ms

    def heed(self, unasked: dict[str, tuple[int, int]], now: float) -> None:
        """After a commit: pictures that came by themselves, as ``Settled`` has them."""
        for source, event in unasked.items():
            self._came[source] = now, event

    def work(self, link: Link, now: float) -> None:
        """Publish the orders that are due. Not while there is no room for what would come."""
        if now < self._look_at:
            return
        self._look_at = now + self._every_s
        now_ms = time.time_ns() // 1_000_000
        expires = rfc3339(now_ms + ORDER_LIVES_S * 1000)
        for source, sha256, order in self.orders(now_ms, now, link.room):
            _log.info("%s is asked for picture %s", source, sha256)
            members = {"id": order, "expires": expires, "picture": sha256}
            link.publish(f"{source[1:]}/order/replay", json.dumps(members).encode())

    def orders(self, now_ms: int, now: float, most: int) -> list[tuple[str, str, str]]:
        """What is asked for now, and noted so: post, SHA-256 and the order's id; one of a post. ``now_ms``: UTC."""
        rows = self._due(now_ms, now)[: max(0, most)]
        if not rows or not self._files.has_room():
            return []
        orders = [(row["source"], row["sha256"], str(uuid.uuid4())) for row in rows]
        try:
            with self._store.transaction():
                for source, sha256, order in orders:
                    sql = "UPDATE picture SET asked = asked + 1, since_ms = ?, order_id = ?"
                    self._store.run(f"{sql} WHERE source = ? AND sha256 = ?", now_ms, order, source, sha256)
        except DiskRefuses:
            return []
        return orders

    def _due(self, now_ms: int, now: float) -> list[Row]:
        """Of each post that is online the longest waiting one that does not come by itself."""
        with self._store.snapshot():
            sources = [row["source"] for row in self._store.rows(_SOURCES)]
            first = [row for source in sources if (row := self._longest_waiting(source, now_ms, now)) is not None]
            return [row for row in sorted(first, key=itemgetter("since_ms")) if self._can_be_asked(row, now_ms)]

    def _longest_waiting(self, source: str, now_ms: int, now: float) -> Row | None:
        """Without those before which the post has sent something not long ago: they come in their turn."""
        at, (chain, seq) = self._came.get(source, (float("-inf"), (0, 0)))
        quiet_ms = (now - at) * 1000
        return self._store.row(
            _LONGEST_WAITING, self._grace_ms, LONGEST_PAUSE_S * 1000, now_ms, source, chain, seq, quiet_ms
        )

    def _can_be_asked(self, row: Row, now_ms: int) -> bool:
        source = row["source"]
        if not has_share(self._store, source, row["bytes"], self._per_post):
            return False
        sql = "SELECT count(*) FROM picture WHERE source = ? AND since_ms > ? AND order_id NOT NULL"
        since_ms = max(now_ms - ORDER_LIVES_S * 1000, self._hears_since_ms)
        if self._store.number(sql, source, since_ms) >= UNANSWERED:
            return False
        status = self._store.row("SELECT payload FROM report WHERE source = ? AND name = 'status'", source)
        return status is not None and is_online(bytes(status["payload"]))

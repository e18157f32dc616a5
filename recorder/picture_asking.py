"""Asks posts for the pictures that they have announced and that did not come: seldom, a few at a time."""

import json
import logging
import time
import uuid
from sqlite3 import Row

from device.events import rfc3339
from recorder.errors import DiskRefuses
from recorder.hints import is_online
from recorder.line import Link
from recorder.picture_files import PictureFiles
from recorder.store import Store

LONGEST_PAUSE_S = 6 * 3600
LOOK_EVERY_S = 5.0
"""A post is asked for one picture a look, which leaves its own bound on orders (one in two seconds) to others."""
UNANSWERED = 4
"""Orders to one post without a reply, at most."""
ORDER_LIVES_S = 600

_log = logging.getLogger(__name__)


class Asking:
    """What was announced ``grace_s`` ago and is not here is asked for, with pauses that double each time."""

    def __init__(self, store: Store, files: PictureFiles, grace_s: float) -> None:
        self._store = store
        self._files = files
        self._grace_ms = round(grace_s * 1000)
        self._every_s = min(LOOK_EVERY_S, grace_s / 4)
        self._look_at = 0.0

    def due(self) -> float:
        """When ``work`` looks again."""
        return self._look_at

    def work(self, link: Link, now: float) -> None:
        """Publish the orders that are due. Not while there is no room for what would come."""
        if now < self._look_at:
            return
        self._look_at = now + self._every_s
        now_ms = time.time_ns() // 1_000_000
        rows = self._due(now_ms)[: max(0, link.room)]
        if not rows or not self._files.has_room():
            return
        orders = [(row, str(uuid.uuid4())) for row in rows]
        try:
            with self._store.transaction():
                for row, order in orders:
                    sql = "UPDATE picture SET asked = asked + 1, since_ms = ?, order_id = ?"
                    where = "WHERE source = ? AND sha256 = ?"
                    self._store.run(f"{sql} {where}", now_ms, order, row["source"], row["sha256"])
        except DiskRefuses:
            return
        expires = rfc3339(now_ms + ORDER_LIVES_S * 1000)
        for row, order in orders:
            _log.info("%s is asked for picture %s", row["source"], row["sha256"])
            members = {"id": order, "expires": expires, "picture": row["sha256"]}
            link.publish(f"{row['source'][1:]}/order/replay", json.dumps(members).encode())

    def _due(self, now_ms: int) -> list[Row]:
        """The longest waiting one of each post that is online; with ``min`` SQLite takes the row that has it."""
        sql = (
            "SELECT source, sha256, min(since_ms) FROM picture "
            "WHERE since_ms NOT NULL AND since_ms + min(?1 << min(asked, 16), ?2) <= ?3 GROUP BY source"
        )
        with self._store.snapshot():
            rows = list(self._store.rows(sql, self._grace_ms, LONGEST_PAUSE_S * 1000, now_ms))
            return [row for row in rows if self._can_be_asked(row["source"], now_ms)]

    def _can_be_asked(self, source: str, now_ms: int) -> bool:
        sql = "SELECT count(*) FROM picture WHERE source = ? AND since_ms > ? AND order_id NOT NULL"
        if self._store.number(sql, source, now_ms - ORDER_LIVES_S * 1000) >= UNANSWERED:
            return False
        row = self._store.row("SELECT payload FROM report WHERE source = ? AND name = 'status'", source)
        return row is not None and is_online(bytes(row["payload"]))

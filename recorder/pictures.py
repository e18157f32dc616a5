"""What events say of pictures, and their bytes as they come: only what a verified event announced is stored."""

import logging
from collections import OrderedDict

from device.events import MOST_PICTURE_BYTES, Picture, PictureLost
from recorder.errors import NotStored
from recorder.findings import note_signed, note_standing
from recorder.intake import Event, Flaw, PictureBytes, Reply
from recorder.picture_files import PictureFiles
from recorder.picture_share import has_share
from recorder.rows import chain_id
from recorder.store import Store

LACKING, STORED, MISMATCH, LOST, REPLACED = "lacking", "stored", "mismatch", "lost", "replaced"
STATES = (LACKING, STORED, MISMATCH, LOST, REPLACED)

MAX_EARLY_BYTES = 32 << 20
"""Held in memory of pictures that came before their event, of all posts; of one post one large picture's worth."""

_log = logging.getLogger(__name__)


class _Early:
    """Pictures that nobody has announced yet. What has to go is asked for later, if it is announced at all."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, str], PictureBytes] = OrderedDict()

    def hold(self, picture: PictureBytes) -> None:
        """The oldest go: first those of the same post."""
        self._held[picture.source, picture.sha256] = picture
        self._shrink([key for key in self._held if key[0] == picture.source], MOST_PICTURE_BYTES)
        self._shrink(list(self._held), MAX_EARLY_BYTES)

    def take(self, source: str, sha256: str) -> PictureBytes | None:
        """It is not held any more."""
        return self._held.pop((source, sha256), None)

    def _shrink(self, oldest_first: list[tuple[str, str]], most_bytes: int) -> None:
        total = sum(len(self._held[key].content) for key in oldest_first)
        for key in oldest_first:
            if total <= most_bytes:
                return
            total -= len(self._held.pop(key).content)


class Pictures:
    """Works inside the caller's transaction: a file is durable before its row says so.

    ``unasked``: by source, the event (chain's row, number) of the last picture in it that came without an order.
    """

    def __init__(self, store: Store, files: PictureFiles, per_post: int | None) -> None:
        self.unasked: dict[str, tuple[int, int]] = {}
        self._store = store
        self._files = files
        self._per_post = per_post
        self._early = _Early()
        self._full = False
        self._over: set[str] = set()

    def forget(self) -> None:
        """The transaction is over, well or not."""
        self.unasked.clear()

    def heed(self, event: Event, at_ms: int) -> None:
        """A verified event is in the store."""
        match event.tells:
            case Picture() as picture:
                self._announced(event, picture, at_ms)
            case PictureLost(picture=sha256, why=why):
                if self._ended(event.source, sha256, LOST, why):
                    detail = f"lost for good: picture {sha256}: {why}"
                    note_standing(self._store, event.source, Flaw.LOST, f"picture {sha256}", detail, at_ms=at_ms)
            case _:
                pass

    def take(self, came: PictureBytes, at_ms: int) -> bool | None:
        """The bytes of a picture. True: stored now. False: they were. None: not stored, and asked for in time."""
        sql = "SELECT * FROM picture WHERE source = ? AND sha256 = ? AND chain NOT NULL"
        row = self._store.row(sql, came.source, came.sha256)
        if row is None:
            self._early.hold(came)
            return None
        if row["state"] == STORED:
            return False
        if row["bytes"] != len(came.content):
            told = f"its event says {row['bytes']} bytes, and it has {len(came.content)}"
            self._set(came.source, came.sha256, MISMATCH, told, None)
            what = f"picture {came.sha256}"
            note_signed(self._store, came.source, Flaw.UNCLEAR, what, f"{what}: {told}", at_ms=at_ms)
            return None
        if not self._store_file(came, at_ms):
            return None
        if not row["asked"]:
            self.unasked[came.source] = row["chain"], row["seq"]
        return True

    def mismatched(self, source: str, sha256: str) -> None:
        """Other bytes came under this hash; the refusal is noted elsewhere."""
        sql = "UPDATE picture SET state = ?, told = ? WHERE source = ? AND sha256 = ? AND state = ?"
        self._store.run(sql, MISMATCH, "other bytes came", source, sha256, LACKING)

    def answered(self, reply: Reply) -> None:
        """A post answers an order; those of others are not for us."""
        sql = "UPDATE picture SET order_id = NULL, told = coalesce(?, told) WHERE order_id = ? AND source = ?"
        told = None if reply.error is None else f"the post: {reply.error}"
        self._store.run(sql, told, reply.order, reply.source)

    def _announced(self, event: Event, picture: Picture, at_ms: int) -> None:
        """The first event that announces it counts; what an earlier one said of its end stays said."""
        chain = chain_id(self._store, event.source, event.chain)
        too_large = picture.bytes > MOST_PICTURE_BYTES
        sql = (
            "INSERT INTO picture (source, sha256, chain, seq, hash, bytes, state, since_ms, told) "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE "
            "SET chain = ?3, seq = ?4, hash = ?5, bytes = ?6 WHERE chain IS NULL"
        )
        told = f"more than {MOST_PICTURE_BYTES} bytes are not taken" if too_large else None
        position = (event.source, picture.sha256, chain, event.seq, event.hash)
        added = self._store.run(sql, *position, picture.bytes, LACKING, None if too_large else at_ms, told)
        if too_large or not added:
            what = f"{event.chain}/{event.seq}"
            why = told or "an event before it has announced the same picture"
            note_signed(self._store, event.source, Flaw.UNCLEAR, what, f"event {what}: {why}", at_ms=at_ms)
        if picture.replaces is not None:
            self._ended(event.source, picture.replaces, REPLACED, f"too large for the broker: {picture.sha256}")
        if (early := self._early.take(event.source, picture.sha256)) is not None:
            self.take(early, at_ms)

    def _ended(self, source: str, sha256: str, state: str, why: str) -> bool:
        """The post will not send it. False: it is here, or its end was told before."""
        if self._set(source, sha256, state, why, None, unless=(STORED, LOST, REPLACED)):
            return True
        sql = "INSERT OR IGNORE INTO picture (source, sha256, state, told) VALUES (?, ?, ?, ?)"
        return self._store.run(sql, source, sha256, state, why) > 0

    def _store_file(self, came: PictureBytes, at_ms: int) -> bool:
        if not has_share(self._store, came.source, len(came.content), self._per_post):
            self._over_share(came, at_ms)
            return False
        try:
            self._files.put(came.source, came.sha256, came.content)
        except NotStored as error:
            self._refused_by_disk(came, str(error), at_ms)
            return False
        self._set(came.source, came.sha256, STORED, None, None)
        note_standing(self._store, came.source, Flaw.SHARE, "pictures", None, at_ms=at_ms)
        for flaw in (Flaw.LOST, Flaw.PICTURE):
            note_standing(self._store, came.source, flaw, f"picture {came.sha256}", None, at_ms=at_ms)
        if self._full:
            self._full = False
            _log.info("pictures are stored again")
        return True

    def _refused_by_disk(self, came: PictureBytes, why: str, at_ms: int) -> None:
        """Events go on: a picture can be asked for again, and the post keeps it."""
        if not self._full:
            self._full = True
            _log.error("%s: no picture is stored; they are asked for again", why)
        self._put_off(came, why, at_ms)

    def _over_share(self, came: PictureBytes, at_ms: int) -> None:
        """One post does not fill the disk for all. It keeps the picture, and is asked once there is room."""
        why = f"the {self._per_post} bytes for pictures of one post are used up"
        mend = "give more with --pictures-per-post, and they are asked for as long as the post keeps them"
        if came.source not in self._over:
            self._over.add(came.source)
            _log.error("%s: %s: none is stored; %s", came.source, why, mend)
        note_standing(self._store, came.source, Flaw.SHARE, "pictures", f"{why}; {mend}", at_ms=at_ms)
        self._put_off(came, why, at_ms)

    def _put_off(self, came: PictureBytes, why: str, at_ms: int) -> None:
        sql = (
            "UPDATE picture SET told = ?, order_id = NULL, asked = asked + 1, since_ms = ? "
            "WHERE source = ? AND sha256 = ? AND since_ms NOT NULL"
        )
        self._store.run(sql, why, at_ms, came.source, came.sha256)

    def _set(
        self,
        source: str,
        sha256: str,
        state: str,
        told: str | None,
        since_ms: int | None,
        unless: tuple[str, ...] = (),
    ) -> bool:
        sql = (
            "UPDATE picture SET state = ?, told = ?, since_ms = ?, order_id = NULL WHERE source = ? AND sha256 = ? "
            f"AND state NOT IN ({', '.join('?' * len(unless))})"
        )
        return self._store.run(sql, state, told, since_ms, source, sha256, *unless) > 0


def mark_damaged(store: Store, source: str, sha256: str, why: str, at_ms: int) -> None:
    """Its file is not what the post signed; it is asked for at once. Inside the caller's transaction."""
    sql = (
        "UPDATE picture SET state = ?, told = ?, since_ms = 0, asked = 0 "
        "WHERE source = ? AND sha256 = ? AND state = ?"
    )
    if store.run(sql, MISMATCH, why, source, sha256, STORED):
        what = f"picture {sha256}"
        note_standing(store, source, Flaw.PICTURE, what, f"{what}: {why}; it is asked for again", at_ms=at_ms)

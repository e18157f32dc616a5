"""Pictures sealed and stored, and whether the store takes any; pure of threads."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from device.errors import GuardpostError, NotRecorded, StoreFull
from device.readings import Instant, PartBlind, PartSighted, Photo, PictureFailed, PictureTaken, Reading
from device.record.announced import announcing
from device.record.picture_files import unannounced
from device.record.pictures import NEW, PictureStore
from device.record.sealing import seal

PART = "pictures"
LOOK_EVERY_MS = 5_000

log = logging.getLogger(__name__)


class Keeping:
    """``opened``: the store's folder was read."""

    def __init__(
        self,
        store: PictureStore,
        folder: Path,
        journal: Path,
        seal_to: bytes | None,
        source: str,
        tell: Callable[[Reading], None],
    ) -> None:
        """``folder``: the store's. ``seal_to``: X25519, 32 bytes. ``source``: the post's."""
        self._store = store
        self._folder = folder
        self._journal = journal
        self._seal_to = seal_to
        self._source = source
        self._tell = tell
        self._look_ms: int | None = None
        self._told: bool | None = None
        self.opened = False
        self.why: str | None = None

    def say_again(self) -> None:
        """How the part stands has to be told anew."""
        self._told = self._look_ms = None

    def look(self, now: Instant) -> None:
        """Open the store, keep it in order, see whether it takes pictures again: as far as it is time to."""
        if self._look_ms is not None and now.uptime_ms < self._look_ms:
            return
        self._look_ms = now.uptime_ms + LOOK_EVERY_MS
        if not self.opened:
            self._open(now)
        else:
            self._store.upkeep(now)
            if self.why is not None:
                self._stands(self._store.refuses(), now)
        self._stands(self.why, now)

    def keep(self, photo: Photo, now: Instant) -> None:
        """Store a picture; ``PictureTaken`` or ``PictureFailed`` is told."""
        if not self.opened:
            self._tell(PictureFailed(now, photo.why, str(self.why)))
            return
        sealed = None if self._seal_to is None else seal(self._seal_to, self._source, photo.jpeg)
        content = photo.jpeg if sealed is None else sealed
        try:
            sha256 = self._store.store(content, now, urgent=photo.urgent)
        except StoreFull as error:
            self._tell(PictureFailed(now, photo.why, str(error)))
            return
        except NotRecorded as error:
            self._tell(PictureFailed(now, photo.why, str(error)))
            self._stands(str(error), now)
            return
        self._stands(None, now)
        plain_sha256 = None if sealed is None else hashlib.sha256(photo.jpeg).hexdigest()
        self._tell(
            PictureTaken(
                now, photo.why, sha256, len(content), plain_sha256, photo.size, photo.taken, photo.offset_ms
            )
        )

    def _open(self, now: Instant) -> None:
        try:
            announced = announcing(self._journal, unannounced(self._folder / NEW))
        except GuardpostError as error:
            log.warning("pictures whose events may not be recorded stay for now: %s", error)
            announced = None
        try:
            self._store.open(announced)
        except NotRecorded as error:
            self._stands(str(error), now)
        else:
            self.opened = True
            self._stands(self._store.refuses(), now)

    def _stands(self, why: str | None, now: Instant) -> None:
        """Told where it has changed."""
        self.why = why
        if self._told is not (why is None):
            self._told = why is None
            self._tell(PartSighted(now, PART) if why is None else PartBlind(now, PART, why))
            if why is not None:
                log.error("%s", why)

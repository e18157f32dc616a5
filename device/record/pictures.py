"""Pictures at rest: files named by the hash of their bytes, from when they are stored until they may go."""

import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from device.errors import NotReadable, NotRecorded, StateError, StoreFull
from device.readings import Instant
from device.record.keys import set_aside, sync_folder, write_durably
from device.record.picture_files import PROBE, Kept, listed, remove_halves
from device.record.reserve import ROOM_AT_LEAST

NEW, WAITING, SENT = "new", "waiting", "sent"
LEFT_TO_JOURNAL_BYTES = 32 << 20
"""What pictures leave of the disk beyond what the journal wants to see free: tens of thousands of events."""
PLENTY_BYTES = 4 << 20
"""How much more is free before a store that refused takes pictures again."""
_DAY_MS = 86_400_000

log = logging.getLogger(__name__)


class PictureStore:
    """Used by one thread. Nothing but ``store`` is flushed: whatever a cut undoes, the next start finds and mends.

    ``new``: pictures whose events are not known to be on disk. Each of the three is by name, oldest first.
    """

    def __init__(self, folder: Path, most_bytes: int, keep_days: int, gone: Callable[[str, str], None]) -> None:
        """``gone``: is told the sha256 of an announced picture that can no longer be handed over, and why."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._keep_ms = keep_days * _DAY_MS
        self._gone = gone
        self._moves: dict[str, tuple[Kept, str]] = {}
        self.new: dict[str, Kept] = {}
        self.waiting: dict[str, Kept] = {}
        self.sent: dict[str, Kept] = {}

    def open(self, announced: Mapping[str, str] | None) -> None:
        """Read the folder. Raises NotRecorded.

        ``announced``: the ids, by sha256, of the events that announced pictures which still lie in ``new``; of the
        others there nobody was told, and they go. None where nobody knows for now: all of them stay there.
        """
        try:
            for folder in (self._folder, *(self._folder / name for name in (NEW, WAITING, SENT))):
                _make(folder)
            remove_halves(self._folder / NEW)
            new = {} if announced is None else listed(self._folder / NEW)
            self.waiting, self.sent = listed(self._folder / WAITING), listed(self._folder / SENT)
        except OSError as error:
            raise self._refused(error) from None
        for kept in new.values():
            if (event := (announced or {}).get(kept.sha256)) is not None:
                self._wait(kept, event)
            elif not kept.event:
                with suppress(OSError):
                    kept.file.unlink()

    # A picture's way

    def store(self, content: bytes, now: Instant, *, urgent: bool, instead: Kept | None = None) -> str:
        """Store a picture durably; its sha256. Raises NotRecorded, StoreFull.

        ``urgent``: where there is no room, those that have waited longest go for it. ``instead``: a larger one that
        it replaces. That one stays, whatever comes of this: its room is free once it counts as sent.
        """
        self._make_room(len(content), urgent, instead)
        sha256 = hashlib.sha256(content).hexdigest()
        file = self._folder / NEW / sha256
        try:
            write_durably(file, content)
        except StateError as error:
            with suppress(OSError):
                file.with_name(f"{sha256}.new").unlink()
            raise NotRecorded(str(error)) from None
        self.new[sha256] = Kept(sha256, "", len(content), now.wall_ms, file)
        return sha256

    def announced(self, sha256: str, event: str, position: int) -> None:
        """The event (its id) that announces a new picture is on disk, at ``position`` or before."""
        if (kept := self.new.pop(sha256, None)) is not None:
            kept.position = position
            self._wait(kept, event)

    def has_sent(self, kept: Kept, now: Instant) -> None:
        """A broker has it, or never will: it stays for whoever asks, for a time."""
        if self.waiting.get(kept.name) is not kept:
            return  # removed meanwhile, to make room
        self._forget(kept)
        self._move(kept, SENT)
        # By an unsure clock it would be old as soon as somebody sets that.
        self._date(kept, 0 if now.clock == "unsynced" else now.wall_ms)
        self.sent[kept.name] = kept

    def later(self, kept: Kept) -> None:
        """Let the others that wait pass."""
        if self.waiting.pop(kept.name, None) is not None:
            self.waiting[kept.name] = kept

    def of(self, sha256: str) -> Kept | None:
        """An announced picture by its hash."""
        held = (kept for pictures in (self.waiting, self.sent) for kept in pictures.values())
        return next((kept for kept in held if kept.sha256 == sha256), None)

    def read(self, kept: Kept) -> bytes | None:
        """Its bytes; None where they are gone for good, which is told. Raises NotReadable."""
        try:
            content = kept.file.read_bytes()
        except FileNotFoundError:
            self.give_up(kept, "its file is not there any more")
            return None
        except OSError as error:
            raise NotReadable(f"{kept.file}: cannot be read ({error.strerror})") from None
        if hashlib.sha256(content).hexdigest() != kept.sha256:
            self.give_up(kept, "its file is not what was stored; it was set aside")
            return None
        return content

    def give_up(self, kept: Kept, why: str) -> None:
        """Nobody can have it any more: its file is set aside, and it is told."""
        self._forget(kept)
        with suppress(StateError):
            set_aside(kept.file)
        log.error("%s: %s", kept.file, why)
        self._gone(kept.sha256, why)

    def _wait(self, kept: Kept, event: str) -> None:
        kept.event = event
        self._move(kept, WAITING)
        self.waiting[kept.name] = kept

    def _forget(self, kept: Kept) -> None:
        self._moves.pop(kept.name, None)
        for pictures in (self.waiting, self.sent):
            pictures.pop(kept.name, None)

    def _move(self, kept: Kept, folder: str) -> None:
        """Where the disk takes no change, it is done later."""
        file = self._folder / folder / kept.name
        try:
            kept.file.rename(file)
        except FileNotFoundError:
            self._moves.pop(kept.name, None)  # whoever reads it will tell
        except OSError as error:
            if kept.name not in self._moves:
                log.warning("%s: cannot be moved to %s (%s)", kept.file, folder, error.strerror)
            self._moves[kept.name] = kept, folder
        else:
            self._moves.pop(kept.name, None)
            kept.file = file

    # Room

    def upkeep(self, now: Instant) -> None:
        """Do what was put off, and remove what was sent long ago; while the disk is short, all that was sent."""
        for kept, folder in list(self._moves.values()):
            self._move(kept, folder)
        if now.clock != "unsynced":
            for kept in [kept for kept in self.sent.values() if kept.at_ms == 0]:
                self._date(kept, now.wall_ms)
                self.sent[kept.name] = self.sent.pop(kept.name)  # the newest now
        with suppress(NotRecorded):
            while (oldest := _oldest(self.sent)) is not None and self._is_old(oldest, now):
                self._remove(oldest)
            self._remove_sent(0)

    def refuses(self) -> str | None:
        """Why no picture can be stored now; None if many can, by trying: a disk at its brim must not flap."""
        try:
            if self._tight(PLENTY_BYTES):
                return self._kept_for_events()
            write_durably(self._folder / NEW / PROBE, b"")
            (self._folder / NEW / PROBE).unlink()
        except StateError as error:
            return str(error)
        except OSError as error:
            return str(self._refused(error))
        return None

    def _make_room(self, length: int, urgent: bool, instead: Kept | None) -> None:
        """What was sent goes first, then, for an urgent one, what has waited longest. Raises as ``store``."""
        if length > self._most_bytes:
            raise NotRecorded(f"a picture of {length} bytes is larger than camera.most_bytes; raise that")
        self._remove_sent(length, instead)
        if instead is None:
            self._push_out(length, urgent)
        if self._tight(length):
            raise NotRecorded(self._kept_for_events())

    def _push_out(self, length: int, urgent: bool) -> None:
        """Keep to ``most_bytes``. Raises as ``store``."""
        if self._over(length) and not urgent and self.waiting:
            raise StoreFull(f"{self._folder}: full of pictures that wait to be sent (camera.most_bytes)")
        while self._over(length) and (oldest := _oldest(self.waiting)) is not None:
            self._remove(oldest)
            self._gone(oldest.sha256, "removed: the store is full (camera.most_bytes), and no broker had taken it")
        if self._over(length):
            raise NotRecorded(
                f"{self._folder}: full of pictures that are on their way, or whose events wait to be recorded"
            )

    def _remove_sent(self, length: int, but: Kept | None = None) -> None:
        """As many as are in the way of so many bytes. Raises NotRecorded."""
        while (self._over(length) or self._tight(length)) and (oldest := _oldest(self.sent, but)) is not None:
            self._remove(oldest)

    def _over(self, length: int) -> bool:
        held = sum(kept.length for each in (self.new, self.waiting, self.sent) for kept in each.values())
        return held + length > self._most_bytes

    def _tight(self, length: int) -> bool:
        """Whether the disk is too short for so many bytes; a dying one is."""
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return True
        return disk.f_bavail * disk.f_frsize < ROOM_AT_LEAST + LEFT_TO_JOURNAL_BYTES + length

    def _date(self, kept: Kept, wall_ms: int) -> None:
        kept.at_ms = wall_ms
        with suppress(OSError):
            os.utime(kept.file, (wall_ms / 1000, wall_ms / 1000))

    def _is_old(self, kept: Kept, now: Instant) -> bool:
        """By a clock that somebody set."""
        return now.clock != "unsynced" and kept.at_ms < now.wall_ms - self._keep_ms

    def _remove(self, kept: Kept) -> None:
        try:
            kept.file.unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(error) from None
        self._forget(kept)

    def _kept_for_events(self) -> str:
        return f"{self._folder}: what room the disk has is kept for events; make room"

    def _refused(self, error: OSError) -> NotRecorded:
        return NotRecorded(f"{self._folder}: takes no pictures ({error.strerror}); make room or mend the disk")


def _oldest(pictures: Mapping[str, Kept], but: Kept | None = None) -> Kept | None:
    """What is on its way may arrive: it is not the one that goes."""
    return next((kept for kept in pictures.values() if not kept.flying and kept is not but), None)


def _make(folder: Path) -> None:
    """Durably, where it is not there. Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700)
        sync_folder(folder.parent)

"""The pictures' thread: what comes to it waits in its queue, and nothing that others call waits for it."""

import queue
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from device.addresses import Broker
from device.config_camera import CameraSection
from device.hardware.worker import Worker
from device.link.budget import Budget
from device.link.line import Access
from device.link.picture_line import PictureLine
from device.link.topics import Topics
from device.pictures.handing import Handing, Shrink
from device.pictures.keeping import PART, Keeping
from device.readings import Clock, LinkReading, Photo, PictureFailed, PictureGone, Reading, Replayed
from device.record.opening import JOURNAL
from device.record.pictures import PictureStore
from device.record.sealing import SEAL_BYTES

PICTURES = "pictures"
"""The store's folder, in the state folder."""
PHOTOS_WAITING = 32
"""More than a camera sends while the disk is well; each is some hundred kilobytes of memory."""
_ROUND_S = 0.5


@dataclass(frozen=True, slots=True)
class _Announced:
    sha256: str
    event: str
    position: int


@dataclass(frozen=True, slots=True)
class _Again:
    order: str
    sha256: str


@dataclass(frozen=True, slots=True)
class _Word:
    """``end``: the thread ends; else it looks how events stand."""

    end: bool


class PicturesWorker:
    """The thread ``pictures``. All but ``start`` and ``stop`` may be called from any thread."""

    def __init__(
        self,
        settings: CameraSection,
        rate: int,
        state_dir: Path,
        newest: int,
        topics: Topics,
        access: Access,
        clock: Clock,
        inbox: "queue.SimpleQueue[Reading]",
        fit: Callable[[int], None],
        shrink: Shrink,
        budget: Budget,
    ) -> None:
        """``rate``: bytes a second. ``newest``: the journal's newest position. ``access``: with its own client id.

        ``fit``: is told how long a JPEG may be from now on.
        """
        self.worker = Worker(PART, clock, inbox)
        self._clock = clock
        self._inbox = inbox
        self._queue: queue.SimpleQueue[Photo | _Announced | _Again | _Word | LinkReading] = queue.SimpleQueue()
        self._events: tuple[int, tuple[Broker, str] | None] = (0, None)
        self._nudged = False
        folder, journal = state_dir / PICTURES, state_dir / JOURNAL
        sealed_bytes = 0 if settings.seal_to is None else SEAL_BYTES
        self._store = PictureStore(folder, settings.most_bytes, settings.keep_days, self._gone)
        self._keeping = Keeping(self._store, folder, journal, settings.seal_to, f"/{topics.base}", inbox.put)
        self._handing = Handing(
            self._store,
            PictureLine(access, topics, rate, self._queue, clock, budget),
            journal,
            newest,
            inbox.put,
            lambda most: fit(most - sealed_bytes),
            shrink,
        )

    # From other threads

    def store(self, photo: Photo) -> None:
        """A picture was taken: ``PictureTaken`` comes back once it is stored, or ``PictureFailed``."""
        if self._queue.qsize() >= PHOTOS_WAITING:
            why = f"the disk is too slow: {PHOTOS_WAITING} pictures wait to be stored"
            self._inbox.put(PictureFailed(self._clock.now(), photo.why, why))
        else:
            self._queue.put(photo)

    def announced(self, sha256: str, event: str, position: int) -> None:
        """The event (its id) that announces a picture is on disk, at ``position`` or before."""
        self._queue.put(_Announced(sha256, event, position))

    def again(self, order: str, sha256: str) -> None:
        """Send a picture again; the result comes back as ``Replayed``."""
        self._queue.put(_Again(order, sha256))

    def work(self, done: int, through: tuple[Broker, str] | None) -> None:
        """How far events are acknowledged, and by which broker, over which MQTT version; None without a line."""
        if (done, through) != self._events:
            self._events = done, through
            if not self._nudged:  # one word at a time, or PUBACKs would flood the queue of a thread that hangs
                self._nudged = True
                self._queue.put(_Word(end=False))

    def start(self) -> None:
        """Begin."""
        self.worker.start(self._run)

    def stop(self) -> None:
        """End; what was not handed over waits for the next start."""
        self._queue.put(_Word(end=True))
        self.worker.ended()

    # The thread

    def _run(self) -> None:
        more = False
        while True:
            if self.worker.beat():
                self._keeping.say_again()
            self._keeping.look(self._clock.now())
            try:
                heard = self._queue.get(timeout=0 if more else _ROUND_S)
            except queue.Empty:
                pass
            else:
                if isinstance(heard, _Word) and heard.end:
                    break
                self._hear(heard)
            more = self._keeping.opened and self._handing.work(self._clock.now(), *self._events)
        self._handing.close()

    def _hear(self, heard: Photo | _Announced | _Again | _Word | LinkReading) -> None:
        now = self._clock.now()
        match heard:
            case Photo():
                self._keeping.keep(heard, now)
            case _Announced(sha256=sha256, event=event, position=position):
                self._store.announced(sha256, event, position)
            case _Again(order=order) if not self._keeping.opened:
                self._inbox.put(Replayed(now, order, {"ok": False, "error": str(self._keeping.why)}))
            case _Again(order=order, sha256=sha256):
                self._handing.ask(order, sha256, now)
            case _Word():
                self._nudged = False
            case _:
                self._handing.hear(heard, now)

    def _gone(self, sha256: str, why: str) -> None:
        self._inbox.put(PictureGone(self._clock.now(), sha256, why))

"""A post's pictures without its camera: the real thread, store and journal, and the loop's part done by hand."""

import hashlib
import io
import queue
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from postkit import ShiftedClock
from waiting import until

from device.addresses import Broker
from device.config_camera import CameraSection
from device.config_link import LinkSection
from device.events import Draft, Picture, decimal_seconds, rfc3339
from device.hardware.camera.shrink import shrunk
from device.hardware.clock import KernelClock, boot_id
from device.link.budget import Budget
from device.link.line import Access
from device.link.topics import Topics
from device.pictures.worker import PicturesWorker
from device.readings import Photo, PictureTaken, Reading
from device.record.journal import Sent
from device.record.opening import open_record
from device.turn import Turn

SOURCE = "/guardpost/jember/kpu-gate"
CLIENT = "jember.kpu-gate-pictures"
WHY = "0f4a3f52-7a5e-4d2f-9a51-6d8f7c1b2a30/7"
OFFSET_MS = -2_960

R = TypeVar("R", bound=Reading)


def photo(seed: int = 0, length: int = 20_000) -> Photo:
    """Bytes in place of a JPEG: only what shrinks one looks inside."""
    taken = KernelClock().now()
    return Photo(WHY, b"\xff\xd8" + random.Random(seed).randbytes(length - 2), (1920, 1080), taken, OFFSET_MS)


def noise(width: int = 640, height: int = 480) -> bytes:
    """A true JPEG, and a large one for its size."""
    out = io.BytesIO()
    picture = Image.frombytes("RGB", (width, height), random.Random(1).randbytes(width * height * 3))
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def broker_at(port: int) -> Broker:
    return LinkSection.model_validate({"brokers": [f"mqtt://127.0.0.1:{port}"]}).brokers[0]


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Bench:
    """``told``: what was put into the loop's inbox. ``fits``: how long a JPEG may be, as the camera is told."""

    state_dir: Path
    camera: dict[str, Any] = field(default_factory=dict)
    rate: int = 128_000
    access: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.told: list[Reading] = []
        self.fits: list[int] = []
        self.clock = ShiftedClock()
        self._inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        self.record = open_record(self.state_dir, SOURCE, boot_id())
        self.chain = self.record.chain
        if self.record.began:
            self.commit(*self.record.began)
        self.budget = Budget()
        self.worker = PicturesWorker(
            CameraSection.model_validate(self.camera),
            self.rate,
            self.state_dir,
            self.newest,
            Topics.of(SOURCE),
            Access("jember/kpu-gate", CLIENT, **self.access),
            self.clock,
            self._inbox,
            self.fits.append,
            shrunk,
            self.budget,
        )

    @property
    def newest(self) -> int:
        return self.record.journal.newest()

    @property
    def folder(self) -> Path:
        return self.state_dir / "pictures"

    def names(self, folder: str) -> list[str]:
        return sorted(file.name for file in (self.folder / folder).iterdir())

    def heard(self, kind: type[R]) -> list[R]:
        """All of a kind that was told so far."""
        while not self._inbox.empty():
            self.told.append(self._inbox.get())
        return [reading for reading in self.told if isinstance(reading, kind)]

    def until_heard(self, kind: type[R], count: int = 1) -> R:
        """The newest of ``count``."""
        until(lambda: len(self.heard(kind)) >= count, what=f"{count} {kind.__name__}")
        return self.heard(kind)[-1]

    def commit(self, *drafts: Draft) -> list[str]:
        """Record events; their ids."""
        turn = Turn([], self.chain)
        turn.begin(drafts, self.clock.now())
        self.record.journal.append(turn.sealed, {}, Sent({}))
        self.chain = turn.chain
        return [f"{sealed.head.chain}/{sealed.head.seq}" for sealed in turn.sealed]

    def store(self, taken: Photo) -> PictureTaken:
        """As the camera does."""
        before = len(self.heard(PictureTaken))
        self.worker.store(taken)
        return self.until_heard(PictureTaken, before + 1)

    def record_picture(self, taken: PictureTaken) -> str:
        """The event that announces it, committed, and nobody told; its id."""
        picture = Picture(
            sha256=taken.sha256,
            bytes=taken.length,
            sealed=taken.plain_sha256 is not None,
            plain_sha256=taken.plain_sha256,
            width=taken.size[0],
            height=taken.size[1],
            taken=rfc3339(taken.taken.wall_ms),
            offset=decimal_seconds(taken.offset_ms),
            why=taken.why,
            replaces=taken.replaces,
        )
        [event] = self.commit(Draft(subject="camera", data=picture))
        return event

    def announce(self, taken: PictureTaken) -> str:
        """As the loop does after the commit; the event's id."""
        event = self.record_picture(taken)
        self.worker.announced(taken.sha256, event, self.newest)
        return event

    def taken(self, *photos: Photo) -> list[str]:
        """Stored and announced; each one's sha256."""
        found = []
        for each in photos:
            stored = self.store(each)
            self.announce(stored)
            found.append(stored.sha256)
        return found

    def online(self, port: int, version: str = "5") -> None:
        """The post's own line is up, and every event so far acknowledged."""
        self.worker.work(self.newest, (broker_at(port), version))


@contextmanager
def bench(state_dir: Path, *, thread: bool = True, **settings: Any) -> Iterator[Bench]:
    """``thread``: it runs already."""
    made = Bench(state_dir, **settings)
    with closing(made.record):
        if thread:
            made.worker.start()
        try:
            yield made
        finally:
            made.worker.stop()

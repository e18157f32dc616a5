"""The recorder as a part of another program: one thread, started, polled and stopped."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recorder.broker import Broker, parse_broker
from recorder.errors import StoreError
from recorder.lock import StoreLock
from recorder.picture_share import PICTURES_PER_POST
from recorder.store import Store
from recorder.subscriber import Manner, Subscriber
from recorder.summary import Summary, summary


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to listen and where to keep it.

    ``broker``: ``mqtt://host:port``, or a ``Broker`` where there is a password or a CA.
    ``backoff_s``: the first and the longest pause between two attempts to connect.
    ``receipts``: tell each post how far its events are stored; exactly one recorder of a fleet does.
    ``picture_grace_s``: how long an announced picture may take before its post is asked for it.
    ``pictures_per_post``: bytes of pictures that are kept of one post; None for as many as the disk takes.
    ``absent_after_s``: call a post absent that is silent for so long; ``absent_topic``: publish it there.
    """

    broker: str | Broker
    store: Path
    root: str = "guardpost"
    client_id: str = "guardpost-recorder"
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    backoff_s: tuple[float, float] = (0.5, 30.0)
    receipts: bool = True
    absent_after_s: float | None = None
    absent_topic: str | None = None
    picture_grace_s: float = 120.0
    pictures_per_post: int | None = PICTURES_PER_POST


class Recorder:
    """``start`` and ``stop`` it, or use it as a context; what its thread raises, ``stop`` raises."""

    def __init__(self, settings: Settings) -> None:
        """Opens the store, for itself alone, and reads the broker's URL. Raises StoreError, UsageError."""
        broker = settings.broker if isinstance(settings.broker, Broker) else parse_broker(settings.broker)
        manner = Manner(
            root=settings.root,
            client_id=settings.client_id,
            protocol=settings.protocol,
            backoff_s=settings.backoff_s,
            receipts=settings.receipts,
            absent_after_s=settings.absent_after_s,
            absent_topic=settings.absent_topic,
            picture_grace_s=settings.picture_grace_s,
            pictures_per_post=settings.pictures_per_post,
        )
        self._lock = StoreLock(settings.store)
        try:
            self._store = Store.open(settings.store)
        except StoreError:
            self._lock.release()
            raise
        self._subscriber = Subscriber(self._store, broker, manner)
        self._executor = ThreadPoolExecutor(1, "recorder")
        self._running: Future[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether a broker has welcomed us on the present connection."""
        return self._subscriber.connected

    @property
    def failure(self) -> BaseException | None:
        """What ended the thread before anybody asked it to."""
        return self._running.exception() if self._running and self._running.done() else None

    def run(self) -> None:
        """In the caller's thread until ``request_stop``. Raises StoreError, WorkerDied."""
        try:
            self._subscriber.run()
        finally:
            self._close()

    def request_stop(self) -> None:
        """Ask the loop to end and return at once; also from a signal handler."""
        self._subscriber.stop()

    def start(self) -> None:
        """In a thread of its own."""
        self._running = self._executor.submit(self.run)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Commit what waits, disconnect, end the thread; raises what ended it. TimeoutError if it hangs."""
        if self._running is None:
            self._close()
            return
        self.request_stop()
        wait([self._running], timeout_s)
        self._executor.shutdown(wait=False)
        self._running.result(0)

    def __enter__(self) -> "Recorder":
        """Started."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stopped."""
        self.stop()

    def _close(self) -> None:
        self._store.close()
        self._lock.release()

    def summary(self) -> Summary:
        """What is stored now; from any thread, through a connection of its own. Raises StoreError."""
        return read_summary(self._store.path)


def read_summary(path: Path) -> Summary:
    """What a store holds, also while a recorder writes it. Raises StoreError."""
    with Store.read(path) as store, store.snapshot():
        return summary(store)

"""The loop: takes what waits, decides, commits once, then acknowledges; dials again when the line is gone."""

import logging
import queue
import time
from dataclasses import dataclass
from typing import Literal

from device.events import MOST_PICTURE_BYTES
from recorder.beside import Beside
from recorder.broker import Broker
from recorder.dialling import Backoff, Protocol
from recorder.duties import Duties
from recorder.errors import DiskRefuses, WorkerDied
from recorder.intake import Message
from recorder.ledger import Ledger
from recorder.line import (
    UNSUPPORTED_PROTOCOL,
    Arrived,
    Bounds,
    Connected,
    Ended,
    Link,
    Notice,
    Published,
    Stop,
    Subscribed,
)
from recorder.store import Store

BATCH = 256
WAIT_S = 1.0
CONNACK_WITHIN_S = 20.0
HANG_UP_WITHIN_S = 3.0
BRANCHES = ("event/#", "alarm/#", "status", "state", "identity")
PICTURE_BRANCHES = ("picture/+", "reply/+")
_TOPIC_BYTES = 1024
LARGE = Bounds(
    receive_maximum=4,
    packet_bytes=MOST_PICTURE_BYTES + _TOPIC_BYTES,
    unseen=8,
    payload_bytes=MOST_PICTURE_BYTES + 1,
)
"""For pictures: at most eight taken off the line, and the one that is read; tried with 8 MiB each: 115 MB."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Manner:
    """How to listen and what to do beside. ``backoff_s``: the first and the longest pause after a failure.

    ``pictures_per_post``: bytes; None for as many as the disk takes.
    """

    root: str
    client_id: str
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    backoff_s: tuple[float, float] = (0.5, 30.0)
    receipts: bool = True
    absent_after_s: float | None = None
    absent_topic: str | None = None
    picture_grace_s: float = 120.0
    pictures_per_post: int | None = None


class Subscriber:
    """Owns the store and the connections; one thread calls ``run``, any may call ``stop``."""

    def __init__(self, store: Store, broker: Broker, manner: Manner) -> None:
        self.connected = False
        self._store = store
        self._ledger = Ledger(store, manner.root, manner.pictures_per_post)
        self._broker = broker
        self._client_id = manner.client_id
        self._topics = [f"{manner.root}/+/+/{branch}" for branch in BRANCHES]
        self._protocol = Protocol(manner.protocol)
        self._line_backoff = Backoff(*manner.backoff_s)
        self._disk_backoff = Backoff(*manner.backoff_s)
        self._duties = Duties(
            store,
            receipts=manner.receipts,
            absent_after_s=manner.absent_after_s,
            absent_topic=manner.absent_topic,
            picture_grace_s=manner.picture_grace_s,
            pictures_per_post=manner.pictures_per_post,
        )
        self._inbox: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._writer = Beside(broker, manner.client_id, "receipts", self._inbox, manner.backoff_s)
        self._pictures = Beside(
            broker,
            manner.client_id,
            "pictures",
            self._inbox,
            manner.backoff_s,
            topics=[f"{manner.root}/+/+/{branch}" for branch in PICTURE_BRANCHES],
            bounds=LARGE,
        )
        self._publishes = manner.receipts or manner.absent_topic is not None
        self._link: Link | None = None
        self._deadline = time.monotonic()

    def stop(self) -> None:
        """End after what waits is committed; also from a signal handler."""
        self._inbox.put(Stop())

    def run(self) -> None:
        """Until ``stop``. Raises StoreError if the store is no store any more, WorkerDied if paho's thread dies."""
        stopping = False
        while not stopping:
            self._keep_dialling()
            batch = self._batch()
            self._record([notice for notice in batch if isinstance(notice, Arrived)])
            for notice in batch:
                self._heed(notice)
            self._writer.work(time.monotonic())
            self._pictures.work(time.monotonic())
            if self.connected:
                self._duties.work(self._writer.link, self._pictures.link, time.monotonic())
            stopping = any(isinstance(notice, Stop) for notice in batch)
        self._hang_up()

    def _batch(self) -> list[Notice]:
        """What waits, at most BATCH; waits for the first one until something else is due."""
        due = min(self._deadline, self._writer.due(), self._pictures.due())
        if self.connected:
            due = min(due, self._duties.due(writing=self._writer.connected, asking=self._pictures.connected))
        patience = min(WAIT_S, max(0.0, due - time.monotonic()))
        batch: list[Notice] = []
        try:
            batch.append(self._inbox.get(timeout=patience))
            while len(batch) < BATCH:
                batch.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        return batch

    def _record(self, arrived: list[Arrived]) -> None:
        """One durable commit, only then the PUBACKs and whatever else follows from it."""
        if not arrived:
            return
        now_ms = time.time_ns() // 1_000_000
        try:
            with self._store.transaction():
                for notice in arrived:
                    self._ledger.take(_message(notice, now_ms))
                settled = self._ledger.settle()
        except DiskRefuses as error:
            self._on_disk_refuses(error)
            return
        if self._disk_backoff.failures:
            _log.info("%s is written again", self._store.path)
            self._disk_backoff.succeeded()
        for notice in arrived:
            if notice.link is self._link or self._pictures.owns(notice):
                notice.link.acknowledge(notice.message)
        self._duties.heed(settled, time.monotonic())

    def _on_disk_refuses(self, error: DiskRefuses) -> None:
        """Nothing of the batch holds, nothing is acknowledged: the broker keeps it until the disk has room."""
        self._ledger.forget()
        if not self._disk_backoff.failures:
            _log.error("%s; nothing is acknowledged until it can be written", error)
        if self._link is not None:
            self._link.hang_up()
        self._disconnected(self._disk_backoff.pause_s())

    def _heed(self, notice: Notice) -> None:
        if self._writer.owns(notice):
            if isinstance(notice, Published):
                self._duties.published(notice)
            elif self._writer.heed(notice, time.monotonic()):
                self._duties.writing()
        elif self._pictures.owns(notice):
            if isinstance(notice, Published):
                self._duties.ordered(notice)
            elif self._pictures.heed(notice, time.monotonic()):
                self._duties.hears_replies()
        elif not isinstance(notice, Stop) and notice.link is self._link:
            self._heed_listening(notice)

    def _heed_listening(self, notice: Notice) -> None:
        match notice:
            case Connected():
                self._on_connack(notice)
            case Subscribed(refused=refused):
                if refused:
                    _log.error("%s does not let us read all posts' topics: correct its access rules", self._broker)
                self._duties.listening(time.monotonic())
            case Ended():
                self._on_end(notice)
            case _:
                pass

    def _on_connack(self, notice: Connected) -> None:
        link = notice.link
        self._protocol.welcomed()
        link.welcomed = True
        if notice.reason < 0x80:
            _log.info("connected to %s, MQTT %s", self._broker, link.version)
            self.connected = True
            self._line_backoff.succeeded()
            self._deadline = float("inf")
            self._duties.connected(time.monotonic())
            link.subscribe()
            self._pictures.open(link.version, time.monotonic())
            if self._publishes:
                self._writer.open(link.version, time.monotonic())
            return
        _log.warning("%s refuses MQTT %s: %s", self._broker, link.version, notice.words)
        if notice.reason in UNSUPPORTED_PROTOCOL:
            self._protocol.refused(link.version)

    def _on_end(self, notice: Ended) -> None:
        link = notice.link
        if not notice.expected:
            raise WorkerDied(f"the connection to {self._broker}: {notice.why}; see the lines above")
        if not link.welcomed:
            self._protocol.closed(link.version)
        self._wait_to_dial(notice.why)

    def _wait_to_dial(self, why: str) -> None:
        pause_s = self._line_backoff.pause_s()
        _log.warning("no connection to %s: %s; again in %.1f s", self._broker, why, pause_s)
        self._disconnected(pause_s)

    def _disconnected(self, pause_s: float) -> None:
        now = time.monotonic()
        self._link = None
        self.connected = False
        self._writer.close()
        self._pictures.close()
        self._duties.deaf(now)
        self._deadline = now + pause_s

    def _keep_dialling(self) -> None:
        if time.monotonic() < self._deadline:
            return
        if self._link is not None:
            self._link.hang_up()
            self._wait_to_dial(f"no CONNACK within {CONNACK_WITHIN_S:.0f} s")
            return
        if self._disk_backoff.failures and not self._disk_has_room():
            self._deadline = time.monotonic() + self._disk_backoff.pause_s()
            return
        self._link = Link(self._broker, self._protocol.next(), self._client_id, self._topics, self._inbox)
        self._deadline = time.monotonic() + CONNACK_WITHIN_S
        self._link.start()

    def _disk_has_room(self) -> bool:
        try:
            self._store.probe()
        except DiskRefuses:
            return False
        return True

    def _hang_up(self) -> None:
        """A clean DISCONNECT behind the last PUBACKs; a dead line is not waited for."""
        self.connected = False
        self._duties.close()
        self._writer.close()
        self._pictures.close()
        if self._link is None:
            return
        self._link.hang_up()
        until = time.monotonic() + HANG_UP_WITHIN_S
        while (left := until - time.monotonic()) > 0:
            try:
                notice = self._inbox.get(timeout=left)
            except queue.Empty:
                return
            if isinstance(notice, Ended) and notice.link is self._link:
                return


def _message(notice: Arrived, now_ms: int) -> Message:
    """Brokers must refuse topics that are no UTF-8 (MQTT 5, section 1.5.4); one that does not is no trap."""
    message = notice.message
    try:
        topic = message.topic
    except UnicodeDecodeError:
        topic = "(a topic that is not UTF-8)"
    return Message(topic, bytes(message.payload), now_ms, live=not message.retain)

"""The loop: takes what waits, decides, commits once, then acknowledges; dials again when the line is gone."""

import logging
import queue
import random
import time
from dataclasses import dataclass
from typing import Literal

from recorder.broker import (
    UNSUPPORTED_PROTOCOL,
    Arrived,
    Broker,
    Connected,
    Ended,
    Link,
    Notice,
    Stop,
    Subscribed,
    Version,
)
from recorder.errors import WorkerDied
from recorder.intake import Message
from recorder.ledger import Ledger
from recorder.store import Store

BATCH = 256
WAIT_S = 1.0
CONNACK_WITHIN_S = 20.0
HANG_UP_WITHIN_S = 3.0
BRANCHES = ("event/#", "alarm/#", "status", "state", "identity")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Protocol:
    """Which MQTT to speak next. A broker that knows only 3.1.1 says so, or closes without a CONNACK."""

    asked: Literal["auto", "5", "3.1.1"] = "auto"
    mute: int = 0
    older: bool = False

    def next(self) -> Version:
        """MQTT 5 first, 3.1.1 once after a refusal."""
        if self.asked != "auto":
            return self.asked
        older, self.older = self.older, False
        return "3.1.1" if older else "5"

    def welcomed(self) -> None:
        """A CONNACK came."""
        self.mute = 0

    def refused(self, version: Version) -> None:
        """CONNACK 0x01 or 0x84."""
        self.mute = 0
        self.older = version == "5"

    def closed(self, version: Version) -> None:
        """It closed before any CONNACK; after two running the older one is tried once."""
        self.mute = self.mute + 1 if version == "5" else 0
        if self.mute >= 2:
            self.mute, self.older = 0, True


class Subscriber:
    """Owns the store and the connection; one thread calls ``run``, any may call ``stop``."""

    def __init__(
        self,
        store: Store,
        broker: Broker,
        *,
        root: str,
        client_id: str,
        protocol: Literal["auto", "5", "3.1.1"] = "auto",
        backoff_s: tuple[float, float] = (0.5, 30.0),
    ) -> None:
        self.connected = False
        self._backoff_s = backoff_s
        self._store = store
        self._ledger = Ledger(store, root)
        self._broker = broker
        self._client_id = client_id
        self._topics = [f"{root}/+/+/{branch}" for branch in BRANCHES]
        self._protocol = Protocol(protocol)
        self._inbox: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._link: Link | None = None
        self._failures = 0
        self._deadline = time.monotonic()

    def stop(self) -> None:
        """End after what waits is committed; also from a signal handler."""
        self._inbox.put(Stop())

    def run(self) -> None:
        """Until ``stop``. Raises StoreError if the disk refuses, WorkerDied if paho's thread dies."""
        stopping = False
        while not stopping:
            self._keep_dialling()
            batch = self._batch()
            self._record([notice for notice in batch if isinstance(notice, Arrived)])
            for notice in batch:
                self._heed(notice)
            stopping = any(isinstance(notice, Stop) for notice in batch)
        self._hang_up()

    def _batch(self) -> list[Notice]:
        """What waits, at most BATCH; waits for the first one until something else is due."""
        patience = min(WAIT_S, max(0.0, self._deadline - time.monotonic()))
        batch: list[Notice] = []
        try:
            batch.append(self._inbox.get(timeout=patience))
            while len(batch) < BATCH:
                batch.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        return batch

    def _record(self, arrived: list[Arrived]) -> None:
        """One durable commit, only then the PUBACKs."""
        if not arrived:
            return
        now_ms = time.time_ns() // 1_000_000
        with self._store.transaction():
            for notice in arrived:
                self._ledger.take(Message(_topic(notice), bytes(notice.message.payload), now_ms))
            self._ledger.settle()
        for notice in arrived:
            if notice.link is self._link:
                notice.link.acknowledge(notice.message)

    def _heed(self, notice: Notice) -> None:
        if isinstance(notice, Stop) or notice.link is not self._link:
            return
        match notice:
            case Connected(reason=reason, words=words):
                self._on_connack(notice.link, reason, words)
            case Subscribed(refused=True):
                _log.error("%s does not let us read all posts' topics: correct its access rules", self._broker)
            case Ended():
                self._on_end(notice)
            case _:
                pass

    def _on_connack(self, link: Link, reason: int, words: str) -> None:
        self._protocol.welcomed()
        link.welcomed = True
        if reason < 0x80:
            _log.info("connected to %s, MQTT %s", self._broker, link.version)
            self.connected = True
            self._failures = 0
            self._deadline = float("inf")
            link.subscribe()
            return
        _log.warning("%s refuses MQTT %s: %s", self._broker, link.version, words)
        if reason in UNSUPPORTED_PROTOCOL:
            self._protocol.refused(link.version)

    def _on_end(self, notice: Ended) -> None:
        link = notice.link
        if not notice.expected:
            raise WorkerDied(f"the connection to {self._broker}: {notice.why}; see the lines above")
        if not link.welcomed:
            self._protocol.closed(link.version)
        self._wait_to_dial(notice.why)

    def _wait_to_dial(self, why: str) -> None:
        """Exponential back-off with full jitter, so that a fleet's recorders do not dial in step."""
        shortest, longest = self._backoff_s
        pause = min(longest, shortest * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1.0)
        _log.warning("no connection to %s: %s; again in %.1f s", self._broker, why, pause)
        self._failures += 1
        self._link = None
        self.connected = False
        self._deadline = time.monotonic() + pause

    def _keep_dialling(self) -> None:
        if time.monotonic() < self._deadline:
            return
        if self._link is not None:
            self._link.hang_up()
            self._wait_to_dial(f"no CONNACK within {CONNACK_WITHIN_S:.0f} s")
            return
        self._link = Link(self._broker, self._protocol.next(), self._client_id, self._topics, self._inbox)
        self._deadline = time.monotonic() + CONNACK_WITHIN_S
        self._link.start()

    def _hang_up(self) -> None:
        """A clean DISCONNECT behind the last PUBACKs; a dead line is not waited for."""
        self.connected = False
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


def _topic(notice: Arrived) -> str:
    """Brokers must refuse topics that are no UTF-8 (MQTT 5, section 1.5.4); one that does not is no trap."""
    try:
        return notice.message.topic
    except UnicodeDecodeError:
        return "(a topic that is not UTF-8)"

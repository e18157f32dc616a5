"""What the recorder does beside recording: receipts, naming gaps, noticing silence."""

import logging

from recorder.absence import AbsenceWatch
from recorder.gapwatch import GapWatch
from recorder.ledger import Settled
from recorder.line import Link, Published
from recorder.receipting import Receipting
from recorder.store import Store

_FAILURE = 0x80

_log = logging.getLogger(__name__)


class Duties:
    """Called by the loop between its transactions; all times are ``time.monotonic``."""

    def __init__(
        self, store: Store, *, receipts: bool, absent_after_s: float | None, absent_topic: str | None
    ) -> None:
        self._store = store
        self._receipting = Receipting(store) if receipts else None
        self._gaps = GapWatch(store)
        self._absence = AbsenceWatch(store, absent_after_s) if absent_after_s else None
        self._absent_topic = absent_topic
        self._outbox: list[bytes] = []
        self._refused = False

    def connected(self, now: float) -> None:
        """The broker welcomes us."""
        with self._store.snapshot():
            self._gaps.everything(now)

    def writing(self) -> None:
        """There is a connection to publish on."""
        self._refused = False
        if self._receipting:
            with self._store.snapshot():
                self._receipting.connected()

    def listening(self, now: float) -> None:
        """The broker sends us what comes."""
        if self._absence:
            with self._store.snapshot():
                self._absence.listening(now)

    def deaf(self, now: float) -> None:
        """The line is gone."""
        if self._absence:
            self._absence.deaf(now)

    def heed(self, settled: Settled, now: float) -> None:
        """After a commit."""
        with self._store.snapshot():
            self._gaps.heed(settled.touched, settled.stated, now)
            if self._receipting:
                self._receipting.heed(settled)
            if self._absence:
                self._outbox += self._absence.heed(settled.alive, now)

    def published(self, notice: Published) -> None:
        """PUBACK for something of ours; a refusal is said once a connection."""
        ours = self._receipting is not None and self._receipting.acknowledged(notice.mid)
        if notice.reason >= _FAILURE and not self._refused:
            self._refused = True
            what = "receipts" if ours else f"to {self._absent_topic}"
            _log.error("the broker does not let us write %s: correct its access rules", what)

    def work(self, link: Link | None, now: float) -> None:
        """Publish what is due; only while listening. ``link``: None while there is nothing to publish on."""
        if self.due(writing=link is not None) > now and not (self._outbox and link):
            return
        with self._store.snapshot():
            for source, chain in self._gaps.work(now):
                if self._receipting:
                    self._receipting.remind(source, chain)
            if self._absence:
                self._outbox += self._absence.work(now)
            if link:
                self._publish(link, now)
        if self._absent_topic is None:
            self._outbox.clear()

    def due(self, *, writing: bool) -> float:
        """When ``work`` has something to do."""
        parts = (self._gaps, self._absence, self._receipting if writing else None)
        return min(part.due() for part in parts if part is not None)

    def _publish(self, link: Link, now: float) -> None:
        if self._absent_topic:
            for message in self._outbox:
                link.publish(self._absent_topic, message)
            self._outbox.clear()
        if self._receipting:
            self._receipting.work(link, now)

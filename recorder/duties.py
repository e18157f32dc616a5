"""What the recorder does beside recording: receipts, asking for pictures, naming gaps, noticing silence."""

import logging
import time

from recorder.absence import AbsenceWatch
from recorder.gapwatch import GapWatch
from recorder.ledger import Settled
from recorder.line import Link, Published
from recorder.picture_asking import Asking
from recorder.picture_files import PictureFiles
from recorder.receipting import Receipting
from recorder.store import Store

_FAILURE = 0x80

_log = logging.getLogger(__name__)


class Duties:
    """Called by the loop between its transactions; all times are ``time.monotonic``.

    ``picture_grace_s``: how long an announced picture may take before it is asked for; by whoever gives receipts.
    ``pictures_per_post``: bytes that are kept of one post.
    """

    def __init__(
        self,
        store: Store,
        *,
        receipts: bool,
        absent_after_s: float | None,
        absent_topic: str | None,
        picture_grace_s: float,
        pictures_per_post: int | None,
    ) -> None:
        self._store = store
        self._receipting = Receipting(store) if receipts else None
        asking = Asking(store, PictureFiles(store.path), picture_grace_s, pictures_per_post)
        self._asking = asking if receipts else None
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

    def hears_replies(self) -> None:
        """There is a connection on which pictures and replies come, and orders go."""
        if self._asking:
            self._asking.connected(time.time_ns() // 1_000_000)

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
        if self._asking:
            self._asking.heed(settled.unasked, now)

    def published(self, notice: Published) -> None:
        """PUBACK for something of ours; a refusal is said once a connection."""
        refused = notice.reason >= _FAILURE
        ours = self._receipting is not None and self._receipting.acknowledged(
            notice.mid, refused=refused, now=time.monotonic()
        )
        if refused:
            self._say_refused("receipts" if ours else f"to {self._absent_topic}")

    def ordered(self, notice: Published) -> None:
        """PUBACK for an order of ours."""
        if notice.reason >= _FAILURE:
            self._say_refused("orders")

    def work(self, link: Link | None, pictures: Link | None, now: float) -> None:
        """Publish what is due; only while listening. None while there is nothing to publish on."""
        if pictures and self._asking:
            self._asking.work(pictures, now)
        if self._receipting:
            self._receipting.note_given(now)
        if self.due(writing=link is not None, asking=False) > now and not (self._outbox and link):
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

    def due(self, *, writing: bool, asking: bool) -> float:
        """When ``work`` has something to do."""
        parts = (
            self._gaps,
            self._absence,
            self._receipting if writing else None,
            self._asking if asking else None,
        )
        return min(part.due() for part in parts if part is not None)

    def close(self) -> None:
        """Before the end."""
        if self._receipting:
            self._receipting.note_given(float("inf"))

    def _say_refused(self, what: str) -> None:
        if not self._refused:
            self._refused = True
            _log.error("the broker does not let us write %s: correct its access rules", what)

    def _publish(self, link: Link, now: float) -> None:
        if self._absent_topic:
            for message in self._outbox:
                link.publish(self._absent_topic, message)
            self._outbox.clear()
        if self._receipting:
            self._receipting.work(link, now)

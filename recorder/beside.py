"""A connection beside the one that listens to events.

One for what the recorder publishes: its PUBACKs would have to stand in line behind a backlog of events (Mosquitto
2.0.11 sends all of it once the first PUBACKs come). One for pictures: no event waits behind them.
"""

import logging
from collections.abc import Sequence

from recorder.broker import Broker
from recorder.dialling import Backoff
from recorder.errors import WorkerDied
from recorder.line import SMALL, Bounds, Connected, Ended, Inbox, Link, Notice, Subscribed, Version

_log = logging.getLogger(__name__)


class Beside:
    """Open while the listening connection is, with the same protocol.

    ``name``: what is behind the recorder's own client id. The broker keeps nothing for it while we are away: its
    memory is for events.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        name: str,
        inbox: Inbox,
        backoff_s: tuple[float, float],
        *,
        topics: Sequence[str] = (),
        bounds: Bounds = SMALL,
    ) -> None:
        self.connected = False
        self._broker = broker
        self._name = name
        self._client_id = f"{client_id}-{name}"
        self._inbox = inbox
        self._backoff = Backoff(*backoff_s)
        self._topics = list(topics)
        self._bounds = bounds
        self._version: Version | None = None
        self._link: Link | None = None
        self._dial_at = float("inf")

    @property
    def link(self) -> Link | None:
        """To publish on; None while there is none."""
        return self._link if self.connected else None

    def open(self, version: Version, now: float) -> None:
        """The broker has welcomed the listening connection."""
        self._version, self._dial_at = version, now

    def close(self) -> None:
        """The listening connection is gone."""
        if self._link is not None:
            self._link.hang_up()
        self._link, self.connected, self._dial_at = None, False, float("inf")

    def work(self, now: float) -> None:
        """Dial if it is time."""
        if now >= self._dial_at and self._version is not None:
            self._dial_at = float("inf")
            self._link = Link(
                self._broker,
                self._version,
                self._client_id,
                self._topics,
                self._inbox,
                session_s=0,
                bounds=self._bounds,
            )
            self._link.start()

    def due(self) -> float:
        """When ``work`` has something to do."""
        return self._dial_at

    def owns(self, notice: Notice) -> bool:
        """Whether this notice is of our present connection."""
        return self._link is not None and getattr(notice, "link", None) is self._link

    def heed(self, notice: Notice, now: float) -> bool:
        """True if there is a connection from now on. Raises WorkerDied."""
        match notice:
            case Connected(link=link, reason=reason) if reason < 0x80:
                self.connected = True
                self._backoff.succeeded()
                if self._topics:
                    link.subscribe()
                return True
            case Subscribed(refused=True):
                _log.error("%s does not let us read %s: correct its access rules", self._broker, self._name)
            case Ended(why=why, expected=expected):
                if not expected:
                    raise WorkerDied(f"the connection to {self._broker}: {why}; see the lines above")
                if not self._backoff.failures:
                    _log.warning("no connection for %s to %s: %s", self._name, self._broker, why)
                self._link, self.connected = None, False
                self._dial_at = now + self._backoff.pause_s()
            case _:
                pass
        return False

"""The way to the control room: dials, falls back, keeps the window full, renews the retained messages."""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from device.config import Broker, LinkSection
from device.link.hints import Hints, Rows, kind_of
from device.link.line import EVENT_CONTENT_TYPE, MqttVersion, reason_text
from device.link.redial import Redial
from device.link.sender import FAILURE, REASON_SUCCESS, Hint, Sender
from device.readings import Connected, Delivered, Disconnected, Instant, LinkReading

CONNECT_WITHIN_MS = 20_000
STATE_AT_MOST_MS = 5_000
CLOSE_WITHIN_S = 1.0

log = logging.getLogger(__name__)


class Connection(Protocol):
    """One MQTT connection (``line.Line``)."""

    def dial(self, broker: Broker, keepalive_s: int) -> None:
        """Begin to connect."""
        ...

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, content_type: str | None = None) -> int:
        """Hand one message over; its packet identifier."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...

    def wait_closed(self, timeout_s: float) -> bool:
        """Whether all is sent and closed within ``timeout_s``."""
        ...


Dial = Callable[[int, MqttVersion], Connection]
"""Makes a connection of a generation and MQTT version."""


@dataclass
class _Call:
    """One connection from dialling on."""

    generation: int
    line: Connection
    broker: Broker
    version: MqttVersion
    since_ms: int
    up: bool = False


class Uplink:
    """Owned by the loop; every method returns at once."""

    def __init__(
        self, settings: LinkSection, hints: Hints, rows: Rows, done: int, dial: Dial, chance: random.Random
    ) -> None:
        """``done``: the journal's cursor; ``chance``: spreads the posts' calls after a broker came back."""
        self._settings = settings
        self._hints = hints
        self._rows = rows
        self._new_line = dial
        self._redial = Redial(settings, chance)
        self._sender = Sender(done)
        self._generation = 0
        self._call: _Call | None = None
        self._wanted: list[Hint] = []
        self._state_ms = 0
        self._state_of: tuple[int, int] | None = None
        self._said = ""

    @property
    def up(self) -> bool:
        """A broker is connected."""
        return self._call is not None and self._call.up

    @property
    def done(self) -> int:
        """Every event up to this position was acknowledged by a broker."""
        return self._sender.done

    def take(self, reading: LinkReading) -> None:
        """Something happened on the line; what comes from a line already given up means nothing."""
        call = self._call
        if call is None or reading.generation != call.generation:
            return
        match reading:
            case Connected():
                call.up, call.since_ms = True, reading.at.uptime_ms
                self._sender.connected(reading.receive_maximum)
                self._wanted = list(Hint)
                self._say(logging.INFO, f"connected to {call.broker} (MQTT {call.version})")
            case Delivered():
                self._acknowledged(reading)
            case Disconnected():
                self._lost(call, reading)

    def work(self, now: Instant, newest: int, holds: Callable[[], Mapping[str, Any]]) -> None:
        """Dial, publish what waits, renew the retained messages: as far as it goes now."""
        call = self._call
        if call is None:
            if now.uptime_ms >= self._redial.at_ms:
                self._dial(now)
        elif not call.up:
            if now.uptime_ms - call.since_ms >= CONNECT_WITHIN_MS:
                call.line.close()
                self._lost(call, Disconnected(now, call.generation, f"{call.broker}: no answer to CONNECT"))
        else:
            self._publish_hints(call.line, now, newest, holds)
            self._publish_rows(call.line, now)

    def due(self) -> int | None:
        """Uptime in milliseconds at which ``work`` has something to do without a reading."""
        call = self._call
        if call is None:
            return self._redial.at_ms
        if not call.up:
            return call.since_ms + CONNECT_WITHIN_MS
        hold_ms = self._sender.due()
        return self._state_due_ms() if hold_ms is None else min(hold_ms, self._state_due_ms())

    def close(self, why: str) -> None:
        """Say that the post stops, and disconnect."""
        call, self._call = self._call, None
        if call is None:
            return
        if call.up:
            call.line.publish(self._hints.topics.status, self._hints.offline(why), retain=True)
        call.line.close()
        if call.up and not call.line.wait_closed(CLOSE_WITHIN_S):
            log.warning("the line did not close within %s s", CLOSE_WITHIN_S)

    def _dial(self, now: Instant) -> None:
        self._generation += 1
        broker, version = self._redial.next()
        line = self._new_line(self._generation, version)
        self._call = _Call(self._generation, line, broker, version, now.uptime_ms)
        line.dial(broker, int(self._settings.keepalive.total_seconds()))

    def _lost(self, call: _Call, reading: Disconnected) -> None:
        self._call = None
        self._sender.disconnected()
        lasted_ms = reading.at.uptime_ms - call.since_ms if call.up else None
        self._redial.ended(reading, call.version, lasted_ms)
        self._say(logging.WARNING, reading.why)

    def _publish_hints(
        self, line: Connection, now: Instant, newest: int, holds: Callable[[], Mapping[str, Any]]
    ) -> None:
        if now.uptime_ms >= self._state_due_ms(newest) and Hint.STATE not in self._wanted:
            self._wanted.append(Hint.STATE)
        while self._wanted and self._sender.room_for_hint():
            hint = self._wanted.pop(0)
            if hint is Hint.STATE:
                self._state_ms, self._state_of = now.uptime_ms, (newest, self.done)
                payload = self._hints.state(now, self._rows, newest, self.done, holds())
            elif hint is Hint.IDENTITY:
                payload = self._hints.identity(self._rows)
            else:
                payload = self._hints.online(now)
            mid = line.publish(self._hints.topic(hint), payload, retain=True)
            self._sender.published(mid, hint)

    def _publish_rows(self, line: Connection, now: Instant) -> None:
        while (room := self._sender.room(now.uptime_ms)) > 0:
            rows = self._rows.rows(self._sender.sent, room)
            for row in rows:
                topic = self._hints.topics.event(kind_of(row.event))
                mid = line.publish(topic, row.event, content_type=EVENT_CONTENT_TYPE)
                self._sender.published(mid, row.position)
            if len(rows) < room:
                return

    def _state_due_ms(self, newest: int | None = None) -> int:
        """Uptime at which the state message is due: soon after a change, seldom without one."""
        before = self._state_of
        changed = before is None or before[1] != self.done or (newest is not None and newest != before[0])
        every_ms = STATE_AT_MOST_MS if changed else self._settings.state_every // timedelta(milliseconds=1)
        return self._state_ms + every_ms

    def _acknowledged(self, reading: Delivered) -> None:
        was_held = self._sender.held
        what = self._sender.acknowledged(reading.mid, reading.reason, reading.at.uptime_ms)
        refusal = reason_text(reading.reason)
        if isinstance(what, Hint) and reading.reason >= FAILURE:
            self._say(logging.ERROR, f"the broker refuses {self._hints.topic(what)}: {refusal}")
        elif isinstance(what, int) and reading.reason != REASON_SUCCESS:
            self._say(logging.ERROR, f"the broker does not take events: {refusal}; they wait in the journal")
        elif was_held and not self._sender.held:
            self._say(logging.INFO, "the broker takes events again")

    def _say(self, level: int, line: str) -> None:
        """Log what is new: an hour of the same failure is one line."""
        if line != self._said:
            log.log(level, "%s", line)
            self._said = line

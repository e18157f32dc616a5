"""The way to the control room: dials, falls back, keeps the window full, takes what comes in."""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from device.addresses import Broker
from device.config_link import LinkSection
from device.link.budget import Budget, packet_bytes
from device.link.call import CONNECT_WITHIN_MS, Call, Dial
from device.link.hints import Hints, Rows, kind_of
from device.link.inbound import Receipts, Replays
from device.link.line import EVENT_CONTENT_TYPE, reason_text
from device.link.notices import Notice, Notices, Truth
from device.link.orders import read_order
from device.link.redial import Redial
from device.link.sender import FAILURE, REASON_SUCCESS, Flying, Lane, Sender
from device.readings import (
    Arrived,
    Connected,
    Delivered,
    Disconnected,
    Instant,
    LinkReading,
    Reading,
    Refused,
    Replayed,
    ReplayRange,
    RuleReading,
    Trouble,
)
from device.record.journal import Sent
from device.record.journal_reader import DONE, Row

CLOSE_WITHIN_S = 1.0
PACKET_TOO_LARGE = 0x95

log = logging.getLogger(__name__)


class Uplink:
    """Owned by the loop; every method returns at once."""

    def __init__(
        self,
        settings: LinkSection,
        hints: Hints,
        rows: Rows,
        cursors: Mapping[str, int],
        dial: Dial,
        put: Callable[[Reading], None],
        chance: random.Random,
        budget: Budget,
    ) -> None:
        """``cursors``: as the journal kept them. ``chance``: spreads the posts' calls after a broker came back.

        ``budget``: counts what is sent, here and elsewhere.
        """
        self._settings = settings
        self._hints = hints
        self._rows = rows
        self._new_line = dial
        self._put = put
        self._redial = Redial(settings, chance)
        self._sender = Sender(cursors.get(DONE, 0))
        receipted = {chain: position for chain, position in cursors.items() if chain != DONE}
        self._receipts = Receipts(rows, self._sender, _ms(settings.receipt_timeout), receipted)
        self._replays = Replays(rows, self._sender)
        self._notices = Notices(hints, rows, _ms(settings.state_every))
        self._puback_within_ms = _ms(settings.keepalive) * 3 // 2
        self._budget = budget
        self._generation = 0
        self._call: Call | None = None
        self._closed_alarms: set[int] = set()
        self._newest: int | None = None
        self._refusal: str | None = None
        self._said = ""

    @property
    def up(self) -> bool:
        """A broker is connected."""
        return self._call is not None and self._call.up

    @property
    def through(self) -> tuple[Broker, str] | None:
        """The broker that is connected, and the MQTT version spoken with it."""
        return (self._call.broker, self._call.version) if self._call is not None and self._call.up else None

    @property
    def done(self) -> int:
        """Every event up to this position was acknowledged by a broker."""
        return self._sender.done

    def known(self) -> Sent:
        """What the next commit should keep."""
        return Sent(self._receipts.cursors(), frozenset(self._closed_alarms))

    def freed(self) -> int:
        """Every event up to this position is where it belongs, and is not on its way again."""
        freed = self._sender.done if self._settings.keep_until == "broker" else self._receipts.freed()
        wanted = self._sender.oldest_wanted
        return freed if wanted is None else min(freed, wanted - 1)

    def take(self, reading: LinkReading) -> Sequence[RuleReading]:
        """Something happened on the line; what comes from a line already given up means nothing."""
        call = self._call
        if call is None or reading.generation != call.generation:
            return ()
        match reading:
            case Connected():
                self._connected(call, reading)
            case Delivered():
                return self._acknowledged(reading)
            case Arrived():
                return self._arrived(call, reading)
            case Disconnected():
                self._lost(call, reading)
        return ()

    def recorded(self, ack: tuple[int, int]) -> None:
        """Acknowledge a message; one of an earlier connection will come again by itself."""
        generation, mid = ack
        if self._call is not None and self._call.up and self._call.generation == generation:
            self._call.line.acknowledge(mid)

    def reply(self, order: str, members: Mapping[str, object]) -> None:
        """Answer an order."""
        self._notices.reply(order, members)

    def replay(self, order: str, wanted: ReplayRange, now: Instant) -> None:
        """Send events again; the result comes back as ``Replayed``."""
        at_once = self._replays.begin(order, wanted)
        if at_once is not None:
            self._put(Replayed(now, order, at_once))

    def work(self, now: Instant, newest: int, holds: Callable[[], Mapping[str, Any]]) -> None:
        """Dial, publish what waits, renew the retained messages: as far as it goes now."""
        if newest != self._newest:
            self._newest = newest
            waiting = set(self._rows.alarms())
            self._closed_alarms &= waiting
            self._sender.alarm(waiting - self._closed_alarms)
        call = self._call
        if call is None:
            if now.uptime_ms >= self._redial.at_ms:
                self._dial(now)
        elif (why := call.broken(now, self._sender.oldest_ms(), self._puback_within_ms)) is not None:
            call.line.close()
            self._lost(call, Disconnected(now, call.generation, f"{call.broker}: {why}"))
        elif call.up:
            self._receipts.bound(now.uptime_ms)
            self._publish(call, now, holds)

    def due(self) -> int | None:
        """Uptime in milliseconds at which ``work`` has something to do without a reading."""
        call = self._call
        if call is None:
            return self._redial.at_ms
        if not call.up:
            return call.since_ms + CONNECT_WITHIN_MS
        state_ms = self._notices.state_due_ms(self._truth()) if self._sender.room_for_hint() else None
        due = [self._sender.due(), state_ms]
        return min((ms for ms in due if ms is not None), default=None)

    @property
    def quiet(self) -> bool:
        """Nothing waits for an acknowledgement."""
        return not self._sender.flight

    def say_goodbye(self, why: str, now: Instant) -> None:
        """The last message: the post stops, and knows it."""
        if self._call is not None and self._call.up and self._sender.room_for_hint():
            last = Notice("status", self._hints.topics.status, self._hints.offline(why), retain=True)
            self._publish_notice(self._call, last, now)

    def close(self) -> None:
        """Disconnect."""
        call, self._call = self._call, None
        if call is None:
            return
        call.line.close()
        if call.up and not call.line.wait_closed(CLOSE_WITHIN_S):
            log.warning("the line did not close within %s s", CLOSE_WITHIN_S)

    # The connection

    def _dial(self, now: Instant) -> None:
        self._generation += 1
        broker, version = self._redial.next()
        line = self._new_line(self._generation, version)
        self._call = Call(self._generation, line, broker, version, now.uptime_ms)
        line.dial(broker, int(self._settings.keepalive.total_seconds()))

    def _connected(self, call: Call, reading: Connected) -> None:
        call.connected(reading)
        self._sender.connected(reading.receive_maximum)
        self._notices.connected()
        topics = self._hints.topics
        receipts = [topics.receipt] if self._settings.keep_until == "receipt" else []
        call.line.subscribe([topics.orders, *receipts])
        self._say(logging.INFO, f"connected to {call.broker} (MQTT {call.version})")

    def _lost(self, call: Call, reading: Disconnected) -> None:
        self._call = None
        self._sender.disconnected()
        self._notices.disconnected()
        self._redial.ended(reading, call.version, call.lasted_ms(reading.at))
        self._say(logging.WARNING, reading.why)

    # What comes in

    def _arrived(self, call: Call, message: Arrived) -> Sequence[RuleReading]:
        name = self._hints.topics.order_name(message.topic)
        if name is not None:
            if not message.retained:  # an order kept by the broker for later is nobody's order for now
                return [read_order(name, message)]
        elif message.topic == self._hints.topics.receipt:
            call.line.acknowledge(message.mid)
            return self._receipts.take(message)
        call.line.acknowledge(message.mid)
        return ()

    def _acknowledged(self, reading: Delivered) -> Sequence[RuleReading]:
        flying = self._sender.acknowledged(reading.mid, reading.reason, reading.at.uptime_ms)
        self._notices.acknowledged(reading.mid)
        if flying is None:
            return ()
        if flying.lane is Lane.HINT:
            if reading.reason >= FAILURE:
                self._say(logging.ERROR, f"the broker refuses a retained message: {reason_text(reading.reason)}")
            return ()
        if reading.reason != REASON_SUCCESS:
            return self._refused(reading.at, reading.reason)
        if self._refusal is not None and not self._sender.held:
            self._refusal = None
            self._say(logging.INFO, "the broker takes events again")
        return self._taken(flying, reading.at)

    def _taken(self, flying: Flying, at: Instant) -> Sequence[RuleReading]:
        if flying.lane is Lane.ALARM:
            self._closed_alarms.add(flying.position)
            return ()
        self._receipts.acknowledged.note(flying.position, at.uptime_ms)
        if flying.lane is Lane.AGAIN:
            return [Replayed(at, order, reply) for order, reply in self._replays.sent(flying.position)]
        return ()

    def _refused(self, at: Instant, reason: int) -> Sequence[RuleReading]:
        """One event for a time of refusals, however often it is tried again."""
        why = f"the broker does not take events: {reason_text(reason)}; they wait in the journal"
        self._say(logging.ERROR, why)
        told, self._refusal = self._refusal, why
        return [Refused(at, Trouble.BROKER, why)] if told is None else ()

    # What goes out

    def _publish(self, call: Call, now: Instant, holds: Callable[[], Mapping[str, Any]]) -> None:
        now_ms = now.uptime_ms
        for position in self._sender.next_alarms(now_ms):
            self._publish_rows(call, Lane.ALARM, self._rows.rows(position - 1, 1), now)
        self._publish_notices(call, now, holds)
        while (room := self._sender.live_room(now_ms)) > 0:
            rows = self._rows.rows(self._sender.sent, room)
            if not self._publish_rows(call, Lane.LIVE, rows, now) or len(rows) < room:
                break
        for position in self._sender.next_again(now_ms):
            self._publish_rows(call, Lane.AGAIN, self._rows.rows(position - 1, 1), now)

    def _publish_rows(self, call: Call, lane: Lane, rows: Sequence[Row], now: Instant) -> bool:
        """Whether all of them went out: a row that the broker's packets cannot hold pauses its lane."""
        for row in rows:
            kind = kind_of(row.event)
            topics = self._hints.topics
            topic = topics.alarm(kind) if lane is Lane.ALARM else topics.event(kind)
            content_type = EVENT_CONTENT_TYPE if call.version == "5" else ""
            size = packet_bytes(topic, row.event, content_type)
            if not call.takes(size):
                self._sender.refuse(lane, now.uptime_ms)
                for reading in self._refused(now, PACKET_TOO_LARGE):
                    self._put(reading)
                return False
            mid = call.line.publish(topic, row.event, content_type=EVENT_CONTENT_TYPE)
            self._sender.published(mid, lane, row.position, now.uptime_ms)
            self._budget.spend(lane.value if lane is not Lane.LIVE else "event", size, now)
        return True

    def _publish_notices(self, call: Call, now: Instant, holds: Callable[[], Mapping[str, Any]]) -> None:
        truth = self._truth()
        self._notices.renew(now, truth)

        def holds_here() -> dict[str, Any]:
            return {**holds(), **self._line_holds(now)}

        while self._sender.room_for_hint():
            if (notice := self._notices.next(now, truth, holds_here)) is None:
                break
            self._publish_notice(call, notice, now)

    def _publish_notice(self, call: Call, notice: Notice, now: Instant) -> None:
        size = packet_bytes(notice.topic, notice.payload)
        if not call.takes(size):
            self._say(logging.ERROR, f"{notice.kind} is not sent: the broker takes {call.largest} bytes at once")
            return
        mid = call.line.publish(notice.topic, notice.payload, retain=notice.retain)
        self._notices.published(mid, notice)
        self._sender.published(mid, Lane.HINT, 0, now.uptime_ms)
        self._budget.spend(notice.kind, size, now)

    def _line_holds(self, now: Instant) -> dict[str, Any]:
        held: dict[str, Any] = {"bytes": self._budget.today(now)}
        return held if self._refusal is None else {**held, "refused": self._refusal}

    def _truth(self) -> Truth:
        return Truth(self._newest, self.done, self._refusal)

    def _say(self, level: int, line: str) -> None:
        """Log what is new: an hour of the same failure is one line."""
        if line != self._said:
            log.log(level, "%s", line)
            self._said = line


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)

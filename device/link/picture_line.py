"""The pictures' own way to the broker: a second MQTT connection, paced, with one picture on it at a time."""

import logging
import random
from dataclasses import dataclass
from typing import NamedTuple

from device.addresses import Broker
from device.link.budget import Budget, packet_bytes
from device.link.call import Call
from device.link.line import Access, Inbox, Line, MqttVersion, reason_text
from device.link.pacing import DEAD_AFTER_MS, PiecemealClient, paced
from device.link.sender import REASON_SUCCESS
from device.link.topics import Topics
from device.readings import Clock, Connected, Delivered, Disconnected, Instant, LinkReading

IDLE_MS = 60_000
FIRST_PAUSE_MS = 1_000
LONGEST_PAUSE_MS = 900_000
"""A picture that is refused costs a metered line its whole length each time."""
KEEPALIVE_S = 3_600
"""paho hears nothing, and some brokers hear no whole packet, while one picture takes minutes."""
NO_SUBSCRIBERS = 0x10
SLOWEST = 500
"""Bytes a second: where a line is slower, it looks as if the broker did not answer."""
_LENGTH_GROWS = 3
"""The remaining length takes one byte of an empty packet, and at most four (MQTT 5, section 1.5.5)."""

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """What became of the picture on the line. ``reason``: the PUBACK's; None where the line broke."""

    reason: int | None


@dataclass
class _Call(Call):
    """``mid``: of the picture that is on its way; its PUBACK is waited for until ``answer_ms``."""

    line: Line
    mid: int | None = None
    answer_ms: int = 0


class PictureLine:
    """Used by one thread, which gives it the readings that it puts into ``inbox``."""

    def __init__(
        self, access: Access, topics: Topics, rate: int, inbox: Inbox, clock: Clock, budget: Budget
    ) -> None:
        """``rate``: bytes a second. ``access``: with a client id of its own."""
        self._budget = budget
        self._access = access
        self._topics = topics
        self._rate = rate
        self._inbox = inbox
        self._clock = clock
        self._chance = random.Random()
        self._call: _Call | None = None
        self._generation = 0
        self._through: tuple[Broker, str] | None = None
        self._failures = 0
        self._pause_ms = 0
        self._unheard = False
        self._said = ""

    @property
    def busy(self) -> bool:
        """A picture is on its way."""
        return self._call is not None and self._call.mid is not None

    def ready(self, now: Instant) -> bool:
        """A picture can be sent."""
        return self._call is not None and self._call.up and not self.busy and now.uptime_ms >= self._pause_ms

    @property
    def most_bytes(self) -> int | None:
        """How long a picture may be, as far as the broker has said; None for any length."""
        if self._call is None or self._call.largest is None:
            return None
        return self._call.largest - packet_bytes(self._topics.picture("0" * 64), b"") - _LENGTH_GROWS

    def send(self, sha256: str, content: bytes, now: Instant) -> None:
        """Hand a picture over, on a line that is ready; what becomes of it comes back from ``take`` or ``work``."""
        assert self._call is not None
        topic = self._topics.picture(sha256)
        self._call.mid = self._call.line.publish(topic, content)
        self._budget.spend("picture", packet_bytes(topic, content), now)
        self._call.since_ms = now.uptime_ms
        self._call.answer_ms = now.uptime_ms + DEAD_AFTER_MS + len(content) * 1_000 // SLOWEST

    def somebody_listens(self, now: Instant) -> None:
        """A pause that was made since nobody did is over."""
        if self._unheard:
            self._afresh(now)

    def take(self, reading: LinkReading) -> Answer | None:
        """Something happened on the line."""
        call = self._call
        if call is None or reading.generation != call.generation:
            return None
        match reading:
            case Connected():
                call.connected(reading)
                self._say(logging.INFO, f"pictures: connected to {call.broker} (MQTT {call.version})")
            case Delivered() if reading.mid == call.mid:
                call.mid, call.since_ms = None, reading.at.uptime_ms
                self._unheard = reading.reason == NO_SUBSCRIBERS
                if reading.reason == REASON_SUCCESS:
                    self._failures = 0
                else:
                    self._failed(reading.at, f"the broker does not take pictures: {reason_text(reading.reason)}")
                return Answer(reading.reason)
            case Disconnected():
                return self._lost(reading.at, reading.why)
        return None

    def work(self, now: Instant, through: tuple[Broker, str] | None, wanted: bool) -> Answer | None:
        """Dial, or let go. ``through``: as ``uplink.Uplink`` has it. ``wanted``: a picture waits."""
        if through != self._through:
            self._through = through
            if through is not None:
                self._afresh(now)
        call = self._call
        if call is None:
            if wanted and through is not None and now.uptime_ms >= self._pause_ms:
                self._dial(now, *through)
            return None
        if (why := self._broken(call, now)) is not None:
            call.line.cut()
            return self._lost(now, f"{call.broker}: {why}")
        if call.up and call.mid is None and now.uptime_ms - call.since_ms >= IDLE_MS:
            self.close()
        return None

    def close(self) -> None:
        """Let go; what is on its way goes again on another day."""
        call, self._call = self._call, None
        if call is not None:
            call.line.close() if call.mid is None else call.line.cut()

    def _dial(self, now: Instant, broker: Broker, version: str) -> None:
        self._generation += 1
        spoken: MqttVersion = "5" if version == "5" else "3.1.1"
        line = Line(
            self._generation,
            spoken,
            self._access,
            None,
            self._inbox,
            self._clock,
            session=False,
            client=PiecemealClient,
            opened=paced(self._rate),
        )
        self._call = _Call(self._generation, line, broker, spoken, now.uptime_ms)
        line.dial(broker, KEEPALIVE_S)

    def _broken(self, call: _Call, now: Instant) -> str | None:
        """Why a connection has to be given up though nothing said that it ended."""
        if self._through is not None and (call.broker, call.version) != self._through:
            return "events go elsewhere now"
        if (why := call.broken(now, None, 0)) is not None:
            return why
        return "no PUBACK for a picture" if call.mid is not None and now.uptime_ms >= call.answer_ms else None

    def _lost(self, at: Instant, why: str) -> Answer | None:
        on_its_way = self.busy
        self._call = None
        if on_its_way:
            self._unheard = False
        elif at.uptime_ms < self._pause_ms:
            return None  # an idle line has ended: the pause goes on as it was
        self._failed(at, why)
        return Answer(None) if on_its_way else None

    def _afresh(self, now: Instant) -> None:
        """What failed before counts no more."""
        self._failures, self._pause_ms, self._unheard = 0, now.uptime_ms, False

    def _failed(self, at: Instant, why: str) -> None:
        longest_ms = min(FIRST_PAUSE_MS << min(self._failures, 16), LONGEST_PAUSE_MS)
        self._failures += 1
        self._pause_ms = at.uptime_ms + round(self._chance.uniform(0.5, 1.0) * longest_ms)
        self._say(logging.WARNING, f"pictures: {why}")

    def _say(self, level: int, line: str) -> None:
        """Log what is new: an hour of the same failure is one line."""
        if line != self._said:
            log.log(level, "%s", line)
            self._said = line

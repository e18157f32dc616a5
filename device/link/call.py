"""One connection to a broker, from dialling to its end: what it can carry, and when it has to be given up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from device.addresses import Broker
from device.link.line import MqttVersion
from device.readings import Connected, Instant

CONNECT_WITHIN_MS = 20_000


class Connection(Protocol):
    """One MQTT connection (``line.Line``)."""

    def dial(self, broker: Broker, keepalive_s: int) -> None:
        """Begin to connect."""
        ...

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, content_type: str | None = None) -> int:
        """Hand one message over; its packet identifier."""
        ...

    def subscribe(self, topics: Sequence[str]) -> None:
        """Ask for messages."""
        ...

    def acknowledge(self, mid: int) -> None:
        """PUBACK a message that arrived."""
        ...

    @property
    def alive(self) -> bool:
        """Whether its network thread runs."""
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
class Call:
    """A connection. ``since_ms``: dialled or, once it is ``up``, connected, by the uptime.

    ``largest``: packet in bytes that the broker takes, None for any.
    """

    generation: int
    line: Connection
    broker: Broker
    version: MqttVersion
    since_ms: int
    up: bool = False
    largest: int | None = None

    def connected(self, reading: Connected) -> None:
        """The broker took it."""
        self.up, self.since_ms, self.largest = True, reading.at.uptime_ms, reading.maximum_packet

    def takes(self, size: int) -> bool:
        """Whether the broker takes a packet of so many bytes: of a larger one it would hang up."""
        return self.largest is None or size <= self.largest

    def broken(self, now: Instant, oldest_ms: int | None, longest_ms: int) -> str | None:
        """Why it has to be given up though nothing said that it ended.

        ``oldest_ms``: when what waits longest for its PUBACK went out; ``longest_ms``: so long it may.
        """
        if not self.up:
            silent = now.uptime_ms - self.since_ms >= CONNECT_WITHIN_MS
            return "no answer to CONNECT" if silent else None
        if not self.line.alive:
            return "its network thread has ended"
        if oldest_ms is not None and now.uptime_ms - oldest_ms >= longest_ms:
            return f"no PUBACK for {longest_ms // 1000} s"
        return None

    def lasted_ms(self, now: Instant) -> int | None:
        """How long it was connected; None where it never was."""
        return now.uptime_ms - self.since_ms if self.up else None

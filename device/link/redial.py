"""When to dial which broker with which MQTT version: back-off with jitter, and the fall-back to 3.1.1."""

import random

from device.addresses import Broker
from device.config_link import LinkSection
from device.link.line import MqttVersion
from device.readings import Disconnected

FIRST_WAIT_MS = 500
LONGEST_WAIT_MS = 60_000
STEADY_MS = 10_000
"""A connection that lasted this long starts the waits anew when it ends."""
MUTE_CLOSES = 2
"""Closed this often running without a CONNACK: a broker that knows only 3.1.1 may answer MQTT 5 like that."""


class Redial:
    """``at_ms``: uptime of the next attempt."""

    def __init__(self, settings: LinkSection, chance: random.Random) -> None:
        """Dial the first broker at once."""
        self.at_ms = 0
        self._brokers = settings.brokers
        self._pinned: MqttVersion | None = None if settings.protocol == "auto" else settings.protocol
        if settings.keep_until == "broker":
            self._pinned = "5"  # 3.1.1 acknowledges what it refuses
        self._chance = chance
        self._index = 0
        self._failures = 0
        self._mute = 0
        self._version: MqttVersion = self._pinned or "5"

    def next(self) -> tuple[Broker, MqttVersion]:
        """Whom to dial, and how."""
        return self._brokers[self._index], self._version

    def ended(self, reading: Disconnected, version: MqttVersion, lasted_ms: int | None) -> None:
        """A call ended. ``lasted_ms``: how long it was up, None where it never was."""
        now_ms = reading.at.uptime_ms
        if self._older_version_next(reading, version):
            self._version, self._mute, self.at_ms = "3.1.1", 0, now_ms
            return
        self._version = self._pinned or "5"
        if lasted_ms is None:
            if not reading.mute:
                self._mute = 0
            if not reading.mute or self._pinned is not None or version != "5":
                self._index = (self._index + 1) % len(self._brokers)
        elif lasted_ms >= STEADY_MS:
            self._index = self._mute = 0
        else:  # a broker that accepts and drops at once must not keep the post from the next one
            self._index = (self._index + 1) % len(self._brokers)
            self._mute = 0
        self._failures = 0 if lasted_ms is not None and lasted_ms >= STEADY_MS else self._failures + 1
        longest_ms = min(FIRST_WAIT_MS * 2 ** min(self._failures, 16), LONGEST_WAIT_MS)
        self.at_ms = now_ms + round(self._chance.uniform(0.5, 1.0) * longest_ms)

    def _older_version_next(self, reading: Disconnected, version: MqttVersion) -> bool:
        """MQTT 5 is tried first on every connect; one try with 3.1.1 follows where it seems not to be known."""
        if self._pinned is not None or version != "5":
            return False
        self._mute += reading.mute
        return reading.speaks_other or self._mute >= MUTE_CLOSES

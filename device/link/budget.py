"""Bytes sent, by kind and day: what a metered line costs."""

import threading
from collections import Counter

from device.readings import Instant

_DAY_MS = 86_400_000


class Budget:
    """Counts MQTT bytes of one UTC day; events and pictures are sent by threads of their own."""

    def __init__(self) -> None:
        """Nothing sent yet."""
        self._lock = threading.Lock()
        self._day = 0
        self._spent: Counter[str] = Counter()

    def spend(self, kind: str, size: int, now: Instant) -> None:
        """``size`` bytes went out for ``kind``."""
        day = now.wall_ms // _DAY_MS
        with self._lock:
            if day != self._day:
                self._day = day
                self._spent.clear()
            self._spent[kind] += size

    def today(self, now: Instant) -> dict[str, int]:
        """Bytes of this UTC day by kind."""
        with self._lock:
            return dict(self._spent) if now.wall_ms // _DAY_MS == self._day else {}


def packet_bytes(topic: str, payload: bytes, content_type: str = "") -> int:
    """Bytes of a QoS 1 PUBLISH (MQTT 5, section 3.3): headers, topic, identifier, properties, payload."""
    properties = 1 + (3 + len(content_type) if content_type else 0)
    remaining = 2 + len(topic.encode()) + 2 + properties + len(payload)
    length_bytes = 1 + (remaining > 127) + (remaining > 16_383) + (remaining > 2_097_151)
    return 1 + length_bytes + remaining

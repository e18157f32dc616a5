"""When to dial, and with which MQTT, purely."""

import random
from dataclasses import dataclass
from typing import Literal

from recorder.line import Version


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


class Backoff:
    """Exponential, with jitter, so that a fleet's recorders do not dial in step."""

    def __init__(self, shortest_s: float, longest_s: float) -> None:
        self._shortest_s = shortest_s
        self._longest_s = longest_s
        self.failures = 0

    def pause_s(self) -> float:
        """One more failure: how long to wait after it."""
        doubled = self._shortest_s * float(1 << min(self.failures, 10))
        self.failures += 1
        return min(self._longest_s, doubled) * random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """The next pause is a short one."""
        self.failures = 0

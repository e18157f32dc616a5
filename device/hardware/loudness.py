"""How loud the buzzer is by day and by night, pure."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo

from device.readings import Instant


@dataclass(frozen=True, slots=True)
class Loudness:
    """``day``, ``night``: percent of all that the buzzer can. ``hours``: from when until when it is night."""

    day: int = 100
    night: int = 100
    hours: tuple[time, time] | None = None
    timezone: tzinfo = UTC

    def percent(self, now: Instant) -> int:
        """What holds now. A post that does not know the time takes it for day: rather loud than not heard."""
        if self.hours is None or now.clock == "unsynced":
            return self.day
        local = datetime.fromtimestamp(now.wall_ms // 1_000, self.timezone).time()
        begins, ends = self.hours
        is_night = begins <= local < ends if begins < ends else local >= begins or local < ends
        return self.night if is_night else self.day


def duty(percent: int) -> float:
    """The duty cycle of a square wave whose fundamental has ``percent`` of its amplitude at one half.

    The fundamental of a pulse train of duty d is proportional to sin(pi d), from its Fourier series.
    """
    return math.asin(percent / 100) / math.pi

"""Switches that bounce: every change is a burst of edges in real time before the contact rests."""

import random
import threading
import time
from collections.abc import Callable

SHORTEST_S, LONGEST_S = 0.001, 0.030
REST_S = 0.06
"""No hand moves a door or button back sooner; the device's debounce wants 40 ms."""
_MOST_BOUNCES = 8
_HALF_WAVE_S = 0.01
_APART_S = (0.0001, 0.0005)  # how long a contact springs back at a time


class Switch:
    """A contact between a pin and ground: closed is low."""

    def __init__(self, hold: Callable[[bool], None], closed: bool, seed: int | str) -> None:
        """``hold`` sets the pin's level; ``seed`` makes the bounces of this switch repeatable."""
        self._hold = hold
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._closed = closed
        self._rests_s = 0.0
        self._hum: threading.Thread | None = None
        self._quiet = threading.Event()
        hold(not closed)

    def hum(self, on: bool) -> None:
        """Its line picks up the mains, or is quiet again: an edge every 10 ms (IEC 60038: 50 Hz)."""
        if self._hum is not None:
            self._quiet.set()
            self._hum.join()
            self._hum = None
        if on:
            self._quiet.clear()
            self._hum = threading.Thread(target=self._swing, name="hum", daemon=True)
            self._hum.start()

    def _swing(self) -> None:
        level = self._closed
        while not self._quiet.wait(_HALF_WAVE_S):
            self._hold(level)
            level = not level
        self._hold(not self._closed)

    @property
    def closed(self) -> bool:
        """Where it rests, or is going."""
        return self._closed

    def move(self, closed: bool) -> None:
        """Close or open it; returns once it rests. One that is there already does not move."""
        with self._lock:
            if closed == self._closed:
                return
            time.sleep(max(0.0, self._rests_s + REST_S - time.monotonic()))
            self._closed = closed
            for touch_s in self._touches():
                self._hold(not closed)
                time.sleep(touch_s)
                self._hold(closed)
                time.sleep(self._random.uniform(*_APART_S))
            self._hold(not closed)
            self._rests_s = time.monotonic()

    def _touches(self) -> list[float]:
        """How long each touch lasts before the contact springs back; the whole burst lasts 1 to 30 ms."""
        bounces = self._random.randint(1, _MOST_BOUNCES)
        weights = [self._random.random() + 0.1 for _ in range(bounces)]
        length_s = self._random.uniform(SHORTEST_S, LONGEST_S - bounces * _APART_S[1])
        return [length_s * weight / sum(weights) for weight in weights]

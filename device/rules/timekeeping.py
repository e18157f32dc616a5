"""The clock watched: a change of its state, or a step of the wall clock against the uptime, is an event."""

from collections.abc import Mapping
from typing import Any

from device.events import ClockChanged, Draft
from device.readings import ClockState, Instant, Started
from device.rules.rule import Cause, Due, State, Step

LOOK_EVERY_MS = 1_000
STEP_MS = 250
"""Wall time minus uptime changes by steps alone, since the kernel slews both clocks; reading the two makes it
wrong by a few milliseconds. Steps too small to be told add up until they are."""


class TimekeepingState(State):
    """``offset_ms``: wall time minus uptime, up to the last step told. ``looked_ms``: uptime of the last look."""

    clock: ClockState | None = None
    offset_ms: int | None = None
    looked_ms: int | None = None


class TimekeepingRule:
    """Looks at the clock every second."""

    name = "timekeeping"
    initial = TimekeepingState()

    def step(self, state: TimekeepingState, cause: Cause, now: Instant) -> Step[TimekeepingState]:
        """Decide one cause."""
        match cause:
            case Started(same_boot=True):
                return self._look(state, now)
            case Started():
                # Every boot begins with a clock event: what is later found out about the time dates it all.
                return self._look(TimekeepingRule.initial, now)
            case Due() if state.looked_ms is not None and now.uptime_ms - state.looked_ms >= LOOK_EVERY_MS:
                return self._look(state, now)
            case _:
                return Step(state)

    def due(self, state: TimekeepingState) -> int | None:
        """A second after the last look."""
        return None if state.looked_ms is None else state.looked_ms + LOOK_EVERY_MS

    def holds(self, state: TimekeepingState) -> Mapping[str, Any]:
        """``clock``: its state."""
        return {"clock": state.clock}

    def _look(self, state: TimekeepingState, now: Instant) -> Step[TimekeepingState]:
        offset_ms = now.wall_ms - now.uptime_ms
        stepped_ms = 0 if state.offset_ms is None else offset_ms - state.offset_ms
        step_ms = stepped_ms if abs(stepped_ms) >= STEP_MS else 0
        if step_ms == 0 and now.clock == state.clock:
            return Step(state.model_copy(update={"looked_ms": now.uptime_ms}))
        data = ClockChanged(state=now.clock, error_ms=now.error_ms, step_ms=step_ms)
        told_ms = offset_ms if step_ms or state.offset_ms is None else state.offset_ms
        after = TimekeepingState(clock=now.clock, offset_ms=told_ms, looked_ms=now.uptime_ms)
        return Step(after, (Draft(subject="post", data=data),))

"""The clock watched: a change of its state, or a step of the wall clock against the uptime, is an event."""

from collections.abc import Mapping
from typing import Any

from device.events import ClockChanged, Draft
from device.readings import ClockState, Instant, Started
from device.rules.rule import Cause, Due, State, Step

LOOK_EVERY_MS = 1_000
STEP_MS = 250
"""More than slewing (500 ppm) and the reading itself can move the wall clock within ``LOOK_EVERY_MS``."""


class TimekeepingState(State):
    """``offset_ms``: wall time minus uptime when last looked at, at uptime ``looked_ms``."""

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
            case Started(same_boot=same_boot):
                return self._look(state, now, may_step=same_boot)
            case Due() if state.looked_ms is not None and now.uptime_ms - state.looked_ms >= LOOK_EVERY_MS:
                return self._look(state, now, may_step=True)
            case _:
                return Step(state)

    def due(self, state: TimekeepingState) -> int | None:
        """A second after the last look."""
        return None if state.looked_ms is None else state.looked_ms + LOOK_EVERY_MS

    def holds(self, state: TimekeepingState) -> Mapping[str, Any]:
        """``clock``: its state."""
        return {"clock": state.clock}

    def _look(self, state: TimekeepingState, now: Instant, may_step: bool) -> Step[TimekeepingState]:
        offset_ms = now.wall_ms - now.uptime_ms
        stepped_ms = offset_ms - state.offset_ms if may_step and state.offset_ms is not None else 0
        after = TimekeepingState(clock=now.clock, offset_ms=offset_ms, looked_ms=now.uptime_ms)
        if abs(stepped_ms) < STEP_MS and now.clock == state.clock:
            return Step(after)
        step_ms = stepped_ms if abs(stepped_ms) >= STEP_MS else 0
        data = ClockChanged(state=now.clock, error_ms=now.error_ms, step_ms=step_ms)
        return Step(after, (Draft(subject="post", data=data),))

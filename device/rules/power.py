"""Power: mains lost and back, a supply that is too weak; without mains for long enough, a clean stop."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from device.effects import PowerOff
from device.events import Draft, Power
from device.readings import UNDERVOLTAGE, Instant, MainsChanged, Started, Vitals
from device.rules.rule import Cause, Due, State, Step

TOLD_AT_MOST_MS = 60_000
"""Mains that come and go, or a supply at its limit, make two events a minute at most: what is lost and what is back
are told at once, and if it is lost again so soon, that waits and is counted."""

What = Literal["mains", "supply"]


class Side(State):
    """Mains or supply. ``ok``: what holds. ``changes``: since it was last told.

    ``since_ms``, ``told_ms``: uptimes of the last change and of when it was last told; None for an earlier boot.
    """

    ok: bool = True
    why: str = ""
    since_ms: int | None = None
    changes: int = 0
    told_ms: int | None = None

    @property
    def due_ms(self) -> int | None:
        """When to tell it."""
        if not self.changes:
            return None
        if self.told_ms is None or (self.ok and self.changes == 1):
            return 0
        return self.told_ms + TOLD_AT_MOST_MS

    def heard(self, ok: bool, why: str, now: Instant) -> "Side":
        """What is heard of it."""
        if ok == self.ok:
            return self
        changes = {"ok": ok, "why": why, "since_ms": now.uptime_ms, "changes": self.changes + 1}
        return self.model_copy(update=changes)

    def told(self, what: What, now: Instant) -> "tuple[Side, tuple[Draft, ...]]":
        """An event, if it is due."""
        if (due_ms := self.due_ms) is None or now.uptime_ms < due_ms:
            return self, ()
        told = self.model_copy(update={"changes": 0, "told_ms": now.uptime_ms})
        return told, (Draft(subject="post", data=Power(what=what, ok=self.ok, why=self._why(now))),)

    def _why(self, now: Instant) -> str:
        """An event that had to wait says when it was so."""
        when = counted = ""
        if self.since_ms is None:
            when = " before this start"
        elif ago_s := (now.uptime_ms - self.since_ms) // 1000:
            when = f" {ago_s} s ago"
        if self.changes > 1:
            counted = f"; changed {self.changes} times since this was last told"
        return self.why + when + counted


class Machine(State):
    """What the machine last told of itself, as in ``readings.Vitals``."""

    temperature_c: float | None = None
    undervoltage: bool | None = None
    throttled: bool | None = None
    disk_free: int | None = None
    disk_size: int | None = None


class PowerState(State):
    """``lost_ms``: uptime since when there are no mains. ``wired``: the UPS line has told something."""

    mains: Side = Field(default_factory=Side)
    supply: Side = Field(default_factory=Side)
    wired: bool = False
    lost_ms: int | None = None
    machine: Machine = Field(default_factory=Machine)


class PowerRule:
    """Turns the UPS line and the machine's vitals into ``power`` events."""

    name = "power"
    initial = PowerState()

    def __init__(self, stop_after_ms: int | None) -> None:
        """``stop_after_ms``: how long the post goes on without mains; None for as long as it can."""
        self._stop_after_ms = stop_after_ms

    def step(self, state: PowerState, cause: Cause, now: Instant) -> Step[PowerState]:
        """Decide one cause."""
        match cause:
            case Started(same_boot=same_boot):
                return Step(_started(state, same_boot))
            case MainsChanged(on=on):
                mains = state.mains.heard(on, "mains came back" if on else "mains were lost", now)
                lost_ms = None if on else now.uptime_ms if state.lost_ms is None else state.lost_ms
                return self._tell(state.model_copy(update={"mains": mains, "wired": True, "lost_ms": lost_ms}), now)
            case Vitals():
                return self._tell(_looked(state, cause, now), now)
            case Due():
                return self._tell(state, now)
            case _:
                return Step(state)

    def due(self, state: PowerState) -> int | None:
        """When something is to be told, or the post has been without mains for too long."""
        dues = (state.mains.due_ms, state.supply.due_ms, self._stop_ms(state))
        return min((due for due in dues if due is not None), default=None)

    def holds(self, state: PowerState) -> Mapping[str, Any]:
        """Members of ``health``."""
        return {"health": {**state.machine.model_dump(), "mains": state.mains.ok if state.wired else None}}

    def _stop_ms(self, state: PowerState) -> int | None:
        if state.lost_ms is None or self._stop_after_ms is None:
            return None
        return state.lost_ms + self._stop_after_ms

    def _tell(self, state: PowerState, now: Instant) -> Step[PowerState]:
        mains, of_mains = state.mains.told("mains", now)
        supply, of_supply = state.supply.told("supply", now)
        if of_mains or of_supply:
            state = state.model_copy(update={"mains": mains, "supply": supply})
        stop_ms = self._stop_ms(state)
        if stop_ms is None or now.uptime_ms < stop_ms:
            return Step(state, of_mains + of_supply)
        assert state.lost_ms is not None
        why = f"no mains for {(now.uptime_ms - state.lost_ms) // 1000} s"
        return Step(state.model_copy(update={"lost_ms": None}), of_mains + of_supply, (PowerOff(why),))


def _started(state: PowerState, same_boot: bool) -> PowerState:
    """What the machine told before is old; uptimes of an earlier boot mean nothing in this one."""
    if same_boot:
        return state.model_copy(update={"machine": Machine(), "wired": False})
    mains, supply = (
        side.model_copy(update={"since_ms": None, "told_ms": None}) for side in (state.mains, state.supply)
    )
    return PowerState(mains=mains, supply=supply)


def _looked(state: PowerState, seen: Vitals, now: Instant) -> PowerState:
    """Throttling alone is no matter of power: a hot processor is throttled too."""
    supply = state.supply
    if seen.undervoltage is not None:
        why = UNDERVOLTAGE if seen.undervoltage else "the voltage is right again"
        supply = supply.heard(not seen.undervoltage, why, now)
    machine = Machine(
        temperature_c=seen.temperature_c,
        undervoltage=seen.undervoltage,
        throttled=seen.throttled,
        disk_free=seen.disk_free,
        disk_size=seen.disk_size,
    )
    return state.model_copy(update={"supply": supply, "machine": machine})

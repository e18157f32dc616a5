"""Doors: opened, closed, held open too long, forced where a check-in has to come first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from device.events import Checkin, Door, Draft, rfc3339
from device.readings import ContactChanged, Instant, Started
from device.rules.rule import Cause, Due, Numbered, State, Step


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """``held_after_ms``: how long a door may stand open. ``checkin_within_ms``: how old the check-in may be
    that an opening needs; None where it needs none.
    """

    name: str
    held_after_ms: int
    checkin_within_ms: int | None


class OpenDoor(State):
    """``since``: RFC 3339, None where the opening was not seen. ``held_ms``: uptime at which it is held."""

    since: str | None
    held_ms: int | None


class DoorsState(State):
    """``open``: the doors that stand open. ``checkin_ms``: uptime of the last check-in that lets someone in."""

    open: dict[str, OpenDoor] = Field(default_factory=dict)
    checkin_ms: int | None = None


class DoorsRule:
    """Turns contacts into ``door`` events."""

    name = "doors"
    initial = DoorsState()

    def __init__(self, doors: Sequence[DoorLimits]) -> None:
        """The doors of this post."""
        self._doors = {door.name: door for door in doors}

    def step(self, state: DoorsState, cause: Cause, now: Instant) -> Step[DoorsState]:
        """Decide one cause."""
        match cause:
            case ContactChanged(contact=name, open=True) if name in self._doors and name not in state.open:
                return self._opened(state, self._doors[name], cause.at_start, now)
            case ContactChanged(contact=name, open=False) if name in state.open:
                return self._closed(state, name)
            case Numbered(draft=Draft(data=Checkin(verdict="accepted" | "repeated"))):
                return Step(state.model_copy(update={"checkin_ms": now.uptime_ms}))
            case Due():
                return self._held(state, now)
            case Started():
                return Step(self._started(state, cause.same_boot, now))
            case _:
                return Step(state)

    def due(self, state: DoorsState) -> int | None:
        """When the next open door is held."""
        return min((door.held_ms for door in state.open.values() if door.held_ms is not None), default=None)

    def holds(self, state: DoorsState) -> Mapping[str, Any]:
        """``doors``: name to open or closed."""
        return {"doors": {name: "open" if name in state.open else "closed" for name in self._doors}}

    def _opened(self, state: DoorsState, door: DoorLimits, unseen: bool, now: Instant) -> Step[DoorsState]:
        within, last = door.checkin_within_ms, state.checkin_ms
        # An opening that was not seen may have had its check-in: it is never called forced.
        forced = not unseen and within is not None and (last is None or now.uptime_ms - last > within)
        since = None if unseen else rfc3339(now.wall_ms)
        opened = OpenDoor(since=since, held_ms=now.uptime_ms + door.held_after_ms)
        data = Door(door=door.name, change="forced" if forced else "opened", since=since)
        after = state.model_copy(update={"open": {**state.open, door.name: opened}})
        return Step(after, (Draft(subject=door.name, data=data),))

    def _closed(self, state: DoorsState, name: str) -> Step[DoorsState]:
        data = Door(door=name, change="closed", since=state.open[name].since)
        still_open = {other: door for other, door in state.open.items() if other != name}
        return Step(state.model_copy(update={"open": still_open}), (Draft(subject=name, data=data),))

    def _held(self, state: DoorsState, now: Instant) -> Step[DoorsState]:
        after, drafts = dict(state.open), []
        for name, door in state.open.items():
            if door.held_ms is not None and door.held_ms <= now.uptime_ms:
                after[name] = door.model_copy(update={"held_ms": None})
                drafts.append(Draft(subject=name, data=Door(door=name, change="held", since=door.since)))
        return Step(state.model_copy(update={"open": after}), tuple(drafts)) if drafts else Step(state)

    def _started(self, state: DoorsState, same_boot: bool, now: Instant) -> DoorsState:
        """Forget doors that are no longer configured; uptimes of an earlier boot mean nothing in this one."""
        still = {name: door for name, door in state.open.items() if name in self._doors}
        if same_boot:
            return state.model_copy(update={"open": still})
        again = {
            name: door.model_copy(update={"held_ms": now.uptime_ms + self._doors[name].held_after_ms})
            if door.held_ms is not None
            else door
            for name, door in still.items()
        }
        return DoorsState(open=again)

"""Doors: opened, closed, held open too long, forced without a check-in. Lids and tamper lines: tampered, closed."""

from collections.abc import Collection, Mapping, Sequence
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


class OpenLid(State):
    """``since`` as in OpenDoor. ``told``: the alarm is of this boot; one of an earlier boot is given again."""

    since: str | None
    told: bool = True


class DoorsState(State):
    """``open``, ``lids``: what stands open. ``checkin_ms``: uptime of the last check-in that lets someone in."""

    open: dict[str, OpenDoor] = Field(default_factory=dict)
    lids: dict[str, OpenLid] = Field(default_factory=dict)
    checkin_ms: int | None = None


class DoorsRule:
    """Turns contacts into ``door`` events."""

    name = "doors"
    initial = DoorsState()

    def __init__(self, doors: Sequence[DoorLimits], lids: Collection[str] = ()) -> None:
        """The doors of this post, and the names of its lids and tamper lines."""
        self._doors = {door.name: door for door in doors}
        self._lids = tuple(lids)

    def step(self, state: DoorsState, cause: Cause, now: Instant) -> Step[DoorsState]:
        """Decide one cause."""
        match cause:
            case ContactChanged(contact=name, open=True) if name in self._doors and name not in state.open:
                return self._opened(state, self._doors[name], cause.unseen, now)
            case ContactChanged(contact=name, open=False) if name in state.open:
                return self._closed(state, name)
            case ContactChanged(contact=name) if name in self._lids:
                return _lid(state, cause, now)
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
        """``doors``: name to open or closed, lids and tamper lines too."""
        is_open = {*state.open, *state.lids}
        return {"doors": {name: "open" if name in is_open else "closed" for name in (*self._doors, *self._lids)}}

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
        """Forget what is no longer configured; uptimes of an earlier boot mean nothing in this one."""
        still = {name: door for name, door in state.open.items() if name in self._doors}
        lids = {name: lid for name, lid in state.lids.items() if name in self._lids}
        if same_boot:
            return state.model_copy(update={"open": still, "lids": lids})
        again = {
            name: door.model_copy(update={"held_ms": now.uptime_ms + self._doors[name].held_after_ms})
            if door.held_ms is not None
            else door
            for name, door in still.items()
        }
        # While the post was off a lid may have been shut and opened again: that is told, not taken for one opening.
        return DoorsState(
            open=again, lids={name: lid.model_copy(update={"told": False}) for name, lid in lids.items()}
        )


def _lid(state: DoorsState, cause: ContactChanged, now: Instant) -> Step[DoorsState]:
    """A lid or tamper line: every opening is an alarm, once."""
    name, was = cause.contact, state.lids.get(cause.contact)
    lids = {other: lid for other, lid in state.lids.items() if other != name}
    if cause.open and (was is None or not was.told):
        since = None if cause.unseen else rfc3339(now.wall_ms)
        data = Door(door=name, change="tampered", since=since)
        lids[name] = OpenLid(since=since)
    elif not cause.open and was is not None:
        data = Door(door=name, change="closed", since=was.since)
    else:
        return Step(state)
    return Step(state.model_copy(update={"lids": lids}), (Draft(subject=name, data=data),))

"""What the post says of itself: start and stop, blind parts, the disk, the roster in force, what was refused."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import Field

from device.events import (
    Blind,
    Booted,
    Draft,
    RosterInForce,
    Sighted,
    Stopped,
    Storage,
    SystemData,
    Unusable,
    rfc3339,
)
from device.readings import (
    CommitFailed,
    Crashed,
    Garbled,
    Instant,
    PartBlind,
    PartSighted,
    Refused,
    RosterLoaded,
    Started,
    StopRequested,
)
from device.rules.rule import Cause, State, Step


class HealthState(State):
    """``blind``: each blind part and since when (RFC 3339). ``roster``: SHA-256 of the one in force."""

    blind: dict[str, str] = Field(default_factory=dict)
    roster: str | None = None


class HealthRule:
    """Turns the post's own troubles into ``system`` events, each once."""

    name = "health"
    initial = HealthState()

    def __init__(self, parts: Collection[str]) -> None:
        """``parts``: what is configured and can go blind; others are forgotten at the next start."""
        self._parts = frozenset(parts)

    def step(self, state: HealthState, cause: Cause, now: Instant) -> Step[HealthState]:
        """Decide one cause."""
        match cause:
            case Started(same_boot=same_boot, firmware=firmware):
                still = {part: since for part, since in state.blind.items() if part in self._parts}
                booted = Booted(why="restart" if same_boot else "boot", firmware=firmware)
                return _say(state.model_copy(update={"blind": still}), booted)
            case StopRequested(why=why):
                return _say(state, Stopped(why=why))
            case Crashed(thread=thread, why=why):
                return _say(state, Stopped(why=f"{thread} died: {why}"))
            case PartBlind(part=part, why=why) if part not in state.blind:
                blind = {**state.blind, part: rfc3339(now.wall_ms)}
                return _say(state.model_copy(update={"blind": blind}), Blind(what=part, why=why))
            case PartSighted(part=part) if part in state.blind:
                blind = {other: since for other, since in state.blind.items() if other != part}
                sighted = Sighted(what=part, since=state.blind[part])
                return _say(state.model_copy(update={"blind": blind}), sighted)
            case CommitFailed():
                return _say(state, _storage(cause))
            case RosterLoaded(sha256=sha256, officers=officers) if sha256 != state.roster:
                loaded = RosterInForce(sha256=sha256, officers=officers)
                return _say(state.model_copy(update={"roster": sha256}), loaded)
            case Garbled(part=part, why=why, count=count):
                told = why if count == 1 else f"{why} ({count} times since this was last told)"
                return _say(state, Unusable(what=part, why=told))
            case Refused(what=what, why=why):
                return _say(state, Unusable(what=what.value, why=why))
            case _:
                return Step(state)

    def due(self, state: HealthState) -> int | None:  # noqa: ARG002
        """Nothing is ever due."""
        return None

    def holds(self, state: HealthState) -> Mapping[str, Any]:
        """``blind``: the parts that cannot see, and since when."""
        return {"blind": state.blind}


def _say(state: HealthState, data: SystemData) -> Step[HealthState]:
    return Step(state, (Draft(subject="post", data=data),))


def _storage(failed: CommitFailed) -> Storage:
    return Storage(
        room=failed.room.value,
        why=failed.why,
        since=rfc3339(failed.at.wall_ms),
        unrecorded=failed.unrecorded,
        dropped=failed.dropped,
    )

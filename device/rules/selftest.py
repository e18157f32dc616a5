"""The self-test of a running post: what each part has shown of itself since the last one, said in one event."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, Literal

from pydantic import Field

from device.effects import Answer, Show
from device.events import MOST_PARTS, Draft, OrderTaken, PartTest, SelfTested
from device.readings import (
    UNDERVOLTAGE,
    BadgeRead,
    ButtonPressed,
    ContactChanged,
    Instant,
    MainsChanged,
    PartBlind,
    PartSighted,
    Started,
    Vitals,
)
from device.rules.rule import Cause, Due, Numbered, State, Step

ORDER = "selftest"
LEAST_DISK_BYTES = 64 << 20
LATE_MS = 3_600_000
"""A self-test whose time passed longer ago, while the post was off or its clock stood wrong, is left out."""
LOOK_EVERY_MS = 60_000
"""How often it is looked at the wall clock, which may have been set meanwhile."""


class SelftestState(State):
    """``blind``: why, by part. ``seen``: what a part told since the last self-test. ``next_ms``: wall time.

    ``looked_ms``: uptime of the last look at the clock.
    """

    blind: dict[str, str] = Field(default_factory=dict)
    seen: dict[str, int] = Field(default_factory=dict)
    undervoltage: bool | None = None
    disk_free: int | None = None
    mains: bool | None = None
    next_ms: int | None = None
    looked_ms: int | None = None


class SelftestRule:
    """Tests at an order, and at the times of a shift's change.

    A reader is asked several times a second, and a dead one is blind at once; a contact that nobody moved cannot be
    told from one with a cut wire. So the test says of each part what it has shown, and of what only people can see
    that they have to look.
    """

    name = "selftest"
    initial = SelftestState()

    def __init__(
        self, readers: Collection[str], inputs: Collection[str], others: Collection[str],
        times: Sequence[time], zone: tzinfo, lights: bool,
    ) -> None:  # fmt: skip
        """``readers``, ``inputs``, ``others``: names; the last of parts that are only blind or not.

        ``times``: of day, in ``zone``. ``lights``: the post has some.
        """
        self._readers = tuple(readers)
        self._inputs = tuple(inputs)
        self._others = tuple(others)
        self._times = tuple(times)
        self._zone = zone
        self._lights = lights

    def step(self, state: SelftestState, cause: Cause, now: Instant) -> Step[SelftestState]:
        """Decide one cause."""
        match cause:
            case Numbered(draft=Draft(data=OrderTaken(what=what, id=order, ok=True))) if what == ORDER:
                return self._test(state, now, "order", order)
            case Started(same_boot=same_boot):
                fresh = state if same_boot else SelftestState(seen=state.seen)
                known: dict[str, Any] = {"next_ms": self._next_ms(now), "looked_ms": now.uptime_ms, "blind": {}}
                return Step(fresh.model_copy(update=known))
            case Due() if (due_ms := self.due(state)) is not None and now.uptime_ms >= due_ms:
                return self._look(state, now)
            case PartBlind(part=part, why=why):
                return Step(state.model_copy(update={"blind": {**state.blind, part: why}}))
            case PartSighted(part=part) if part in state.blind:
                blind = {other: why for other, why in state.blind.items() if other != part}
                return Step(state.model_copy(update={"blind": blind}))
            case BadgeRead(reader=name) | ButtonPressed(button=name) | ContactChanged(contact=name, unseen=False):
                seen = {**state.seen, name: state.seen.get(name, 0) + 1}
                return Step(state.model_copy(update={"seen": seen}))
            case Vitals(undervoltage=undervoltage, disk_free=disk_free):
                if (undervoltage, disk_free) == (state.undervoltage, state.disk_free):
                    return Step(state)
                return Step(state.model_copy(update={"undervoltage": undervoltage, "disk_free": disk_free}))
            case MainsChanged(on=on):
                return Step(state.model_copy(update={"mains": on}))
            case _:
                return Step(state)

    def due(self, state: SelftestState) -> int | None:
        """When to look at the clock again."""
        return None if not self._times or state.looked_ms is None else state.looked_ms + LOOK_EVERY_MS

    def holds(self, state: SelftestState) -> Mapping[str, Any]:  # noqa: ARG002
        """Nothing: it is told in its event."""
        return {}

    def _look(self, state: SelftestState, now: Instant) -> Step[SelftestState]:
        looked = state.model_copy(update={"looked_ms": now.uptime_ms})
        if state.next_ms is None or now.clock == "unsynced":
            return Step(looked.model_copy(update={"next_ms": self._next_ms(now)}))
        late_ms = now.wall_ms - state.next_ms
        if late_ms < 0:
            return Step(looked)
        tested = self._test(looked, now, "shift", None) if late_ms < LATE_MS else Step(looked)
        return Step(tested.state.model_copy(update={"next_ms": self._next_ms(now)}), tested.drafts, tested.effects)

    def _next_ms(self, now: Instant) -> int | None:
        """The next of the times, as milliseconds since 1970 UTC."""
        today = datetime.fromtimestamp(now.wall_ms / 1000, self._zone).date()
        moments = (
            datetime.combine(today + timedelta(days=days), at, self._zone).astimezone(UTC)
            for days in (0, 1)
            for at in self._times
        )
        coming = (int(moment.timestamp() * 1000) for moment in moments)
        return min((ms for ms in coming if ms > now.wall_ms), default=None)

    def _test(
        self, state: SelftestState, now: Instant, why: Literal["order", "shift"], order: str | None
    ) -> Step[SelftestState]:
        parts = tuple(self._parts(state, now))[:MOST_PARTS]
        data = SelfTested(why=why, order=order, passed=all(part.ok is not False for part in parts), parts=parts)
        effects = (Show(Answer.SELFTEST),) if self._lights else ()
        return Step(state.model_copy(update={"seen": {}}), (Draft(subject="post", data=data),), effects)

    def _parts(self, state: SelftestState, now: Instant) -> list[PartTest]:
        found = []
        for name in self._readers:
            badges = _counted(state.seen.get(name, 0), "badge")
            found.append(_part(state, f"reader {name}", True, f"answers; {badges} since the last self-test"))
        for name in self._inputs:
            count = state.seen.get(name, 0)
            moved = f"moved {_counted(count, 'time')} since the last self-test"
            why = moved if count else "has not moved: move it once"
            found.append(_part(state, f"input {name}", True if count else None, why))
        found += [_part(state, name, True, "works") for name in self._others]
        if self._lights:
            found.append(PartTest(what="lights", ok=None, why="play the self-test now: look and listen"))
        found.append(PartTest(what="clock", ok=now.clock != "unsynced", why=_clock(now)))
        if state.disk_free is not None:
            enough = state.disk_free >= LEAST_DISK_BYTES
            found.append(PartTest(what="disk", ok=enough, why=f"{state.disk_free >> 20} MiB free"))
        if state.undervoltage is not None:
            low = UNDERVOLTAGE if state.undervoltage else "enough"
            found.append(PartTest(what="supply", ok=not state.undervoltage, why=low))
        if state.mains is not None:
            found.append(PartTest(what="mains", ok=state.mains, why="there" if state.mains else "none"))
        return found


def _part(state: SelftestState, what: str, ok: bool | None, why: str) -> PartTest:
    if what in state.blind:
        return PartTest(what=what, ok=False, why=state.blind[what])
    return PartTest(what=what, ok=ok, why=why)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _clock(now: Instant) -> str:
    return now.clock if now.error_ms is None else f"{now.clock}, right within {now.error_ms} ms"

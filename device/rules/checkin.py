"""Check-ins: a badge is judged by the roster, a button by nothing; the same badge again soon is ``repeated``."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from device.effects import Answer, Show
from device.events import Checkin, Draft
from device.readings import BadgeRead, ButtonPressed, Instant, Started
from device.rules.roster import Roster
from device.rules.rule import Cause, State, Step

_REMEMBERED = 256
"""Badges remembered for ``repeated``: more officers than can tap one post within ``repeat_after``."""


class CheckinState(State):
    """``accepted_ms``: uptime of each badge's last accepted tap, while it can still be repeated."""

    accepted_ms: dict[str, int] = Field(default_factory=dict)


class CheckinRule:
    """Turns taps into ``checkin`` events and answers the officer."""

    name = "checkin"
    initial = CheckinState()

    def __init__(self, roster: Roster, repeat_after_ms: int) -> None:
        """``repeat_after_ms``: counted from the last accepted tap, so that regular taps are never all repeated."""
        self._roster = roster
        self._repeat_after_ms = repeat_after_ms

    def step(self, state: CheckinState, cause: Cause, now: Instant) -> Step[CheckinState]:
        """Decide one cause."""
        match cause:
            case BadgeRead():
                return self._badge(state, cause, now)
            case ButtonPressed(button=button):
                data = Checkin(
                    method="button", officer=None, badge=None, verdict="accepted", assurance="none", reader=None
                )
                return Step(state, (Draft(subject=button, data=data),), (Show(Answer.ACCEPTED),))
            case Started(same_boot=False):
                return Step(CheckinState())
            case _:
                return Step(state)

    def due(self, state: CheckinState) -> int | None:  # noqa: ARG002
        """Nothing is ever due."""
        return None

    def holds(self, state: CheckinState) -> Mapping[str, Any]:  # noqa: ARG002
        """Nothing: who is here is in the events."""
        return {}

    def _badge(self, state: CheckinState, read: BadgeRead, now: Instant) -> Step[CheckinState]:
        badge = self._roster.hidden(read.uid)
        officer, verdict = self._roster.judge(badge, now)
        # Only who would be accepted can be repeated: a revoked badge stays red however often it is tapped.
        recent = {b: ms for b, ms in state.accepted_ms.items() if now.uptime_ms - ms < self._repeat_after_ms}
        if verdict == "accepted":
            if badge in recent:
                verdict = "repeated"
            else:
                recent[badge] = now.uptime_ms
        data = Checkin(
            method="badge",
            officer=officer,
            badge=badge,
            verdict=verdict,
            assurance=read.assurance,
            reader=read.reader,
        )
        kept = dict(sorted(recent.items(), key=lambda item: item[1])[-_REMEMBERED:])
        draft = Draft(subject=read.reader, data=data)
        shown = Show(_ANSWERS.get(verdict, Answer.REFUSED), read.reader)
        return Step(CheckinState(accepted_ms=kept), (draft,), (shown,))


_ANSWERS = {"accepted": Answer.ACCEPTED, "repeated": Answer.REPEATED}

"""A seat: one rule with its state, as a value that a failed commit can drop."""

from collections.abc import Mapping
from typing import Any

import pytest
from postkit import at, tapped

from device.readings import ButtonPressed, PartSighted
from device.rules.rule import Cause, Seat, State, Step


class Count(State):
    presses: int = 0


class CountingRule:
    """Counts presses; due a second after the uptime that is its count."""

    name = "counting"
    initial = Count()

    def step(self, state: Count, cause: Cause, now: object) -> Step[Count]:
        if isinstance(cause, ButtonPressed):
            return Step(Count(presses=state.presses + 1), (tapped(),))
        return Step(state)

    def due(self, state: Count) -> int | None:
        return state.presses + 1_000 if state.presses else None

    def holds(self, state: Count) -> Mapping[str, Any]:
        return {"presses": state.presses}


def test_deciding_gives_the_next_seat_and_leaves_this_one_as_it_was() -> None:
    before = Seat.restored(CountingRule(), None)
    after, step = before.decide(ButtonPressed(at(), "checkin"), at())
    assert (before.state.presses, after.state.presses) == (0, 1)
    assert step.drafts == (tapped(),)
    assert (before.due(), after.due()) == (None, 1_001)
    assert (before.holds(), after.holds()) == ({"presses": 0}, {"presses": 1})


def test_a_cause_that_changes_nothing_leaves_the_very_same_seat() -> None:
    seat = Seat.restored(CountingRule(), None)
    assert seat.decide(PartSighted(at(), "reader gate"), at())[0] is seat


def test_a_snapshot_comes_back_as_the_state_it_was() -> None:
    seat, _ = Seat.restored(CountingRule(), None).decide(ButtonPressed(at(), "checkin"), at())
    assert Seat.restored(CountingRule(), seat.snapshot()).state == seat.state


def test_a_snapshot_of_a_newer_program_loses_only_what_this_one_does_not_know() -> None:
    assert Seat.restored(CountingRule(), '{"presses": 4, "releases": 3}').state == Count(presses=4)


@pytest.mark.parametrize("snapshot", ["", "nonsense", "[]", '{"presses": "many"}', "null", "[" * 100_000])
def test_an_unusable_snapshot_is_a_value_error_of_one_line_that_names_the_rule(snapshot: str) -> None:
    with pytest.raises(ValueError, match=r"^the counting rule's snapshot: \d+ problems$") as refused:
        Seat.restored(CountingRule(), snapshot)
    assert len(str(refused.value).splitlines()) == 1

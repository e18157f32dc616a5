"""The clock watched: steps and changes of state are events, slewing is not."""

from typing import Any

import pytest
from postkit import at

from device.readings import ClockState, Instant, PartSighted, Started
from device.rules.rule import Cause, Due, Seat
from device.rules.timekeeping import TimekeepingRule, TimekeepingState


class Night:
    """One post's clock; each call returns the data of what was recorded."""

    def __init__(self, clock: ClockState = "synced") -> None:
        self.rule = TimekeepingRule()
        self.state = TimekeepingRule.initial
        self.start(at(0, clock=clock))

    def hears(self, cause: Cause, now: Instant) -> list[dict[str, Any]]:
        step = self.rule.step(self.state, cause, now)
        self.state = TimekeepingState.model_validate_json(step.state.model_dump_json())
        return [draft.data.model_dump() for draft in step.drafts]

    def start(self, now: Instant, *, same_boot: bool = False) -> list[dict[str, Any]]:
        return self.hears(Started(now, same_boot, "x"), now)

    def looks(self, now: Instant) -> list[dict[str, Any]]:
        return self.hears(Due(), now)


def changed(state: ClockState, step_ms: int) -> list[dict[str, Any]]:
    return [{"change": "clock", "what": "clock", "state": state, "error_ms": 5, "step_ms": step_ms}]


def test_the_first_start_says_how_the_clock_stands() -> None:
    rule = TimekeepingRule()
    now = at(7_000, clock="unsynced")
    step = rule.step(rule.initial, Started(now, False, "x"), now)
    assert [draft.data.model_dump() for draft in step.drafts] == changed("unsynced", 0)
    assert rule.holds(step.state) == {"clock": "unsynced"}


def test_a_rule_that_was_never_started_asks_for_nothing() -> None:
    rule = TimekeepingRule()
    assert rule.due(rule.initial) is None
    assert rule.step(rule.initial, Due(), at()).drafts == ()


def test_it_looks_every_second_and_a_steady_clock_is_no_event() -> None:
    night = Night()
    assert night.rule.due(night.state) == 1_000
    for uptime_ms in range(1_000, 20_000, 1_000):
        assert night.looks(at(uptime_ms)) == []
        assert night.rule.due(night.state) == uptime_ms + 1_000


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000, 250, -250])
def test_a_step_either_way_is_one_event_that_says_how_far(step_ms: int) -> None:
    night = Night()
    assert night.looks(at(1_000, step_ms=step_ms)) == changed("synced", step_ms)
    assert night.looks(at(2_000, step_ms=step_ms)) == []


@pytest.mark.parametrize("step_ms", [249, -249])
def test_what_reading_two_clocks_makes_of_one_that_stands_is_no_step(step_ms: int) -> None:
    night = Night()
    for look in range(1, 100):
        assert night.looks(at(look * 1_000, step_ms=step_ms if look % 2 else 0)) == []


def test_small_steps_add_up_until_they_are_told_and_none_is_told_twice() -> None:
    night = Night()
    told = [data for look in range(1, 11) for data in night.looks(at(look * 1_000, step_ms=look * 100))]
    assert [data["step_ms"] for data in told] == [300, 300, 300]
    assert night.looks(at(11_000, step_ms=1_150)) == changed("synced", 250)


def test_a_small_step_is_not_forgotten_because_the_state_changed_with_it() -> None:
    night = Night()
    assert night.looks(at(1_000, clock="holdover", step_ms=200)) == changed("holdover", 0)
    assert night.looks(at(2_000, clock="holdover", step_ms=300)) == changed("holdover", 300)


def test_another_rules_deadline_within_the_second_is_no_look() -> None:
    night = Night()
    assert night.looks(at(500, step_ms=10_000)) == []
    assert night.looks(at(1_000, step_ms=10_000)) == changed("synced", 10_000)


def test_the_clock_is_set_for_the_first_time_step_and_state_in_one_event() -> None:
    night = Night("unsynced")
    assert night.looks(at(1_000, clock="synced", step_ms=86_400_000)) == changed("synced", 86_400_000)


def test_losing_and_regaining_the_time_server_are_events_without_a_step() -> None:
    night = Night()
    assert night.looks(at(1_000, clock="holdover", step_ms=100)) == changed("holdover", 0)
    assert night.looks(at(2_000, clock="holdover", step_ms=100)) == []
    assert night.looks(at(3_000, clock="synced", step_ms=100)) == changed("synced", 0)


def test_a_step_while_the_program_was_down_is_seen_in_the_same_boot() -> None:
    night = Night()
    night.looks(at(1_000, step_ms=200))
    assert night.start(at(50_000, step_ms=-7_000), same_boot=True) == changed("synced", -7_000)
    assert night.start(at(60_000, step_ms=-7_000), same_boot=True) == []


def test_every_boot_says_how_the_clock_stands_and_is_no_step_whatever_it_shows() -> None:
    night = Night()
    assert night.start(at(3_000, step_ms=999_999), same_boot=False) == changed("synced", 0)
    assert night.looks(at(4_000, step_ms=999_999)) == []
    assert night.start(at(3_000, clock="unsynced", step_ms=0), same_boot=False) == changed("unsynced", 0)


def test_what_an_older_firmware_kept_is_taken_up() -> None:
    """It kept the offset of its last look before an event; a step while it was replaced is still seen."""
    kept = f'{{"clock":"synced","offset_ms":{at(0).wall_ms},"looked_ms":41000}}'
    seat = Seat.restored(TimekeepingRule(), kept)
    now = at(50_000, step_ms=3_000)
    _, step = seat.decide(Started(now, True, "x"), now)
    assert [draft.data.model_dump() for draft in step.drafts] == changed("synced", 3_000)


def test_no_other_cause_makes_it_look() -> None:
    night = Night()
    assert night.hears(PartSighted(at(), "reader gate"), at(90_000, step_ms=5_000)) == []
    assert night.rule.due(night.state) == 1_000

"""Power: an outage is told when it begins and when it ends, and one that lasts too long is a clean stop."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import at

from device.effects import Effect, PowerOff
from device.readings import BadgeRead, Instant, MainsChanged, PartSighted, Started, Vitals
from device.rules.power import TOLD_AT_MOST_MS, PowerRule, PowerState
from device.rules.rule import Cause, Due

MINUTES_5 = 300_000


class Night:
    """One post with a UPS; each call returns what was recorded, as ``mains lost``, and keeps the effects."""

    def __init__(self, stop_after_ms: int | None = MINUTES_5) -> None:
        self.rule = PowerRule(stop_after_ms)
        self.state = PowerRule.initial
        self.effects: list[Effect] = []
        self.whys: list[str] = []
        self.starts(0, same_boot=False)

    def hears(self, cause: Cause, now: Instant) -> list[str]:
        step = self.rule.step(self.state, cause, now)
        self.state = PowerState.model_validate_json(step.state.model_dump_json())
        self.effects += step.effects
        data: list[dict[str, Any]] = [draft.data.model_dump() for draft in step.drafts]
        self.whys += [event["why"] for event in data]
        assert all(event["change"] == "power" and "\n" not in event["why"] for event in data)
        return [f"{event['what']} {'back' if event['ok'] else 'lost'}" for event in data]

    def starts(self, uptime_ms: int, *, same_boot: bool) -> list[str]:
        return self.hears(Started(at(uptime_ms), same_boot, "x"), at(uptime_ms))

    def mains(self, on: bool, uptime_ms: int) -> list[str]:
        return self.hears(MainsChanged(at(uptime_ms), on), at(uptime_ms))

    def looks(self, uptime_ms: int, *, low: bool | None = None, throttled: bool | None = None) -> list[str]:
        return self.hears(Vitals(at(uptime_ms), 48.3, low, throttled, 1_000, 2_000), at(uptime_ms))

    def until(self, uptime_ms: int) -> list[tuple[int, str]]:
        """Let every deadline up to ``uptime_ms`` come; what was told, and when."""
        told: list[tuple[int, str]] = []
        due_ms = self.rule.due(self.state)
        while due_ms is not None and due_ms <= uptime_ms:
            told += [(due_ms, words) for words in self.hears(Due(), at(due_ms))]
            due_ms = self.rule.due(self.state)
        return told

    def health(self) -> dict[str, Any]:
        return dict(self.rule.holds(self.state)["health"])


def test_mains_that_are_there_at_the_start_are_no_event_and_in_health() -> None:
    night = Night()
    assert night.health()["mains"] is None  # nothing is wired, as far as it knows
    assert night.mains(True, 1_000) == []
    assert night.health()["mains"] is True
    assert night.rule.due(night.state) is None


def test_an_outage_is_told_at_its_beginning_and_at_its_end_with_their_own_times() -> None:
    night = Night()
    night.mains(True, 1_000)
    assert night.mains(False, 10_000) == ["mains lost"]
    assert night.health()["mains"] is False
    assert night.mains(True, 13_000) == ["mains back"]
    assert night.whys == ["mains were lost", "mains came back"]
    assert night.until(10**9) == []


def test_a_post_that_starts_without_mains_says_so() -> None:
    assert Night().mains(False, 2_000) == ["mains lost"]


def test_a_line_that_says_the_same_again_is_no_event() -> None:
    night = Night()
    night.mains(False, 10_000)
    assert night.mains(False, 20_000) == []


def test_mains_that_come_and_go_are_two_events_a_minute_and_the_rest_is_counted() -> None:
    night = Night(None)
    told = [words for second in range(10) for words in night.mains(second % 2 == 1, 10_000 + 1_000 * second)]
    assert told == ["mains lost", "mains back"]
    assert night.until(10**9) == [(11_000 + TOLD_AT_MOST_MS, "mains back")]
    assert night.whys[-1] == "mains came back 52 s ago; changed 8 times since this was last told"


def test_a_loss_that_had_to_wait_says_when_it_was() -> None:
    night = Night(None)
    night.mains(False, 10_000)
    night.mains(True, 11_000)
    assert night.mains(False, 14_000) == []
    assert night.health()["mains"] is False  # health does not wait
    assert night.until(10**9) == [(71_000, "mains lost")]
    assert night.whys[-1] == "mains were lost 57 s ago"
    assert night.mains(True, 72_000) == ["mains back"]


def test_without_mains_for_too_long_the_post_stops_in_order_and_the_machine_is_switched_off() -> None:
    night = Night()
    night.mains(True, 1_000)
    night.mains(False, 10_000)
    assert night.rule.due(night.state) == 10_000 + MINUTES_5
    night.until(10_000 + MINUTES_5 - 1)
    assert night.effects == []
    night.until(10_000 + MINUTES_5)
    assert night.effects == [PowerOff("no mains for 300 s")]
    assert night.until(10**9) == []
    assert len(night.effects) == 1


def test_mains_that_are_back_in_time_stop_nothing_and_the_next_outage_has_the_whole_time_again() -> None:
    night = Night()
    night.mains(False, 10_000)
    night.mains(True, 9_000 + MINUTES_5)
    night.mains(False, 11_000 + MINUTES_5)
    night.until(10_000 + 2 * MINUTES_5)
    assert night.effects == []
    night.until(11_000 + 2 * MINUTES_5)
    assert len(night.effects) == 1


def test_an_outage_from_the_moment_of_the_boot_counts_from_there() -> None:
    night = Night()
    night.mains(False, 0)
    night.mains(False, MINUTES_5 - 1)
    night.until(MINUTES_5)
    assert night.effects == [PowerOff("no mains for 300 s")]


def test_where_no_time_is_set_the_post_goes_on_as_long_as_it_can() -> None:
    night = Night(None)
    night.mains(False, 10_000)
    assert night.rule.due(night.state) is None


def test_a_restart_within_an_outage_does_not_begin_its_time_anew() -> None:
    night = Night()
    night.mains(False, 10_000)
    night.starts(100_000, same_boot=True)
    assert night.health()["mains"] is None
    assert night.mains(False, 101_000) == []
    assert night.rule.due(night.state) == 10_000 + MINUTES_5


def test_a_machine_that_was_not_switched_off_after_all_tries_again_after_the_whole_time() -> None:
    night = Night()
    night.mains(False, 10_000)
    night.until(10_000 + MINUTES_5)
    night.starts(400_000, same_boot=True)
    night.mains(False, 401_000)
    assert night.rule.due(night.state) == 401_000 + MINUTES_5


@pytest.mark.parametrize(("on", "told"), [(True, ["mains back"]), (False, [])])
def test_after_an_outage_that_ended_in_the_dark_the_next_boot_tells_whether_mains_are_back(
    on: bool, told: list[str]
) -> None:
    night = Night()
    night.mains(False, 500_000)
    night.until(500_000 + MINUTES_5)
    night.starts(3_000, same_boot=False)
    assert night.mains(on, 4_000) == told
    assert night.rule.due(night.state) == (None if on else 4_000 + MINUTES_5)


def test_what_waited_to_be_told_at_the_cut_is_told_after_the_boot_without_a_time_that_nobody_knows() -> None:
    night = Night(None)
    for uptime_ms, on in ((500_000, False), (501_000, True), (502_000, False)):
        night.mains(on, uptime_ms)
    night.starts(3_000, same_boot=False)
    assert night.mains(False, 4_000) == ["mains lost"]
    assert night.whys[-1] == "mains were lost before this start"


def test_a_ups_that_was_taken_out_of_the_configuration_is_not_in_health_any_more() -> None:
    night = Night(None)
    night.mains(True, 1_000)
    night.starts(3_000, same_boot=True)
    night.looks(4_000)
    assert night.health()["mains"] is None


def test_under_voltage_is_told_and_so_is_its_end() -> None:
    night = Night()
    assert night.looks(1_000, low=False) == []
    assert night.looks(2_000, low=True) == ["supply lost"]
    assert night.looks(3_000, low=False) == ["supply back"]
    assert night.looks(4_000, low=True) == []
    assert night.until(10**9) == [(3_000 + TOLD_AT_MOST_MS, "supply lost")]
    assert night.whys == [
        "under-voltage: see power supply and cable",
        "the voltage is right again",
        "under-voltage: see power supply and cable 59 s ago",
    ]


def test_a_hot_processor_is_no_matter_of_power() -> None:
    night = Night()
    assert night.looks(1_000, low=False, throttled=True) == []
    assert night.health()["throttled"] is True


def test_a_machine_that_does_not_tell_of_its_supply_is_neither_well_nor_weak() -> None:
    night = Night()
    night.looks(1_000, low=True)
    assert night.looks(2_000) == []
    assert night.looks(3_000, low=False) == ["supply back"]


def test_mains_and_supply_are_told_apart() -> None:
    night = Night(None)
    assert night.mains(False, 1_000) == ["mains lost"]
    assert night.looks(1_500, low=True) == ["supply lost"]
    assert night.mains(True, 2_000) == ["mains back"]


def test_health_holds_what_the_machine_told_last_and_forgets_it_at_the_next_start() -> None:
    night = Night()
    night.looks(1_000, low=False)
    told = {"temperature_c": 48.3, "undervoltage": False, "throttled": None, "disk_free": 1_000, "disk_size": 2_000}
    assert night.health() == {**told, "mains": None}
    night.starts(9_000, same_boot=True)
    assert night.health() == {**dict.fromkeys(told), "mains": None}


def test_other_readings_change_nothing() -> None:
    night = Night()
    before = night.state
    for cause in (BadgeRead(at(), "gate", b"1234"), PartSighted(at(), "reader gate")):
        assert night.hears(cause, at(1_000)) == []
    assert night.state == before


steps = st.lists(st.tuples(st.integers(0, 90_000), st.booleans()), max_size=60)


@given(steps)
@settings(deadline=None)
def test_however_the_mains_flicker_what_was_told_last_is_so_and_never_twice_the_same_nor_a_flood(
    changes: list[tuple[int, bool]],
) -> None:
    night = Night(None)
    told: list[tuple[int, str]] = []
    now_ms, on = 1_000, True
    night.mains(on, now_ms)
    for pause_ms, next_on in changes:
        told += night.until(now_ms + pause_ms)
        now_ms, on = now_ms + pause_ms, next_on
        told += [(now_ms, words) for words in night.mains(on, now_ms)]
    told += night.until(now_ms + TOLD_AT_MOST_MS)
    assert night.rule.due(night.state) is None
    assert (told[-1][1] if told else "mains back") == ("mains back" if on else "mains lost")
    losses = [at_ms for at_ms, words in told if words == "mains lost"]
    assert all(later - earlier >= TOLD_AT_MOST_MS for earlier, later in pairwise(losses))


@given(steps, st.integers(1_000, 200_000))
@settings(deadline=None)
def test_the_post_stops_exactly_where_mains_were_away_for_the_whole_time(
    changes: list[tuple[int, bool]], stop_after_ms: int
) -> None:
    night = Night(stop_after_ms)
    now_ms, lost_ms = 1_000, None
    for pause_ms, on in changes:
        night.until(now_ms + pause_ms)
        too_long = lost_ms is not None and now_ms + pause_ms - lost_ms >= stop_after_ms
        assert len(night.effects) == too_long
        if too_long:
            return
        now_ms += pause_ms
        lost_ms = None if on else now_ms if lost_ms is None else lost_ms
        night.mains(on, now_ms)

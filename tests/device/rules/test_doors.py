"""Doors: opened, closed, held, forced; lids: tampered; over restarts, reboots and changed configurations."""

from collections.abc import Sequence
from typing import cast

import pytest
from postkit import at, tapped

from device.events import Checkin, Door, Draft, Verdict, is_alarm, rfc3339
from device.readings import ContactChanged, Started
from device.rules.doors import DoorLimits, DoorsRule, DoorsState
from device.rules.rule import Cause, Due, Numbered

HELD_MS = 60_000
WITHIN_MS = 30_000
FREE = DoorLimits("front", HELD_MS, None)
GUARDED = DoorLimits("front", HELD_MS, WITHIN_MS)

Told = tuple[str, str, str | None]


class Night:
    """One post's doors; each call returns what was recorded: door, change, since."""

    def __init__(self, *doors: DoorLimits, lids: Sequence[str] = ()) -> None:
        self.rule = DoorsRule(doors, lids)
        self.state = DoorsRule.initial
        self.start(0, same_boot=False)

    def hears(self, cause: Cause, uptime_ms: int) -> list[Told]:
        step = self.rule.step(self.state, cause, at(uptime_ms))
        self.state = step.state
        assert step.effects == ()
        return [_told(draft) for draft in step.drafts]

    def start(self, uptime_ms: int, *, same_boot: bool) -> None:
        assert self.hears(Started(at(uptime_ms), same_boot, "x"), uptime_ms) == []

    def opens(self, uptime_ms: int, door: str = "front", *, unseen: bool = False) -> list[Told]:
        return self.hears(ContactChanged(at(uptime_ms), door, open=True, unseen=unseen), uptime_ms)

    def closes(self, uptime_ms: int, door: str = "front", *, unseen: bool = False) -> list[Told]:
        return self.hears(ContactChanged(at(uptime_ms), door, open=False, unseen=unseen), uptime_ms)

    def checks_in(self, uptime_ms: int, verdict: Verdict = "accepted") -> None:
        assert self.hears(Numbered("c/1", tapped(verdict)), uptime_ms) == []

    def waits(self, uptime_ms: int) -> list[Told]:
        return self.hears(Due(), uptime_ms)

    def restarted_with(
        self, doors: Sequence[DoorLimits], uptime_ms: int, *, same_boot: bool, lids: Sequence[str] = ()
    ) -> "Night":
        night = Night(*doors, lids=lids)
        night.state = DoorsState.model_validate_json(self.state.model_dump_json())
        night.start(uptime_ms, same_boot=same_boot)
        return night


def _told(draft: Draft) -> Told:
    data = cast("Door", draft.data)
    assert draft.subject == data.door
    return data.door, data.change, data.since


def time_of(uptime_ms: int) -> str:
    return rfc3339(at(uptime_ms).wall_ms)


def test_a_door_opens_and_closes_and_both_name_the_moment_of_opening() -> None:
    night = Night(FREE)
    assert night.opens(5_000) == [("front", "opened", time_of(5_000))]
    assert night.closes(9_000) == [("front", "closed", time_of(5_000))]


def test_a_contact_that_says_again_what_holds_is_no_event() -> None:
    night = Night(FREE)
    assert night.closes(1_000) == []
    night.opens(5_000)
    assert night.opens(6_000) == []
    assert night.rule.due(night.state) == 5_000 + HELD_MS


def test_a_contact_that_is_no_door_is_not_ours() -> None:
    assert Night(FREE).opens(1_000, "window") == []


def test_an_open_door_is_held_once_and_closing_it_still_names_the_opening() -> None:
    night = Night(FREE)
    night.opens(5_000)
    assert night.waits(5_000 + HELD_MS - 1) == []
    assert night.waits(5_000 + HELD_MS) == [("front", "held", time_of(5_000))]
    assert night.rule.due(night.state) is None
    assert night.waits(5_000 + 2 * HELD_MS) == []
    assert night.closes(200_000) == [("front", "closed", time_of(5_000))]


def test_a_door_that_closes_in_time_is_never_held() -> None:
    night = Night(FREE)
    night.opens(5_000)
    night.closes(5_000 + HELD_MS - 1)
    assert night.rule.due(night.state) is None
    assert night.waits(5_000 + HELD_MS) == []


def test_two_doors_are_held_each_at_its_own_moment() -> None:
    night = Night(FREE, DoorLimits("back", 10_000, None))
    night.opens(0)
    night.opens(1_000, "back")
    assert night.rule.due(night.state) == 11_000
    assert night.waits(11_000) == [("back", "held", time_of(1_000))]
    assert night.rule.due(night.state) == HELD_MS
    assert night.waits(HELD_MS) == [("front", "held", time_of(0))]


def test_a_check_in_up_to_the_limit_lets_someone_in_and_a_moment_later_the_door_is_forced() -> None:
    night = Night(GUARDED)
    night.checks_in(100_000)
    assert night.opens(100_000 + WITHIN_MS)[0][1] == "opened"
    night.closes(100_000 + WITHIN_MS)
    assert night.opens(100_000 + WITHIN_MS + 1) == [("front", "forced", time_of(100_000 + WITHIN_MS + 1))]


def test_a_door_that_nobody_checked_in_for_is_forced_then_held_then_closed() -> None:
    night = Night(GUARDED)
    changes = [*night.opens(50_000), *night.waits(50_000 + HELD_MS), *night.closes(200_000)]
    assert [change for _, change, _ in changes] == ["forced", "held", "closed"]


@pytest.mark.parametrize(
    ("verdict", "change"),
    [
        ("accepted", "opened"),
        ("repeated", "opened"),
        ("unknown", "forced"),
        ("revoked", "forced"),
        ("expired", "forced"),
    ],
)
def test_only_a_check_in_that_was_green_lets_someone_in(verdict: Verdict, change: str) -> None:
    night = Night(GUARDED)
    night.checks_in(100_000, verdict)
    assert night.opens(100_001)[0][1] == change


def test_a_button_check_in_lets_someone_in() -> None:
    night = Night(GUARDED)
    data = Checkin(method="button", officer=None, badge=None, verdict="accepted", assurance="none", reader=None)
    night.hears(Numbered("c/1", Draft(subject="checkin", data=data)), 100_000)
    assert night.opens(100_001)[0][1] == "opened"


def test_a_door_that_stands_open_at_the_first_start_was_not_seen_to_open_and_is_not_called_forced() -> None:
    night = Night(GUARDED)
    assert night.opens(1_000, unseen=True) == [("front", "opened", None)]
    assert night.waits(1_000 + HELD_MS) == [("front", "held", None)]
    assert night.closes(90_000) == [("front", "closed", None)]
    assert night.opens(95_000) == [("front", "forced", time_of(95_000))]


def test_a_restart_in_the_same_boot_keeps_the_opening_its_deadline_and_the_check_in() -> None:
    night = Night(GUARDED)
    night.checks_in(9_000)
    night.opens(10_000)
    night = night.restarted_with([GUARDED], 20_000, same_boot=True)
    assert night.opens(20_001, unseen=True) == []
    assert night.waits(10_000 + HELD_MS) == [("front", "held", time_of(10_000))]
    night.closes(80_000)
    night.checks_in(81_000)
    night = night.restarted_with([GUARDED], 82_000, same_boot=True)
    assert night.opens(82_001)[0][1] == "opened"


def test_a_deadline_that_passed_while_the_program_was_down_is_held_at_once() -> None:
    night = Night(FREE)
    night.opens(10_000)
    night = night.restarted_with([FREE], 500_000, same_boot=True)
    due = night.rule.due(night.state)
    assert due is not None
    assert due <= 500_000
    assert night.waits(500_000) == [("front", "held", time_of(10_000))]


def test_a_reboot_counts_the_open_door_anew_in_the_new_uptime_and_forgets_the_check_in() -> None:
    night = Night(GUARDED)
    night.checks_in(900_000)
    night.opens(900_001)
    night = night.restarted_with([GUARDED], 7_000, same_boot=False)
    assert night.rule.due(night.state) == 7_000 + HELD_MS
    assert night.waits(7_000 + HELD_MS) == [("front", "held", time_of(900_001))]
    night.closes(70_000)
    assert night.opens(70_001)[0][1] == "forced"


def test_a_door_that_was_already_held_is_not_held_again_after_a_reboot() -> None:
    night = Night(FREE)
    night.opens(10_000)
    night.waits(10_000 + HELD_MS)
    night = night.restarted_with([FREE], 1_000, same_boot=False)
    assert night.rule.due(night.state) is None
    assert night.waits(1_000_000) == []


def test_a_door_that_closed_while_the_post_was_down_is_closed_at_the_start() -> None:
    night = Night(FREE)
    night.opens(10_000)
    night = night.restarted_with([FREE], 20_000, same_boot=True)
    assert night.closes(20_001) == [("front", "closed", time_of(10_000))]


@pytest.mark.parametrize("same_boot", [True, False])
def test_a_door_that_is_no_longer_configured_is_forgotten(same_boot: bool) -> None:
    night = Night(FREE, DoorLimits("back", HELD_MS, None))
    night.opens(10_000)
    night.opens(10_000, "back")
    night = night.restarted_with([FREE], 20_000, same_boot=same_boot)
    assert set(night.state.open) == {"front"}
    assert night.rule.holds(night.state) == {"doors": {"front": "open"}}
    assert [door for door, _, _ in night.waits(900_000)] == ["front"]


def test_what_holds_names_every_configured_door() -> None:
    night = Night(FREE, DoorLimits("back", HELD_MS, None))
    night.opens(1_000, "back")
    assert night.rule.holds(night.state) == {"doors": {"front": "closed", "back": "open"}}


LIDS = ("lid", "loop")


def lidded() -> Night:
    return Night(FREE, lids=LIDS)


def test_each_opening_of_a_lid_is_one_alarm_and_it_is_told_when_it_is_shut() -> None:
    night = lidded()
    assert night.opens(5_000, "lid") == [("lid", "tampered", time_of(5_000))]
    assert night.opens(6_000, "lid") == []
    assert night.closes(9_000, "lid") == [("lid", "closed", time_of(5_000))]
    assert night.closes(9_500, "lid") == []
    assert night.opens(12_000, "lid") == [("lid", "tampered", time_of(12_000))]
    assert is_alarm(Door(door="lid", change="tampered", since=None))


def test_a_lid_is_never_held_and_a_check_in_does_not_excuse_it() -> None:
    night = lidded()
    night.checks_in(4_000)
    assert night.opens(5_000, "lid")[0][1] == "tampered"
    assert night.rule.due(night.state) is None
    assert night.waits(10 * HELD_MS) == []


def test_a_lid_found_open_at_the_first_start_is_an_alarm_whose_moment_was_not_seen() -> None:
    night = lidded()
    assert night.opens(1_000, "lid", unseen=True) == [("lid", "tampered", None)]
    assert night.closes(9_000, "lid") == [("lid", "closed", None)]


def test_a_lid_that_is_shut_at_the_start_says_nothing() -> None:
    assert lidded().closes(1_000, "lid", unseen=True) == []


def test_a_restart_in_the_same_boot_gives_no_second_alarm_for_the_same_opening() -> None:
    night = lidded()
    night.opens(5_000, "lid")
    for uptime_ms in (20_000, 30_000):
        night = night.restarted_with([FREE], uptime_ms, same_boot=True, lids=LIDS)
        assert night.opens(uptime_ms + 1, "lid", unseen=True) == []
    assert night.closes(40_000, "lid") == [("lid", "closed", time_of(5_000))]


def test_a_lid_that_was_shut_while_the_program_was_down_is_told_at_the_start() -> None:
    night = lidded()
    night.opens(5_000, "lid")
    night = night.restarted_with([FREE], 20_000, same_boot=True, lids=LIDS)
    assert night.closes(20_001, "lid", unseen=True) == [("lid", "closed", time_of(5_000))]


def test_a_lid_found_open_in_a_new_boot_is_told_again_once() -> None:
    night = lidded()
    night.opens(900_000, "lid")
    night = night.restarted_with([FREE], 7_000, same_boot=False, lids=LIDS)
    assert night.opens(7_001, "lid", unseen=True) == [("lid", "tampered", None)]
    assert night.opens(7_002, "lid") == []
    night = night.restarted_with([FREE], 9_000, same_boot=True, lids=LIDS)
    assert night.opens(9_001, "lid", unseen=True) == []


def test_a_lid_found_shut_in_a_new_boot_is_told_as_closed() -> None:
    night = lidded()
    night.opens(900_000, "lid")
    night = night.restarted_with([FREE], 7_000, same_boot=False, lids=LIDS)
    assert night.closes(7_001, "lid", unseen=True) == [("lid", "closed", time_of(900_000))]
    assert night.opens(8_000, "lid") == [("lid", "tampered", time_of(8_000))]


@pytest.mark.parametrize("same_boot", [True, False])
def test_a_name_that_was_a_door_and_is_a_lid_now_is_judged_as_a_lid(same_boot: bool) -> None:
    night = Night(FREE)
    night.opens(10_000)
    night = night.restarted_with([], 20_000, same_boot=same_boot, lids=["front"])
    assert night.opens(20_001, unseen=True) == [("front", "tampered", None)]


def test_what_holds_names_lids_and_tamper_lines_among_the_doors() -> None:
    night = lidded()
    night.opens(1_000, "loop")
    assert night.rule.holds(night.state) == {"doors": {"front": "closed", "lid": "closed", "loop": "open"}}
    night = night.restarted_with([FREE], 2_000, same_boot=True)
    assert night.rule.holds(night.state) == {"doors": {"front": "closed"}}


def test_a_snapshot_of_an_earlier_version_knows_no_lids_and_is_read() -> None:
    assert DoorsState.model_validate_json('{"open": {}, "checkin_ms": 5}') == DoorsState(checkin_ms=5)

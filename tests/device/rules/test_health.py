"""What the post says of itself, each thing once."""

from typing import Any

import pytest
from postkit import at

from device.events import System, rfc3339
from device.readings import (
    BadgeRead,
    CommitFailed,
    Crashed,
    PartBlind,
    PartSighted,
    Refused,
    Room,
    RosterLoaded,
    Started,
    StopRequested,
    Trouble,
)
from device.rules.health import HealthRule, HealthState
from device.rules.rule import Cause


class Night:
    """One post; each call returns the data of what was recorded."""

    def __init__(self) -> None:
        self.rule = HealthRule(["reader gate", "reader yard", "reader back", "camera", "reader side"])
        self.state = HealthRule.initial

    def hears(self, cause: Cause, uptime_ms: int = 100_000) -> list[dict[str, Any]]:
        step = self.rule.step(self.state, cause, at(uptime_ms))
        self.state = HealthState.model_validate_json(step.state.model_dump_json())
        assert step.effects == ()
        assert all(draft.subject == "post" and isinstance(draft.data, System) for draft in step.drafts)
        return [draft.data.model_dump() for draft in step.drafts]


@pytest.mark.parametrize(("same_boot", "why"), [(True, "restart"), (False, "boot")])
def test_a_start_says_whether_the_machine_started_too(same_boot: bool, why: str) -> None:
    assert Night().hears(Started(at(), same_boot, "0.1.0")) == [
        {"change": "boot", "what": "post", "why": why, "firmware": "0.1.0"}
    ]


def test_a_stop_and_a_crash_say_why() -> None:
    assert Night().hears(StopRequested(at(), "SIGTERM")) == [{"change": "stop", "what": "post", "why": "SIGTERM"}]
    assert Night().hears(Crashed(at(), "contacts", "OSError: gone")) == [
        {"change": "stop", "what": "post", "why": "contacts died: OSError: gone"}
    ]


def test_a_reader_goes_blind_once_and_is_sighted_once_however_often_it_says_so() -> None:
    night = Night()
    gone = PartBlind(at(), "reader gate", "three time-outs")
    assert night.hears(gone, 5_000) == [{"change": "blind", "what": "reader gate", "why": "three time-outs"}]
    assert night.hears(gone, 6_000) == []
    assert night.rule.holds(night.state) == {"blind": {"reader gate": rfc3339(at(5_000).wall_ms)}}
    back = PartSighted(at(), "reader gate")
    assert night.hears(back, 9_000) == [
        {"change": "sighted", "what": "reader gate", "since": rfc3339(at(5_000).wall_ms)}
    ]
    assert night.hears(back, 9_001) == []
    assert night.rule.holds(night.state) == {"blind": {}}


def test_a_part_that_was_never_blind_is_not_sighted() -> None:
    assert Night().hears(PartSighted(at(), "reader gate")) == []


def test_a_part_that_is_blind_over_a_reboot_is_sighted_since_the_night_before() -> None:
    night = Night()
    night.hears(PartBlind(at(), "camera", "no frames"), 5_000)
    night.hears(Started(at(), False, "x"), 100)
    (sighted,) = night.hears(PartSighted(at(), "camera"), 200)
    assert sighted["since"] == rfc3339(at(5_000).wall_ms)


def test_a_part_that_was_taken_out_of_the_configuration_is_forgotten_at_the_next_start() -> None:
    night = Night()
    night.hears(PartBlind(at(), "reader attic", "x"))
    night.hears(Started(at(), True, "x"))
    assert night.state.blind == {}


def test_two_blind_parts_are_told_apart() -> None:
    night = Night()
    night.hears(PartBlind(at(), "reader gate", "x"))
    assert len(night.hears(PartBlind(at(), "reader back", "x"))) == 1
    assert [data["what"] for data in night.hears(PartSighted(at(), "reader gate"))] == ["reader gate"]
    assert list(night.state.blind) == ["reader back"]


def test_a_roster_is_named_when_it_changes_and_not_at_every_start() -> None:
    night = Night()
    first, second = RosterLoaded(at(), "ab" * 32, 3), RosterLoaded(at(), "", 0)
    assert night.hears(first) == [{"change": "roster", "what": "roster", "sha256": "ab" * 32, "officers": 3}]
    assert night.hears(first) == []
    assert night.hears(second) == [{"change": "roster", "what": "roster", "sha256": "", "officers": 0}]
    assert len(night.hears(first)) == 1


def test_no_roster_at_the_very_first_start_is_said_too() -> None:
    assert len(Night().hears(RosterLoaded(at(), "", 0))) == 1


@pytest.mark.parametrize("room", list(Room))
def test_what_the_disk_did_not_take_is_counted_whatever_there_is_room_for_now(room: Room) -> None:
    failed = CommitFailed(at(5_000), "disk full", unrecorded=2, dropped=7, room=room)
    (data,) = Night().hears(failed, 60_000)
    assert data == {
        "change": "storage",
        "what": "journal",
        "room": room.value,
        "why": "disk full",
        "since": rfc3339(at(5_000).wall_ms),
        "unrecorded": 2,
        "dropped": 7,
    }


@pytest.mark.parametrize("what", list(Trouble))
def test_what_was_set_aside_is_named(what: Trouble) -> None:
    (data,) = Night().hears(Refused(at(), what, "unusable; mend it"))
    assert data == {"change": "refused", "what": what.value, "why": "unusable; mend it"}


def test_a_why_of_many_lines_and_odd_characters_is_one_short_line() -> None:
    (data,) = Night().hears(PartBlind(at(), "reader gate", "a\nb\t\x1b[31mc\ud800 " + "x" * 900))
    assert data["why"].startswith("a b [31mc? xxx")
    assert len(data["why"]) == 300
    assert data["why"].endswith("…")


def test_a_tap_is_none_of_its_business() -> None:
    night = Night()
    assert night.hears(BadgeRead(at(), "gate", b"1234")) == []
    assert night.rule.due(night.state) is None

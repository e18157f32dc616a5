"""The self-test of a running post: asked for, or at a shift's change; what it says of each part."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from postkit import BOOT, CHAIN, SOURCE, new_key

from device.effects import Answer, Reply, Show
from device.events import SelfTested
from device.readings import (
    Asked,
    BadgeRead,
    ButtonPressed,
    ClockState,
    ContactChanged,
    Instant,
    MainsChanged,
    PartBlind,
    PartSighted,
    Started,
    Vitals,
)
from device.record.chain import Chain, Head
from device.rules.orders import OrdersRule
from device.rules.rule import Due, Seat
from device.rules.selftest import LATE_MS, SelftestRule
from device.turn import Turn

JAKARTA = ZoneInfo("Asia/Jakarta")
ORDER = "9d0f1c52-2f55-4f5e-8a51-c1d2e3f40516"


def wall(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=JAKARTA).astimezone(UTC).timestamp() * 1000)


def moment(text: str, clock: ClockState = "synced", boot: str = "2026-11-23T00:00:00") -> Instant:
    return Instant(wall(text) - wall(boot), wall(text), clock, 5)


def rule(times: tuple[time, ...] = (time(6), time(18)), lights: bool = True) -> SelftestRule:
    return SelftestRule(["gate"], ["front", "bell"], ["contacts"], times, JAKARTA, lights)


@dataclass
class Shift:
    """A post with its orders' rule beside it, in one turn after the other."""

    rule: SelftestRule = field(default_factory=rule)
    turn: Turn = field(init=False)

    def __post_init__(self) -> None:
        seats: list[Seat[Any]] = [Seat(OrdersRule(), OrdersRule.initial), Seat(self.rule, self.rule.initial)]
        self.turn = Turn(seats, Chain(SOURCE, BOOT, new_key(), Head(CHAIN)))

    def hears(self, *readings: Any) -> list[SelfTested]:
        """What is tested for it."""
        self.turn.sealed.clear()
        self.turn.effects.clear()
        tested = []
        for reading in readings:
            before = len(self.turn.sealed)
            self.turn.decide(reading, reading.at)
            tested += self.turn.sealed[before:]
        return [SelfTested.model_validate(data) for data in map(data_of, tested) if data["change"] == "selftest"]

    def waits(self, text: str, clock: ClockState = "synced") -> list[SelfTested]:
        """The loop calls at its deadlines until then."""
        at = moment(text, clock)
        tested = []
        while (due_ms := min(due for due in self.turn._dues())) <= at.uptime_ms:
            now = Instant(due_ms, at.wall_ms - at.uptime_ms + due_ms, clock, 5)
            self.turn.sealed.clear()
            self.turn.effects.clear()
            self.turn.decide(Due(), now)
            tested += [SelfTested.model_validate(data_of(event)) for event in self.turn.sealed]
        return tested


def data_of(sealed: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sealed.event)["data"]
    return found


def asked(at: Instant) -> Asked:
    return Asked(at, "selftest", ORDER, at.wall_ms + 60_000, "ab" * 32, None, (1, 1))


def found(tested: SelfTested) -> dict[str, bool | None]:
    return {part.what: part.ok for part in tested.parts}


START = Started(moment("2026-11-23T05:00:00"), False, "test")


def test_an_order_is_answered_by_an_event_and_a_reply_that_names_it() -> None:
    shift = Shift()
    shift.hears(START)
    (tested,) = shift.hears(asked(moment("2026-11-23T05:01:00")))
    assert (tested.why, tested.order, tested.passed) == ("order", ORDER, True)
    assert [data_of(sealed)["change"] for sealed in shift.turn.sealed] == ["order", "selftest"]
    assert shift.turn.effects == [
        Show(Answer.SELFTEST),
        Reply(ORDER, {"ok": True, "passed": True, "event": f"{CHAIN}/{shift.turn.chain.head.seq}"}),
    ]


def test_the_same_order_again_gets_the_same_reply_and_tests_nothing() -> None:
    shift = Shift()
    shift.hears(START)
    shift.hears(asked(moment("2026-11-23T05:01:00")))
    reply = shift.turn.effects[-1]
    assert shift.hears(asked(moment("2026-11-23T05:01:10"))) == []
    assert shift.turn.effects == [reply]


def test_it_says_of_each_part_what_it_has_shown_since_the_last_one() -> None:
    shift, at = Shift(), moment("2026-11-23T05:01:00")
    shift.hears(START, BadgeRead(at, "gate", b"1234"), BadgeRead(at, "gate", b"5678"))
    shift.hears(ContactChanged(at, "front", True), ContactChanged(at, "front", False))
    shift.hears(Vitals(at, 40.0, False, False, 1 << 30, 1 << 34))
    (tested,) = shift.hears(asked(at))
    assert found(tested) == {
        "reader gate": True, "input front": True, "input bell": None, "contacts": True,
        "lights": None, "clock": True, "disk": True, "supply": True,
    }  # fmt: skip
    whys = {part.what: part.why for part in tested.parts}
    assert whys["reader gate"] == "answers; 2 badges since the last self-test"
    assert whys["input front"] == "moved 2 times since the last self-test"
    assert whys["input bell"] == "has not moved: move it once"
    later = Asked(at, "selftest", ORDER.replace("9", "8"), at.wall_ms + 60_000, "cd" * 32, None, (1, 2))
    (again,) = shift.hears(ButtonPressed(at, "bell"), later)
    assert found(again)["input front"] is None
    assert found(again)["input bell"] is True


def test_a_blind_part_fails_the_test_and_says_why_until_it_sees_again() -> None:
    shift, at = Shift(), moment("2026-11-23T05:01:00")
    shift.hears(START, PartBlind(at, "reader gate", "its bus failed: check wiring"))
    (tested,) = shift.hears(asked(at))
    assert not tested.passed
    assert (tested.parts[0].ok, tested.parts[0].why) == (False, "its bus failed: check wiring")
    later = Asked(at, "selftest", ORDER.replace("9", "8"), at.wall_ms + 60_000, "cd" * 32, None, (1, 2))
    (again,) = shift.hears(PartSighted(at, "reader gate"), later)
    assert again.passed


@pytest.mark.parametrize(
    ("reading", "part"),
    [
        (Vitals(moment("2026-11-23T05:01:00"), None, True, None, None, None), "supply"),
        (Vitals(moment("2026-11-23T05:01:00"), None, None, None, 1 << 20, 1 << 30), "disk"),
        (MainsChanged(moment("2026-11-23T05:01:00"), False), "mains"),
    ],
)
def test_what_the_machine_tells_can_fail_it_too(reading: Any, part: str) -> None:
    shift = Shift()
    shift.hears(START, reading)
    (tested,) = shift.hears(asked(moment("2026-11-23T05:01:00")))
    assert found(tested)[part] is False
    assert not tested.passed


def test_an_unsure_clock_fails_it() -> None:
    shift = Shift()
    shift.hears(START)
    (tested,) = shift.hears(asked(moment("2026-11-23T05:01:00", "unsynced")))
    assert found(tested)["clock"] is False


def test_at_a_shifts_change_it_tests_once_by_the_posts_own_time_of_day() -> None:
    shift = Shift()
    shift.hears(START)
    assert shift.waits("2026-11-23T05:59:59") == []
    (tested,) = shift.waits("2026-11-23T06:01:00")
    assert (tested.why, tested.order) == ("shift", None)
    assert shift.waits("2026-11-23T17:59:00") == []
    assert len(shift.waits("2026-11-23T18:01:30")) == 1
    assert len(shift.waits("2026-11-24T06:01:30")) == 1


def test_a_post_that_was_off_at_the_time_does_not_test_hours_late() -> None:
    shift = Shift()
    shift.hears(Started(moment("2026-11-23T06:30:00"), False, "test"))
    assert shift.waits("2026-11-23T17:59:00") == []


def test_a_clock_that_is_set_far_ahead_leaves_the_times_out_that_it_skipped() -> None:
    shift = Shift()
    shift.hears(START)
    at = moment("2026-11-23T05:10:00")
    jumped = Instant(at.uptime_ms, at.wall_ms + 3_600_000 + LATE_MS, "synced", 5)
    shift.turn.decide(Due(), jumped)
    assert shift.turn.sealed == [] or data_of(shift.turn.sealed[-1])["change"] != "selftest"


def test_an_unsure_clock_starts_no_test_by_itself() -> None:
    shift = Shift()
    shift.hears(START)
    assert shift.waits("2026-11-23T07:00:00", "unsynced") == []


def test_a_post_without_times_is_never_called_and_one_without_lights_plays_none() -> None:
    shift = Shift(rule(times=(), lights=False))
    shift.hears(START)
    assert shift.rule.due(shift.turn.seats[1].state) is None
    (tested,) = shift.hears(asked(moment("2026-11-23T05:01:00")))
    assert "lights" not in found(tested)
    assert Show(Answer.SELFTEST) not in shift.turn.effects


def test_what_was_seen_before_a_restart_counts() -> None:
    shift, at = Shift(), moment("2026-11-23T05:01:00")
    shift.hears(START, BadgeRead(at, "gate", b"1234"))
    seat = shift.turn.seats[1]
    restored = Seat.restored(shift.rule, seat.snapshot())
    shift.turn.seats[1] = restored
    shift.hears(Started(at, True, "test"))
    (tested,) = shift.hears(asked(at))
    assert tested.parts[0].why == "answers; 1 badge since the last self-test"


def test_the_largest_post_fits_one_event() -> None:
    many = [f"a-name-of-thirty-two-characters-{n:02}"[:32] for n in range(40)]
    shift = Shift(SelftestRule(many, many, [], (), JAKARTA, True))
    at = moment("2026-11-23T05:01:00")
    shift.hears(START, *(PartBlind(at, f"reader {name}", "x" * 300) for name in many))
    (tested,) = shift.hears(asked(at))
    assert not tested.passed
    assert max(len(sealed.event) for sealed in shift.turn.sealed) < 8192

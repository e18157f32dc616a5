"""Check-ins: what an officer is answered, and when the same badge again is only a repetition."""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import at

from device.effects import Answer, Show
from device.events import Checkin
from device.readings import BadgeRead, ButtonPressed, PartBlind, Started
from device.rules.checkin import CheckinRule, CheckinState
from device.rules.roster import Officer, Roster
from device.rules.rule import Cause

KNOWN, OTHER, REVOKED, STRANGER = (bytes.fromhex(uid) for uid in ("DEADBEEF", "0BADCAFE", "0BADF00D", "00112233"))
REPEAT_MS = 10_000


def roster() -> Roster:
    officers = (
        Officer(id="officer-1", badges=(KNOWN.hex().upper(),)),
        Officer(id="officer-2", badges=(OTHER.hex().upper(),)),
        Officer(id="officer-3", badges=(REVOKED.hex().upper(),), revoked=True),
    )
    return Roster.of(officers, bytes(32), ZoneInfo("UTC"))


@dataclass
class Night:
    """One post's taps, one after the other."""

    rule: CheckinRule = field(default_factory=lambda: CheckinRule(roster(), REPEAT_MS))
    state: CheckinState = CheckinRule.initial

    def hears(self, cause: Cause, uptime_ms: int) -> tuple[Checkin | None, tuple[object, ...]]:
        step = self.rule.step(self.state, cause, at(uptime_ms))
        self.state = step.state
        if not step.drafts:
            return None, step.effects
        (draft,) = step.drafts
        assert isinstance(draft.data, Checkin)
        return draft.data, step.effects

    def tap(self, uptime_ms: int, uid: bytes = KNOWN, reader: str = "gate") -> str:
        data, effects = self.hears(BadgeRead(at(uptime_ms), reader, uid), uptime_ms)
        assert data is not None
        assert data.reader == reader
        answers = {"accepted": Answer.ACCEPTED, "repeated": Answer.REPEATED}
        assert effects == (Show(answers.get(data.verdict, Answer.REFUSED), reader),)
        return data.verdict


def test_a_known_badge_is_green_and_names_its_officer_but_never_its_number() -> None:
    data, effects = Night().hears(BadgeRead(at(), "gate", KNOWN, "mutual"), 100_000)
    assert data == Checkin(
        method="badge",
        officer="officer-1",
        badge=roster().hidden(KNOWN),
        verdict="accepted",
        assurance="mutual",
        reader="gate",
    )
    assert effects == (Show(Answer.ACCEPTED, "gate"),)


def test_a_stranger_is_refused_and_recorded_without_an_officer() -> None:
    data, effects = Night().hears(BadgeRead(at(), "gate", STRANGER), 100_000)
    assert data is not None
    assert (data.officer, data.verdict, data.badge) == (None, "unknown", roster().hidden(STRANGER))
    assert effects == (Show(Answer.REFUSED, "gate"),)


def test_a_button_is_a_check_in_of_nobody_and_is_never_repeated() -> None:
    night = Night()
    for uptime_ms in (1_000, 1_001):
        data, effects = night.hears(ButtonPressed(at(uptime_ms), "checkin"), uptime_ms)
        assert data is not None
        assert (data.method, data.officer, data.badge, data.reader) == ("button", None, None, None)
        assert (data.verdict, data.assurance) == ("accepted", "none")
        assert effects == (Show(Answer.ACCEPTED),)


def test_the_same_badge_is_repeated_up_to_the_window_and_accepted_after_it() -> None:
    night = Night()
    assert night.tap(0) == "accepted"
    assert night.tap(REPEAT_MS - 1) == "repeated"
    assert night.tap(REPEAT_MS) == "accepted"


def test_the_window_counts_from_the_last_accepted_tap_so_that_steady_taps_are_not_all_repeated() -> None:
    night = Night()
    verdicts = [night.tap(uptime_ms) for uptime_ms in range(0, 25_000, 5_000)]
    assert verdicts == ["accepted", "repeated", "accepted", "repeated", "accepted"]


def test_a_revoked_badge_stays_red_however_often_it_is_tapped() -> None:
    night = Night()
    assert {night.tap(uptime_ms, REVOKED) for uptime_ms in range(0, 3_000, 100)} == {"revoked"}


def test_a_stranger_stays_unknown_however_often_he_taps() -> None:
    night = Night()
    assert {night.tap(uptime_ms, STRANGER) for uptime_ms in range(0, 3_000, 100)} == {"unknown"}


def test_two_officers_do_not_repeat_each_other() -> None:
    night = Night()
    assert [night.tap(0), night.tap(1, OTHER), night.tap(2), night.tap(3, OTHER)] == [
        "accepted",
        "accepted",
        "repeated",
        "repeated",
    ]


def test_a_badge_at_the_posts_second_reader_is_repeated_too() -> None:
    night = Night()
    assert [night.tap(0, reader="gate"), night.tap(1_000, reader="back")] == ["accepted", "repeated"]


def test_a_restart_in_the_same_boot_remembers_and_a_reboot_forgets() -> None:
    night = Night()
    night.tap(50_000)
    night.hears(Started(at(51_000), same_boot=True, firmware="x"), 51_000)
    assert night.tap(52_000) == "repeated"
    night.hears(Started(at(1_000), same_boot=False, firmware="x"), 1_000)
    assert night.tap(1_001) == "accepted"


def test_no_window_means_no_repetition() -> None:
    night = Night(CheckinRule(roster(), 0))
    assert [night.tap(5), night.tap(5)] == ["accepted", "accepted"]


def test_what_is_no_tap_changes_nothing() -> None:
    night = Night()
    night.tap(0)
    before = night.state
    assert night.hears(PartBlind(at(1), "reader gate", "time-outs"), 1) == (None, ())
    assert night.state is before
    assert (night.rule.due(before), night.rule.holds(before)) == (None, {})


def test_a_thousand_officers_within_the_window_are_all_accepted_and_the_memory_stays_bounded() -> None:
    uids = [number.to_bytes(4, "big") for number in range(1_000)]
    officers = tuple(Officer(id=f"o-{uid.hex()}", badges=(uid.hex().upper(),)) for uid in uids)
    night = Night(CheckinRule(Roster.of(officers, bytes(32), ZoneInfo("UTC")), REPEAT_MS))
    assert {night.tap(number, uid) for number, uid in enumerate(uids)} == {"accepted"}
    assert len(night.state.accepted_ms) <= 256
    assert night.tap(1_001, uids[-1]) == "repeated"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4_000), st.sampled_from([KNOWN, OTHER])), max_size=60))
def test_accepted_taps_of_a_badge_are_always_a_window_apart_and_repeated_ones_never(
    taps: list[tuple[int, bytes]],
) -> None:
    night, uptime_ms, accepted = Night(), 0, dict[bytes, int]()
    for pause_ms, uid in taps:
        uptime_ms += pause_ms
        since = uptime_ms - accepted.get(uid, -REPEAT_MS)
        assert night.tap(uptime_ms, uid) == ("accepted" if since >= REPEAT_MS else "repeated")
        if since >= REPEAT_MS:
            accepted[uid] = uptime_ms

"""Dating: histories of boots whose clocks knew the time late, never, or not any more."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import CHAIN, EPOCH_MS, SOURCE, at, new_key, tapped

from device.events import ClockChanged, Draft
from device.readings import ClockState, Instant
from device.record.chain import Chain, Head
from recorder.dating import SYNCED_WITHIN_MS, Dated, Moment, date, moment_of

HOUR_MS = 3_600_000
FIRST, SECOND, THIRD = (f"{n}f0c8bb4-9d53-4b8e-b0a5-0d1f3a2c4e5f" for n in (1, 2, 3))


def unsure(bootid: str, uptime_ms: int) -> Moment:
    """An event of a clock that stands in 1970."""
    return Moment(bootid, uptime_ms, uptime_ms, None)


def sure(bootid: str, uptime_ms: int, wall_ms: int, error_ms: int = SYNCED_WITHIN_MS) -> Moment:
    return Moment(bootid, uptime_ms, wall_ms, error_ms)


def within(at_ms: int, reach_ms: int) -> Dated:
    return Dated(at_ms, at_ms - reach_ms, at_ms + reach_ms)


def test_a_tap_before_the_time_server_answered_is_dated_by_the_clock_event_after_it() -> None:
    """Booted at 01:15 in 1970, synced an hour later within 40 ms: half an hour of drift is 0.9 s at most."""
    told = date([[unsure(FIRST, HOUR_MS // 2), sure(FIRST, HOUR_MS, EPOCH_MS + HOUR_MS, 40)]])
    assert told == [[within(EPOCH_MS + HOUR_MS // 2, 40 + 900), within(EPOCH_MS + HOUR_MS, 40)]]


def test_a_tap_after_the_time_server_fell_silent_is_dated_by_the_last_sure_event_before_it() -> None:
    told = date([[sure(FIRST, 0, EPOCH_MS, 10), unsure(FIRST, 2_000)]])
    assert told[0][1] == within(EPOCH_MS + 2_000, 11)


def test_the_sure_event_that_bounds_it_best_counts_not_the_next_one() -> None:
    chain = [
        sure(FIRST, 0, EPOCH_MS, 5),
        sure(FIRST, 10_000, EPOCH_MS + 10_000),
        unsure(FIRST, 20_000),
        sure(FIRST, 30_000, EPOCH_MS + 30_400, 3),
    ]
    assert date([chain])[0][2] == within(EPOCH_MS + 20_400, 3 + 5)
    assert date([chain[:3]])[0][2] == within(EPOCH_MS + 20_000, 5 + 10)


def test_a_boot_that_never_knew_the_time_is_dated_between_its_neighbours() -> None:
    """It began after the last event before it, and the next boot began after it: uptimes narrow it."""
    chain = [
        sure(FIRST, 50_000, EPOCH_MS, 10),
        unsure(SECOND, 20_000),
        unsure(SECOND, 24_000),
        sure(THIRD, 6_000, EPOCH_MS + 100_000, 20),
    ]
    dated = date([chain])[0]
    assert dated[1] == Dated(None, EPOCH_MS - 10 + 20_000 - 10, EPOCH_MS + 100_020 - 5_997 - 3_998)
    assert dated[2] == Dated(None, EPOCH_MS - 10 + 24_000 - 12, EPOCH_MS + 100_020 - 5_997)


def test_two_such_boots_in_a_row_come_one_after_the_other() -> None:
    chain = [
        sure(FIRST, 0, EPOCH_MS, 0),
        unsure(SECOND, 10_000),
        unsure(THIRD, 10_000),
        sure(THIRD[:-1] + "0", 10_000, EPOCH_MS + 60_000, 0),
    ]
    _, second, third, _ = date([chain])[0]
    assert second == Dated(None, EPOCH_MS + 9_995, EPOCH_MS + 60_000 - 2 * 9_995)
    assert third == Dated(None, EPOCH_MS + 2 * 9_995, EPOCH_MS + 60_000 - 9_995)


def test_the_first_and_the_last_boot_are_bounded_on_one_side_and_a_lone_one_on_none() -> None:
    synced = sure(SECOND, 0, EPOCH_MS, 0)
    assert date([[unsure(FIRST, 5_000), synced]])[0][0] == Dated(None, None, EPOCH_MS)
    assert date([[synced, unsure(THIRD, 5_000)]])[0][1] == Dated(None, EPOCH_MS + 4_997, None)
    assert date([[unsure(FIRST, 5_000)]]) == [[Dated()]]
    assert date([]) == []
    assert date([[]]) == [[]]


def test_a_chain_that_begins_within_a_boot_shares_its_clock_and_not_its_neighbours() -> None:
    old = [sure(FIRST, 0, EPOCH_MS, 0), unsure(SECOND, 1_000)]
    new = [unsure(FIRST, 2_000), unsure(THIRD, 1_000)]
    assert date([old, new]) == [
        [within(EPOCH_MS, 0), Dated(None, EPOCH_MS + 999, None)],
        [within(EPOCH_MS + 2_000, 1), Dated(None, EPOCH_MS + 2_000 - 1 + 999, None)],
    ]


def event(now: Instant, draft: Draft) -> dict[str, Any]:
    """A sealed event as a subscriber decodes it."""
    _, sealed = Chain(SOURCE, FIRST, new_key(), Head(CHAIN)).seal(draft, now)
    decoded: dict[str, Any] = json.loads(sealed.event)
    return decoded


@pytest.mark.parametrize(
    ("clock", "told_ms", "error_ms"),
    [
        ("synced", 7, 7),
        ("holdover", 2_500, 2_500),
        ("holdover", None, None),
        ("unsynced", None, None),
        ("synced", None, SYNCED_WITHIN_MS),
    ],
)
def test_what_a_clock_event_says_of_its_error_is_its_bound(
    clock: ClockState, told_ms: int | None, error_ms: int | None
) -> None:
    draft = Draft(subject="post", data=ClockChanged(state=clock, error_ms=told_ms, step_ms=0))
    assert moment_of(event(at(5_000, clock=clock), draft)) == Moment(FIRST, 5_000, EPOCH_MS + 5_000, error_ms)


@pytest.mark.parametrize(
    ("clock", "error_ms"), [("synced", SYNCED_WITHIN_MS), ("holdover", None), ("unsynced", None)]
)
def test_any_other_event_is_as_sure_as_its_clock(clock: ClockState, error_ms: int | None) -> None:
    assert moment_of(event(at(5_000, clock=clock), tapped())).error_ms == error_ms


def test_a_bound_that_is_no_number_is_none() -> None:
    draft = Draft(subject="post", data=ClockChanged(state="holdover", error_ms=5, step_ms=0))
    decoded = event(at(5_000, clock="holdover"), draft)
    for odd in ("5", -1, None, [5]):
        assert moment_of({**decoded, "data": {**decoded["data"], "error_ms": odd}}).error_ms is None


@st.composite
def nights(draw: st.DrawFn) -> tuple[list[Moment], list[int]]:
    """A post's chain over several boots as it is recorded, and the true time of each event.

    Uptime runs up to 500 ppm wrong, differently in each boot; a sure clock is wrong within its bound.
    """
    chain: list[Moment] = []
    truth: list[int] = []
    true_ms = draw(st.integers(10**12, 2 * 10**12))
    for boot in range(draw(st.integers(1, 5))):
        true_ms += draw(st.integers(0, HOUR_MS))
        began_ms, uptime_ms = true_ms, 0
        ppm = draw(st.integers(-499, 499))
        for _ in range(draw(st.integers(1, 6))):
            passed_ms = draw(st.integers(0, 10 * HOUR_MS))
            true_ms += passed_ms
            uptime_ms = max(uptime_ms, round((true_ms - began_ms) * (1 + ppm / 1_000_000)))
            error_ms = draw(st.none() | st.integers(2, 5_000))
            off_ms = (
                draw(st.integers(1 - error_ms, error_ms - 1)) if error_ms else draw(st.integers(-(10**12), 10**12))
            )
            chain.append(Moment(f"boot {boot}", uptime_ms, true_ms + off_ms, error_ms))
            truth.append(true_ms)
    return chain, truth


@settings(deadline=None)
@given(nights())
def test_the_true_time_is_always_within_the_bounds(night: tuple[list[Moment], list[int]]) -> None:
    chain, truth = night
    synced = {moment.bootid for moment in chain if moment.error_ms is not None}
    for moment, dated, true_ms in zip(chain, date([chain])[0], truth, strict=True):
        assert dated.earliest_ms is None or dated.earliest_ms <= true_ms + 2
        assert dated.latest_ms is None or dated.latest_ms >= true_ms - 2
        assert (dated.at_ms is not None) == (moment.bootid in synced)

"""Patterns: what an officer can count on without having read anything."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.effects import Answer
from device.hardware.patterns import (
    NO_LINE,
    NO_LINE_EVERY_MS,
    PATTERNS,
    SHORTEST_BEEP_MS,
    Moment,
    shortened,
)

TO_OFFICERS = [answer for answer in Answer if answer is not Answer.SELFTEST]


def test_every_answer_to_an_officer_has_a_pattern_that_lights_one_colour_at_least_two_seconds() -> None:
    assert set(PATTERNS) == set(Answer)
    for moments in (PATTERNS[answer] for answer in TO_OFFICERS):
        assert sum(moment.ms for moment in moments) >= 2_000
        assert len({(moment.green, moment.red) for moment in moments}) == 1
        assert all(moment.green != moment.red for moment in moments)
        assert not moments[-1].buzzer


def test_lengths_are_those_of_the_table() -> None:
    lengths = {answer: sum(moment.ms for moment in moments) for answer, moments in PATTERNS.items()}
    assert lengths == {
        Answer.ACCEPTED: 2_000,
        Answer.REPEATED: 2_000,
        Answer.REFUSED: 2_000,
        Answer.NOT_RECORDED: 2_600,
        Answer.SELFTEST: 2_000,
    }
    beeps = {answer: sum(moment.buzzer for moment in moments) for answer, moments in PATTERNS.items()}
    assert beeps == {
        Answer.ACCEPTED: 1,
        Answer.REPEATED: 2,
        Answer.REFUSED: 1,
        Answer.NOT_RECORDED: 8,
        Answer.SELFTEST: 2,
    }


def test_the_line_flash_is_red_short_and_silent() -> None:
    assert (NO_LINE.red, NO_LINE.green, NO_LINE.buzzer) == (True, False, False)
    assert NO_LINE.ms < 100 < NO_LINE_EVERY_MS


def test_the_self_test_lights_green_for_a_second_then_red_and_beeps_as_each_begins() -> None:
    moments = PATTERNS[Answer.SELFTEST]
    first_red_ms = sum(moment.ms for moment in moments if not moment.red)
    assert first_red_ms == sum(moment.ms for moment in moments if moment.red) == 1_000
    assert moments[0].green and moments[0].buzzer
    assert all(moment.green or moment.red for moment in moments)
    assert [moment.red for moment in moments if moment.buzzer] == [False, True]


def test_only_the_self_test_has_red_rise_beside_green() -> None:
    both = {
        answer
        for answer, moments in PATTERNS.items()
        if any(before.green and now.red and not before.red for before, now in pairwise(moments))
    }
    assert both == {Answer.SELFTEST}


def beeps_ms(moments: tuple[Moment, ...]) -> list[int]:
    return [moment.ms for moment in moments if moment.buzzer]


@pytest.mark.parametrize(
    ("answer", "by_night"),
    [
        (Answer.ACCEPTED, [36]),
        (Answer.REPEATED, [30, 30]),
        (Answer.REFUSED, [240]),
        (Answer.NOT_RECORDED, [30] * 8),
        (Answer.SELFTEST, [36, 36]),
    ],
)
def test_an_active_buzzer_at_thirty_percent_beeps_as_often_and_shorter(answer: Answer, by_night: list[int]) -> None:
    assert beeps_ms(tuple(shortened(PATTERNS[answer], 30))) == by_night


@settings(deadline=None)
@given(st.sampled_from([*Answer]), st.integers(1, 100))
def test_shorter_beeps_change_nothing_else(answer: Answer, percent: int) -> None:
    moments, quiet = PATTERNS[answer], tuple(shortened(PATTERNS[answer], percent))
    for light in ("green", "red"):
        lit = [sum(m.ms for m in play if getattr(m, light)) for play in (moments, quiet)]
        assert lit[0] == lit[1]
    assert len(beeps_ms(quiet)) == len(beeps_ms(moments))
    assert all(ms >= SHORTEST_BEEP_MS for ms in beeps_ms(quiet))
    assert quiet[0].buzzer == moments[0].buzzer  # the first edge still tells the answer
    assert max(beeps_ms(quiet)) <= max(beeps_ms(moments))


def test_at_full_volume_nothing_is_shortened() -> None:
    assert all(tuple(shortened(moments, 100)) == moments for moments in PATTERNS.values())

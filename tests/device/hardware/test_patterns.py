"""Patterns: what an officer can count on without having read anything."""

from device.effects import Answer
from device.hardware.patterns import NO_LINE, NO_LINE_EVERY_MS, PATTERNS


def test_every_answer_has_a_pattern_that_lights_one_colour_at_least_two_seconds() -> None:
    assert set(PATTERNS) == set(Answer)
    for moments in PATTERNS.values():
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
    }
    beeps = {answer: sum(moment.buzzer for moment in moments) for answer, moments in PATTERNS.items()}
    assert beeps == {Answer.ACCEPTED: 1, Answer.REPEATED: 2, Answer.REFUSED: 1, Answer.NOT_RECORDED: 8}


def test_the_line_flash_is_red_short_and_silent() -> None:
    assert (NO_LINE.red, NO_LINE.green, NO_LINE.buzzer) == (True, False, False)
    assert NO_LINE.ms < 100 < NO_LINE_EVERY_MS

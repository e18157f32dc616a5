"""What the officer recognises, held against the patterns the device really plays."""

import queue
import threading
from collections.abc import Iterator

import pytest

from device.effects import Answer
from device.hardware.indicator import Indicator
from device.hardware.patterns import DARK_BETWEEN_MS, NO_LINE, PATTERNS, Moment
from simulator.clock import SimClock
from simulator.factory import Change, SimFactory
from simulator.officer import LOOKS, Officer, Seen, Sign

PINS = {13: "buzzer", 5: "green", 6: "red"}  # in the order in which the indicator writes them


def watch(officer: Officer, moments: list[Moment]) -> list[Seen]:
    """Play moments as the indicator writes them."""
    at_s, seen = 100.0, []
    before = Moment(0)
    for moment in [*moments, Moment(0)]:
        for output in PINS.values():
            level = getattr(moment, output)
            if level != getattr(before, output) and (sign := officer.feed(at_s, output, level)):
                seen.append(sign)
        before = moment
        at_s += moment.ms / 1000
    return seen


TO_OFFICERS = [answer for answer in Answer if answer is not Answer.SELFTEST]


@pytest.mark.parametrize("answer", TO_OFFICERS)
def test_every_answer_is_recognised_when_its_light_rises(answer: Answer) -> None:
    officer = Officer()
    assert watch(officer, [*PATTERNS[answer]]) == [Seen(Sign(answer.value), 100.0)]
    assert officer.last == Seen(Sign(answer.value), 100.0)
    assert not any(officer.lit.values())


def test_a_self_test_looks_like_an_accepted_tap_until_red_comes_too() -> None:
    officer = Officer()
    seen = watch(officer, [*PATTERNS[Answer.SELFTEST]])
    assert seen == [Seen(Sign.ACCEPTED, 100.0), Seen(Sign.SELFTEST, 100.0)]
    assert officer.last == Seen(Sign.SELFTEST, 100.0)


def test_every_sign_has_words() -> None:
    assert set(LOOKS) == set(Sign)


def test_the_flash_of_a_post_without_a_line_is_no_answer() -> None:
    officer = Officer()
    assert [seen.sign for seen in watch(officer, [NO_LINE])] == [Sign.NO_LINE]
    assert officer.last is None


@pytest.mark.parametrize("first", TO_OFFICERS)
@pytest.mark.parametrize("second", TO_OFFICERS)
def test_an_answer_that_replaces_another_is_seen_too(first: Answer, second: Answer) -> None:
    cut_short = [*PATTERNS[first][:2], Moment(DARK_BETWEEN_MS), *PATTERNS[second]]
    assert [seen.sign for seen in watch(Officer(), cut_short)] == [Sign(first.value), Sign(second.value)]


def test_an_answer_in_the_middle_of_a_flash_is_told_from_it() -> None:
    moments = [NO_LINE, Moment(DARK_BETWEEN_MS), *PATTERNS[Answer.REFUSED]]
    assert [seen.sign for seen in watch(Officer(), moments)] == [Sign.NO_LINE, Sign.REFUSED]


@pytest.mark.parametrize(
    ("answer", "sign"),
    [(Answer.ACCEPTED, Sign.GREEN), (Answer.REPEATED, Sign.GREEN), (Answer.REFUSED, Sign.RED)],
)
def test_without_a_buzzer_only_the_colour_is_told(answer: Answer, sign: Sign) -> None:
    silent = [Moment(moment.ms, moment.green, moment.red) for moment in PATTERNS[answer]]
    assert [seen.sign for seen in watch(Officer(has_buzzer=False), silent)] == [sign]
    assert [seen.sign for seen in watch(Officer(has_buzzer=False), [NO_LINE])] == [Sign.NO_LINE]


class Watched:
    """The real indicator, and an officer before it."""

    def __init__(self) -> None:
        self.factory = SimFactory()
        self.officer = Officer()
        self.signs: list[Sign] = []
        self.sees = threading.Condition()
        self.factory.listen(self._changed)
        self.indicator = Indicator(5, 6, 13, self.factory, SimClock(), queue.SimpleQueue())
        self.indicator.start()

    def _changed(self, change: Change) -> None:
        with self.sees:
            if seen := self.officer.feed(change.at_s, PINS[change.pin], change.level):
                self.signs.append(seen.sign)
            self.sees.notify_all()

    def see(self, count: int) -> list[Sign]:
        """The first ``count`` signs that are answers."""
        with self.sees:
            assert self.sees.wait_for(lambda: len(self._answers()) >= count, 10)
            return self._answers()[:count]

    def _answers(self) -> list[Sign]:
        return [sign for sign in self.signs if sign != Sign.NO_LINE]


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.indicator.stop()
    made.factory.close()


def test_the_real_indicator_is_understood_answer_by_answer(watched: Watched) -> None:
    asked = [Answer.ACCEPTED, Answer.ACCEPTED, Answer.REPEATED, Answer.REFUSED, Answer.NOT_RECORDED]
    watched.indicator.line(True)
    for count, answer in enumerate(asked, 1):
        watched.indicator.show(answer)
        assert watched.see(count)[-1] == Sign(answer.value)
    watched.indicator.show(Answer.SELFTEST)
    assert watched.see(len(asked) + 2)[-2:] == [Sign.ACCEPTED, Sign.SELFTEST]

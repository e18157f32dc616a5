"""Lights and buzzer on gpiozero's own mock pins, each answer played in real time."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import time as clock_time

import pytest
from gpiozero.pins.mock import MockFactory, MockPin, MockPWMPin
from postkit import RunningClock, at
from waiting import until

from device.effects import Answer
from device.hardware import indicator as module
from device.hardware.buzzer import Sound
from device.hardware.indicator import Indicator
from device.hardware.loudness import Loudness, duty
from device.hardware.patterns import DARK_BETWEEN_MS, NO_LINE_EVERY_MS, PATTERNS, Moment
from device.hardware.worker import LOOK_EVERY_MS, LOOKS
from device.readings import Clock, Instant, PartBlind, PartSighted, Reading

PINS = {"green": 5, "red": 6, "buzzer": 13}

Lit = frozenset[str]
DARK: Lit = frozenset()


class WatchedPin(MockPin):  # type: ignore[misc]
    """A mock pin whose changes are kept in order with those of the other pins."""

    def _change_state(self, value: bool) -> bool:
        self.factory.write()
        changed: bool = super()._change_state(value)
        if changed:
            self.factory.changes.append((time.monotonic(), int(self.info.name.removeprefix("GPIO")), value))
        return changed


class WatchedFactory(MockFactory):  # type: ignore[misc]
    """Its writes may block, as a driver's that waits for its chip."""

    def __init__(self) -> None:
        self.changes: list[tuple[float, int, bool]] = []
        self.blocks = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()
        super().__init__(pin_class=WatchedPin)

    def write(self) -> None:
        if not self.goes_on.is_set():
            self.blocks.set()
        self.goes_on.wait()


@dataclass
class Panel:
    """One post's lights."""

    factory: WatchedFactory = field(default_factory=WatchedFactory)
    buzzer: bool = True
    inbox: "queue.SimpleQueue[Reading]" = field(default_factory=queue.SimpleQueue)
    clock: Clock = field(default_factory=RunningClock)
    sound: Sound | None = None
    steps: list[tuple[float, float, Lit]] = field(default_factory=list)
    """Each time the outputs were set: when that began and was done (seconds), and what was lit then."""

    def __post_init__(self) -> None:
        buzzer = PINS["buzzer"] if self.buzzer else None
        self.indicator = Indicator(
            PINS["green"], PINS["red"], buzzer, self.factory, self.clock, self.inbox, sound=self.sound
        )
        light = self.indicator._light

        def noted(moment: Moment) -> None:
            began_s = time.monotonic()
            light(moment)
            self.steps.append((began_s, time.monotonic(), self.lit()))

        self.indicator._light = noted  # type: ignore[method-assign]

    def lit(self) -> Lit:
        return frozenset(name for name, pin in PINS.items() if self.factory.pin(pin).state)

    def changes(self) -> list[tuple[float, str, bool]]:
        """Every change of an output, in order: when (seconds), which, lit."""
        names = {pin: name for name, pin in PINS.items()}
        return [(when, names[pin], level) for when, pin, level in list(self.factory.changes)]

    def moments(self) -> list[tuple[Lit, float]]:
        """What was lit, from the first light on, and for how many milliseconds."""
        changed: list[tuple[float, float, Lit]] = []
        for step in list(self.steps):
            if step[2] != (changed[-1][2] if changed else DARK):
                changed.append(step)
        ends = [began_s for began_s, _, _ in changed[1:]] + [float("inf")] * bool(changed)
        return [(lit, (end_s - done_s) * 1_000) for (_, done_s, lit), end_s in zip(changed, ends, strict=True)]

    def seen(self, lit: set[str]) -> int:
        """How often just that was lit so far: a beep may be over before anybody looks."""
        return [played for played, _ in self.moments()].count(frozenset(lit))


@contextmanager
def playing(*, line: bool = True, buzzer: bool = True) -> Iterator[Panel]:
    panel = Panel(buzzer=buzzer)
    panel.indicator.line(line)
    panel.indicator.start()
    try:
        yield panel
    finally:
        panel.indicator.stop()


def pattern(answer: Answer) -> list[tuple[Lit, int]]:
    return [(frozenset(name for name in PINS if getattr(moment, name)), moment.ms) for moment in PATTERNS[answer]]


def test_every_answer_is_played_as_it_is_written_and_ends_dark() -> None:
    panels = {answer: Panel() for answer in Answer}
    for answer, panel in panels.items():
        panel.indicator.line(True)
        panel.indicator.start()
        panel.indicator.show(answer)
    try:
        for answer, panel in panels.items():
            wanted = len(pattern(answer)) + 1
            until(lambda panel=panel, wanted=wanted: len(panel.moments()) == wanted, what=answer)  # type: ignore[misc]
    finally:
        for panel in panels.values():
            panel.indicator.stop()
    for answer, panel in panels.items():
        played = panel.moments()
        assert [lit for lit, _ in played] == [lit for lit, _ in pattern(answer)] + [DARK]
        for (_, lasted_ms), (_, meant_ms) in zip(played, pattern(answer), strict=False):
            assert lasted_ms >= meant_ms - 6


def test_the_four_answers_are_told_apart_by_their_first_light_and_by_sound_alone() -> None:
    to_officers = [answer for answer in Answer if answer is not Answer.SELFTEST]
    colours = {answer: {lit & {"green", "red"} for lit, _ in pattern(answer)} for answer in to_officers}
    assert colours[Answer.ACCEPTED] == colours[Answer.REPEATED] == {frozenset({"green"})}
    assert colours[Answer.REFUSED] == colours[Answer.NOT_RECORDED] == {frozenset({"red"})}
    beeps = {answer: [ms for lit, ms in pattern(answer) if "buzzer" in lit] for answer in Answer}
    assert len({tuple(beep) for beep in beeps.values()}) == len(Answer)
    assert len({frozenset(pattern(answer)[0][0]) for answer in to_officers}) == len(to_officers)


def test_a_light_never_rises_before_its_beep() -> None:
    with playing() as panel:
        panel.indicator.show(Answer.ACCEPTED)
        until(lambda: panel.seen({"green", "buzzer"}))
        assert [name for _, name, _ in panel.changes()][:2] == ["buzzer", "green"]


def test_a_newer_answer_replaces_an_older_one_after_a_dark_gap() -> None:
    with playing() as panel:
        panel.indicator.show(Answer.ACCEPTED)
        until(lambda: panel.lit() == {"green"} and len(panel.changes()) >= 3)  # its beep is over
        panel.indicator.show(Answer.REFUSED)
        until(lambda: panel.seen({"red", "buzzer"}))
        played = panel.moments()[:4]
        assert [lit for lit, _ in played] == [{"green", "buzzer"}, {"green"}, DARK, {"red", "buzzer"}]
        assert played[2][1] >= DARK_BETWEEN_MS - 6


def test_the_same_answer_twice_is_seen_twice() -> None:
    with playing() as panel:
        for _ in range(2):
            panel.indicator.show(Answer.ACCEPTED)
            until(lambda: panel.lit() == {"green"})
            before = panel.seen({"green", "buzzer"})
            panel.indicator.show(Answer.ACCEPTED)
            until(lambda before=before: panel.seen({"green", "buzzer"}) > before)  # type: ignore[misc]
        assert DARK in [lit for lit, _ in panel.moments()[1:]]


def test_the_answer_of_the_newest_of_a_crowd_is_what_is_left_standing() -> None:
    with playing() as panel:
        for answer in (Answer.ACCEPTED, Answer.REPEATED, Answer.REFUSED, Answer.ACCEPTED, Answer.NOT_RECORDED):
            panel.indicator.show(answer)
        until(lambda: panel.lit() == {"red"})
        until(lambda: panel.lit() == {"red", "buzzer"})


def test_a_red_flash_now_and_then_while_the_line_is_down_and_none_once_it_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "NO_LINE_EVERY_MS", 100)
    with playing(line=False) as panel:
        until(lambda: len(panel.moments()) >= 6)
        assert {lit for lit, _ in panel.moments()} == {frozenset({"red"}), DARK}
        until(lambda: panel.lit() == DARK)
        panel.indicator.line(True)
        panel.indicator.show(Answer.ACCEPTED)
        until(lambda: panel.lit() == {"green"})
        flashes = len([1 for _, name, lit in panel.changes() if name == "red" and lit])
        until(lambda: panel.lit() == DARK)
        panel.indicator.show(Answer.ACCEPTED)
        until(lambda: panel.lit() == {"green"})
        assert len([1 for _, name, lit in panel.changes() if name == "red" and lit]) == flashes


def test_the_line_coming_up_between_two_flashes_means_not_even_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NO_LINE_EVERY_MS", 1_500)
    with playing(line=False) as panel:
        until(lambda: len(panel.moments()) == 2)
        panel.indicator.line(True)
        began = threading.Event()
        timer = threading.Timer(2.5, began.set)
        timer.start()
        until(began.is_set)
        assert [lit for lit, _ in panel.moments()] == [{"red"}, DARK]


def test_the_line_going_down_while_an_answer_is_shown_does_not_disturb_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NO_LINE_EVERY_MS", 100)
    with playing() as panel:
        panel.indicator.show(Answer.ACCEPTED)
        until(lambda: panel.lit() == {"green"})
        panel.indicator.line(False)
        until(lambda: panel.lit() == {"red"})
        lights = [lit for lit, _ in panel.moments()]
        assert lights[:3] == [{"green", "buzzer"}, {"green"}, DARK]
        assert panel.moments()[1][1] >= 1_880 - 6


def test_stopping_in_the_middle_of_an_answer_leaves_all_dark_and_the_pins_free() -> None:
    panel = Panel()
    panel.indicator.start()
    panel.indicator.show(Answer.REFUSED)
    until(lambda: panel.lit() == {"red", "buzzer"})
    panel.indicator.stop()
    assert [lit for _, name, lit in panel.changes() if name == "red"] == [True, False]
    assert [lit for _, name, lit in panel.changes() if name == "buzzer"] == [True, False]
    Indicator(PINS["green"], PINS["red"], PINS["buzzer"], panel.factory, RunningClock(), panel.inbox)


def test_a_post_without_a_buzzer_answers_with_lights_alone() -> None:
    with playing(buzzer=False) as panel:
        panel.indicator.show(Answer.REFUSED)
        until(lambda: panel.lit() == {"red"})
        assert {name for _, name, _ in panel.changes()} == {"red"}


def test_showing_returns_at_once() -> None:
    panel = Panel()
    for _ in range(1_000):
        panel.indicator.show(Answer.NOT_RECORDED)
    panel.indicator.start()
    panel.indicator.stop()
    assert panel.lit() == DARK


def test_no_round_is_so_long_that_the_lights_would_count_as_hung() -> None:
    longest_ms = max(NO_LINE_EVERY_MS, *(moment.ms for moments in PATTERNS.values() for moment in moments))
    assert longest_ms < (LOOKS - 1) * LOOK_EVERY_MS


def test_lights_whose_pin_blocks_hold_up_nobody_and_are_told_as_blind_until_they_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("device.hardware.worker.END_WITHIN_S", 0.01)
    panel = Panel()
    panel.indicator.line(True)
    panel.indicator.start()
    assert isinstance(panel.inbox.get(timeout=20), PartSighted)  # it may have hung when the program last ended
    panel.factory.goes_on.clear()
    panel.indicator.show(Answer.ACCEPTED)
    assert panel.factory.blocks.wait(20)
    for _ in range(1_000):
        panel.indicator.show(Answer.REFUSED)
    for _ in range(LOOKS + 1):
        panel.indicator.worker.look(RunningClock().now())
    blind = panel.inbox.get(timeout=20)
    assert isinstance(blind, PartBlind) and blind.part == "indicator"
    panel.indicator.stop()
    panel.factory.goes_on.set()
    sighted = panel.inbox.get(timeout=20)
    assert isinstance(sighted, PartSighted) and sighted.part == "indicator"
    until(panel.indicator.worker.ended)
    assert panel.lit() == DARK


def wired(sound: Sound, *, lit_by_low: bool = False, clock: Clock | None = None) -> tuple[Indicator, MockFactory]:
    factory = MockFactory(pin_class=MockPWMPin)
    indicator = Indicator(
        PINS["green"], PINS["red"], PINS["buzzer"], factory, clock or RunningClock(), queue.SimpleQueue(),
        lit_by_low=lit_by_low, sound=sound,
    )  # fmt: skip
    return indicator, factory


def level(factory: MockFactory, name: str) -> float:
    return float(factory.pin(PINS[name]).state)


def levels(factory: MockFactory, name: str) -> list[float]:
    """Duty cycles or levels, one after the other."""
    return [float(past.state) for past in factory.pin(PINS[name]).states]


def test_lights_of_a_board_that_switches_on_with_a_low_pin_are_dark_when_high() -> None:
    indicator, factory = wired(Sound(by_low=True), lit_by_low=True)
    assert {name: level(factory, name) for name in PINS} == dict.fromkeys(PINS, 1.0)
    indicator.line(True)
    indicator.start()
    indicator.show(Answer.REFUSED)
    until(lambda: level(factory, "red") == 0.0)
    assert level(factory, "green") == 1.0
    until(lambda: level(factory, "buzzer") == 1.0)  # its beep is over
    assert 0.0 in levels(factory, "buzzer")
    until(lambda: level(factory, "red") == 1.0)
    indicator.stop()


@pytest.mark.parametrize("by_low", [False, True])
def test_a_passive_buzzer_gets_its_tone_while_it_beeps_and_rests_without_one(by_low: bool) -> None:
    indicator, factory = wired(Sound(tone_hz=2_700, by_low=by_low))
    buzzer = factory.pin(PINS["buzzer"])
    at_rest = float(by_low)
    assert (buzzer.frequency, float(buzzer.state)) == (None, at_rest)
    indicator.line(True)
    indicator.start()
    indicator.show(Answer.REFUSED)
    until(lambda: buzzer.frequency == 2_700 and float(buzzer.state) == 0.5)
    until(lambda: buzzer.frequency is None and float(buzzer.state) == at_rest)
    assert level(factory, "red") == 1.0  # the light goes on alone
    indicator.stop()
    assert buzzer.frequency is None


class Fixed:
    """A clock that stands at one time of day, UTC."""

    def __init__(self, hour: int) -> None:
        self.hour = hour

    def now(self) -> Instant:
        return replace(at(), wall_ms=self.hour * 3_600_000)


NIGHT = Loudness(day=100, night=30, hours=(clock_time(22), clock_time(6)))


@pytest.mark.parametrize(("hour", "percent"), [(12, 100), (23, 30)])
def test_a_passive_buzzer_is_quieter_by_night_by_its_duty_cycle(hour: int, percent: int) -> None:
    indicator, factory = wired(Sound(tone_hz=2_000, loudness=NIGHT), clock=Fixed(hour))
    indicator.line(True)
    indicator.start()
    indicator.show(Answer.NOT_RECORDED)
    until(lambda: levels(factory, "buzzer").count(duty(percent)) == 8)
    indicator.stop()
    assert set(levels(factory, "buzzer")) == {0.0, duty(percent)}


@pytest.mark.parametrize(("hour", "beep_ms"), [(12, 800), (23, 240)])
def test_an_active_buzzer_beeps_shorter_by_night_and_the_light_is_as_long(hour: int, beep_ms: int) -> None:
    panel = Panel(clock=Fixed(hour), sound=Sound(loudness=NIGHT))
    panel.indicator.line(True)
    panel.indicator.start()
    panel.indicator.show(Answer.REFUSED)
    until(lambda: len(panel.moments()) == 3)
    panel.indicator.stop()
    (beeping, beep), (silent, rest), _ = panel.moments()
    assert (set(beeping), set(silent)) == ({"red", "buzzer"}, {"red"})
    assert beep >= beep_ms - 6
    assert rest >= 2_000 - beep_ms - 6

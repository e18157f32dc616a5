"""Chatter: what no person and no sound contact does is found, told once, and over when it is over."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.hardware.chatter import (
    HUM_MS,
    LONGEST_QUIET_MS,
    MOST_CHANGES,
    QUIET_MS,
    STUCK_MS,
    WITHIN_MS,
    Chatter,
)

LOOK_MS = 200


@dataclass
class Line:
    """One input's settled changes, and what was found at every look: when it began and ended to be noisy."""

    sticks: bool = False
    now_ms: int = 1_000_000
    low: bool = False
    moving_since_ms: int | None = None
    turns: list[tuple[int, bool]] = field(default_factory=list)
    told: int = 0

    def __post_init__(self) -> None:
        self.chatter = Chatter(self.low, self.now_ms, sticks=self.sticks)

    def waits(self, ms: int) -> None:
        for _ in range(ms // LOOK_MS):
            self.now_ms += LOOK_MS
            self.chatter.look(self.now_ms, self.moving_since_ms)
            self._note()

    def changes(self) -> None:
        self.low = not self.low
        self.chatter.changed(self.low, self.now_ms)
        self.told += not self.chatter.noisy
        self._note()

    def hums(self, ms: int) -> None:
        self.moving_since_ms = self.now_ms
        self.waits(ms)
        self.moving_since_ms = None

    def flaps(self, times: int, every_ms: int) -> None:
        for _ in range(times):
            self.waits(every_ms)
            self.changes()

    def _note(self) -> None:
        if self.chatter.noisy != (bool(self.turns) and self.turns[-1][1]):
            self.turns.append((self.now_ms, self.chatter.noisy))

    def why(self) -> str:
        """Empty while it is believed."""
        return self.chatter.why or ""

    @property
    def times_ms(self) -> list[int]:
        return [at_ms for at_ms, _ in self.turns]


def test_a_busy_door_is_no_chatter() -> None:
    """Somebody goes through every four seconds for an hour."""
    line = Line()
    line.flaps(1_800, 2_000)
    assert line.turns == [] and line.told == 1_800


def test_a_hum_is_found_after_three_seconds_and_over_after_thirty_quiet_ones() -> None:
    line = Line()
    line.hums(60_000)
    line.waits(120_000)
    began_ms, ended_ms = line.times_ms
    assert began_ms == 1_000_000 + HUM_MS
    assert ended_ms == 1_060_000 + QUIET_MS


def test_a_contact_that_bounces_for_longer_than_any_is_no_hum_if_it_comes_to_rest_in_time() -> None:
    line = Line()
    for _ in range(20):
        line.hums(HUM_MS - LOOK_MS)
        line.waits(1_000)
    assert line.turns == []


def test_a_loose_contact_is_told_up_to_the_limit_and_not_beyond() -> None:
    line = Line()
    line.flaps(3_000, 400)
    assert len(line.turns) == 1
    assert line.told == MOST_CHANGES
    assert "more than 60 changes in a minute" in line.why() and "tighten its contact" in line.why()


def test_changes_in_two_bursts_of_which_neither_is_too_much_are_none() -> None:
    line = Line()
    for _ in range(5):
        line.flaps(MOST_CHANGES, 400)
        line.waits(WITHIN_MS)
    assert line.turns == [] and line.told == 5 * MOST_CHANGES


def test_a_move_while_it_is_awaited_to_be_quiet_begins_the_wait_anew() -> None:
    line = Line()
    line.hums(5_000)
    line.waits(QUIET_MS - 1_000)
    line.changes()
    line.waits(QUIET_MS - 1_000)
    assert len(line.turns) == 1
    line.waits(2_000)
    assert len(line.turns) == 2


def test_each_relapse_has_to_be_quiet_for_longer_and_a_calm_line_starts_anew() -> None:
    line, waits_ms = Line(), []
    for _ in range(7):
        line.hums(5_000)
        ceased_ms = line.now_ms
        line.waits(LONGEST_QUIET_MS)
        waits_ms.append(line.times_ms[-1] - ceased_ms)
    assert waits_ms == [30_000, 60_000, 120_000, 240_000, 480_000, 480_000, 480_000]
    line.waits(LONGEST_QUIET_MS)
    line.hums(5_000)
    ceased_ms = line.now_ms
    line.waits(LONGEST_QUIET_MS)
    assert line.times_ms[-1] - ceased_ms == QUIET_MS


@given(st.lists(st.tuples(st.sampled_from(["hum", "flap", "rest"]), st.integers(1, 40_000)), max_size=25))
@settings(deadline=None, max_examples=60)
def test_whatever_a_line_does_no_more_than_sixty_changes_a_minute_count_and_it_is_quiet_in_the_end(
    night: list[tuple[str, int]],
) -> None:
    line = Line()
    began_ms, counted = line.now_ms, 0
    for kind, ms in night:
        match kind:
            case "hum":
                line.hums(ms)
            case "flap":
                before = line.told
                line.flaps(ms // 200, 200)
                counted += line.told - before
            case _:
                line.waits(ms)
    minutes = (line.now_ms - began_ms) // WITHIN_MS + 1
    assert counted <= MOST_CHANGES * minutes
    line.waits(2 * LONGEST_QUIET_MS)
    assert not line.chatter.noisy
    assert all(noisy == (number % 2 == 0) for number, (_, noisy) in enumerate(line.turns))


def test_a_button_that_stays_pressed_is_stuck_after_a_minute_and_free_as_soon_as_it_is_let_go() -> None:
    line = Line(sticks=True)
    line.changes()
    line.waits(STUCK_MS - LOOK_MS)
    assert line.why() == ""
    line.waits(LOOK_MS)
    assert line.why().startswith("pressed for more than 60 s; free the button")
    assert not line.chatter.noisy
    line.changes()
    line.waits(LOOK_MS)
    assert line.why() == ""


def test_a_button_that_is_down_at_the_start_is_stuck_a_minute_later() -> None:
    line = Line(sticks=True, low=True)
    line.waits(STUCK_MS)
    assert line.why()


@pytest.mark.parametrize("low", [True, False])
def test_a_door_may_stand_either_way_for_ever(low: bool) -> None:
    line = Line(low=low)
    line.waits(10 * STUCK_MS)
    assert line.why() == ""

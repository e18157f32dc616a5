"""Hearing: a driver that lives is never called deaf, and one that died is found by the next change."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from device.hardware.debounce import STABLE_MS
from device.hardware.hearing import AROUND_MS, Heard, Hearing

LOOK_MS = 100
FOUND_WITHIN_MS = 10_000


@dataclass
class Door:
    """One input whose driver may die: what every look at it brought, with its time."""

    hearing: Hearing = field(default_factory=Hearing)
    now_ms: int = 50_000
    alive: bool = True
    told: list[tuple[int, Heard]] = field(default_factory=list)

    def moves(self, bounces: tuple[int, ...] = (0,), late_ms: int = 0) -> None:
        """It moves now: an edge at each of ``bounces``, milliseconds from now; the driver is ``late_ms``."""
        settled_ms = self.now_ms + (bounces[-1] if self.alive else 0) + STABLE_MS
        moments = [(self.now_ms + bounce + late_ms, False) for bounce in bounces if self.alive]
        for at_ms, settled in sorted([*moments, (settled_ms, True)]):
            self.waits(at_ms - self.now_ms)
            if settled:
                self.hearing.changed(settled_ms - STABLE_MS, settled_ms)
            else:
                self.hearing.edge(at_ms)

    def waits(self, ms: int) -> None:
        """Time passes, and the input is looked at."""
        until_ms = self.now_ms + ms
        while (next_ms := (self.now_ms // LOOK_MS + 1) * LOOK_MS) <= until_ms:
            self.now_ms = next_ms
            if (heard := self.hearing.look(next_ms)) is not Heard.NOTHING_NEW:
                self.told.append((next_ms, heard))
        self.now_ms = until_ms

    @property
    def words(self) -> list[Heard]:
        return [heard for _, heard in self.told]


def test_the_first_change_with_an_edge_says_that_the_input_hears_and_the_others_say_nothing() -> None:
    door = Door()
    for _ in range(10):
        door.moves()
        door.waits(5_000)
    assert door.words == [Heard.WELL]


def test_an_input_that_never_moves_is_neither_deaf_nor_well() -> None:
    door = Door(alive=False)
    door.waits(3_600_000)
    assert door.words == []


def test_the_driver_dies_and_the_next_change_tells_then_it_comes_back_and_the_next_tells_that() -> None:
    door = Door()
    door.moves()
    door.waits(60_000)
    door.alive = False
    door.moves()
    door.waits(60_000)
    door.alive = True
    door.moves()
    door.waits(60_000)
    assert door.words == [Heard.WELL, Heard.DEAF, Heard.WELL]


def test_an_input_that_stays_deaf_after_it_was_opened_again_is_told_at_its_next_change() -> None:
    door = Door()
    door.moves()
    door.alive = False
    for _ in range(2):
        door.waits(60_000)
        door.moves()
    door.waits(60_000)
    assert door.words == [Heard.WELL, Heard.DEAF, Heard.STAYS_DEAF]


def test_where_edges_never_came_a_new_program_would_not_help_so_it_is_deaf_once_and_goes_on() -> None:
    door = Door(alive=False)
    for _ in range(5):
        door.moves()
        door.waits(60_000)
    assert door.words == [Heard.DEAF]


def test_a_spike_hours_ago_does_not_hide_that_the_driver_has_died_since() -> None:
    door = Door()
    door.moves()
    door.waits(60_000)
    door.hearing.edge(door.now_ms)
    door.waits(AROUND_MS + 1)
    door.alive = False
    door.moves()
    door.waits(FOUND_WITHIN_MS)
    assert door.words == [Heard.WELL, Heard.DEAF]


def test_the_bounces_of_a_door_that_opens_do_not_hide_that_the_driver_died_before_it_shut() -> None:
    door = Door()
    door.moves((0, 3, 7, 12, 29))
    door.alive = False
    door.waits(500)
    door.moves()
    door.waits(FOUND_WITHIN_MS)
    assert door.words == [Heard.WELL, Heard.DEAF]


def test_a_press_whose_release_follows_before_anybody_looked_is_heard() -> None:
    """One edge each: lines without bounces, as a UPS's."""
    door = Door(now_ms=50_001)
    door.hearing.edge(50_001)
    door.hearing.changed(50_001, 50_041)
    door.hearing.edge(50_060)
    door.waits(99)
    door.hearing.changed(50_060, 50_100)
    door.waits(FOUND_WITHIN_MS)
    assert door.words == [Heard.WELL]


bounces = st.lists(st.integers(1, 30), max_size=6, unique=True).map(lambda times: (0, *sorted(times)))


@given(st.lists(st.tuples(bounces, st.integers(0, AROUND_MS), st.integers(0, 20_000)), max_size=30))
@settings(deadline=None)
def test_a_driver_that_lives_is_never_called_deaf_however_late_its_thread_is(
    moves: list[tuple[tuple[int, ...], int, int]],
) -> None:
    door = Door()
    for edges, late_ms, pause_ms in moves:
        door.moves(edges, late_ms)
        door.waits(pause_ms)
    door.waits(FOUND_WITHIN_MS)
    assert door.words == [Heard.WELL] * bool(moves)


@given(
    st.lists(st.tuples(bounces, st.integers(0, 20_000)), max_size=10),
    st.integers(LOOK_MS, 3_600_000),
    st.lists(st.integers(0, 5_000), max_size=5),
)
@settings(deadline=None)
def test_a_driver_that_died_is_told_within_ten_seconds_of_the_first_change_without_it(
    before: list[tuple[tuple[int, ...], int]], quiet_ms: int, after: list[int]
) -> None:
    door = Door()
    for edges, pause_ms in before:
        door.moves(edges)
        door.waits(pause_ms)
    door.waits(quiet_ms)
    door.alive = False
    changed_ms = door.now_ms
    door.moves()
    for pause_ms in after:
        door.waits(pause_ms)
        door.moves()
    door.waits(FOUND_WITHIN_MS)
    found_ms = next(at_ms for at_ms, heard in door.told if heard is Heard.DEAF)
    assert found_ms - changed_ms <= FOUND_WITHIN_MS


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10_000)), max_size=40))
@settings(deadline=None)
def test_deaf_and_well_take_turns_and_only_who_ever_heard_stays_deaf(moves: list[tuple[bool, int]]) -> None:
    door = Door()
    for alive, pause_ms in moves:
        door.alive = alive
        door.moves()
        door.waits(pause_ms)
    door.waits(FOUND_WITHIN_MS)
    well = deaf = False
    for heard in door.words:
        if heard is Heard.STAYS_DEAF:
            assert well and deaf
            continue
        assert deaf is (heard is Heard.WELL) or not (well or deaf)
        well, deaf = well or heard is Heard.WELL, heard is Heard.DEAF

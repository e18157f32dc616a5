"""Debounce: one change per real switch, at its first edge, whatever the contact does in between."""

from collections.abc import Sequence

import pytest
from bounce_traces import COLUMNS, FILE, HEADER, LASTS_US, Trace, generated, traces
from hypothesis import given, settings
from hypothesis import strategies as st

from device.hardware.debounce import STABLE_MS, Debounce

Edge = tuple[int, bool]
Change = tuple[int, bool]


def settled(debounce: Debounce, edges: Sequence[Edge], until_ms: int) -> list[Change]:
    """Feed edges as they come and the level whenever it is due: what was told, as time and level."""
    told: list[Change] = []

    def sample(level: bool, at_ms: int) -> None:
        if (began_ms := debounce.sample(level, at_ms)) is not None:
            told.append((began_ms, level))

    level = debounce.settled
    for at_ms, next_level in [*edges, (until_ms, None)]:
        while debounce.due_ms is not None and debounce.due_ms <= at_ms:
            sample(level, debounce.due_ms)
        if next_level is not None:
            level = next_level
            sample(level, at_ms)
    return told


@st.composite
def bounces(draw: st.DrawFn, at_ms: int, to: bool) -> list[Edge]:
    """The edges of one switch: bouncing for 1 to 30 ms, and then at rest in the new level."""
    lasting_ms = draw(st.integers(1, 30))
    times = sorted(draw(st.sets(st.integers(1, lasting_ms), max_size=12)))
    if len(times) % 2:
        times = times[1:]
    levels = [to, *(bool(number % 2) is to for number in range(len(times)))]
    return list(zip([at_ms, *(at_ms + time for time in times)], levels, strict=True))


@st.composite
def nights(draw: st.DrawFn) -> tuple[list[Edge], list[Change]]:
    """Switches far enough apart to be told, each bouncing; what really happened."""
    edges: list[Edge] = []
    switches: list[Change] = []
    level, now_ms = False, 0
    for _ in range(draw(st.integers(1, 8))):
        now_ms += draw(st.integers(30 + STABLE_MS, 5_000))
        level = not level
        edges += draw(bounces(now_ms, level))
        switches.append((now_ms, level))
    return edges, switches


@given(nights())
@settings(deadline=None)
def test_every_bouncing_switch_is_one_change_at_the_time_of_its_first_edge(
    night: tuple[list[Edge], list[Change]],
) -> None:
    edges, switches = night
    assert settled(Debounce(level=False), edges, edges[-1][0] + STABLE_MS) == switches


@given(st.lists(st.tuples(st.integers(1, STABLE_MS - 1), st.integers(STABLE_MS, 3_000)), min_size=1, max_size=10))
@settings(deadline=None)
def test_glitches_shorter_than_the_stable_time_are_none(glitches: list[tuple[int, int]]) -> None:
    edges: list[Edge] = []
    now_ms = 0
    for length_ms, pause_ms in glitches:
        edges += [(now_ms, True), (now_ms + length_ms, False)]
        now_ms += length_ms + pause_ms
    assert settled(Debounce(level=False), edges, now_ms + 1_000) == []


@given(st.lists(st.integers(1, STABLE_MS - 1), min_size=2, max_size=200))
@settings(deadline=None)
def test_a_line_that_hums_is_no_change_for_as_long_as_it_hums(gaps_ms: list[int]) -> None:
    debounce, now_ms, level = Debounce(level=False), 0, False
    for gap_ms in gaps_ms:
        level = not level
        assert debounce.sample(level, now_ms) is None
        now_ms += gap_ms


def test_a_change_is_told_exactly_when_it_has_held_for_the_stable_time() -> None:
    debounce = Debounce(level=False)
    assert debounce.sample(True, 1_000) is None
    assert debounce.due_ms == 1_000 + STABLE_MS
    assert debounce.sample(True, 1_000 + STABLE_MS - 1) is None
    assert debounce.sample(True, 1_000 + STABLE_MS) == 1_000
    assert debounce.due_ms is None


def test_an_edge_that_was_lost_heals_when_the_level_is_read_again() -> None:
    debounce = Debounce(level=False)
    assert debounce.sample(True, 5_000) is None
    assert debounce.sample(True, 5_000 + STABLE_MS) == 5_000


def test_an_edge_lost_on_the_way_back_leaves_no_phantom_change() -> None:
    debounce = Debounce(level=False)
    debounce.sample(True, 5_000)
    assert debounce.sample(False, 5_000 + STABLE_MS) is None
    assert debounce.sample(False, 5_000 + 2 * STABLE_MS) is None
    assert not debounce.settled
    assert debounce.due_ms is None


def test_reading_the_same_level_again_and_again_is_nothing() -> None:
    debounce = Debounce(level=True)
    assert [debounce.sample(True, at_ms) for at_ms in range(0, 10_000, 1_000)] == [None] * 10
    assert debounce.due_ms is None


def test_a_glitch_does_not_lend_its_time_to_the_switch_after_it() -> None:
    edges = [(1_000, True), (1_005, False), (2_000, True)]
    assert settled(Debounce(level=False), edges, 3_000) == [(2_000, True)]


def test_the_traces_are_those_that_their_figures_say() -> None:
    assert FILE.read_text(encoding="ascii") == HEADER + COLUMNS + "".join(map(str, generated()))
    assert traces() == [*generated()]
    for trace in traces():
        shortest_us, longest_us = LASTS_US[trace.kind]
        assert trace.edges_us[-1] == 0 or 300 <= trace.edges_us[-1] <= longest_us + len(trace.edges_us)
        assert len(trace.edges_us) % 2 == 1
        assert trace.kind != "worn" or trace.edges_us[-1] >= shortest_us


@pytest.mark.parametrize("trace", traces(), ids=lambda trace: f"{trace.kind}-{trace.edges_us[-1]}us")
def test_a_trace_is_one_change_wherever_in_a_millisecond_it_begins(trace: Trace) -> None:
    for begins_us in range(5_000_000, 5_001_000, 50):
        times_ms = [(begins_us + edge_us) // 1_000 for edge_us in trace.edges_us]
        edges = [(at_ms, trace.closes == (number % 2 == 0)) for number, at_ms in enumerate(times_ms)]
        told = settled(Debounce(level=not trace.closes), edges, times_ms[-1] + STABLE_MS)
        assert told == [(times_ms[0], trace.closes)]


@given(st.lists(st.tuples(st.sampled_from(traces()), st.integers(30 + STABLE_MS, 5_000)), max_size=30))
@settings(deadline=None)
def test_a_night_of_traces_is_as_many_changes_as_the_contact_moved(moves: list[tuple[Trace, int]]) -> None:
    edges: list[Edge] = []
    switches: list[Change] = []
    level, now_ms = False, 0
    for trace, pause_ms in moves:
        if trace.closes == level:
            continue
        now_ms += pause_ms
        level = trace.closes
        switches.append((now_ms, level))
        edges += [(now_ms + us // 1_000, level == (number % 2 == 0)) for number, us in enumerate(trace.edges_us)]
    assert settled(Debounce(level=False), edges, now_ms + 1_000) == switches

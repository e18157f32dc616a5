"""One switched input through its nights: what is told of it, whatever its contact, its wire and its driver do."""

import itertools
from dataclasses import dataclass, field

from bounce_traces import Trace, traces
from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import at

from device.hardware.chatter import LONGEST_QUIET_MS, MOST_CHANGES, QUIET_MS, STUCK_MS
from device.hardware.contacts import REREAD_MS
from device.hardware.debounce import STABLE_MS
from device.hardware.switched import Button, DoorContact, Input, InputDeaf, MainsLine, Switched
from device.readings import ButtonPressed, ContactChanged, MainsChanged, PartBlind, PartSighted, Reading

FRONT = DoorContact("front", 17, open_when_low=False)
CHECKIN = Button("checkin", 22)
UPS = MainsLine(24, on_when_low=True)

Edges = list[tuple[int, bool]]
"""Milliseconds from now, and whether the line is low then."""


@dataclass
class Wire:
    """An input with its wire, looked after as ``Contacts`` does: at each edge, when it is due, and every 200 ms."""

    what: Input
    low: bool = False
    now_ms: int = 1_000_000
    said: list[tuple[int, Reading]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.switched = Switched(self.what, self.low, at(self.now_ms))
        self.reread_ms = self.now_ms + REREAD_MS
        self._say(self.switched.stands(at(self.now_ms)))

    def plays(self, edges: Edges, *, lost: frozenset[int] = frozenset()) -> None:
        """The edges, of which the driver loses those numbered in ``lost``."""
        began_ms = self.now_ms
        for number, (offset_ms, low) in enumerate(edges):
            self.waits(began_ms + offset_ms - self.now_ms)
            self.low = low
            if number not in lost:
                self.switched.edge(self.now_ms)
                self._say(self.switched.sample(low, at(self.now_ms)))

    def moves(self, low: bool, trace: Trace | None = None) -> None:
        """The contact moves, bouncing, and rests."""
        edges_us = (0,) if trace is None else trace.edges_us
        self.plays([(us // 1_000, low == (number % 2 == 0)) for number, us in enumerate(edges_us)])
        self.waits(STABLE_MS)

    def hums(self, ms: int, every_ms: int = 10) -> None:
        """An edge every 10 ms: 50 Hz."""
        self.plays([(n * every_ms, n % 2 == 0) for n in range(1, ms // every_ms)])

    def waits(self, ms: int) -> None:
        until_ms = self.now_ms + ms
        while True:
            due_ms = self.switched.due_ms
            wake_ms = min(self.reread_ms, *([] if due_ms is None else [due_ms]), until_ms)
            self.now_ms = max(self.now_ms, wake_ms)
            now = at(self.now_ms)
            everyone = self.now_ms >= self.reread_ms
            if everyone:
                self.reread_ms = self.now_ms + REREAD_MS
            if everyone or (due_ms is not None and self.now_ms >= due_ms):
                self._say(self.switched.sample(self.low, now))
            if everyone:
                readings, _ = self.switched.look(now)
                self._say(readings)
            elif wake_ms == until_ms and (due_ms is None or due_ms > until_ms):
                return

    def _say(self, readings: list[Reading]) -> None:
        self.said += [(self.now_ms, reading) for reading in readings]

    @property
    def words(self) -> list[str]:
        """All that was told, in short."""
        return [_word(reading) for _, reading in self.said]


def _word(reading: Reading) -> str:
    match reading:
        case ContactChanged(open=is_open, unseen=unseen):
            return ("open" if is_open else "shut") + ("?" if unseen else "")
        case ButtonPressed():
            return "pressed"
        case MainsChanged(on=on):
            return "on" if on else "off"
        case PartBlind(why=why):
            return f"blind: {why.split(':')[0].split(';')[0]}"
        case PartSighted():
            return "sighted"
        case _:
            raise AssertionError(reading)


def test_a_night_of_bouncing_moves_is_told_move_by_move() -> None:
    wire = Wire(FRONT, low=True)
    closing = itertools.cycle(trace for trace in traces() if trace.closes)
    opening = itertools.cycle(trace for trace in traces() if not trace.closes)
    for _ in range(40):
        wire.moves(False, next(opening))
        wire.waits(20_000)
        wire.moves(True, next(closing))
        wire.waits(40_000)
    assert wire.words == ["shut?", "open", "sighted", "shut", *["open", "shut"] * 39]


@given(
    st.lists(st.tuples(st.sampled_from(traces()), st.integers(300, 5_000)), min_size=1, max_size=20),
    st.sets(st.integers(0, 40)),
    st.integers(0, REREAD_MS),
)
@settings(deadline=None)
def test_whichever_edges_are_lost_every_change_is_told_within_a_second(
    moves: list[tuple[Trace, int]], lost: set[int], phase_ms: int
) -> None:
    wire = Wire(FRONT)
    wire.waits(phase_ms)
    changed: list[tuple[int, bool]] = []
    for trace, pause_ms in moves:
        if trace.closes == wire.low:
            continue
        edges = [(us // 1_000, trace.closes == (n % 2 == 0)) for n, us in enumerate(trace.edges_us)]
        changed.append((wire.now_ms + edges[-1][0], not trace.closes))
        # Not one edge of all is no loss but a dead driver, which has tests of its own.
        wire.plays(edges, lost=frozenset(lost & set(range(1, len(edges)))))
        wire.waits(pause_ms)
    told = [(at_ms, reading.open) for at_ms, reading in wire.said if isinstance(reading, ContactChanged)][1:]
    assert [is_open for _, is_open in told] == [is_open for _, is_open in changed]
    assert all(at_ms - rests_ms <= 1_000 for (at_ms, _), (rests_ms, _) in zip(told, changed, strict=True))


@given(st.integers(0, REREAD_MS), st.booleans())
@settings(deadline=None)
def test_a_change_without_any_edge_is_told_within_a_second(phase_ms: int, low: bool) -> None:
    wire = Wire(FRONT, low=not low)
    wire.waits(phase_ms)
    wire.plays([(0, low)], lost=frozenset([0]))
    wire.waits(1_000)
    assert wire.words[1:] == ["shut" if low else "open"]


def test_a_line_that_hums_is_one_blind_and_its_end_one_sighted_and_no_door_moved() -> None:
    wire = Wire(FRONT, low=True)
    wire.hums(600_000)
    wire.moves(True)
    wire.waits(600_000)
    assert wire.words == ["shut?", "blind: hums", "sighted"]


def test_a_door_that_was_opened_while_its_line_hummed_is_told_once_it_is_quiet() -> None:
    wire = Wire(FRONT, low=True)
    wire.hums(60_000)
    wire.moves(False)
    wire.waits(QUIET_MS + 1_000)
    assert wire.words == ["shut?", "blind: hums", "sighted", "open?"]
    wire.moves(True)
    assert wire.words[-1] == "shut"


def test_a_door_that_moves_as_the_line_is_hardly_quiet_is_told_as_it_stands_in_the_end() -> None:
    wire = Wire(FRONT, low=True)
    wire.hums(60_000)
    wire.moves(False)
    wire.waits(10_000)
    wire.moves(True)
    wire.waits(QUIET_MS + 1_000)
    assert wire.words == ["shut?", "blind: hums", "sighted"]


def test_hum_that_begins_as_a_door_opens_leaves_the_opening_to_be_told_in_the_end() -> None:
    wire = Wire(FRONT, low=True)
    wire.moves(False)
    wire.hums(5_000)
    wire.moves(False)
    wire.waits(QUIET_MS + 1_000)
    assert [word for word in wire.words if word != "sighted"] == ["shut?", "open", "blind: hums"]


def test_a_loose_contact_is_told_sixty_times_and_then_as_blind_until_it_is_mended() -> None:
    wire = Wire(FRONT, low=True)
    for number in range(2_000):
        wire.moves(number % 2 == 1)
        wire.waits(300)
    wire.waits(QUIET_MS + 1_000)
    assert wire.words[0] == "shut?"
    moves = [word for word in wire.words[1:] if word in ("open", "shut")]
    assert moves == ["open", "shut"] * (MOST_CHANGES // 2)
    assert [word for word in wire.words if ":" in word] == ["blind: chatters"]
    assert wire.words[-1] == "sighted"


def test_a_line_that_relapses_all_night_is_told_a_few_times_an_hour() -> None:
    wire = Wire(FRONT, low=True)
    for _ in range(8 * 60):
        wire.hums(4_000)
        wire.moves(True)
        wire.waits(56_000 - STABLE_MS)
    assert 2 <= len(wire.words) - 1 <= 8 * 2 * 3_600_000 // LONGEST_QUIET_MS


def test_a_tap_every_ten_milliseconds_on_a_button_is_no_check_in_and_one_blind() -> None:
    wire = Wire(CHECKIN)
    wire.hums(60_000, every_ms=5)
    wire.moves(False)
    wire.waits(QUIET_MS + 1_000)
    assert wire.words == ["blind: hums", "sighted"]
    wire.moves(True)
    assert wire.words[-1] == "pressed"


def test_a_gadget_that_presses_four_times_a_second_is_at_most_thirty_check_ins() -> None:
    wire = Wire(CHECKIN)
    for _ in range(1_000):
        wire.moves(True)
        wire.waits(80)
        wire.moves(False)
        wire.waits(80)
    assert wire.words.count("pressed") <= MOST_CHANGES // 2
    assert [word for word in wire.words if ":" in word] == ["blind: chatters"]


def test_a_stuck_button_is_a_press_then_blind_then_sighted_when_it_is_let_go() -> None:
    wire = Wire(CHECKIN)
    wire.moves(True)
    wire.waits(2 * STUCK_MS)
    wire.moves(False)
    wire.waits(1_000)
    assert wire.words == ["pressed", "sighted", "blind: pressed for more than 60 s", "sighted"]


def test_a_button_that_was_down_all_the_time_is_blind_without_a_press() -> None:
    wire = Wire(CHECKIN, low=True)
    wire.waits(2 * STUCK_MS)
    assert wire.words == ["blind: pressed for more than 60 s"]


def test_a_ups_whose_relay_chatters_is_blind_and_then_told_as_it_stands() -> None:
    wire = Wire(UPS, low=True)
    for number in range(101):
        wire.moves(number % 2 == 1)
        wire.waits(100)
    wire.waits(QUIET_MS + 1_000)
    assert wire.words[0] == "on"
    assert wire.words[-2:] == ["sighted", "off"]
    assert wire.words.count("off") == MOST_CHANGES // 2 + 1


def test_an_input_that_is_deaf_and_then_hums_is_blind_until_both_are_over() -> None:
    wire = Wire(FRONT, low=True)
    wire.moves(False)
    wire.waits(60_000)
    wire.plays([(0, True)], lost=frozenset([0]))
    wire.waits(10_000)
    assert wire.words == ["shut?", "open", "sighted", "shut", "blind: a change came without its edges"]
    wire.hums(10_000)
    wire.moves(True)
    wire.waits(10_000)
    assert wire.words[5:] == []
    wire.waits(QUIET_MS)
    wire.moves(False)
    wire.waits(10_000)
    assert wire.words[5:] == ["open", "sighted"]


def test_an_edge_that_had_to_wait_for_its_turn_does_not_settle_what_still_moves() -> None:
    """It hums, and the thread is busy elsewhere: every edge is sampled 300 ms late, among levels that are read."""
    switched, edges = Switched(FRONT, True, at(1_000_000)), [(1_000_000 + 10 * n, n % 2 == 1) for n in range(200)]
    told: list[Reading] = []
    for number, (now_ms, low) in enumerate(edges):
        switched.edge(now_ms)
        if number >= 30:
            late_ms, was_low = edges[number - 30]
            told += switched.sample(was_low, at(late_ms))
        if number % 4 == 0:
            told += switched.sample(low, at(now_ms))
    assert told == []


levels = st.lists(st.tuples(st.integers(1, 200), st.booleans()), max_size=300)


@given(levels, st.sets(st.integers(0, 300)), st.booleans())
@settings(deadline=None, max_examples=50)
def test_whatever_happened_the_last_word_is_how_it_stands(spans: Edges, lost: set[int], low: bool) -> None:
    wire = Wire(FRONT, low=low)
    offsets = itertools.accumulate(ms for ms, _ in spans)
    edges = [(ms, is_low) for ms, (_, is_low) in zip(offsets, spans, strict=True)]
    try:
        wire.plays(edges, lost=frozenset(lost))
        wire.waits(2 * LONGEST_QUIET_MS)
    except InputDeaf:
        return  # a new program tells how it stands
    contacts = [reading for _, reading in wire.said if isinstance(reading, ContactChanged)]
    assert contacts[-1].open is not wire.low
    assert all(a.open != b.open for a, b in itertools.pairwise(contacts))
    parts = [word for word in wire.words if word == "sighted" or ":" in word]
    assert all((word == "sighted") != (after == "sighted") for word, after in itertools.pairwise(parts))

"""Bouncing switches under the real Contacts worker: one reading a change, however it bounces."""

import itertools
import queue
from collections.abc import Iterator

import pytest

from device.hardware.contacts import Contacts
from device.hardware.switched import Button, DoorContact
from device.readings import ButtonPressed, ContactChanged, PartSighted, Reading
from simulator.clock import SimClock
from simulator.contacts import LONGEST_S, SHORTEST_S, Switch
from simulator.factory import SimFactory

DOOR, BUTTON = 17, 22


@pytest.fixture
def factory() -> Iterator[SimFactory]:
    made = SimFactory()
    yield made
    made.close()


class Slept:
    """Time that passes in sleep alone."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_a_burst_lasts_1_to_30_ms_and_ends_where_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Slept()
    monkeypatch.setattr("simulator.contacts.time", time)
    for seed in range(60):
        times: list[float] = []
        levels: list[bool] = []

        def note(level: bool, times: list[float] = times, levels: list[bool] = levels) -> None:
            times.append(time.now_s)
            levels.append(level)

        Switch(note, False, seed).move(True)
        assert levels[0] is True
        assert levels[-1] is False
        assert all(a != b for a, b in itertools.pairwise(levels))
        assert len(levels) >= 4
        assert SHORTEST_S <= times[-1] - times[1] <= LONGEST_S


def test_a_seed_repeats_its_bounces_and_a_switch_at_rest_does_not_move() -> None:
    counts = []
    for _ in range(2):
        levels: list[bool] = []
        switch = Switch(levels.append, False, "seed")
        for closed in (True, True, False, True):
            switch.move(closed)
        counts.append(len(levels))
        assert switch.closed
    assert counts[0] == counts[1]


def test_however_it_bounces_there_is_one_reading_a_change(factory: SimFactory) -> None:
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    door = Switch(lambda level: factory.hold(DOOR, level), True, 1)
    button = Switch(lambda level: factory.hold(BUTTON, level), False, 2)
    worker = Contacts(
        [DoorContact("front", DOOR, open_when_low=False), Button("bell", BUTTON)], factory, SimClock(), inbox
    )
    worker.start()
    assert _next(inbox) == ("front", False)
    for _ in range(5):
        door.move(False)
        assert _next(inbox) == ("front", True)
        button.move(True)
        assert _next(inbox) == ("bell", None)
        button.move(False)
        door.move(True)
        assert _next(inbox) == ("front", False)
    worker.stop()
    assert _rest(inbox) == []


def test_a_hand_in_a_hurry_is_still_seen_each_time(factory: SimFactory) -> None:
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    door = Switch(lambda level: factory.hold(DOOR, level), True, 3)
    worker = Contacts([DoorContact("front", DOOR, open_when_low=False)], factory, SimClock(), inbox)
    worker.start()
    moves = [False, True] * 5
    for closed in moves:
        door.move(closed)
    said = [_next(inbox) for _ in range(len(moves) + 1)]
    worker.stop()
    assert said == [("front", False), *(("front", not closed) for closed in moves)]
    assert inbox.empty()


def test_an_edge_that_was_lost_heals(factory: SimFactory) -> None:
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    factory.hold(DOOR, False)
    worker = Contacts([DoorContact("front", DOOR, open_when_low=False)], factory, SimClock(), inbox)
    worker.start()
    assert _next(inbox) == ("front", False)
    factory.pin(f"GPIO{DOOR}").edges = "none"  # the driver drops it
    factory.hold(DOOR, True)
    assert _next(inbox) == ("front", True)
    worker.stop()


def _next(inbox: "queue.SimpleQueue[Reading]") -> tuple[str, bool | None]:
    """What was told next: a button, or a door and whether it is open. That parts are sighted is passed over."""
    while isinstance(reading := inbox.get(timeout=20), PartSighted):
        pass
    if isinstance(reading, ButtonPressed):
        return reading.button, None
    assert isinstance(reading, ContactChanged)
    return reading.contact, reading.open


def _rest(inbox: "queue.SimpleQueue[Reading]") -> list[Reading]:
    rest = [inbox.get() for _ in range(inbox.qsize())]
    return [reading for reading in rest if not isinstance(reading, PartSighted)]

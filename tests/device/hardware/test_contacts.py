"""Contacts on gpiozero's own mock pins: edges fire at once, time and threads are real."""

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest
from gpiozero.pins.mock import MockFactory, MockPin
from postkit import RunningClock, at
from waiting import until
from wired import SlowClock

from device.hardware.chatter import MOST_CHANGES
from device.hardware.contacts import MOST_EDGES, Contacts
from device.hardware.debounce import STABLE_MS
from device.hardware.hearing import AROUND_MS
from device.hardware.switched import Button, DoorContact, Input, InputDeaf, MainsLine
from device.readings import (
    ButtonPressed,
    Clock,
    ContactChanged,
    Instant,
    MainsChanged,
    PartBlind,
    PartSighted,
    Reading,
)
from simulator.factory import SimFactory

FRONT = DoorContact("front", 17, open_when_low=False)
HATCH = DoorContact("hatch", 27, open_when_low=True)
CHECKIN = Button("checkin", 22)
LID = DoorContact("lid", 23, open_when_low=False)
WITHIN_S = 20.0

Told = tuple[str, bool | None]


class WiredPin(MockPin):  # type: ignore[misc]
    """A mock pin that may be connected to ground: a pull-up does not lift it then."""

    wired_low = False

    def drive_high(self) -> None:
        with self._when_changed_lock:  # MockPin asks whether anyone listens, and then calls: two looks
            super().drive_high()

    def drive_low(self) -> None:
        with self._when_changed_lock:
            super().drive_low()

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        if self.wired_low:
            self.drive_low()

    def connect(self) -> None:
        self.wired_low = True
        self.drive_low()


class Hastening:
    """A clock on which twenty seconds pass in one."""

    def now(self) -> Instant:
        return at(20 * time.monotonic_ns() // 1_000_000)


@dataclass
class Box:
    """The inputs of one post."""

    inputs: Sequence[Input]
    factory: MockFactory = field(default_factory=lambda: MockFactory(pin_class=WiredPin))
    inbox: "queue.SimpleQueue[Reading]" = field(default_factory=queue.SimpleQueue)
    clock: Clock = field(default_factory=RunningClock)
    heard: list[Reading] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    """What was said of parts: ``blind input front``."""

    def pin(self, number: int) -> WiredPin:
        return cast("WiredPin", self.factory.pin(number))

    def told(self) -> list[Told]:
        """All that was put so far: the name, and the state of a door or of the mains, or None for a press."""
        while not self.inbox.empty():
            match reading := self.inbox.get():
                case PartBlind(part=part):
                    self.parts.append(f"blind {part}")
                case PartSighted(part=part):
                    self.parts.append(f"sighted {part}")
                case _:
                    self.heard.append(reading)
        return [_in_short(reading) for reading in self.heard]

    def until_told(self, *told: Told) -> None:
        until(lambda: len(self.told()) >= len(told), what=f"{told}")
        assert self.told() == list(told)

    def until_said(self, *parts: str) -> None:
        """Of inputs; that the thread runs is said at every start."""

        def said() -> list[str]:
            self.told()
            return [part for part in self.parts if part != "sighted contacts"]

        until(lambda: len(said()) >= len(parts), what=f"{parts}")
        assert said() == list(parts)

    def until_time_has_passed(self, ms: int) -> None:
        """Real time, for what must *not* happen."""
        end_ms = self.clock.now().uptime_ms + ms
        until(lambda: self.clock.now().uptime_ms >= end_ms)


def _in_short(reading: Reading) -> Told:
    match reading:
        case ContactChanged(contact=name, open=is_open):
            return name, is_open
        case ButtonPressed(button=name):
            return name, None
        case MainsChanged(on=on):
            return "mains", on
        case _:
            raise AssertionError(reading)


@contextmanager
def watching(*inputs: Input, low: Sequence[int] = (), clock: Clock | None = None) -> Iterator[Box]:
    """Inputs being watched; ``low``: the pins that are connected to ground at the start."""
    box = Box(inputs, clock=clock or RunningClock())
    for number in low:
        box.pin(number).connect()
    contacts = Contacts(inputs, box.factory, box.clock, box.inbox)
    contacts.start()
    try:
        yield box
    finally:
        contacts.stop()


def test_every_door_says_at_the_start_how_it_stands_and_a_button_says_nothing() -> None:
    with watching(FRONT, HATCH, CHECKIN, low=[17, 22]) as box:
        assert box.told() == [("front", False), ("hatch", False)]
        assert all(isinstance(reading, ContactChanged) and reading.unseen for reading in box.heard)
    with watching(FRONT, HATCH, low=[27]) as box:
        assert box.told() == [("front", True), ("hatch", True)]


def test_a_door_opens_and_closes_at_the_time_of_its_first_edge() -> None:
    with watching(FRONT, low=[17]) as box:
        box.told()
        before_ms = box.clock.now().uptime_ms
        box.pin(17).drive_high()
        after_ms = box.clock.now().uptime_ms
        box.until_told(("front", False), ("front", True))
        opened = box.heard[1]
        assert isinstance(opened, ContactChanged) and not opened.unseen
        assert before_ms <= opened.at.uptime_ms <= after_ms
        assert opened.at.wall_ms - opened.at.uptime_ms == box.clock.now().wall_ms - box.clock.now().uptime_ms
        box.pin(17).drive_low()
        box.until_told(("front", False), ("front", True), ("front", False))


def test_a_door_whose_contact_is_closed_while_it_stands_open_is_read_the_other_way_round() -> None:
    with watching(HATCH) as box:
        box.pin(27).drive_low()
        box.until_told(("hatch", False), ("hatch", True))


def test_a_bouncing_press_is_one_press_and_the_release_is_none() -> None:
    with watching(CHECKIN, FRONT, low=[17], clock=SlowClock()) as box:
        for _ in range(15):
            box.pin(22).drive_low()
            box.pin(22).drive_high()
        box.pin(22).drive_low()
        box.until_told(("front", False), ("checkin", None))
        box.pin(22).drive_high()
        box.until_time_has_passed(2 * STABLE_MS)
        box.pin(17).drive_high()
        box.until_told(("front", False), ("checkin", None), ("front", True))


def test_a_button_held_down_at_the_start_is_no_press_until_it_is_pressed_again() -> None:
    with watching(CHECKIN, low=[22]) as box:
        box.pin(22).drive_high()
        box.until_time_has_passed(2 * STABLE_MS)
        assert box.told() == []
        box.pin(22).drive_low()
        box.until_told(("checkin", None))


def test_a_glitch_is_nothing() -> None:
    with watching(FRONT, low=[17], clock=SlowClock()) as box:
        box.pin(17).drive_high()
        box.pin(17).drive_low()
        box.until_time_has_passed(3 * STABLE_MS)
        assert box.told() == [("front", False)]


def test_a_glitch_at_the_very_start_does_not_leave_a_closed_door_open_for_ever() -> None:
    box = Box([FRONT], clock=SlowClock())
    box.pin(17).connect()
    contacts = Contacts(box.inputs, box.factory, box.clock, box.inbox)
    box.pin(17).drive_high()  # a bounce between taking the pins and telling how they stand
    contacts.start()
    try:
        box.pin(17).drive_low()
        box.until_time_has_passed(3 * STABLE_MS)
        assert box.told()[-1] == ("front", False)
    finally:
        contacts.stop()


def test_a_door_that_moves_while_the_pins_are_taken_is_told_afterwards() -> None:
    box = Box([FRONT])
    box.pin(17).connect()
    contacts = Contacts(box.inputs, box.factory, box.clock, box.inbox)
    box.pin(17).drive_high()
    contacts.start()
    try:
        box.until_told(("front", False), ("front", True))
    finally:
        contacts.stop()


def test_an_edge_that_the_driver_lost_heals_within_the_reread() -> None:
    with watching(FRONT, low=[17]) as box:
        pin = box.pin(17)
        callback, pin.when_changed = pin.when_changed, None
        pin.drive_high()
        pin.when_changed = callback
        assert box.told() == [("front", False)]
        box.until_told(("front", False), ("front", True))


def test_one_humming_input_does_not_keep_the_others_waiting() -> None:
    with watching(FRONT, HATCH) as box:
        still = threading.Event()

        def hum() -> None:
            while not still.is_set():
                box.pin(17).drive_low()
                box.pin(17).drive_high()

        humming = threading.Thread(target=hum)
        humming.start()
        try:
            box.pin(27).drive_low()
            until(lambda: ("hatch", True) in box.told(), what="the hatch beside a humming door")
        finally:
            still.set()
            humming.join()


def test_more_edges_than_can_be_worked_off_do_not_pile_up_and_the_level_they_end_in_is_told() -> None:
    box = Box([FRONT])
    contacts = Contacts(box.inputs, box.factory, box.clock, box.inbox)
    for _ in range(MOST_EDGES):
        box.pin(17).drive_low()
        box.pin(17).drive_high()
    box.pin(17).drive_low()
    assert contacts._edges.qsize() == MOST_EDGES
    contacts.start()
    try:
        box.until_told(("front", True), ("front", False))
    finally:
        contacts.stop()


def test_a_ups_says_at_the_start_whether_there_are_mains_and_then_when_they_go_and_come() -> None:
    with watching(MainsLine(4, on_when_low=True), low=[4]) as box:
        box.until_told(("mains", True))
        for _ in range(15):  # a relay bounces
            box.pin(4).drive_high()
            box.pin(4).drive_low()
        box.pin(4).drive_high()  # or its wire is cut
        box.until_told(("mains", True), ("mains", False))
        box.pin(4).drive_low()
        box.until_told(("mains", True), ("mains", False), ("mains", True))
    with watching(MainsLine(4, on_when_low=False), low=[4]) as box:
        box.until_told(("mains", False))
        box.pin(4).drive_high()
        box.until_told(("mains", False), ("mains", True))


class Driver:
    """The simulator's pins, whose driver's thread may die."""

    def __init__(self, *inputs: Input) -> None:
        self.factory = SimFactory()
        for what in inputs:
            self.factory.hold(what.pin, True)
        self.box = Box(inputs, self.factory, clock=Hastening())
        self.contacts = Contacts(inputs, self.factory, self.box.clock, self.box.inbox)

    def __enter__(self) -> "Driver":
        self.contacts.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.contacts.stop()
        self.factory.close()


def test_a_thread_that_runs_says_so_since_it_may_have_hung_when_the_program_last_ended() -> None:
    with Driver(FRONT) as driver:
        until(lambda: driver.box.told() and driver.box.parts == ["sighted contacts"])


def test_the_driver_dies_so_a_door_is_told_by_its_level_then_as_blind_and_it_hears_again() -> None:
    with Driver(FRONT) as driver:
        driver.factory.hold(17, False)
        driver.box.until_said("sighted input front")
        driver.factory.deaf = True
        driver.factory.hold(17, True)
        driver.box.until_said("sighted input front", "blind input front")
        assert driver.box.told() == [("front", True), ("front", False), ("front", True)]
        driver.factory.deaf = False
        driver.factory.hold(17, False)
        driver.box.until_said("sighted input front", "blind input front", "sighted input front")
        assert driver.box.told()[-1] == ("front", False)


def test_each_input_is_deaf_for_itself_and_a_press_on_a_deaf_button_counts() -> None:
    with Driver(FRONT, CHECKIN) as driver:
        driver.factory.deaf = True
        driver.factory.hold(22, False)
        driver.box.until_told(("front", True), ("checkin", None))
        driver.box.until_said("blind input checkin")
        driver.factory.deaf = False
        driver.factory.hold(17, False)
        driver.box.until_said("blind input checkin", "sighted input front")


def test_an_input_that_stays_deaf_ends_the_thread_for_all_to_see_and_the_program_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: queue.SimpleQueue[threading.ExceptHookArgs] = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", seen.put)
    with Driver(FRONT) as driver:
        driver.factory.hold(17, False)
        driver.box.until_said("sighted input front")
        driver.factory.deaf = True
        driver.factory.hold(17, True)
        driver.box.until_said("sighted input front", "blind input front")
        driver.factory.hold(17, False)
        args = seen.get(timeout=WITHIN_S)
    assert args.exc_type is InputDeaf
    assert "input front" in str(args.exc_value)
    assert args.thread is not None and args.thread.name == "contacts"
    assert driver.box.told()[-1] == ("front", False)  # told before the thread ended


def test_where_edges_never_come_the_post_is_not_started_again_and_again_but_reads_the_levels() -> None:
    with Driver(FRONT) as driver:
        driver.factory.deaf = True
        expected: list[Told] = [("front", True)]
        for number in range(4):
            opened = number % 2 == 1
            driver.factory.hold(17, opened)
            expected.append(("front", opened))
            driver.box.until_told(*expected)
            driver.box.until_said("blind input front")
            driver.box.until_time_has_passed(2 * AROUND_MS)


@contextmanager
def hum(half_wave_s: float, *pins: WiredPin) -> Iterator[None]:
    """The pins swing until the end, and then rest high."""
    still = threading.Event()

    def swing() -> None:
        while not still.wait(half_wave_s):
            for pin in pins:
                pin.drive_low()
            still.wait(half_wave_s)
            for pin in pins:
                pin.drive_high()

    humming = threading.Thread(target=swing)
    humming.start()
    try:
        yield
    finally:
        still.set()
        humming.join()


def test_lines_at_50_hz_are_told_as_blind_once_each() -> None:
    """What is told of a hum whose every edge is on time is in test_switched; a busy machine's edges are not."""
    with watching(FRONT, LID, CHECKIN) as box:

        def blind() -> list[str]:
            box.told()
            return sorted(part for part in box.parts if part.startswith("blind"))

        with hum(0.01, *(box.pin(what.pin) for what in box.inputs)):
            until(lambda: len(blind()) >= 3, within_s=60)
        assert blind() == ["blind input checkin", "blind input front", "blind input lid"]
        assert len(box.told()) <= 2 + 3 * MOST_CHANGES


def test_a_wire_that_swings_as_fast_as_it_can_is_blind_too_and_the_door_beside_it_is_told() -> None:
    with watching(FRONT, HATCH) as box:
        with hum(0, box.pin(17)):
            until(lambda: box.told() and "blind input front" in box.parts, within_s=60)
            box.pin(27).drive_low()
            until(lambda: ("hatch", True) in box.told())
        changes = [is_open for name, is_open in box.told() if name == "front"]
        assert len(changes) <= 1 + MOST_CHANGES


def test_the_callback_only_puts_so_nothing_that_fails_behind_it_reaches_the_driver() -> None:
    """The inbox is closed off, the thread has died: the driver's thread still comes back from every edge."""

    class Shut(queue.SimpleQueue[Reading]):
        def put(self, item: Reading, block: bool = True, timeout: float | None = None) -> None:
            raise AssertionError("a callback of the driver put a reading")

    box = Box([FRONT, CHECKIN, LID], inbox=Shut())
    contacts = Contacts(box.inputs, box.factory, box.clock, box.inbox)
    for number in (17, 22, 23):
        for _ in range(2 * MOST_EDGES):
            box.pin(number).drive_low()
            box.pin(number).drive_high()
    assert contacts._edges.qsize() == MOST_EDGES
    for an_input in contacts._inputs:
        an_input.device.close()


def test_edges_that_come_while_the_pins_are_given_back_are_nobody_s_trouble() -> None:
    box = Box([FRONT])
    contacts = Contacts(box.inputs, box.factory, box.clock, box.inbox)
    contacts.start()
    with hum(0, box.pin(17)):
        contacts.stop()
    assert box.pin(17).when_changed is None


def test_stopping_frees_the_pins_for_the_next_program() -> None:
    box = Box([FRONT, CHECKIN])
    for _ in range(2):
        contacts = Contacts(box.inputs, box.factory, box.clock, box.inbox)
        contacts.start()
        contacts.stop()
    assert box.told() == [("front", True), ("front", True)]


def test_two_posts_in_one_process_have_pins_of_their_own() -> None:
    with watching(CHECKIN) as one, watching(CHECKIN) as other:
        one.pin(22).drive_low()
        one.until_told(("checkin", None))
        assert other.told() == []


@pytest.mark.parametrize("changes", [5])
def test_every_change_of_a_busy_door_is_told_in_order(changes: int) -> None:
    with watching(FRONT, low=[17]) as box:
        expected: list[Told] = [("front", False)]
        for number in range(changes):
            opened = number % 2 == 0
            (box.pin(17).drive_high if opened else box.pin(17).drive_low)()
            expected.append(("front", opened))
            box.until_told(*expected)

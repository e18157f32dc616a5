"""Contacts on gpiozero's own mock pins: edges fire at once, time and threads are real."""

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest
from gpiozero.pins.mock import MockFactory, MockPin
from postkit import RunningClock
from waiting import until

from device.hardware.contacts import Button, Contacts, DoorContact
from device.hardware.debounce import STABLE_MS
from device.readings import ButtonPressed, ContactChanged, Reading

FRONT = DoorContact("front", 17, open_when_low=False)
HATCH = DoorContact("hatch", 27, open_when_low=True)
CHECKIN = Button("checkin", 22)

Told = tuple[str, bool | None]


class WiredPin(MockPin):  # type: ignore[misc]
    """A mock pin that may be connected to ground: a pull-up does not lift it then."""

    wired_low = False

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        if self.wired_low:
            self.drive_low()

    def connect(self) -> None:
        self.wired_low = True
        self.drive_low()


@dataclass
class Box:
    """The inputs of one post."""

    inputs: Sequence[DoorContact | Button]
    factory: MockFactory = field(default_factory=lambda: MockFactory(pin_class=WiredPin))
    inbox: "queue.SimpleQueue[Reading]" = field(default_factory=queue.SimpleQueue)
    clock: RunningClock = field(default_factory=RunningClock)
    heard: list[Reading] = field(default_factory=list)

    def pin(self, number: int) -> WiredPin:
        return cast("WiredPin", self.factory.pin(number))

    def told(self) -> list[Told]:
        """All that was put so far: the name, and the door's state or None for a press."""
        while not self.inbox.empty():
            self.heard.append(self.inbox.get())
        return [
            (reading.contact, reading.open) if isinstance(reading, ContactChanged) else (_button(reading), None)
            for reading in self.heard
        ]

    def until_told(self, *told: Told) -> None:
        until(lambda: len(self.told()) >= len(told), what=f"{told}")
        assert self.told() == list(told)

    def until_time_has_passed(self, ms: int) -> None:
        """Real time, for what must *not* happen."""
        end_ms = self.clock.now().uptime_ms + ms
        until(lambda: self.clock.now().uptime_ms >= end_ms)


def _button(reading: Reading) -> str:
    assert isinstance(reading, ButtonPressed)
    return reading.button


@contextmanager
def watching(*inputs: DoorContact | Button, low: Sequence[int] = ()) -> Iterator[Box]:
    """Inputs being watched; ``low``: the pins that are connected to ground at the start."""
    box = Box(inputs)
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
        assert all(isinstance(reading, ContactChanged) and reading.at_start for reading in box.heard)
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
        assert isinstance(opened, ContactChanged)
        assert not opened.at_start
        assert before_ms <= opened.at.uptime_ms <= after_ms
        assert opened.at.wall_ms - opened.at.uptime_ms == box.clock.now().wall_ms - box.clock.now().uptime_ms
        box.pin(17).drive_low()
        box.until_told(("front", False), ("front", True), ("front", False))


def test_a_door_whose_contact_is_closed_while_it_stands_open_is_read_the_other_way_round() -> None:
    with watching(HATCH) as box:
        box.pin(27).drive_low()
        box.until_told(("hatch", False), ("hatch", True))


def test_a_bouncing_press_is_one_press_and_the_release_is_none() -> None:
    with watching(CHECKIN, FRONT, low=[17]) as box:
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
    with watching(FRONT, low=[17]) as box:
        box.pin(17).drive_high()
        box.pin(17).drive_low()
        box.until_time_has_passed(3 * STABLE_MS)
        assert box.told() == [("front", False)]


def test_a_glitch_at_the_very_start_does_not_leave_a_closed_door_open_for_ever() -> None:
    box = Box([FRONT])
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
    box = Box([FRONT, HATCH])
    contacts = Contacts(box.inputs, box.factory, box.clock, box.inbox)
    box.pin(27).drive_low()
    for _ in range(40_000):  # more than can be worked off in the time that the hatch needs to settle
        box.pin(17).drive_low()
        box.pin(17).drive_high()
    contacts.start()
    try:
        until(lambda: ("hatch", True) in box.told(), what="the hatch beside a humming door")
        assert contacts._edges.qsize() > 0, "the hatch had to wait until the hum was over"
    finally:
        contacts.stop()


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

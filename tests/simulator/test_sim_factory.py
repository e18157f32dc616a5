"""The pin factory under real gpiozero devices: what is recorded, what is logged, what SPI reaches."""

import os
import queue
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from gpiozero import DigitalInputDevice, DigitalOutputDevice, GPIOPinInUse, PWMOutputDevice, SPIBadArgs

from device.effects import Answer
from device.hardware.indicator import Indicator
from simulator.clock import SimClock
from simulator.factory import Change, SimFactory, chip_select

NAMES = {5: "green", 6: "red", 13: "buzzer"}


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[SimFactory]:
    made = SimFactory(NAMES, tmp_path / "pins.log")
    yield made
    made.close()


def test_each_change_of_an_output_is_one_line(factory: SimFactory, tmp_path: Path) -> None:
    light = DigitalOutputDevice(5, pin_factory=factory)
    spare = DigitalOutputDevice(21, pin_factory=factory)
    light.on()
    light.on()
    spare.on()
    light.off()
    light.close()
    spare.close()  # still high: nothing drives it any more
    lines = (tmp_path / "pins.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "GPIO5 green 1",
        "GPIO21 - 1",
        "GPIO5 green 0",
        "GPIO21 - 0",
    ]
    assert all(re.fullmatch(r"\d+\.\d{6}", line.split()[0]) for line in lines)
    assert [(change.pin, change.level) for change in factory.changes] == [(5, 1), (21, 1), (5, 0), (21, 0)]


def test_a_line_is_one_write_to_an_appending_descriptor(
    factory: SimFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    real = os.write

    def counted(descriptor: int, data: bytes) -> int:
        written.append(bytes(data))
        return real(descriptor, data)

    light = DigitalOutputDevice(5, pin_factory=factory)
    monkeypatch.setattr(os, "write", counted)
    (tmp_path / "pins.log").write_text("somebody else's line, longer than ours will be\n")
    light.on()
    light.off()
    light.close()
    assert b"".join(written).decode() == "".join((tmp_path / "pins.log").read_text().splitlines(True)[1:])
    assert len(written) == 2
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in written)


def test_a_disk_that_takes_no_line_does_not_stop_the_lights(caplog: pytest.LogCaptureFixture) -> None:
    factory = SimFactory(NAMES, Path("/dev/full"))
    light = DigitalOutputDevice(5, pin_factory=factory)
    light.on()
    light.off()
    light.close()
    factory.close()
    assert [change.level for change in factory.changes] == [True, False]
    assert [record.message.split(" (")[0] for record in caplog.records] == ["/dev/full: cannot be written"]


def test_a_contact_that_is_closed_wins_over_the_pull_up(factory: SimFactory) -> None:
    factory.hold(17, False)
    door = DigitalInputDevice(17, pull_up=True, pin_factory=factory)
    edges: list[bool] = []
    door.when_activated = lambda: edges.append(True)
    door.when_deactivated = lambda: edges.append(False)
    assert door.is_active
    factory.hold(17, True)
    factory.hold(17, True)
    factory.hold(17, False)
    assert edges == [False, True]
    door.close()


def test_once_the_drivers_thread_has_died_no_edge_comes_while_levels_are_read_right(factory: SimFactory) -> None:
    edges: list[bool] = []

    def watched() -> DigitalInputDevice:
        door = DigitalInputDevice(17, pull_up=True, pin_factory=factory)
        door.when_activated = lambda: edges.append(True)
        return door

    door = watched()
    factory.deaf = True
    factory.hold(17, False)
    assert door.is_active
    door.close()
    door = watched()  # opening it again does not help
    factory.hold(17, True)
    factory.hold(17, False)
    assert door.is_active
    assert edges == []
    factory.deaf = False
    factory.hold(17, True)
    factory.hold(17, False)
    assert edges == [True]
    door.close()


def test_a_pin_that_nothing_holds_follows_its_pull(factory: SimFactory) -> None:
    up = DigitalInputDevice(17, pull_up=True, pin_factory=factory)
    down = DigitalInputDevice(22, pull_up=False, pin_factory=factory)
    assert factory.level(17)
    assert not factory.level(22)
    up.close()
    down.close()


def test_a_device_that_closes_under_a_storm_of_edges_hears_nothing_after(factory: SimFactory) -> None:
    stop = threading.Event()

    def storm() -> None:
        level = False
        while not stop.is_set():
            factory.hold(17, level)
            level = not level

    shaking = threading.Thread(target=storm)
    shaking.start()
    for _ in range(200):
        door = DigitalInputDevice(17, pull_up=True, pin_factory=factory)
        heard: list[bool] = []
        door.when_activated = lambda heard=heard: heard.append(True)
        door.close()
        count = len(heard)
        factory.level(17)
        assert len(heard) == count
    stop.set()
    shaking.join()


def test_what_the_program_has_taken_can_be_waited_for(factory: SimFactory) -> None:
    wanted: set[int | str] = {17, chip_select(0)}
    bus = factory.spi(device=0)
    assert not factory.wait_taken(wanted, 0)
    waited: list[bool] = []
    waiting = threading.Thread(target=lambda: waited.append(factory.wait_taken(wanted, 10)))
    waiting.start()
    door = DigitalInputDevice(17, pull_up=True, pin_factory=factory)
    waiting.join()
    assert waited == [True]
    bus.close()
    door.close()


def test_two_boards_live_in_one_process(factory: SimFactory) -> None:
    other = SimFactory()
    lights = [DigitalOutputDevice(5, pin_factory=board) for board in (factory, other)]
    lights[1].on()
    assert (factory.level(5), other.level(5)) == (False, True)
    for light in lights:
        light.close()
    other.close()


def test_a_tone_is_logged_as_one_and_a_pin_that_is_held_high_outside_is_left_high(
    factory: SimFactory, tmp_path: Path
) -> None:
    buzzer = PWMOutputDevice(13, frequency=2_000, pin_factory=factory)
    buzzer.value = 0.5
    buzzer.value = 0.1  # quieter is no other tone
    buzzer.frequency = None
    buzzer.off()
    buzzer.close()
    factory.hold(5, True)
    light = DigitalOutputDevice(5, active_high=False, pin_factory=factory)
    light.on()
    light.close()
    lines = (tmp_path / "pins.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "GPIO13 buzzer 2000Hz",
        "GPIO13 buzzer 0",
        "GPIO5 green 0",
        "GPIO5 green 1",
    ]


def test_listeners_hear_the_indicator_in_the_order_it_writes(factory: SimFactory) -> None:
    heard: list[tuple[int, bool]] = []
    lit = threading.Event()

    def listen(change: Change) -> None:
        heard.append((change.pin, change.level))
        if change.pin == 6:
            lit.set()

    factory.listen(listen)
    indicator = Indicator(5, 6, 13, factory, SimClock(), queue.SimpleQueue())
    indicator.start()
    indicator.show(Answer.REFUSED)
    assert lit.wait(10)
    indicator.stop()
    assert heard[:2] == [(13, True), (6, True)]
    assert sorted(heard[2:]) == [(6, False), (13, False)]


class Echo:
    """A chip that answers each byte with its complement, and counts its frames."""

    def __init__(self) -> None:
        self.frames: list[list[int]] = []

    def transfer(self, data: list[int]) -> list[int]:
        self.frames.append(data)
        return [byte ^ 0xFF for byte in data]


def test_spi_reaches_the_chip_of_its_chip_select(factory: SimFactory) -> None:
    chips = (Echo(), Echo())
    for device, chip in enumerate(chips):
        factory.connect(device, chip)
    first, second = factory.spi(port=0, device=0), factory.spi(port=0, device=1)
    assert first.transfer([0x00, 0x0F]) == [0xFF, 0xF0]
    assert second.read(1) == [0xFF]
    assert (chips[0].frames, chips[1].frames) == ([[0x00, 0x0F]], [[0x00]])
    first.close()
    second.close()


def test_spi_without_a_chip_reads_all_ones(factory: SimFactory) -> None:
    bus = factory.spi(device=1)
    assert bus.transfer([1, 2, 3]) == [0xFF, 0xFF, 0xFF]
    bus.close()


def test_spi_keeps_what_a_driver_sets_and_is_freed_by_close(factory: SimFactory) -> None:
    bus = factory.spi(device=0)
    bus.clock_mode, bus.rate, bus.bits_per_word, bus.lsb_first, bus.select_high = 3, 4_000_000, 8, False, False
    assert (bus.clock_mode, bus.clock_phase, bus.rate, bus.bits_per_word) == (3, True, 4_000_000, 8)
    with pytest.raises(GPIOPinInUse):
        factory.spi(device=0)
    bus.close()
    assert bus.closed
    factory.spi(device=0).close()
    with pytest.raises(SPIBadArgs):
        factory.spi(device=2)

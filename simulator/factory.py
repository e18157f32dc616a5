"""A gpiozero pin factory without pins: outputs are recorded, inputs are held, SPI reaches chip models."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime, monotonic
from typing import NamedTuple

from gpiozero.pins.mock import MockFactory, MockPin

from simulator.pinslog import PinsLog
from simulator.spi import Chip, SimSpi

REMEMBERED = 10_000
"""How many changes of outputs are kept in memory; pins.log has all of them."""


def chip_select(device: int) -> str:
    """What ``wait_taken`` calls a chip select of SPI port 0."""
    return f"CE{device}"


class Change(NamedTuple):
    """An output changed: seconds of CLOCK_BOOTTIME, BCM number, level. ``tone_hz``: it swings, for a buzzer."""

    at_s: float
    pin: int
    level: bool
    tone_hz: int = 0


class SimPin(MockPin):  # type: ignore[misc]
    """One pin. As an output it reports each change; as an input it reads what is connected to it."""

    def __init__(self, factory: "SimFactory", info: object) -> None:
        """An input with nothing connected."""
        self._held: bool | None = None
        self._state: bool
        self._frequency: float | None = None
        self._tone_hz = 0
        super().__init__(factory, info)

    @property
    def level(self) -> bool:
        """True for high."""
        return bool(self._state)

    def hold(self, level: bool) -> None:
        """What is connected pulls the pin to ``level``, whatever pull-up or pull-down is on."""
        # The lock that guards the callback: a device that closes meanwhile must not be called any more.
        with self._when_changed_lock:
            self._held = level
            if self._function == "input":
                self._settle(level)

    def _settle(self, level: bool) -> None:
        if level:
            self.drive_high()
        else:
            self.drive_low()

    def _set_pull(self, value: str) -> None:
        if self._held is None:
            super()._set_pull(value)
        else:
            self._pull = value  # a contact to ground wins over a pull-up

    def _set_function(self, value: str) -> None:
        with self._when_changed_lock:
            if value == "input" and self._function == "output":
                self._change_state(bool(self._held))  # nothing drives the light any more
            super()._set_function(value)
            if value == "input" and self._held is not None:
                self._settle(self._held)

    def _get_frequency(self) -> float | None:
        return self._frequency

    def _set_frequency(self, value: float | None) -> None:
        """Software-timed PWM as lgpio has it: it begins with a duty cycle of 0."""
        self._frequency = value
        self._swing(0)

    def _set_state(self, value: float) -> None:
        if self._frequency is None:
            super()._set_state(value)
        else:
            self._swing(value)

    def _swing(self, duty: float) -> None:
        tone_hz = round(self._frequency) if self._frequency and 0 < duty < 1 else 0
        if tone_hz != self._tone_hz:
            self._tone_hz = tone_hz
            self._factory.changed(self._number, bool(self._state), tone_hz)

    def _enable_event_detect(self) -> None:
        self._factory.taken(self._number)

    def _call_when_changed(self) -> None:
        if not self._factory.deaf:
            super()._call_when_changed()

    def _change_state(self, value: bool) -> bool:
        # MockPin keeps every state there ever was, which a long night could not hold.
        if self._state == value:
            return False
        self._state = value
        self._last_change = monotonic()
        if self._function == "output":
            self._factory.changed(self._number, bool(value))
        return True


class SimFactory(MockFactory):  # type: ignore[misc]
    """The pins and the SPI bus of one simulated board. ``names``: what to call a BCM pin in the log."""

    def __init__(self, names: Mapping[int, str] | None = None, log: Path | None = None) -> None:
        """``log``: the file that each change of an output is appended to. Raises OSError."""
        super().__init__(revision="a02082", pin_class=SimPin)
        self._names = dict(names or {})
        self._log = PinsLog(log) if log else None
        self._chips: dict[int, Chip] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._lock = threading.Lock()
        self._takes = threading.Condition()
        self._taken: set[int | str] = set()
        self._pins_lock = threading.Lock()
        self.deaf = False
        """The driver's thread has died: no edge of any input comes any more, while levels are still read right."""
        self.changes: deque[Change] = deque(maxlen=REMEMBERED)

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call ``listener`` for each change of an output, in order, in the thread that changes it."""
        with self._lock:
            self._listeners.append(listener)

    def connect(self, device: int, chip: Chip) -> None:
        """Put a chip model behind chip select ``device`` of SPI port 0."""
        self._chips[device] = chip

    def hold(self, pin: int, level: bool) -> None:
        """What is connected to ``pin`` pulls it to ``level``."""
        self.pin(f"GPIO{pin}").hold(level)

    def level(self, pin: int) -> bool:
        """The level of a pin: True for high."""
        level: bool = self.pin(f"GPIO{pin}").level
        return level

    def pin(self, name: object, pin_class: type[MockPin] | None = None, **kwargs: object) -> SimPin:
        """The pin ``name``; the simulator's threads and the device's may ask at once."""
        with self._pins_lock:
            found: SimPin = super().pin(name, pin_class, **kwargs)
            return found

    def spi(self, *, port: int = 0, device: int = 0) -> SimSpi:
        """The bus to one chip select; with no chip there, every byte reads 0xFF."""
        bus = SimSpi(port, device, self, self._chips.get(device))
        self.taken(chip_select(device))
        return bus

    def taken(self, what: int | str) -> None:
        """The device program watches an input pin, or has opened a chip select."""
        with self._takes:
            self._taken.add(what)
            self._takes.notify_all()

    def wait_taken(self, inputs: Set[int | str], timeout_s: float) -> bool:
        """Wait until all of ``inputs`` (BCM numbers, and names of ``chip_select``) were taken by the program."""
        with self._takes:
            return self._takes.wait_for(lambda: inputs <= self._taken, timeout_s)

    def changed(self, pin: int, level: bool, tone_hz: int = 0) -> None:
        """An output pin says that it changed."""
        with self._lock:
            change = Change(clock_gettime(CLOCK_BOOTTIME), pin, level, tone_hz)
            self.changes.append(change)
            if self._log:
                said = f"{tone_hz}Hz" if tone_hz else f"{level:d}"
                self._log.write(f"{change.at_s:.6f} GPIO{pin} {self._names.get(pin, '-')} {said}\n")
            for listener in self._listeners:
                listener(change)

    def close(self) -> None:
        """Release all pins and close the log."""
        super().close()
        if self._log:
            self._log.close()

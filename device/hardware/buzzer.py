"""The buzzer: an active one, which has a tone of its own, or a passive one, which is given its tone by PWM."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from gpiozero import DigitalOutputDevice, PWMOutputDevice
from gpiozero.pins import Factory

from device.hardware.loudness import Loudness, duty
from device.hardware.patterns import Moment, shortened

DAY = Loudness()


@dataclass(frozen=True, slots=True)
class Sound:
    """What kind of buzzer it is. ``tone_hz``: None for an active one. ``by_low``: a low pin sounds it."""

    tone_hz: int | None = None
    by_low: bool = False
    loudness: Loudness = DAY


class Buzzer(Protocol):
    """One of the two kinds."""

    def at(self, percent: int, moments: tuple[Moment, ...]) -> Iterable[Moment]:
        """Be as loud as ``percent`` from here on; the pattern as it is then to be played."""
        ...

    def sound(self, on: bool) -> None:
        """Begin or end a beep."""
        ...

    def close(self) -> None:
        """Silent, and the pin is free."""
        ...


class ActiveBuzzer:
    """It knows on and off alone: PWM would chop its oscillator's supply. So what is quieter here is shorter."""

    def __init__(self, pin: int, by_low: bool, factory: Factory) -> None:
        """Take the pin; silent."""
        self._device = DigitalOutputDevice(pin, active_high=not by_low, pin_factory=factory)

    def at(self, percent: int, moments: tuple[Moment, ...]) -> Iterable[Moment]:
        """As in Buzzer."""
        return shortened(moments, percent)

    def sound(self, on: bool) -> None:
        """As in Buzzer."""
        self._device.value = on

    def close(self) -> None:
        """As in Buzzer."""
        self._device.close()


class PassiveBuzzer:
    """A tone by software-timed PWM; lgpio plays 0.1 to 10,000 Hz (lg library, lgTxPwm)."""

    def __init__(self, pin: int, by_low: bool, tone_hz: int, factory: Factory) -> None:
        """Take the pin; silent."""
        self._tone_hz = tone_hz
        self._duty = duty(100)
        self._device = PWMOutputDevice(pin, active_high=not by_low, frequency=tone_hz, pin_factory=factory)
        self.sound(False)

    def at(self, percent: int, moments: tuple[Moment, ...]) -> Iterable[Moment]:
        """As in Buzzer."""
        self._duty = duty(percent)
        return moments

    def sound(self, on: bool) -> None:
        """As in Buzzer. While silent there is no PWM, which would wake the processor twice a period."""
        self._device.frequency = self._tone_hz if on else None
        self._device.value = self._duty if on else 0

    def close(self) -> None:
        """As in Buzzer."""
        self._device.close()


def open_buzzer(pin: int, sound: Sound, factory: Factory) -> Buzzer:
    """The buzzer on a BCM pin."""
    if sound.tone_hz is None:
        return ActiveBuzzer(pin, sound.by_low, factory)
    return PassiveBuzzer(pin, sound.by_low, sound.tone_hz, factory)

"""The SPI bus: gpiozero's interface in front, a chip model behind each chip select."""

import threading
from typing import Protocol

from gpiozero import SPIBadArgs
from gpiozero.exc import SPIInvalidClockMode
from gpiozero.pins import SPI, Factory

_SELECT_PIN = {0: "GPIO8", 1: "GPIO7"}


class Chip(Protocol):
    """What sits behind a chip select."""

    def transfer(self, data: list[int], /) -> list[int]:
        """One frame: as many bytes back as went in."""
        ...


class SimSpi(SPI):  # type: ignore[misc]
    """SPI port 0. One transfer is one frame with the chip selected; mode and rate are kept as they are set."""

    def __init__(self, port: int, device: int, factory: Factory, chip: Chip | None) -> None:
        """Take the chip select. Raises SPIBadArgs for one a Pi has not, GPIOPinInUse for one in use."""
        self._open = False  # first: gpiozero closes what could not be made, too
        if port != 0 or device not in _SELECT_PIN:
            raise SPIBadArgs(f"no SPI port {port}, device {device}; port 0 has the devices 0 and 1")
        super().__init__(pin_factory=factory)
        self._lock = threading.Lock()
        self._chip = chip
        self._device = device
        self._mode, self._rate, self._bits, self._lsb_first, self._high = 0, 500_000, 8, False, False
        factory.reserve_pins(self, _SELECT_PIN[device])
        self._open = True

    def transfer(self, data: list[int]) -> list[int]:
        """Full duplex, whole bytes."""
        with self._lock:
            self._check_open()
            if self._chip is None:
                return [0xFF] * len(data)  # nothing pulls MISO down
            return self._chip.transfer(list(data))

    def close(self) -> None:
        """Give the chip select back."""
        if self._open:
            self.pin_factory.release_all(self)
        self._open = False
        super().close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return not self._open

    def __repr__(self) -> str:
        """As gpiozero writes its own."""
        return f"SPI(port=0, device={self._device})" if self._open else "SPI(closed)"

    def _get_clock_mode(self) -> int:
        return self._mode

    def _set_clock_mode(self, value: int) -> None:
        if value not in range(4):
            raise SPIInvalidClockMode(f"{value} is no SPI clock mode; there are 0 to 3")
        self._mode = value

    def _get_lsb_first(self) -> bool:
        return self._lsb_first

    def _set_lsb_first(self, value: bool) -> None:
        self._lsb_first = bool(value)

    def _get_select_high(self) -> bool:
        return self._high

    def _set_select_high(self, value: bool) -> None:
        self._high = bool(value)

    def _get_bits_per_word(self) -> int:
        return self._bits

    def _set_bits_per_word(self, value: int) -> None:
        self._bits = int(value)

    def _get_rate(self) -> int:
        return self._rate

    def _set_rate(self, value: int) -> None:
        self._rate = int(value)

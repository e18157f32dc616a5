"""OSDP readers on RS-485: SIA OSDP 2.2 (IEC 60839-11-5:2020) by libosdp, on a secure channel or not at all."""

import queue
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from device.config import ReaderSection
from device.effects import Answer
from device.hardware.readers.driver import Bench, Driver
from device.hardware.readers.osdp_bus import Line
from device.hardware.readers.osdp_key import key_file, read_key
from device.hardware.readers.osdp_station import Station
from device.hardware.readers.reader import WAIT_S, ReaderSilent
from device.hardware.readers.serial_port import HEADER_PINS, HEADER_PORTS, NO_PORT
from device.problems import problem
from device.readings import Assurance

START_WITHIN_S = 0.8
"""A secure channel takes 0.3 s at 9600 baud; with the leaving of the line it fits into ``worker.END_WITHIN_S``."""


class OsdpSection(ReaderSection):
    """``driver = "osdp"``: on the serial port ``port``; several readers share one, each with its ``address``."""

    driver: Literal["osdp"]
    port: Path
    baud: Literal[9600, 19200, 38400, 57600, 115200] = 9600
    address: Annotated[int, Field(ge=0, le=126, strict=True)] = 0

    @field_validator("port")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise problem(f'{str(value)!r} is no port; write its path, like "/dev/serial0" or "/dev/ttyUSB0"')
        return value

    def shared(self) -> Iterable[tuple[int, str]]:
        """TXD and RXD where the port is the Pi's own UART."""
        if self.port in HEADER_PORTS:
            yield from ((pin, f"OSDP on {self.port}") for pin in HEADER_PINS)

    def ports(self) -> Iterable[tuple[str, str]]:
        """The port at one speed, for all on it; its address, for this reader alone."""
        yield str(self.port), f"OSDP at {self.baud} baud"
        yield f"{self.port} address {self.address}", f"reader {self.name}"

    def devices(self) -> Iterable[tuple[Path, str]]:
        """The port."""
        yield self.port, NO_PORT

    def libraries(self) -> Iterable[tuple[str, str]]:
        """Of OSDP and of serial ports."""
        yield "osdp", "pip install libosdp"
        yield "serial", "apt install python3-serial"


class Osdp:
    """A CardReader, and Answering: its light and buzzer say what the post's own say."""

    rests = False
    assurance: Assurance = "osdp-sc"

    def __init__(self, section: OsdpSection, line: Line, key: Path) -> None:
        """``key``: see ``osdp_key``."""
        self._section, self._line, self._key = section, line, key
        self._station: Station | None = None
        self._losses = 0

    def start(self) -> None:
        """Join the line; returns on a secure channel. Raises ReaderSilent."""
        if self._station is None:
            name, address, baud = self._section.name, self._section.address, self._section.baud
            self._station = Station(name, address, baud, read_key(self._key, name))
        self._line.join(self._station)
        self._losses = self._station.losses
        if not self._station.sees.wait(START_WITHIN_S):
            self._silent(self._station)

    def cards(self) -> list[bytes]:
        """The number that came, if one came. Raises FrameRefused, ReaderSilent."""
        station = self._station
        assert station is not None, "it was started"
        try:
            told = station.told.get(timeout=WAIT_S)
        except queue.Empty:
            told = None
        if isinstance(told, bytes):
            return [told]
        if station.losses != self._losses:  # even if it sees again by now: that is for start to find
            self._silent(station)
        self._line.check()
        if told is not None:
            raise told
        return []

    def show(self, answer: Answer) -> None:
        """By the reader's light and buzzer; the newest answer, and none to a reader that cannot be reached."""
        if self._station is not None and self._station.sees.is_set():
            self._station.answers.append(answer)

    def close(self) -> None:
        """Leave the line; the last reader on it frees the port."""
        if self._station is not None:
            self._line.leave(self._station)

    def _silent(self, station: Station) -> None:
        self._line.check()
        raise ReaderSilent(f"OSDP reader {self._section.name}: {station.why}")


def _open(section: OsdpSection, bench: Bench) -> Osdp:
    line = bench.shared.setdefault(f"osdp {section.port}", Line(section.port, section.baud))
    return Osdp(section, line, key_file(bench.state_dir, section.name))


DRIVER = Driver(OsdpSection, _open)

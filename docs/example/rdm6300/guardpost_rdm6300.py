"""RDM6300: a module for 125 kHz tags that sends each on a serial line at 9600 baud, several times a second."""

from contextlib import suppress
from typing import Any, Literal

from device.config import ReaderSection
from device.hardware.readers.driver import Bench, Driver
from device.hardware.readers.reader import WAIT_S, FrameRefused, ReaderSilent
from device.readings import Assurance

# The module's manual, "Data format": STX, ten hex digits of the tag, two of their check sum, ETX.
_STX, _ETX = b"\x02", b"\x03"
_DIGITS = 12


class Rdm6300Section(ReaderSection):
    """``driver = "rdm6300"``. ``port``: the serial line to the module's TX pin, brought from 5 V to 3.3 V."""

    driver: Literal["rdm6300"]
    port: str = "/dev/serial0"


def decode(frame: bytes) -> bytes:
    """The five bytes of a tag from what stands between STX and ETX. Raises FrameRefused."""
    try:
        *tag, check = bytes.fromhex(frame.decode("ascii"))
    except ValueError:
        tag, check = [], 0
    total = 0
    for byte in tag:
        total ^= byte
    if len(frame) != _DIGITS or total != check:
        raise FrameRefused(f"{len(frame)} bytes that are no tag: check the cable")
    return bytes(tag)


class Rdm6300:
    """A CardReader. It cannot be asked whether it is there: a dead one is as silent as an empty field."""

    rests = False
    assurance: Assurance = "uid"

    def __init__(self, port: str) -> None:
        """Nothing is opened yet."""
        self._port = port
        self._line: Any = None

    def start(self) -> None:
        """Open the line. Raises ReaderSilent."""
        self.close()
        try:
            import serial  # here: only a post with such a reader needs it
        except ImportError:
            raise ReaderSilent("an RDM6300 needs pyserial: apt install python3-serial") from None
        try:
            self._line = serial.Serial(self._port, 9600, timeout=WAIT_S, exclusive=True)
        except (OSError, serial.SerialException) as error:
            raise ReaderSilent(f"{self._port}: {error}; check its name and who else uses it") from None

    def cards(self) -> list[bytes]:
        """The tag that came within ``WAIT_S``, if any. Raises FrameRefused, or OSError for a line that is gone."""
        frame: bytes = self._line.read_until(_ETX, _DIGITS + 2)
        if not frame:
            return []
        return [decode(frame.rpartition(_STX)[2].removesuffix(_ETX))]

    def close(self) -> None:
        """Free the line."""
        line, self._line = self._line, None
        if line is not None:
            with suppress(OSError):
                line.close()


def _open(section: Rdm6300Section, bench: Bench) -> Rdm6300:  # noqa: ARG001
    return Rdm6300(section.port)


DRIVER = Driver(Rdm6300Section, _open)

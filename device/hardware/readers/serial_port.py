"""A serial port, opened for us alone; what hinders is one line with the mend."""

import errno
import termios
from pathlib import Path
from typing import Protocol

from device.hardware.readers.reader import ReaderSilent

HEADER_PORTS = {Path("/dev/serial0"), Path("/dev/ttyAMA0"), Path("/dev/ttyS0")}
HEADER_PINS = (14, 15)
"""BCM pins UART TXD and RXD, where these, the Pi's own ports, come out."""
NO_PORT = "plug the reader in, or enable the UART in config.txt"
_WRITE_S = 0.5
_MENDS = {
    errno.ENOENT: f"there is no such serial port: {NO_PORT}",
    errno.EACCES: "the serial port is not ours to open: put the post's user into the group dialout",
    errno.EWOULDBLOCK: "another program, or another reader of this post, has the serial port: leave it to one",
}


class SerialPort(Protocol):
    """What pyserial's ``Serial`` gives. All raise OSError when the port is gone."""

    @property
    def in_waiting(self) -> int:
        """Bytes that have come."""
        ...

    def fileno(self) -> int:
        """To wait for bytes."""
        ...

    def read(self, size: int, /) -> bytes:
        """At most so many; fewer where no more came in time."""
        ...

    def write(self, data: bytes, /) -> object:
        """Send all."""
        ...

    def close(self) -> None:
        """Free the port."""
        ...


def open_serial(what: str, path: Path, baud: int, read_s: float) -> SerialPort:
    """``what`` is there, for people; ``read_s``: how long a read waits. Raises ReaderSilent."""
    try:
        import serial  # here: a post without such a reader needs no pyserial
    except ImportError:
        raise ReaderSilent(f"{what} needs pyserial: install python3-serial") from None
    try:
        port: SerialPort = serial.Serial(str(path), baud, timeout=read_s, write_timeout=_WRITE_S, exclusive=True)
    except (OSError, termios.error) as error:
        mend = _MENDS.get(getattr(error, "errno", None) or 0, f"it cannot be opened ({error}): check port")
        raise ReaderSilent(f"{what} on {path}: {mend}") from error
    return port

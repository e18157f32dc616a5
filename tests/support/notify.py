"""A notify socket, as systemd listens on one (sd_notify(3))."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotifySocket:
    """Each datagram that came, as its lines. ``address``: for NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[list[str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def lines(self) -> list[str]:
        """Every line that came so far, in order."""
        while True:
            try:
                self.heard.append(self._socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return [line for datagram in self.heard for line in datagram]

    def count(self, line: str) -> int:
        """How often a line came."""
        return self.lines().count(line)

    def statuses(self) -> list[str]:
        """What was said of how the post stands."""
        return [line.removeprefix("STATUS=") for line in self.lines() if line.startswith("STATUS=")]

    def close(self) -> None:
        self._socket.close()


@contextmanager
def notified(address: Path | str) -> Iterator[NotifySocket]:
    """A socket that listens while the block runs."""
    listener = NotifySocket(str(address))
    try:
        yield listener
    finally:
        listener.close()

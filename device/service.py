"""What systemd is told of a running post (sd_notify(3)): by passes of the loop, and by nothing else."""

import logging
import os
import socket
from collections.abc import Callable, Mapping

from device.readings import Instant

STATUS_EVERY_MS = 5_000
"""The status line is made anew at most this often, and sent only where it has changed."""

log = logging.getLogger(__name__)


class Notifier:
    """A ``seams.Watcher`` of the loop. Where nobody listens (no NOTIFY_SOCKET), it does nothing."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """``environment``: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID as systemd sets them."""
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._feed_every_ms = _feed_every_ms(environment)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None
        if self._socket is not None:
            self._socket.setblocking(False)  # a listener that does not listen must not hold the loop
        self._ready = False
        self._fed_ms: int | None = None
        self._looked_ms: int | None = None
        self._said = ""

    def passed(self, now: Instant, status: Callable[[], str]) -> None:
        """The loop has made a real pass: the only thing that ever feeds the watchdog."""
        if self._socket is None:
            return
        said = self._said
        lines = [] if self._ready else ["READY=1"]
        if self._feed_every_ms is not None and _past(self._fed_ms, now, self._feed_every_ms):
            lines.append("WATCHDOG=1")
        if _past(self._looked_ms, now, STATUS_EVERY_MS):
            self._looked_ms = now.uptime_ms
            said = " ".join(status().split())
            lines += [f"STATUS={said}"] if said != self._said else []
        if lines and self._tell(lines):
            self._ready, self._said = True, said
            if "WATCHDOG=1" in lines:
                self._fed_ms = now.uptime_ms

    def stopping(self, why: str) -> None:
        """The loop has ended; what follows is the farewell."""
        if self._socket is not None:
            self._tell(["STOPPING=1", f"STATUS=stops: {why}"])

    def close(self) -> None:
        """Nothing more is told."""
        if self._socket is not None:
            self._socket.close()

    def _tell(self, lines: list[str]) -> bool:
        """One datagram; whether it was taken. One that was not is made again by the next pass."""
        assert self._socket is not None
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("systemd is not told %s: %s", lines, error.strerror)
            return False
        return True


def _address(path: str) -> str:
    """A socket's path, or the name of an abstract one, which is written with ``@``; nothing else is known here."""
    if path.startswith("@"):
        return "\0" + path[1:]
    return path if path.startswith("/") else ""


def _feed_every_ms(environment: Mapping[str, str]) -> int | None:
    """A third of WATCHDOG_USEC; None where no watchdog waits for this process (sd_watchdog_enabled(3))."""
    usec = environment.get("WATCHDOG_USEC", "")
    if not usec.isdecimal() or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(usec) // 3_000


def _past(last_ms: int | None, now: Instant, every_ms: int) -> bool:
    return last_ms is None or now.uptime_ms - last_ms >= every_ms

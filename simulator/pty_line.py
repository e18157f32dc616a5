"""A serial line without a wire: a pty, found under a path, with a device at its end that can be unplugged."""

import os
import pty
import select
import threading
import tty
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from simulator.errors import SimulatorError

_PTYS = "/dev/pts/"
_BITS_A_BYTE = 10
"""A start bit, eight of data, a stop bit."""


class Said(Protocol):
    """Bytes that a device sends after some work."""

    @property
    def data(self) -> bytes:
        """The bytes."""
        ...

    @property
    def after_s(self) -> float:
        """How long the work takes."""
        ...


class PtyLine:
    """The device's end. It takes the time that a UART of ``baud`` would."""

    def __init__(
        self,
        path: Path,
        baud: int,
        hear: Callable[[bytes], Iterable[Said]],
        said: Callable[[], None],
    ) -> None:
        """Make ``path`` a link to the pty. Raises SimulatorError where it belongs to somebody else.

        ``hear``: is given bytes as they come, and tells the answer; ``said``: is called when that has left.
        """
        self._path = path
        self._byte_s = _BITS_A_BYTE / baud
        self._hear = hear
        self._said = said
        self._plugged: _Plugged | None = None
        self.plug()

    def plug(self) -> None:
        """Plug the device in; one that is plugged in stays."""
        if self._plugged is None:
            self._plugged = _Plugged(self._path, self._pump)

    def unplug(self) -> None:
        """Pull the device out: whoever has the port open finds it gone, and its path too."""
        plugged, self._plugged = self._plugged, None
        if plugged is not None:
            plugged.close()

    def _pump(self, master: int, gone: threading.Event, wake: int) -> None:
        """Until it is unplugged."""
        while not gone.is_set():
            ready, _, _ = select.select([master, wake], [], [])
            if master not in ready:
                continue
            data = os.read(master, 4096)
            for said in self._hear(data):
                gone.wait(said.after_s + self._byte_s * (len(data) + len(said.data)))
                data = b""  # what came was waited for once
                if gone.is_set():
                    return
                with suppress(BlockingIOError):  # nobody reads: an overrun, as of any UART
                    os.write(master, said.data)
            self._said()


class _Plugged:
    """One pty, its link and its thread."""

    def __init__(self, path: Path, pump: Callable[[int, threading.Event, int], None]) -> None:
        self._path = path
        self._master, self._slave = pty.openpty()
        self._woken, self._wake = os.pipe()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._target = os.ttyname(self._slave)
        try:
            _link(path, self._target)
        except SimulatorError:
            self._free()
            raise
        self._gone = threading.Event()
        # Our own end of the slave stays open: without anybody there, reading the master would fail.
        self._thread = threading.Thread(
            target=pump, args=(self._master, self._gone, self._woken), name=f"pty {path.name}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """The pty and its link are gone."""
        self._gone.set()
        os.write(self._wake, b"\0")
        self._thread.join()
        with suppress(FileNotFoundError):
            if str(self._path.readlink()) == self._target:
                self._path.unlink()
        self._free()

    def _free(self) -> None:
        for end in (self._master, self._slave, self._woken, self._wake):
            os.close(end)


def _link(path: Path, target: str) -> None:
    """A link that an earlier run left behind is replaced; anything else is not ours."""
    mend = f'{path}: the simulator cannot put its serial port there; write another port, like port = "gate.tty"'
    if path.is_relative_to("/dev"):
        raise SimulatorError(f"{mend} (beside the configuration)")
    try:
        if path.is_symlink() and str(path.readlink()).startswith(_PTYS):
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    except OSError as error:
        raise SimulatorError(f"{mend} ({error.strerror})") from error

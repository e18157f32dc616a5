"""The camera's child as the post has hold of it: its pipes, its end. Nothing here waits for it."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress

from device.hardware.camera.life import Broken
from device.hardware.camera.wire import (
    LENGTH,
    MOST_HEADER_BYTES,
    Alive,
    Fit,
    Missed,
    Settings,
    Shot,
    Take,
    Told,
    down,
    read_up,
)

MOST_UNSAID_BYTES = 64 << 10
"""Hundreds of messages beside those that are in the pipe: who leaves so many lie does not listen."""
MOST_AT_ONCE_BYTES = 1 << 20
CODE_WITHIN_S = 0.2
"""Between the end of a process's output and that of the process itself."""

Heard = tuple[Alive | Told | Shot | Missed, bytes]


class Process:
    """A child that was started. It ends when its standard input does, so also when the post is killed."""

    def __init__(self, command: Sequence[str], settings: Settings) -> None:
        """Raises OSError if it cannot be started."""
        # In a session of its own, so that Ctrl-C at a terminal is for the post, which then ends it.
        self._popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        assert self._popen.stdin is not None and self._popen.stdout is not None
        self._in, self._out = self._popen.stdin, self._popen.stdout
        for pipe in (self._in, self._out):
            os.set_blocking(pipe.fileno(), False)
        self._unsaid = bytearray(down(settings))
        self._heard = bytearray()
        self._over = False

    @property
    def pid(self) -> int:
        """Its number."""
        return self._popen.pid

    @property
    def hears(self) -> int:
        """The descriptor that is readable when it has said something."""
        return self._out.fileno()

    @property
    def says(self) -> int | None:
        """The descriptor to be written when it can be, None where nothing waits."""
        return self._in.fileno() if self._unsaid else None

    def say(self, message: Take | Fit) -> None:
        """Have it sent with the next ``write``."""
        self._unsaid += down(message)

    def write(self) -> None:
        """Send what waits, as far as it goes. Raises Broken if too much is left."""
        with suppress(BlockingIOError):
            while self._unsaid:
                try:
                    del self._unsaid[: os.write(self._in.fileno(), self._unsaid)]
                except BrokenPipeError:
                    raise Broken(self._ended("does not listen any more")) from None
        if len(self._unsaid) > MOST_UNSAID_BYTES:
            raise Broken("the camera's program does not listen")

    def hear(self) -> list[Heard]:
        """What it has said meanwhile. Raises Broken when it has ended, or says what cannot be."""
        if self._over:
            raise Broken(self._ended("has closed its output"))
        with suppress(BlockingIOError):
            more = os.read(self._out.fileno(), MOST_AT_ONCE_BYTES)
            self._over = not more
            self._heard += more
        return [*self._whole()]

    def _whole(self) -> Iterator[Heard]:
        """Take out every message that is there as a whole."""
        while len(self._heard) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._heard)
            if not 0 < length <= MOST_HEADER_BYTES:
                raise Broken(f"the camera's program talks nonsense: a header of {length} bytes")
            end = LENGTH.size + length
            if len(self._heard) < end:
                return
            try:
                message = read_up(bytes(self._heard[LENGTH.size : end]))
            except ValueError:
                raise Broken("the camera's program talks nonsense: a header that is none") from None
            if len(self._heard) < end + message.body:
                return
            body = bytes(self._heard[end : end + message.body])
            del self._heard[: end + message.body]
            yield message, body

    def _ended(self, else_what: str) -> str:
        with suppress(subprocess.TimeoutExpired):
            code = self._popen.wait(CODE_WITHIN_S)
            if code < 0:
                return f"the camera's program was ended by a signal: {signal.strsignal(-code)}"
            return f"the camera's program ended with code {code}: see what it said in the log"
        return f"the camera's program {else_what}"

    def kill(self) -> None:
        """End it and whatever it has started, whether it hangs or not; the kernel may need its time for it."""
        if self._popen.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
        self._in.close()
        self._out.close()

    def gone(self) -> bool:
        """Whether it has ended: one that waits in the kernel for a device may survive SIGKILL."""
        return self._popen.poll() is not None

    def end(self, within_s: float) -> None:
        """Ask it to end; kill it if it does not within so long."""
        self._in.close()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(within_s)
        self.kill()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(CODE_WITHIN_S)

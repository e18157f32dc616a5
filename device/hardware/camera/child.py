"""The camera's own process, as its post starts it. It may be killed at any time."""

import contextlib
import ctypes
import os
import queue
import signal
import sys
import threading
from typing import BinaryIO, NoReturn

from device.hardware.camera.wire import INSTALL, Alive, Fit, Inbox, Settings, Take, in_a_line, read_down, up

STDIN_CLOSED, GAVE_UP, NOT_UNDERSTOOD = 0, 1, 2
"""Exit codes."""
PR_SET_DUMPABLE = 4
"""prctl(2)."""

_SEEN = "and let the virtual environment see Debian's packages (--system-site-packages)"


def _listen(lines: BinaryIO, inbox: Inbox) -> None:
    """Hand on what the post asks. Its end ends the process, whatever that does just then."""
    for line in lines:
        message = _understood(line)
        if isinstance(message, Settings):
            _refuse("the settings came a second time")
        else:
            inbox.put(message)
    os._exit(STDIN_CLOSED)


def _understood(line: bytes) -> Settings | Take | Fit:
    try:
        return read_down(line)
    except ValueError as error:
        _refuse(" ".join(str(error).split()))


def _refuse(why: str) -> NoReturn:
    os.write(2, f"the camera's process does not understand the post: {why}\n".encode())
    os._exit(NOT_UNDERSTOOD)


def _run(settings: Settings, inbox: Inbox, out: BinaryIO) -> None:
    """The loop, whose libraries come with picamera2: a post that has not that has none of them."""
    try:
        from device.hardware.camera.loop import Loop
    except ImportError as error:
        said, missing = in_a_line(error), isinstance(error, ModuleNotFoundError)
        why = f"{error.name} is not installed" if missing else f"picamera2's libraries cannot be loaded ({said})"
        why = f"{why}: {INSTALL}, which brings them, {_SEEN}"
        out.write(up(Alive(frame_ms=None, blind=why)))
        out.flush()
        return
    Loop(settings, inbox, out).run()


def main() -> NoReturn:
    """Speak with the post on standard input and output (``wire.py``), and never return."""
    # Ctrl-C is for the post, which ends this process by closing its standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever libraries print goes to standard error, not between the frames of the wire.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    lines = sys.stdin.buffer
    first = lines.readline()
    if not first:
        os._exit(STDIN_CLOSED)
    settings = _understood(first)
    if not isinstance(settings, Settings):
        _refuse("the settings have to come first")
    inbox: Inbox = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines, inbox), name="listen", daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        _run(settings, inbox, out)
    # No farewell: libcamera's destructors may hang.
    os._exit(GAVE_UP)


def keep_to_itself() -> None:
    """Frames that nobody sealed yet are in here: no core dump, and no process of this user looks in."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


if __name__ == "__main__":
    keep_to_itself()
    main()

"""A USB reader that types badge numbers like a keyboard, by the kernel's event devices (python-evdev)."""

import errno
import re
import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, field_validator

from device.config import ReaderSection
from device.hardware.readers.driver import Bench, Driver
from device.hardware.readers.hid_keys import (
    EV_KEY,
    EV_SYN,
    KEY_1,
    KEY_ENTER,
    SYN_DROPPED,
    SYN_REPORT,
    KeyEvent,
    NumberFormat,
    Typing,
)
from device.hardware.readers.reader import WAIT_S, FrameRefused, ReaderSilent
from device.problems import problem
from device.readings import Assurance

QUIET_S = 0.1
"""Between two keys of a number far less passes: so quiet when it is opened, the reader is not in mid-number."""

_MENDS = {
    errno.ENOENT: "plug it in, or name another; ls /dev/input/by-id shows what there is",
    errno.EACCES: "let the post's user read it: add it to the group input",
    errno.ENOTTY: "it is no input device; name one of /dev/input/by-id",
    errno.EBUSY: "another program has grabbed it; stop that one",
}
_MEND = "check its cable and plug it in again"


class HidSection(ReaderSection):
    """``driver = "hid"``: a USB reader that types. ``device``: its name below ``/dev/input/by-id``.

    ``number``: how it types a number; ``bytes``: how many a badge's number has (absent: 4 where it is decimal, as
    many as are typed where it is hex); ``reversed``: for a reader that gives the last byte first.
    """

    driver: Literal["hid"]
    device: str
    number: Literal["decimal", "hex"] = "decimal"
    bytes: Literal[3, 4, 5, 7, 10] | None = None
    reversed: Annotated[bool, Field(strict=True)] = False

    @field_validator("device")
    @classmethod
    def _stays(cls, value: str) -> str:
        mend = "write its name below /dev/input/by-id; ls /dev/input/by-id shows what there is"
        if not value.startswith("/dev/"):
            raise problem(f"{value!r} is no device; {mend}")
        if re.fullmatch(r"/dev/input/(event|js|mouse)\d+|/dev/(tty|hidraw|console).*", value):
            raise problem(f"{value!r} may be another device after the next start; {mend}")
        return value

    def devices(self) -> Iterable[tuple[Path, str]]:
        """The event device."""
        yield Path(self.device), _MENDS[errno.ENOENT]

    def libraries(self) -> Iterable[tuple[str, str]]:
        """Of event devices."""
        yield "evdev", "apt install python3-evdev"


class InputNode(Protocol):
    """What there is of ``evdev.InputDevice`` here: an event device, opened without blocking."""

    def fileno(self) -> int:
        """Readable when events wait, or when the device is gone."""
        ...

    def capabilities(self) -> Mapping[int, Sequence[Any]]:
        """The codes that it can send, by type. Raises OSError."""
        ...

    def grab(self) -> None:
        """EVIOCGRAB: nobody else hears of its events. Raises OSError (EBUSY)."""
        ...

    def read(self) -> Iterable[Any]:
        """The ``evdev.InputEvent`` that wait. Raises OSError: BlockingIOError for none, ENODEV once unplugged."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


def open_evdev(path: str) -> InputNode:
    """The real one. Raises OSError, or ReaderSilent where python-evdev is not installed."""
    try:
        from evdev import InputDevice
    except ImportError:
        raise ReaderSilent("a USB reader needs python-evdev: apt install python3-evdev") from None
    device: InputNode = InputDevice(path)
    return device


class Hid:
    """A CardReader. It cannot tell a dead reader from one where nobody taps, only one that was unplugged.

    The kernel keeps 64 events for us, and ten digits with Enter are 66: a post that does not read while a number is
    typed loses it, and is told so (SYN_DROPPED).
    """

    rests = False
    assurance: Assurance = "uid"

    def __init__(
        self, path: str, number: NumberFormat, open_input: Callable[[str], InputNode] = open_evdev
    ) -> None:
        """``path``: of the event device. Nothing is opened yet."""
        self._path = path
        self._number = number
        self._open = open_input
        self._node: InputNode | None = None
        self._typing = Typing(number)
        self._events: deque[KeyEvent] = deque()
        self._heard_s = time.monotonic()

    def start(self) -> None:
        """Open it and keep it from everybody else: a console would take the numbers for commands."""
        self.close()
        self._typing = Typing(self._number)
        self._events.clear()
        try:
            self._node = self._open(self._path)
            keys = self._node.capabilities().get(EV_KEY, ())
            self._node.grab()
        except OSError as error:
            self.close()
            raise self._silent("cannot be opened", error) from None
        if not {KEY_1, KEY_ENTER} <= set(keys):
            self.close()
            raise ReaderSilent(
                f"USB reader {self._path} has no keys 1 and Enter, so it is something else, or another part of the "
                "reader: name its entry that ends in -event-kbd"
            )
        if self._readable(QUIET_S):
            # It began before we looked. What is left of a number would be another number.
            now_s = time.time()
            self._events += (KeyEvent(now_s, EV_SYN, SYN_DROPPED, 0), KeyEvent(now_s, EV_SYN, SYN_REPORT, 0))

    def cards(self) -> list[bytes]:
        """The numbers that were typed. Raises FrameRefused for what is none, ReaderSilent once it is unplugged."""
        uids: list[bytes] = []
        if not self._events:
            self._listen()
        while self._events:
            try:
                uid = self._typing.event(self._events.popleft())
            except FrameRefused as refused:
                raise FrameRefused(str(refused), tuple(uids)) from None
            if uid is not None:
                uids.append(uid)
        return uids

    def close(self) -> None:
        """Whoever wants its keys may have them."""
        if self._node is not None:
            with suppress(OSError):
                self._node.close()
        self._node = None

    def _listen(self) -> None:
        """Wait for events, and take those that are there."""
        assert self._node is not None, "it was started"
        if not self._readable(WAIT_S):
            self._typing.silent(time.monotonic() - self._heard_s)
            return
        self._heard_s = time.monotonic()
        try:
            self._events += (
                KeyEvent(event.timestamp(), event.type, event.code, event.value) for event in self._node.read()
            )
        except BlockingIOError:
            return
        except OSError as error:
            self.close()
            raise self._silent("was unplugged or failed", error) from None
        if not self._events:
            raise self._silent("ended")

    def _readable(self, timeout_s: float) -> bool:
        assert self._node is not None, "it was opened"
        poll = select.poll()
        poll.register(self._node.fileno(), select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def _silent(self, what: str, error: OSError | None = None) -> ReaderSilent:
        if error is None:
            return ReaderSilent(f"USB reader {self._path} {what}: {_MEND}")
        mend = _MENDS.get(error.errno or 0, _MEND)
        return ReaderSilent(f"USB reader {self._path} {what} ({error.strerror}): {mend}")


def _open(section: HidSection, bench: Bench) -> Hid:
    number = NumberFormat(section.number, section.bytes, section.reversed)
    return Hid(section.device, number, bench.copper.open_input or open_evdev)


DRIVER = Driver(HidSection, _open)

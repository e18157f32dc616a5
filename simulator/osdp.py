"""An OSDP reader (a peripheral device) by libosdp: what it hears and says, its cards, its light and its housing."""

import ctypes
import secrets
import threading
from collections import deque
from typing import Any

import osdp
import osdp_sys

_CAPABILITIES = [
    (osdp.Capability.CardDataFormat, 1, 1),
    (osdp.Capability.LEDControl, 4, 1),
    (osdp.Capability.AudibleControl, 2, 1),
]
_REMEMBERED = 100
_FRAMES = 4


class _Wire:
    """libosdp's channel: bytes that were heard, bytes to say."""

    id = 1

    def __init__(self) -> None:
        self.heard, self.said = bytearray(), bytearray()

    def read(self, limit: int) -> bytes:
        data = bytes(self.heard[:limit])
        del self.heard[:limit]
        return data

    def write(self, data: bytes) -> int:
        self.said += data
        return len(data)

    def flush(self) -> None:
        self.heard.clear()


class Peripheral:
    """One reader at ``address``. Any thread may call.

    ``key``: what it takes for the post's (SCBK); None as it comes from the factory: it takes one under the default
    key. ``shown``: the newest commands to its light and buzzer. ``sent``: how many numbers have left. ``declines``:
    commands of libosdp that it does not know; ``declined``: how often it said so.
    """

    def __init__(self, address: int, key: bytes | None) -> None:
        """Powered."""
        self.address = address
        self.key = key
        self.shown: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self.sent = 0
        self.declines: set[int] = set()
        self.declined = 0
        self._lock = threading.RLock()
        self._sent = threading.Condition(self._lock)
        self._cards: dict[bytes, bool] = {}
        self._leaving: list[bytes] = []
        self._tamper = False
        self._spoke = False
        self._boot()

    def reboot(self, key: bytes | None) -> None:
        """Its power fails for a moment, and it knows ``key`` then. Whatever it had not sent is lost."""
        with self._lock:
            self.key = key
            self._boot()

    def hear(self, data: bytes) -> bytes:
        """Bytes from the line; its answer, or nothing."""
        with self._lock:
            self._wire.heard += data
            for _ in range(_FRAMES):  # one is read at a time
                self._device.refresh()
            said = bytes(self._wire.said)
            self._wire.said.clear()
            self._spoke |= bool(said)
            return said

    def left(self) -> None:
        """What it said has left."""
        with self._sent:
            self.sent += len(self._leaving)
            for uid in self._leaving:
                if uid in self._cards:
                    self._cards[uid] = True
            self._leaving.clear()
            self._sent.notify_all()

    def present(self, uid: bytes) -> None:
        """Hold a card to it; one that is there already stays."""
        with self._lock:
            if uid not in self._cards:
                self._cards[uid] = False
                self.send_bits(8 * len(uid), uid)

    def send_bits(self, bits: int, data: bytes, format_code: int = 0) -> None:
        """An osdp_RAW of so many bits, at the next poll."""
        event = {"reader_no": 0, "format": format_code, "direction": 0, "length": bits, "data": data}
        self.submit({"event": osdp.Event.CardRead, **event})

    def take_away(self, uid: bytes) -> None:
        """Take a card away; a number that was not sent by then is not sent."""
        with self._lock:
            if self._cards.pop(uid, True) is False:
                self._device.flush_events()

    def wait_sent(self, uid: bytes, timeout_s: float) -> bool:
        """Until a card's number has left, on whatever channel."""
        with self._sent:
            return self._sent.wait_for(lambda: self._cards.get(uid, False), timeout_s)

    def wait_spoken(self, timeout_s: float) -> bool:
        """Until it was asked, and has answered, for the first time."""
        with self._sent:
            return self._sent.wait_for(lambda: self._spoke, timeout_s)

    def tamper(self, is_open: bool) -> None:
        """Open its housing, or shut it."""
        self._tamper = is_open
        self.report(is_open, False)

    def report(self, tamper: bool, power: bool) -> None:
        """An osdp_LSTATR at the next poll."""
        report = bytes([tamper, power])
        self.submit({"event": osdp.Event.Status, "type": osdp.StatusReportType.Local, "report": report})

    def _boot(self) -> None:
        self._wire = _Wire()
        self._cards.clear()
        osdp_sys.set_loglevel(osdp.LogLevel.Emergency)
        # Without a key libosdp's device is in install mode; with one it answers nothing but a secure channel.
        flags = [] if self.key is None else [osdp.LibFlag.EnforceSecure]
        info = osdp.PDInfo(self.address, self._wire, scbk=self.key, flags=flags, name=secrets.token_hex(4))
        self._device = osdp_sys.PeripheralDevice(info.get(), capabilities=osdp.PDCapabilities(_CAPABILITIES).get())
        self._device.set_command_callback(self._command)
        self._device.set_event_completion_callback(self._completed)

    def submit(self, event: dict[str, Any]) -> None:
        """Tell an event of libosdp's at the next poll."""
        with self._lock:
            self._device.submit_event(event)

    def _command(self, command: dict[str, Any]) -> tuple[int, None]:
        # libosdp 3.2.9 takes a reference from the None of every answer; before Python 3.12 there is an end of them.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(None))
        if command["command"] in self.declines:
            self.declined += 1
            return -1, None
        if command["command"] == osdp.Command.Keyset:
            self.key = command["data"]
        elif command["command"] == osdp.Command.Status:
            # libosdp's Python cannot answer with a report, only tell one by itself.
            if self._tamper:
                self.report(True, False)
        else:
            self.shown.append(command)
        return 0, None

    def _completed(self, event: dict[str, Any], status: int) -> None:
        if event["event"] == osdp.Event.CardRead and status == osdp.CompletionStatus.Ok:
            self._leaving.append(event["data"])

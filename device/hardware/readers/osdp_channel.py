"""The serial line under libosdp: one command, and at most one answer that may be one, go through."""

import select
import termios
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from device.hardware.readers.osdp_frames import Command, Cutter, Frame, Reply, judge, read_frame
from device.hardware.readers.reader import FrameRefused
from device.hardware.readers.serial_port import SerialPort, open_serial

_READ_BYTES = 4096  # all that the kernel keeps
_ANSWERS_S = 0.25
_KEPT = 64
_SIGNS = frozenset({Command.LED, Command.BUZZER})
_STALE_S = 1.5
"""A light that no answer came to is sent again for so long; later it would be taken for the next officer's."""
_OPTIONAL = _SIGNS | {Command.LOCAL_STATUS}


@dataclass(slots=True)
class Heard:
    """What went over the line to and from one address.

    ``asked``, ``answered``: the newest command, and what was taken for its answer. ``raw``, ``since_s``: its bytes,
    and when they were first sent. ``at_s``: when an answer last came. Times are of time.monotonic.
    ``declined``: optional commands that the reader said NAK to, in its session.
    """

    asked: int | None = None
    answered: int | None = None
    raw: bytes = b""
    since_s: float = 0.0
    at_s: float = -1e9
    declined: set[int] = field(default_factory=set)


class Channel:
    """libosdp's channel: ``id``, ``read``, ``write``, ``flush``, which raise nothing, or libosdp would go deaf.

    ``failed``: why the port is of no use any more. ``refused``: address, and why something from the line was.
    """

    id = 1
    """Not 0, with which libosdp would let readers on one line talk at once."""

    def __init__(self, port: Path, baud: int, *, installing: bool = False) -> None:
        """``installing``: as in ``osdp_frames.judge``."""
        self._port, self._baud, self._installing = port, baud, installing
        self._serial: SerialPort | None = None
        self._cutter = Cutter()
        self._asked: Frame | None = None
        self._open_to_answer = False
        self._asked_s = 0.0
        self._admitted = bytearray()
        self.failed: Exception | None = None
        self.heard: dict[int, Heard] = {}
        self.refused: deque[tuple[int, FrameRefused]] = deque(maxlen=_KEPT)

    def open(self) -> None:
        """Take the port for us alone. Raises ReaderSilent."""
        self._serial = open_serial("OSDP", self._port, self._baud, 0)
        self.failed = None
        self._asked = None

    def close(self) -> None:
        """Free the port."""
        serial, self._serial = self._serial, None
        if serial is not None:
            with suppress(OSError, termios.error):  # one that was unplugged is free
                serial.close()

    @property
    def busy(self) -> bool:
        """Whether an answer may still come."""
        return self._open_to_answer and time.monotonic() - self._asked_s < _ANSWERS_S

    def wait(self, timeout_s: float) -> None:
        """Until an answer has come, or the time is over. At 9600 baud every byte of it comes by itself."""
        assert self._serial is not None, "it was opened"
        until_s, before = time.monotonic() + timeout_s, len(self._admitted)
        while len(self._admitted) == before and self.failed is None and (left_s := until_s - time.monotonic()) > 0:
            try:
                ready, _, _ = select.select([self._serial.fileno()], [], [], left_s)
            except OSError as error:
                self.failed = error
                return
            if ready:
                self.listen()

    def read(self, limit: int) -> bytes:
        """For libosdp: what was admitted."""
        self.listen()
        data = bytes(self._admitted[:limit])
        del self._admitted[:limit]
        return data

    def write(self, data: bytes) -> int:
        """For libosdp: one command. 0 if it cannot be sent."""
        try:
            asked = read_frame(data.removeprefix(b"\xff"))
        except FrameRefused:
            return 0
        now_s, heard = time.monotonic(), self.heard.setdefault(asked.address, Heard())
        if asked.raw != heard.raw:
            heard.raw, heard.since_s = asked.raw, now_s
        elif asked.code in _SIGNS and now_s - heard.since_s > _STALE_S:
            return 0
        heard.asked, heard.answered = asked.code, None
        self._asked, self._open_to_answer, self._asked_s = asked, True, now_s
        try:
            assert self._serial is not None, "it was opened"
            self._serial.write(data)
        except (OSError, termios.error) as error:
            self.failed = error
            return 0
        return len(data)

    def flush(self) -> None:
        """For libosdp: whatever comes now is no answer any more."""
        self.listen()
        self._cutter.reset()
        self._admitted.clear()
        self._complain_of_noise()

    def listen(self) -> None:
        """Take in what has come."""
        try:
            assert self._serial is not None, "it was opened"
            data = self._serial.read(_READ_BYTES)
        except (OSError, termios.error) as error:
            self.failed = error
            return
        for raw in self._cutter.feed(data):
            try:
                self._hear(read_frame(raw))
            except FrameRefused as refused:
                self._complain(refused)

    def _hear(self, answer: Frame) -> None:
        asked = self._asked
        if asked is None or answer.raw == asked.raw:
            return  # from before we began; or our own words, as a transceiver hears them that never stops listening
        if answer.block is None and answer.code == Reply.BUSY:
            return  # as no answer: asked again either way, and libosdp 3.2.9 loses count of its sequence here
        if not self._open_to_answer:
            raise FrameRefused("an answer too late or twice")
        judge(asked, answer, installing=self._installing)
        self._open_to_answer = False
        self._admitted += answer.raw
        heard = self.heard[asked.address]
        heard.answered, heard.at_s = answer.code, time.monotonic()
        if answer.code == Reply.NAK and answer.block is not None and asked.code in _OPTIONAL:
            heard.declined.add(asked.code)

    def _complain_of_noise(self) -> None:
        if self._cutter.noise:
            self._complain(FrameRefused(f"{self._cutter.noise} bytes that are no frame"))
            self._cutter.noise = 0

    def _complain(self, why: FrameRefused) -> None:
        if self._asked is not None:
            mend = "check termination, common ground, and that nobody else is on the line"
            self.refused.append((self._asked.address, FrameRefused(f"OSDP on {self._port}: {why}; {mend}")))

"""The talk with a PN532 on a serial port (HSU): UM0701-02 rev. 02, section 6.2.2; every wait is bounded."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from device.hardware.readers.pn532_frames import (
    CHIP,
    HOST,
    Broken,
    Code,
    Frame,
    FrameParser,
    Information,
    Sign,
    frame,
)
from device.hardware.readers.reader import ReaderSilent
from device.hardware.readers.serial_port import SerialPort, open_serial

BAUD = 115_200
"""What the chip speaks after a reset (7.2.8)."""
WAKE_UP = b"\x55\x55" + bytes(14)
"""HSU wakes at the fifth rising edge; the preamble of zeros lasts until its oscillator runs (7.2.11)."""

_ASKED_TIMES, _ANSWERED_TIMES = 2, 3
_LOOK_S = 0.010


@dataclass(frozen=True, slots=True)
class Waits:
    """How long is waited at most, in seconds.

    ``ack``: the chip needs 15 ms (6.2.2), a USB adapter may hold bytes back for 16 ms, and this machine may be busy
    with something else. ``answer``: to what needs no card. ``found``: to a search. ``card``: of a card spoken to.
    ``gap``: between two bytes of a frame.
    """

    ack: float = 0.4
    answer: float = 0.5
    found: float = 0.5
    card: float = 1.0
    gap: float = 0.05


class Hsu:
    """One serial port with a chip at its end. For one thread. All raise ReaderSilent.

    ``mended``: what was last broken or lost on the way, and was asked for again; empty for nothing.
    """

    def __init__(self, path: Path, waits: Waits) -> None:
        """``path``: the port's. It is not opened yet."""
        self._path = path
        self._waits = waits
        self._serial: SerialPort | None = None
        self._parser = FrameParser()
        self._heard: deque[Frame] = deque()
        self.mended = ""

    @property
    def opened(self) -> bool:
        """Whether there is anybody to speak to."""
        return self._serial is not None

    def reopen(self) -> None:
        """Whatever was there, take the port now, for us alone."""
        self.close()
        self._serial = open_serial("PN532", self._path, BAUD, _LOOK_S)
        self.mended = ""

    def close(self) -> None:
        """Free the port."""
        serial, self._serial = self._serial, None
        if serial is not None:
            with suppress(OSError):  # a port that was unplugged is free
                serial.close()

    def wake(self, code: Code, data: bytes) -> None:
        """The first command. The ACK ends what an earlier program may have left running (6.2.1.3)."""
        self.ask(code, data, before=WAKE_UP + Sign.ACK.value)
        self.mended = ""

    def ask(
        self,
        code: Code,
        data: bytes = b"",
        *,
        within_s: float | None = None,
        tries: int = _ASKED_TIMES,
        before: bytes = b"",
    ) -> bytes:
        """One command: the answer's data behind its code.

        ``within_s``: ``Waits.answer`` unless given. ``before``: sent ahead of each try.
        """
        self._forget()
        for _ in range(tries):
            self._write(before + frame(HOST, code, data))
            if self._acknowledged(code):
                return self._answer(code, time.monotonic() + (self._waits.answer if within_s is None else within_s))
            self.mended = "a command without an ACK"
        raise self.silent("it does not acknowledge a command")

    def silent(self, what: str) -> ReaderSilent:
        """``what`` is wrong, where, and the mend."""
        return ReaderSilent(
            f"PN532 on {self._path}: {what}: check its supply, that TX and RX are crossed, that its switches say "
            "HSU, and that no console uses the port"
        )

    def _acknowledged(self, code: Code) -> bool:
        for heard in self._hear(time.monotonic() + self._waits.ack):
            if heard is Sign.ACK:
                return True
            if _answers(heard, code):  # its ACK was lost
                self._heard.appendleft(heard)
                return True
            self._note(heard)
        return False

    def _answer(self, code: Code, deadline_s: float) -> bytes:
        for again in range(_ANSWERED_TIMES):
            if again:
                self._drain()
                self._write(Sign.NACK.value)
            heard = self._answer_to(code, deadline_s)
            if isinstance(heard, Information):
                return heard.data
            if heard is Sign.SYNTAX_ERROR:
                raise self.silent(f"it takes command 0x{code:02X} for a syntax error")
            if heard is None:
                raise self.silent(f"it does not answer command 0x{code:02X}")
            self._note(heard)
        raise self.silent(f"its answers come garbled again and again ({self.mended})")

    def _answer_to(self, code: Code, deadline_s: float) -> Frame | None:
        """Answers to earlier commands and a second ACK may come first."""
        for heard in self._hear(deadline_s):
            if _answers(heard, code) or heard is Sign.SYNTAX_ERROR or isinstance(heard, Broken):
                return heard
        return None

    def _note(self, heard: Frame) -> None:
        if isinstance(heard, Broken):
            self.mended = heard.why

    def _hear(self, deadline_s: float) -> Iterator[Frame]:
        """Frames as they come, at the end those that had come: it may be us who were kept from running."""
        byte_s, late = time.monotonic(), False
        while True:
            while self._heard:
                yield self._heard.popleft()
            if late:
                return
            late = time.monotonic() >= deadline_s
            data = self._read()
            self._heard.extend(self._parser.feed(data))
            if data:
                byte_s = time.monotonic()
            elif self._parser.mid_frame and time.monotonic() - byte_s >= self._waits.gap:
                self._parser.drop()
                self._heard.append(Broken("a frame cut short"))

    def _forget(self) -> None:
        """What has come until now is no answer to what will be asked."""
        with self._line() as serial:
            serial.read(serial.in_waiting)
        self._parser.drop()
        self._heard.clear()

    def _drain(self) -> None:
        """Let the rest of a broken frame pass."""
        deadline_s = time.monotonic() + self._waits.gap
        while self._read() and time.monotonic() < deadline_s:
            pass
        self._forget()

    def _read(self) -> bytes:
        """What has come, or what comes in ``_LOOK_S``."""
        with self._line() as serial:
            return serial.read(max(1, serial.in_waiting))

    def _write(self, data: bytes) -> None:
        with self._line() as serial:
            serial.write(data)

    @contextmanager
    def _line(self) -> Iterator[SerialPort]:
        assert self._serial is not None, "it was opened"
        try:
            yield self._serial
        except OSError as error:
            raise ReaderSilent(
                f"PN532 on {self._path}: its serial port failed ({error}): check its plug and cable"
            ) from error


def _answers(heard: Frame, code: Code) -> bool:
    return isinstance(heard, Information) and (heard.tfi, heard.code) == (CHIP, code + 1)

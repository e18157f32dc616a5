"""The PN532 reader: NXP PN532/C106 on a UART, user manual UM0701-02 rev. 02; every wait is bounded."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from device.config import ReaderSection
from device.hardware.readers.driver import Bench, Driver
from device.hardware.readers.pn532_answers import MORE_BIT, BadAnswer, Target, error_named, read_targets
from device.hardware.readers.pn532_frames import MAX_LENGTH, Code
from device.hardware.readers.pn532_hsu import Hsu, Waits
from device.hardware.readers.presence import Presence
from device.hardware.readers.reader import CardGarbled, FrameRefused
from device.hardware.readers.serial_port import HEADER_PINS, HEADER_PORTS, NO_PORT
from device.readings import Assurance

MAX_EXCHANGE = MAX_LENGTH - 3
"""Bytes to or from a card: a frame's, less TFI, code, and target or status (7.3.8)."""
IC = 0x32
TYPE_A = 0x01
"""GetFirmwareVersion (7.2.2): what the chip is, and a bit of what it supports."""
_NORMAL = b"\x01"  # SAMConfiguration (7.2.10): no SAM; before it, a chip that was reset switches no field on
_AUTOMATIC_RATS = b"\x14"  # SetParameters (7.2.9): its default, ISO-DEP cards are activated at once
# RFConfiguration (7.3.1). MxRtyPassiveActivation, the last one: two tries, where 0xFF, its default, waits for ever.
_RETRIES = b"\x05\x00\x01\x01"
_FIELD_OFF, _FIELD_ON = b"\x01\x00", b"\x01\x01"
_TWO_TYPE_A = b"\x02\x00"  # InListPassiveTarget (7.3.5): at most two cards, 106 kbps type A

_FIELD_REST_S = 0.0055  # a card forgets all within 5 ms, and is ready within 5 ms (ISO/IEC 14443-3, clause 5)
_NEW_FIELD_EVERY_S = 1.0

RANDOM_UID = 0x08
"""First of 4 bytes that a card makes up anew in every field (ISO/IEC 14443-3, 6.5.4)."""
_SOMEBODY = b"random"
_NOBODY = (
    "a card with a random number (a phone, or a badge that hides its own): it names nobody; "
    "give its bearer a badge with a number of its own"
)


class Pn532Section(ReaderSection):
    """``driver = "pn532"``: on the serial port ``port``; that of a USB adapter has a name in /dev/serial/by-id."""

    driver: Literal["pn532"]
    port: Path = Path("/dev/serial0")

    def pins(self) -> Iterable[tuple[int, str]]:
        """Those of the Pi's own UART."""
        if self.port in HEADER_PORTS:
            yield from ((pin, "port") for pin in HEADER_PINS)

    def ports(self) -> Iterable[tuple[str, str]]:
        """The port, for this reader alone."""
        yield str(self.port), f"reader {self.name}"

    def devices(self) -> Iterable[tuple[Path, str]]:
        """The port."""
        yield self.port, NO_PORT

    def libraries(self) -> Iterable[tuple[str, str]]:
        """Of serial ports."""
        yield "serial", "apt install python3-serial"


class Pn532:
    """Driver of one chip, for one thread.

    A card that was found stays selected, so that ``exchange`` can speak to it. The chip's next search calls with
    REQA, which no selected or halted card answers: after cards, and once a second, the field is cycled first.
    """

    rests = True
    assurance: Assurance = "uid"

    def __init__(self, port: Path, waits: Waits = Waits()) -> None:  # noqa: B008
        """``port``: the serial port's path."""
        self._port = port
        self._waits = waits
        self._chip = Hsu(port, waits)
        self._random = Presence()
        self._new_field_at_s = 0.0
        self.targets: tuple[Target, ...] = ()
        """The cards of the last poll, for ``exchange``."""

    def start(self) -> None:
        """Open the port anew, wake the chip, set it up, field on. Raises ReaderSilent."""
        self._random = Presence()
        self._chip.reopen()
        self._chip.wake(Code.SAM_CONFIGURATION, _NORMAL)
        firmware = self._chip.ask(Code.GET_FIRMWARE_VERSION)
        if len(firmware) != 4 or firmware[0] != IC or not firmware[3] & TYPE_A:
            raise self._chip.silent(f"another chip answers (GetFirmwareVersion: {firmware.hex(' ')})")
        self._chip.ask(Code.SET_PARAMETERS, _AUTOMATIC_RATS)
        self._chip.ask(Code.RF_CONFIGURATION, _RETRIES)
        self._new_field()

    def cards(self) -> list[bytes]:
        """UIDs of the cards in the field, at most 2. Raises ReaderSilent.

        Raises FrameRefused for a card with a random number as it comes, and for frames that had to be sent again.
        """
        self.targets = ()
        if time.monotonic() >= self._new_field_at_s:
            self._new_field()
        answer = self._chip.ask(Code.IN_LIST_PASSIVE_TARGET, _TWO_TYPE_A, within_s=self._waits.found)
        try:
            self.targets = read_targets(answer)
        except BadAnswer as bad:
            raise self._chip.silent(f"it sends {bad}") from bad
        if self.targets or self._chip.mended:  # a search that was done twice leaves cards behind unseen
            self._new_field_at_s = 0.0
        uids = [target.uid for target in self.targets if not is_random(target.uid)]
        nobody = [_SOMEBODY] * (len(uids) < len(self.targets))
        if self._random.polled(nobody, garbled=False, at_ms=int(time.monotonic() * 1000)):
            raise FrameRefused(_NOBODY, tuple(uids))
        if self._chip.mended:
            mended, self._chip.mended = self._chip.mended, ""
            raise FrameRefused(
                f"PN532 on {self._port}: {mended}, asked for again: check its cable and its supply", tuple(uids)
            )
        return uids

    def exchange(self, number: int, apdu: bytes) -> bytes:
        """Send 1 to 262 bytes to a card of ``targets`` and hear its answer, of as many at most (7.3.8).

        Raises CardGarbled with the chip's own error, ReaderSilent, and ValueError for an ``apdu`` that is too long.
        """
        if not 0 < len(apdu) <= MAX_EXCHANGE:
            raise ValueError(f"{len(apdu)} bytes for a card; from 1 to {MAX_EXCHANGE} go into one frame")
        # Sent once only: a card must not do twice what it was told once.
        answer = self._chip.ask(Code.IN_DATA_EXCHANGE, bytes([number]) + apdu, within_s=self._waits.card, tries=1)
        if not answer:
            raise self._chip.silent("it sends an answer without a status")
        if (error := error_named(answer[0])) is not None:
            raise CardGarbled(f"PN532 on {self._port}: while speaking to a card: {error}")
        if answer[0] & MORE_BIT:
            raise CardGarbled(f"PN532 on {self._port}: a card answers more than {MAX_EXCHANGE} bytes")
        return answer[1:]

    def close(self) -> None:
        """Field off, port freed. Raises ReaderSilent after that."""
        if not self._chip.opened:
            return
        try:
            self._chip.ask(Code.RF_CONFIGURATION, _FIELD_OFF, tries=1)
        finally:
            self._chip.close()

    def _new_field(self) -> None:
        """Every card forgets that it was selected. InRelease instead would wait for one that may have left."""
        self._chip.ask(Code.RF_CONFIGURATION, _FIELD_OFF)
        time.sleep(_FIELD_REST_S)
        self._chip.ask(Code.RF_CONFIGURATION, _FIELD_ON)
        time.sleep(_FIELD_REST_S)
        self._new_field_at_s = time.monotonic() + _NEW_FIELD_EVERY_S


def is_random(uid: bytes) -> bool:
    """Whether a UID was made up for this moment."""
    return len(uid) == 4 and uid[0] == RANDOM_UID


def _open(section: Pn532Section, bench: Bench) -> Pn532:  # noqa: ARG001
    return Pn532(section.port)


DRIVER = Driver(Pn532Section, _open)

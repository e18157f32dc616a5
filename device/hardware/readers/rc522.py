"""The RC522 reader: NXP MFRC522 on SPI, data sheet rev. 3.9; every wait is bounded."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from device.config import ReaderSection
from device.config_values import Pin
from device.hardware.readers import mfrc522_registers as mfrc
from device.hardware.readers.driver import Bench, Driver
from device.hardware.readers.iso14443a import Answer, cards_in_field
from device.hardware.readers.mfrc522_registers import Command, Reg
from device.hardware.readers.reader import CardGarbled, ReaderSilent
from device.readings import Assurance

_SPI0_PINS = ((11, "SPI clock (reader)"), (10, "SPI MOSI (reader)"), (9, "SPI MISO (reader)"))
_CHIP_SELECT_PIN = {0: 8, 1: 7}
_NO_SPI = "write dtparam=spi=on into /boot/firmware/config.txt"

VERSIONS = frozenset({0x91, 0x92, 0x88, 0x12, 0xB2})
"""VersionReg: NXP's 1.0 and 2.0 (9.3.4.8), then the clones seen in shops."""

SPI_RATE_HZ = 1_000_000
"""What the wiring should ask of the bus; the chip takes 10 MHz (8.1.2), long jumper wires do not."""

GainDb = Literal[18, 23, 33, 38, 43, 48]
_GAIN_CODE = {18: 0b000, 23: 0b001, 33: 0b100, 38: 0b101, 43: 0b110, 48: 0b111}  # RFCfgReg, 9.3.3

# 1 ms: cards answer within 0.1 ms (ISO/IEC 14443-3, 6.2.1.1), and HLTA is obeyed by 1 ms of silence (6.4.3).
_PRESCALER, _RELOAD = 0xA9, 39
# Sending a request (0.1 ms) and the chip's whole timer fit into the first look: one look, few transfers.
_FIRST_LOOK_S = 0.0012
_NEXT_LOOK_S = 0.0003
_DEADLINE_S = 0.025
_RESET_DEADLINE_S = 0.050
_CYCLE_AFTER = 5
"""So many garbled polls running: a card that has lost its way finds it again when the field was off."""
_FIELD_OFF_S = 0.010  # a card without power for 5 ms begins anew (ISO/IEC 14443-3, clause 5)
_FIELD_UP_S = 0.005  # what a card may take to be ready (ISO/IEC 14443-3, clause 5)
_PROVE_EVERY_S = 1.0
_PROOFS = (0x2A, 0x15)
_READ_TRIES = 3  # a spike on the wires is no dead chip


class Rc522Section(ReaderSection):
    """``driver = "rc522"``: on SPI port 0. ``chip_select``: 0 for the CE0 pin, 1 for CE1."""

    driver: Literal["rc522"]
    chip_select: Literal[0, 1] = 0
    reset_pin: Pin | None = None
    irq_pin: Pin | None = None
    antenna_gain_db: GainDb = 38

    def pins(self) -> Iterable[tuple[int, str]]:
        """Chip select, RST and IRQ."""
        yield _CHIP_SELECT_PIN[self.chip_select], "chip_select"
        if self.reset_pin is not None:
            yield self.reset_pin, "reset_pin"
        if self.irq_pin is not None:
            yield self.irq_pin, "irq_pin"

    def shared(self) -> Iterable[tuple[int, str]]:
        """SPI port 0."""
        return _SPI0_PINS

    def devices(self) -> Iterable[tuple[Path, str]]:
        """The kernel's SPI device."""
        yield Path(f"/dev/spidev0.{self.chip_select}"), _NO_SPI

    def libraries(self) -> Iterable[tuple[str, str]]:
        """That of pins and buses."""
        yield "lgpio", "apt install python3-lgpio"


class SpiBus(Protocol):
    """What gpiozero's ``factory.spi(...)`` gives."""

    def transfer(self, data: list[int], /) -> list[int]:
        """Clock the bytes out under one chip select; returns as many that came in."""
        ...

    def close(self) -> None:
        """Free the bus."""
        ...


class ResetLine(Protocol):
    """An output on the chip's NRSTPD pin: gpiozero's ``OutputDevice(pin, initial_value=True)``."""

    def on(self) -> None:
        """High: the chip runs."""
        ...

    def off(self) -> None:
        """Low: the chip is in reset and hard power-down."""
        ...


class IrqLine(Protocol):
    """An input on the chip's IRQ pin, active low: gpiozero's ``DigitalInputDevice(pin, pull_up=True)``."""

    def wait_for_active(self, timeout: float | None = None) -> object:
        """Return once the pin is low, or after ``timeout`` seconds."""
        ...


def pulse(line: ResetLine, sleep: Callable[[float], None] = time.sleep) -> None:
    """Reset by the RST line: low for far more than 100 ns (8.8.1)."""
    line.off()
    sleep(0.001)
    line.on()


class _Status(NamedTuple):
    """Read in one transfer: how the exchange stands, then what proves that it is our chip that answers."""

    irq: int
    error: int
    fifo_level: int
    control: int
    collision: int
    tx_control: int
    water_level: int
    version: int


_STATUS = (
    Reg.COM_IRQ,
    Reg.ERROR,
    Reg.FIFO_LEVEL,
    Reg.CONTROL,
    Reg.COLL,
    Reg.TX_CONTROL,
    Reg.WATER_LEVEL,
    Reg.VERSION,
)


class Rc522:
    """A CardReader. An empty poll is 8 SPI transfers, a poll with one 4-byte card 44, and one more once a second.

    A chip that froze looks like an empty field. So every exchange also reads VersionReg, the antenna's
    bits and WaterLevelReg (of no use to us otherwise), which is written anew once a second, and one of
    RxIRq and TimerIRq must come before our own deadline.
    """

    rests = True
    assurance: Assurance = "uid"

    def __init__(
        self,
        open_spi: Callable[[], SpiBus],
        where: str,
        reset: Callable[[], None] | None = None,
        gain_db: GainDb = 38,
        irq: IrqLine | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``where`` names the bus for people, as ``SPI 0.0``; ``reset`` pulses the RST line, see ``pulse``.

        ``open_spi``: raises the bus's own error. ``irq``: tells an answer as soon as it is there; with a broken
        wire it is as if there were none.
        """
        self._open_spi = open_spi
        self._spi: SpiBus | None = None
        self._where = where
        self._reset = reset
        self._irq = irq
        self._garbled = 0
        self._monotonic = monotonic
        self._sleep = sleep
        self._proof = _PROOFS[0]
        self._prove_at_s = 0.0
        self._settings = {
            Reg.T_MODE: mfrc.TIMER_AUTO,
            Reg.T_PRESCALER: _PRESCALER,
            Reg.T_RELOAD_HIGH: 0,
            Reg.T_RELOAD_LOW: _RELOAD,
            Reg.TX_ASK: mfrc.FORCE_100_ASK,
            Reg.RF_CFG: _GAIN_CODE[gain_db] << 4 | 0x08,
        }
        if irq is not None:
            enabled = mfrc.IRQ_INVERTED | mfrc.RX_IRQ | mfrc.TIMER_IRQ
            self._settings |= {Reg.COM_IEN: enabled, Reg.DIV_IEN: mfrc.IRQ_PUSH_PULL}

    def start(self) -> None:
        """Reset, set up, field on. Raises ReaderSilent, or the bus's own error."""
        if self._spi is None:
            self._spi = self._open_spi()
        try:
            self._set_up()
        except ReaderSilent:
            if self._reset is None:
                raise
            self._reset()  # a chip that hears no command any more still feels its RST pin
            self._set_up()

    def _set_up(self) -> None:
        self._soft_reset()
        version, tx_control = self._read(Reg.VERSION, Reg.TX_CONTROL)
        if version not in VERSIONS:
            raise self._silent(f"VersionReg reads 0x{version:02X}")
        if tx_control & mfrc.ANTENNA_ON:
            raise self._silent("a reset does not switch its field off")
        for register, value in self._settings.items():
            self._write(register, value)
        if self._read(*self._settings) != list(self._settings.values()):
            raise self._silent("its settings do not read back")
        self._write(Reg.COLL, 0)  # bits after a collision as zeros (9.3.1.15)
        self._prove()
        self._garbled = 0
        self._field_on()
        self._status()

    def _field_on(self) -> None:
        self._write(Reg.TX_CONTROL, 0x80 | mfrc.ANTENNA_ON)
        self._sleep(_FIELD_UP_S)

    def cards(self) -> list[bytes]:
        """UIDs of the cards in the field, at most 4. Raises CardGarbled, ReaderSilent, or the bus's own error."""
        if self._monotonic() >= self._prove_at_s:
            self._prove()
        try:
            found = cards_in_field(self)
        except CardGarbled:
            self._garbled += 1
            if self._garbled % _CYCLE_AFTER == 0:
                self._write(Reg.TX_CONTROL, 0x80)
                self._sleep(_FIELD_OFF_S)
                self._field_on()
            raise
        self._garbled = 0
        return found

    def close(self) -> None:
        """Field off, bus freed. Raises the bus's own error after that."""
        spi = self._spi
        if spi is None:
            return
        try:
            self._write(Reg.TX_CONTROL, 0x80)
        finally:
            self._spi = None
            spi.close()

    def exchange(self, frame: bytes, last_bits: int = 0, align: int = 0) -> Answer | None:
        """Transceive (10.3): 8 transfers, one more for an answer, more for a slow one. See ``iso14443a.Pcd``."""
        framing = align << 4 | last_bits
        self._write(Reg.COMMAND, Command.IDLE)
        self._write(Reg.COM_IRQ, mfrc.ALL_IRQS)
        self._write(Reg.FIFO_LEVEL, mfrc.FLUSH_FIFO)
        self._write(Reg.FIFO_DATA, *frame)
        # StartSend stays set from the frame before: cleared here, or the command would send at once.
        self._write(Reg.BIT_FRAMING, framing)
        self._write(Reg.COMMAND, Command.TRANSCEIVE)
        self._write(Reg.BIT_FRAMING, mfrc.START_SEND | framing)
        status = self._finished()
        if status.error & (mfrc.TEMPERATURE_ERROR | mfrc.WRITE_ERROR):
            raise self._silent(f"it reports ErrorReg 0x{status.error:02X} (too hot, or out of step)")
        collided = bool(status.error & mfrc.COLLISION_ERROR)
        if status.error and not collided:
            raise CardGarbled(f"the answer of a card is garbled: ErrorReg 0x{status.error:02X}")
        level = status.fifo_level & 0x7F
        if not status.irq & mfrc.RX_IRQ and not level and not collided:
            return None
        if not 0 < level <= mfrc.FIFO_BYTES:
            raise CardGarbled("a card answered, but no bytes came")
        data = bytes(self._read(*[Reg.FIFO_DATA] * level))
        return Answer(data, status.control & 0x07, collided, _collision_bit(status.collision))

    def _finished(self) -> _Status:
        """Wait for an answer or the chip's time-out. Raises ReaderSilent when neither comes."""
        deadline_s = self._monotonic() + _DEADLINE_S
        if self._irq is None:
            self._sleep(_FIRST_LOOK_S)
        else:
            self._irq.wait_for_active(_FIRST_LOOK_S)
        while True:
            # Looked at once more after the deadline: it may be us who were kept from running.
            late = self._monotonic() >= deadline_s
            status = self._status()
            # ErrIRq comes early, while a frame is still being received: not waited for.
            if status.irq & (mfrc.RX_IRQ | mfrc.TIMER_IRQ):
                return status
            if late:
                raise self._silent("neither an answer nor a time-out comes from it")
            self._sleep(_NEXT_LOOK_S)

    def _status(self) -> _Status:
        for _ in range(_READ_TRIES):
            status = _Status(*self._read(*_STATUS))
            if (
                status.version in VERSIONS
                and status.tx_control & mfrc.ANTENNA_ON == mfrc.ANTENNA_ON
                and status.water_level == self._proof
            ):
                return status
        raise self._silent(
            f"it forgot its settings or froze (VersionReg 0x{status.version:02X}, "
            f"TxControlReg 0x{status.tx_control:02X}, WaterLevelReg 0x{status.water_level:02X})"
        )

    def _prove(self) -> None:
        self._proof = _PROOFS[self._proof == _PROOFS[0]]
        self._write(Reg.WATER_LEVEL, self._proof)
        self._prove_at_s = self._monotonic() + _PROVE_EVERY_S

    def _soft_reset(self) -> None:
        deadline_s = self._monotonic() + _RESET_DEADLINE_S
        self._write(Reg.COMMAND, Command.SOFT_RESET)
        while True:
            self._sleep(0.001)
            late = self._monotonic() >= deadline_s
            (command,) = self._read(Reg.COMMAND)
            if not command & (mfrc.POWER_DOWN | mfrc.COMMAND_MASK):
                return
            if late:
                raise self._silent(f"it does not come out of reset (CommandReg 0x{command:02X})")

    def _read(self, *registers: Reg) -> list[int]:
        """One transfer (8.1.2.1): the byte after each address is that register's content."""
        return self._transfer([0x80 | register << 1 for register in registers] + [0])[1:]

    def _write(self, register: Reg, *values: int) -> None:
        """One transfer (8.1.2.2): all values go to the one address."""
        self._transfer([register << 1, *values])

    def _transfer(self, out: list[int]) -> list[int]:
        assert self._spi is not None, "it was started"
        back = self._spi.transfer(out)
        if len(back) != len(out):
            raise self._silent("its bus lost bytes")
        return back

    def _silent(self, what: str) -> ReaderSilent:
        return ReaderSilent(f"RC522 on {self._where}: {what}: check its 3.3 V, its wiring and that SPI is enabled")


def _collision_bit(register: int) -> int | None:
    """CollReg (9.3.1.15): counted from 1 over the bits as they lie in the FIFO; 0 means the 32nd."""
    if register & mfrc.POSITION_NOT_VALID:
        return None
    return register & mfrc.POSITION_MASK or 32


def _open(section: Rc522Section, bench: Bench) -> Rc522:
    from gpiozero import (  # here: whoever only reads the configuration needs no pins
        DigitalInputDevice,
        DigitalOutputDevice,
        SPISoftwareFallback,
    )

    factory = bench.copper.factory

    where = f"SPI 0.{section.chip_select}"

    def open_spi() -> SpiBus:
        try:
            spi = factory.spi(port=0, device=section.chip_select)
        except SPISoftwareFallback as error:  # an error, by pi_factory: bits moved by software would come too late
            raise ReaderSilent(f"RC522 on {where}: {error}: {_NO_SPI}") from None
        spi.rate = SPI_RATE_HZ
        opened: SpiBus = spi
        return opened

    reset = None
    if section.reset_pin is not None:
        line = DigitalOutputDevice(section.reset_pin, initial_value=True, pin_factory=factory)
        bench.closing.callback(line.close)
        reset = partial(pulse, line)
    irq = None
    if section.irq_pin is not None:
        irq = DigitalInputDevice(section.irq_pin, pull_up=True, pin_factory=factory)
        bench.closing.callback(irq.close)
    return Rc522(open_spi, where, reset, section.antenna_gain_db, irq)


DRIVER = Driver(Rc522Section, _open)

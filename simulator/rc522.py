"""The RC522's chip at register level (MFRC522 data sheet rev. 3.9), with cards in its field and faults at will."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from device.hardware.readers import mfrc522_registers as mfrc
from device.hardware.readers.mfrc522_registers import Command, Reg
from simulator.field import Field, OnAir
from simulator.picc import Bits, to_bits, to_bytes
from simulator.rc522_faults import Faults, spoil

_RESET_VALUES = {  # section 9.3, the registers that are not zero after a reset
    Reg.COMMAND: 0x20,
    Reg.COM_IRQ: 0x14,
    Reg.WATER_LEVEL: 0x08,
    Reg.CONTROL: 0x10,
    Reg.COLL: 0x80 | mfrc.POSITION_NOT_VALID,
    Reg.MODE: 0x3F,
    Reg.TX_CONTROL: 0x80,
    Reg.RF_CFG: 0x48,
}
_READ_ONLY = frozenset({Reg.ERROR, Reg.VERSION})
_WAKE_UP_S = 0.0002
_FIELD_UP_S = 0.001
_BIT_S = 128 / mfrc.CARRIER_HZ
_DELAY_S = 1236 / mfrc.CARRIER_HZ  # frame delay time of a card (ISO/IEC 14443-3, 6.2.1.1)


@dataclass(slots=True)
class _Exchange:
    """What the chip waits for: an answer, or its timer; both None while there is nothing to come."""

    answer_at_s: float | None
    timer_at_s: float | None
    fifo: bytes = b""
    last_bits: int = 0
    error: int = 0
    collision: int = mfrc.POSITION_NOT_VALID


class Rc522:
    """One chip. The device program's thread transfers; any other may place cards and break things."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        version: int = 0x92,
        seed: int = 0,
        irq: Callable[[bool], None] | None = None,
    ) -> None:
        """``version``: what VersionReg reads; ``seed``: of the flicker; ``irq``: sets pin IRQ's level."""
        self._irq = irq
        self._irq_low = False
        self._monotonic = monotonic
        self._version = version
        self._field = Field(seed)
        self._lock = threading.RLock()
        self._faults = Faults()
        self._changed = threading.Condition(self._lock)
        self._ended = False
        self._bus_free = threading.Event()
        self._bus_free.set()
        self._power_up()

    def transfer(self, data: list[int], /) -> list[int]:
        """One SPI frame: a write to one register, or reads of one register after another (8.1.2)."""
        self._bus_free.wait()
        with self._lock:
            if self._faults.dead is not None:
                return [self._faults.dead] * len(data)
            self._advance()
            back = [0] * len(data)
            if data[0] & 0x80:
                back = [0] + [self._read(byte >> 1 & 0x3F) for byte in data[:-1]]
            elif not self._faults.stuck:
                for value in data[1:]:
                    self._write(data[0] >> 1 & 0x3F, value)
            self._drive_irq()
            return back

    def close(self) -> None:
        """Part of the SPI interface; a chip has nothing to free."""

    def run_irq(self) -> None:
        """Drive pin IRQ when its time comes, not only when somebody looks; until ``end_irq``. For a thread."""
        with self._changed:
            while not self._ended:
                self._changed.wait(self._due_s())
                self._advance()
                self._drive_irq()

    def end_irq(self) -> None:
        """End ``run_irq``."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _due_s(self) -> float | None:
        waits = self._exchange
        moments = [] if waits is None else [at for at in (waits.timer_at_s, waits.answer_at_s) if at is not None]
        return max(0.0, min(moments) - self._monotonic()) if moments and not self._faults.stuck else None

    def _drive_irq(self) -> None:
        """Sections 9.3.1.3 and 9.3.1.5: low while one that is enabled has come, with IRqInv."""
        low = bool(self._registers[Reg.COM_IRQ] & self._registers[Reg.COM_IEN] & mfrc.ALL_IRQS)
        if self._irq is not None and low != self._irq_low:
            self._irq(not low)
        self._irq_low = low

    def reset(self) -> None:
        """A pulse on the RST line (8.8.1)."""
        with self._lock:
            if self._faults.dead is None and not self._faults.frozen:
                self._faults = replace(self._faults, locked=False, hung=False)
                self._power_up()

    def place(self, uid: bytes) -> None:
        """Bring a card into the field; one that is there already stays. Raises ValueError for no UID."""
        self._field.place(uid)

    def remove(self, uid: bytes) -> None:
        """Take a card away; one that is not there is no error."""
        self._field.remove(uid)

    def reads(self, uid: bytes) -> int:
        """How often the card was read whole (selected, then halted) since it was placed."""
        return self._field.reads(uid)

    def wait_read(self, uid: bytes, timeout_s: float) -> bool:
        """Wait until a placed card has been read whole; false after ``timeout_s`` or when it is taken away."""
        return self._field.wait_read(uid, timeout_s)

    @property
    def faults(self) -> Faults:
        """What is wrong now; counts go down as they are used up."""
        with self._lock:
            return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        with self._lock:
            self._advance()
            self._faults = faults

    def freeze(self) -> None:
        """From now on registers read as they stand, whatever the device program does."""
        with self._lock:
            self.faults = replace(self._faults, frozen=True)

    def lock(self) -> None:
        """As ``freeze``, until its RST line is pulsed."""
        with self._lock:
            self.faults = replace(self._faults, locked=True)

    def block(self) -> None:
        """From now on no transfer comes to an end."""
        self._bus_free.clear()

    def thaw(self) -> None:
        """End ``freeze`` and ``block``."""
        with self._lock:
            self.faults = replace(self._faults, frozen=False)
        self._bus_free.set()

    def _power_up(self) -> None:
        self._registers = [0] * 64
        for register, value in _RESET_VALUES.items():
            self._registers[register] = value
        self._registers[Reg.VERSION] = self._version
        self._fifo = bytearray()
        self._exchange: _Exchange | None = None
        self._awake_at_s = self._monotonic() + _WAKE_UP_S
        self._set_field(0)

    def _read(self, address: int) -> int:
        match address:
            case Reg.COMMAND if self._monotonic() < self._awake_at_s:
                return mfrc.POWER_DOWN | Command.SOFT_RESET
            case Reg.ERROR:
                return self._registers[address] | (mfrc.TEMPERATURE_ERROR if self._faults.hot else 0)
            case Reg.FIFO_DATA if not self._faults.stuck:
                return self._fifo.pop(0) if self._fifo else 0
            case Reg.FIFO_LEVEL:
                return len(self._fifo)
        return self._registers[address]

    def _write(self, address: int, value: int) -> None:
        match address:
            case Reg.COMMAND:
                self._command(value)
            case Reg.COM_IRQ if value & mfrc.SET_IRQS:
                self._registers[address] |= value & ~mfrc.SET_IRQS
            case Reg.COM_IRQ:
                self._registers[address] &= ~value
            case Reg.FIFO_DATA if len(self._fifo) < mfrc.FIFO_BYTES:
                self._fifo.append(value)
            case Reg.FIFO_DATA:
                self._fail(mfrc.BUFFER_OVERFLOW)
            case Reg.FIFO_LEVEL if value & mfrc.FLUSH_FIFO:
                self._fifo.clear()
                self._registers[Reg.ERROR] &= ~mfrc.BUFFER_OVERFLOW
            case Reg.COLL:
                position = self._registers[address] & ~mfrc.VALUES_AFTER_COLLISION
                self._registers[address] = value & mfrc.VALUES_AFTER_COLLISION | position
            case Reg.TX_CONTROL:
                self._registers[address] = value
                self._set_field(value & mfrc.ANTENNA_ON)
            case Reg.BIT_FRAMING:
                self._registers[address] = value
                self._send_if_told()
            case _ if address not in _READ_ONLY:
                self._registers[address] = value

    def _command(self, value: int) -> None:
        command = value & mfrc.COMMAND_MASK
        if command == Command.SOFT_RESET:
            self._faults = replace(self._faults, hung=False)
            self._power_up()
            return
        self._registers[Reg.COMMAND] = value
        self._registers[Reg.ERROR] = 0
        self._exchange = None
        self._send_if_told()

    def _send_if_told(self) -> None:
        told = self._registers[Reg.BIT_FRAMING] & mfrc.START_SEND and self._fifo
        if (
            told
            and self._registers[Reg.COMMAND] & mfrc.COMMAND_MASK == Command.TRANSCEIVE
            and not self._faults.hung
        ):
            self._send()

    def _send(self) -> None:
        """All that will come of a frame is settled at once; ``_advance`` lets it happen when it is due."""
        framing = self._registers[Reg.BIT_FRAMING]
        frame = to_bits(bytes(self._fifo))
        if framing & 0x07:
            del frame[len(frame) - 8 + (framing & 0x07) :]
        self._fifo.clear()
        sent_s = self._monotonic() + _on_air_s(frame)
        answer = self._answers(frame)
        timer_at_s = sent_s + self._timer_s() if self._registers[Reg.T_MODE] & mfrc.TIMER_AUTO else None
        self._registers[Reg.COM_IRQ] |= mfrc.TX_IRQ
        if answer is None or (timer_at_s is not None and timer_at_s < sent_s + _DELAY_S):
            self._exchange = _Exchange(None, timer_at_s)
        else:
            self._exchange = self._receive(*answer, align=framing >> 4 & 0x07)
            self._exchange.answer_at_s = sent_s + _DELAY_S + _on_air_s(answer[0])
        self._changed.notify()

    def _answers(self, frame: Bits) -> OnAir | None:
        on_air = self._registers[Reg.TX_CONTROL] & mfrc.ANTENNA_ON and self._monotonic() >= self._field_at_s
        if not on_air or not self._registers[Reg.TX_ASK] & mfrc.FORCE_100_ASK:  # type A hears 100 % ASK only
            return None
        heard = self._field.hear(frame, self._faults.flicker)
        if heard is None:
            return None
        self._faults, spoilt = spoil(self._faults, frame, heard)
        return spoilt

    def _receive(self, bits: Bits, collision: int | None, align: int) -> _Exchange:
        error, position = 0, mfrc.POSITION_NOT_VALID
        if collision is not None and collision < len(bits):
            error, at = mfrc.COLLISION_ERROR, align + collision + 1
            position = at & mfrc.POSITION_MASK if at <= 32 else mfrc.POSITION_NOT_VALID
            if not self._registers[Reg.COLL] & mfrc.VALUES_AFTER_COLLISION:
                bits = bits[: collision + 1] + [0] * (len(bits) - collision - 1)
        elif self._faults.bad_parity:
            self._faults = replace(self._faults, bad_parity=self._faults.bad_parity - 1)
            error = mfrc.PARITY_ERROR
        stored = [1] * align + bits  # what lies below RxAlign is left open: the least helpful reading of 9.3.1.14
        return _Exchange(None, None, to_bytes(stored), len(stored) % 8, error, position)

    def _advance(self) -> None:
        """Let happen what is due by now."""
        waits = self._exchange
        if waits is None or self._faults.stuck or self._faults.hung:
            return
        now_s = self._monotonic()
        if waits.timer_at_s is not None and now_s >= waits.timer_at_s:
            waits.timer_at_s = None
            self._registers[Reg.COM_IRQ] |= mfrc.TIMER_IRQ
        if waits.answer_at_s is not None and now_s >= waits.answer_at_s:
            self._exchange = None
            self._fifo[:] = waits.fifo
            self._registers[Reg.CONTROL] = self._registers[Reg.CONTROL] & ~0x07 | waits.last_bits
            self._registers[Reg.COLL] = self._registers[Reg.COLL] & mfrc.VALUES_AFTER_COLLISION | waits.collision
            self._registers[Reg.COM_IRQ] |= mfrc.RX_IRQ
            if waits.error:
                self._fail(waits.error)

    def _fail(self, error: int) -> None:
        self._registers[Reg.ERROR] |= error
        self._registers[Reg.COM_IRQ] |= mfrc.ERR_IRQ

    def _set_field(self, on: int) -> None:
        if not on:
            self._field.power_off()
        self._field_at_s = self._monotonic() + _FIELD_UP_S

    def _timer_s(self) -> float:
        prescaler = (self._registers[Reg.T_MODE] & 0x0F) << 8 | self._registers[Reg.T_PRESCALER]
        return mfrc.timer_s(prescaler, self._registers[Reg.T_RELOAD_HIGH] << 8 | self._registers[Reg.T_RELOAD_LOW])


def _on_air_s(frame: Bits) -> float:
    """Start, bits with a parity bit after each byte, end (ISO/IEC 14443-3, 6.2.3)."""
    return (2 + len(frame) + len(frame) // 8) * _BIT_S

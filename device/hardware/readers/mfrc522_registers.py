"""Registers and bits of the NXP MFRC522, data sheet rev. 3.9, section 9.3."""

from enum import IntEnum


class Reg(IntEnum):
    """Addresses (table 20)."""

    COMMAND = 0x01
    COM_IEN = 0x02
    DIV_IEN = 0x03
    COM_IRQ = 0x04
    ERROR = 0x06
    FIFO_DATA = 0x09
    FIFO_LEVEL = 0x0A
    WATER_LEVEL = 0x0B
    CONTROL = 0x0C
    BIT_FRAMING = 0x0D
    COLL = 0x0E
    MODE = 0x11
    TX_CONTROL = 0x14
    TX_ASK = 0x15
    RF_CFG = 0x26
    T_MODE = 0x2A
    T_PRESCALER = 0x2B
    T_RELOAD_HIGH = 0x2C
    T_RELOAD_LOW = 0x2D
    VERSION = 0x37


class Command(IntEnum):
    """What the chip can be told to do (10.3); the ones used here."""

    IDLE = 0x00
    TRANSCEIVE = 0x0C
    SOFT_RESET = 0x0F


COMMAND_MASK = 0x0F
POWER_DOWN = 0x10
"""CommandReg: the chip still wakes up or resets (8.8)."""

SET_IRQS = 0x80
"""ComIrqReg: 1 sets, 0 clears the bits marked beside it."""
ALL_IRQS = 0x7F
TX_IRQ = 0x40
RX_IRQ = 0x20
ERR_IRQ = 0x02
TIMER_IRQ = 0x01

IRQ_INVERTED = 0x80
"""ComIEnReg (9.3.1.3): pin IRQ is low while a bit of ComIrqReg is set that is enabled here."""
IRQ_PUSH_PULL = 0x80
"""DivIEnReg (9.3.1.4): pin IRQ drives both levels."""

WRITE_ERROR = 0x80
TEMPERATURE_ERROR = 0x40
BUFFER_OVERFLOW = 0x10
COLLISION_ERROR = 0x08
PARITY_ERROR = 0x02

FLUSH_FIFO = 0x80
FIFO_BYTES = 64

START_SEND = 0x80
VALUES_AFTER_COLLISION = 0x80
POSITION_NOT_VALID = 0x20
POSITION_MASK = 0x1F

ANTENNA_ON = 0x03
"""TxControlReg: Tx1RFEn and Tx2RFEn."""
FORCE_100_ASK = 0x40
TIMER_AUTO = 0x80
"""TModeReg: the timer starts by itself at the end of every transmission."""

CARRIER_HZ = 13_560_000


def timer_s(prescaler: int, reload: int) -> float:
    """Seconds the timer runs (8.5): ``(2 * TPrescaler + 1) * (TReload + 1) / 13.56 MHz``."""
    return (2 * prescaler + 1) * (reload + 1) / CARRIER_HZ

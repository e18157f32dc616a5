"""What can be wrong with a simulated RC522 and the answers it hears."""

from dataclasses import dataclass, replace

from device.hardware.readers.iso14443a import SELECT_LEVELS, SELECT_NVB
from simulator.field import OnAir
from simulator.picc import Bits, to_bytes


@dataclass(frozen=True, slots=True)
class Faults:
    """``Faults()`` is sound. The counts may be ``math.inf``.

    ``dead``: every byte read is this one (0x00: no power, 0xFF: no wire). ``frozen``: registers read as
    they stood and nothing happens any more. ``locked``: frozen until the RST line is pulsed. ``hung``:
    registers work, commands do not, until any reset. ``hot``: the temperature sensor has tripped.
    ``bad_bcc``, ``bad_crc``, ``bad_parity``, ``cut_short``: how many of the coming answers that have a
    BCC, those that have a CRC, and any, are spoilt; ``cut_bits``: how much is cut off.
    ``flicker``: how probable it is that a card sleeps through a WUPA and what follows it.
    """

    dead: int | None = None
    frozen: bool = False
    locked: bool = False
    hung: bool = False
    hot: bool = False
    bad_bcc: float = 0
    bad_crc: float = 0
    bad_parity: float = 0
    cut_short: float = 0
    cut_bits: int = 3
    flicker: float = 0.0

    @property
    def stuck(self) -> bool:
        """Nothing happens any more, whatever is written."""
        return self.frozen or self.locked


def spoil(faults: Faults, frame: Bits, heard: OnAir) -> tuple[Faults, OnAir]:
    """What is left of the answer to ``frame``, and the faults less the one that was used up."""
    sel, nvb = (*to_bytes(frame), 0)[:2]
    bits = list(heard.bits)
    if faults.bad_bcc and sel in SELECT_LEVELS and nvb != SELECT_NVB:
        bits[-1] ^= 1
        faults = replace(faults, bad_bcc=faults.bad_bcc - 1)
    elif faults.bad_crc and sel in SELECT_LEVELS and nvb == SELECT_NVB:
        bits[-1] ^= 1
        faults = replace(faults, bad_crc=faults.bad_crc - 1)
    elif faults.cut_short:
        bits = bits[: max(1, len(bits) - faults.cut_bits)]
        faults = replace(faults, cut_short=faults.cut_short - 1)
    return faults, OnAir(bits, heard.collision)

"""The unmodified RC522 driver on the simulated chip, in virtual time."""

from collections.abc import Callable

from device.hardware.readers.rc522 import Rc522
from simulator.rc522 import Rc522 as Chip

TRANSFER_S = 30e-6
BYTE_S = 8e-6


class Bench:
    """A bus that counts its transfers; each of them and every sleep moves the only clock there is.

    ``before``: called with the number of each coming transfer. ``bend``: may change what comes back.
    ``swallow``: a first byte with which no transfer reaches the chip.
    """

    def __init__(self, version: int = 0x92, rst: bool = False) -> None:
        self.now_s = 1000.0
        self.transfers = 0
        self.closed = False
        self.before: Callable[[int], None] = lambda _: None
        self.bend: Callable[[list[int], list[int]], list[int]] = lambda _, back: back
        self.swallow: int | None = None
        self.oversleep_s = 0.0
        self.chip = Chip(lambda: self.now_s, version)
        self.reader = Rc522(
            self.open, "SPI 0.0", self.chip.reset if rst else None, monotonic=self.clock, sleep=self.sleep
        )

    def open(self) -> "Bench":
        self.closed = False
        return self

    def transfer(self, data: list[int], /) -> list[int]:
        self.before(self.transfers)
        self.transfers += 1
        self.now_s += TRANSFER_S + BYTE_S * len(data)
        if data[0] == self.swallow:
            return [0] * len(data)
        return self.bend(data, self.chip.transfer(data))

    def close(self) -> None:
        self.closed = True

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds + self.oversleep_s

    def poll(self) -> tuple[list[bytes], int]:
        """The cards, and how many transfers it took."""
        before = self.transfers
        return self.reader.cards(), self.transfers - before

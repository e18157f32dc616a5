"""OSDP readers as a post has them, on a pty with libosdp's own devices at its other end; frames made by hand."""

import queue
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postkit import RunningClock
from waiting import until

from device.hardware.readers.driver import Bench, Copper
from device.hardware.readers.osdp import DRIVER, Osdp, OsdpSection
from device.hardware.readers.reader import ReaderSilent, ReaderWorker
from device.readings import BadgeRead, Garbled, PartBlind, PartSighted, Reading
from simulator.factory import SimFactory
from simulator.far_ends import Site
from simulator.far_ends.osdp import WiredOsdp, connect

ADDRESS, OTHER_ADDRESS = 3, 7
BAUD = 115_200
KEY = bytes.fromhex("A1B2C3D4E5F60718293A4B5C6D7E8F90")


def crc(data: bytes) -> int:
    """Bit by bit, as SIA OSDP 2.2 has it: another way than the firmware's."""
    value = 0x1D0F
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value


def frame(
    code: int,
    data: bytes = b"",
    *,
    address: int = ADDRESS,
    reply: bool = True,
    sequence: int = 0,
    block: bytes = b"",
    mac: bytes = b"",
    checksum: bool = False,
) -> bytes:
    """One frame from SOM on; with a CRC, or with a check sum of one byte. ``block``: with its length byte."""
    control = sequence | (0 if checksum else 4) | (8 if block else 0)
    body = bytes([control]) + block + bytes([code]) + data + mac
    length = 4 + len(body) + (1 if checksum else 2)
    head = bytes([0x53, address | (0x80 if reply else 0), length & 0xFF, length >> 8])
    if checksum:
        return head + body + bytes([-sum(head + body) & 0xFF])
    return head + body + crc(head + body).to_bytes(2, "little")


RAW, NAK, ACK, PDID, PDCAP, BUSY = 0x50, 0x41, 0x40, 0x45, 0x46, 0x79
FORGED = bytes.fromhex("DEADBEEF")
FORGED_CARD = b"\x00\x00\x20\x00" + FORGED
"""osdp_RAW: reader 0, raw, 32 bits."""


def a_section(folder: Path, name: str = "gate", address: int = ADDRESS, **keys: Any) -> OsdpSection:
    """On the pty of ``folder``."""
    return OsdpSection(
        **{"name": name, "driver": "osdp", "port": folder / "rs485.tty", "baud": BAUD, "address": address, **keys}
    )


@dataclass
class Post:
    """Readers being asked. ``inbox``: what their workers put; ``readings``: all of it so far.

    ``blind``: how often that was waited for.
    """

    readers: dict[str, Osdp]
    inbox: "queue.SimpleQueue[Reading]"
    far: dict[str, WiredOsdp] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    blind: dict[str, int] = field(default_factory=dict)

    def of(self, kind: Any, name: str = "gate") -> list[Any]:
        """What was put of one kind, about one reader."""
        while not self.inbox.empty():
            self.readings.append(self.inbox.get())
        about = (name, f"reader {name}")
        return [
            reading
            for reading in self.readings
            if isinstance(reading, kind)
            and (reading.reader if isinstance(reading, BadgeRead) else getattr(reading, "part", "")) in about
        ]

    def sees(self, name: str = "gate") -> bool:
        """As the newest reading has it."""
        newest = self.of(PartBlind | PartSighted, name)
        return bool(newest) and isinstance(newest[-1], PartSighted)

    def until_sees(self, name: str = "gate") -> None:
        """Wait for it."""
        until(lambda: self.sees(name), what=f"{name} sees")

    def until_blind(self, name: str = "gate") -> str:
        """Wait until it was, once more than was waited for before; why."""
        before = self.blind.get(name, 0)
        until(lambda: len(self.of(PartBlind, name)) > before, what=f"{name} is blind")
        self.blind[name] = before + 1
        return str(self.of(PartBlind, name)[before].why)

    def until_badges(self, *uids: bytes, name: str = "gate") -> list[BadgeRead]:
        """Wait for as many; they are these."""
        until(lambda: len(self.badges(name)) >= len(uids), what=f"{len(uids)} badges")
        assert self.badges(name) == list(uids)
        return self.of(BadgeRead, name)

    def badges(self, name: str = "gate") -> list[bytes]:
        """Numbers of all taps so far."""
        return [reading.uid for reading in self.of(BadgeRead, name)]

    def refused(self, name: str = "gate") -> list[Garbled]:
        """All complaints so far."""
        return self.of(Garbled, name)


@contextmanager
def asked(folder: Path, *sections: OsdpSection, far: dict[str, WiredOsdp] | None = None) -> Iterator[Post]:
    """A post's readers, whatever is at the other end."""
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    clock = RunningClock()
    with ExitStack() as closing:
        factory = SimFactory()
        closing.callback(factory.close)
        bench = Bench(Copper(factory), clock, folder, closing)
        readers: dict[str, Any] = {section.name: DRIVER.open(section, bench) for section in sections}
        for name, reader in readers.items():
            worker = ReaderWorker(name, reader, clock, inbox, retry_s=0.01, burst=20)
            worker.start()
            closing.callback(worker.stop)
        yield Post(readers, inbox, far or {})


@contextmanager
def far_ends(folder: Path, *sections: OsdpSection) -> Iterator[dict[str, WiredOsdp]]:
    """Readers on a line, each with its key, which the state folder ``folder`` holds as well."""
    site = Site(SimFactory(), state_dir=folder)
    far: dict[str, WiredOsdp] = {}
    try:
        for section in sections:
            far[section.name] = connect(section, site)
        yield far
    finally:
        for end in far.values():
            end.close()
        site.factory.close()


@contextmanager
def wired_readers(folder: Path, *sections: OsdpSection) -> Iterator[Post]:
    """A post's readers and their far ends, once all see."""
    sections = sections or (a_section(folder),)
    with far_ends(folder, *sections) as far, asked(folder, *sections, far=far) as post:
        for name in far:
            post.until_sees(name)
        yield post


@contextmanager
def driver(folder: Path, section: OsdpSection) -> Iterator[Osdp]:
    """A reader's driver that nobody asks yet."""
    factory = SimFactory()
    with ExitStack() as closing:
        closing.callback(factory.close)
        reader = DRIVER.open(section, Bench(Copper(factory), RunningClock(), folder, closing))
        assert isinstance(reader, Osdp)
        closing.callback(reader.close)
        yield reader


def why_silent(reader: Osdp) -> str:
    """What a start says of it; nothing where it sees."""
    try:
        reader.start()
    except ReaderSilent as silent:
        return str(silent)
    return ""

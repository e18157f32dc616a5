"""From the card at a reader to its BadgeRead, by driver and worker; the floor is the protocol's own minimum."""

import queue
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from waiting import until
from wired import section, wired

from bench.figures import MS, Bench, Figure, percentile
from device.hardware.readers.reader import BUSY_FOR_MS
from device.readings import BadgeRead, Reading
from simulator.far_ends.hid import REPORT_S, packets, typed
from simulator.far_ends.osdp import DELAY_S
from simulator.far_ends.wiegand import BIT_S, LATEST_S

RESTS_S = BUSY_FOR_MS / 1000 + 0.1
"""Between two cards: a reader that is polled rests again."""
PHASE_S = 0.05
"""And a random part of this more, so that cards come at any moment between two polls."""
CARRIER_HZ = 13.56e6


class Stamped(queue.SimpleQueue[Reading]):
    """An inbox that notes when each badge was put, nanoseconds of time.monotonic_ns."""

    def __init__(self) -> None:
        self.at_ns: dict[bytes, int] = {}

    def put(self, item: Reading, block: bool = True, timeout: float | None = None) -> None:
        if isinstance(item, BadgeRead):
            self.at_ns.setdefault(item.uid, time.monotonic_ns())
        super().put(item, block, timeout)


@dataclass(frozen=True)
class Kind:
    """A reader to be measured. ``floor_s``: what the protocol needs by itself. ``size``: bytes of a card."""

    name: str
    keys: dict[str, Any]
    floor_s: float
    size: int = 4


def card_to_badge(bench: Bench) -> Iterator[Figure]:
    """100 cards at each kind of reader, one at a time."""
    port = bench.at("reader.tty")
    for kind in (
        _rc522(),
        _pn532(port),
        _hid(),
        _wiegand(26),
        _wiegand(34),
        _osdp(port, 9_600),
        _osdp(port, 115_200),
    ):
        taken = _measured(kind, bench.at(kind.name.replace(" ", "-")), bench.count(100, 1))
        ours = f"{MS(median(taken))} (p95 {MS(percentile(taken, 0.95))})"
        yield Figure(f"card to BadgeRead, {kind.name}, p50", ours, MS(kind.floor_s * 1e9))


def _measured(kind: Kind, state_dir: Path, count: int) -> list[int]:
    """Nanoseconds from each card to its BadgeRead."""
    phase, inbox, taken = random.Random(0), Stamped(), []
    with wired(section(**kind.keys), inbox=inbox, state_dir=state_dir, ready=False) as reader:
        until(lambda: reader.told()[-1:] == ["sighted"], what=f"{kind.name} sees")
        for number in range(1, count + 1):
            time.sleep(RESTS_S + phase.uniform(0, PHASE_S))
            uid = number.to_bytes(kind.size, "big")
            began_ns = time.monotonic_ns()
            reader.far.place(uid)
            until(lambda: uid in inbox.at_ns, what=f"a card at {kind.name}")  # noqa: B023
            taken.append(inbox.at_ns[uid] - began_ns)
            reader.far.remove(uid)
    return taken


def _rc522() -> Kind:
    """WUPA, anticollision and SELECT on the air."""
    return Kind("rc522", {"driver": "rc522"}, _selected_s())


def _pn532(port: Path) -> Kind:
    """The same, and on the wire InListPassiveTarget, its ACK and its answer."""
    floor_s = _selected_s() + _sent_s(11 + 6 + 19, 115_200)
    return Kind("pn532", {"driver": "pn532", "port": str(port)}, floor_s)


def _hid() -> Kind:
    """All reports before the one with Enter."""
    keys = {"driver": "hid", "device": "/dev/input/by-id/usb-reader-event-kbd"}
    reports = len([*packets(typed(section(**keys), bytes(4)))]) - 2
    return Kind("hid", keys, reports * REPORT_S)


def _wiegand(bits: int) -> Kind:
    """The frame, and the longest pause that there may be within one."""
    keys = {"driver": "wiegand", "data0_pin": 20, "data1_pin": 21, "bits": bits}
    return Kind(f"wiegand {bits}", keys, (bits - 1) * BIT_S + LATEST_S, (bits - 2) // 8)


def _osdp(port: Path, baud: int) -> Kind:
    """POLL and RAW on the secure channel, and the reader's delay between."""
    keys = {"driver": "osdp", "port": str(port), "baud": baud}
    return Kind(f"osdp {baud}", keys, _sent_s(15 + 30, baud) + DELAY_S)


def _sent_s(count: int, baud: int) -> float:
    """A start bit, eight of data and a stop bit each."""
    return count * 10 / baud


def _selected_s() -> float:
    """A card with a UID of 4 bytes (ISO/IEC 14443-3, 6.2 and 6.5): its frames, of so many bits, and the delays."""
    frames = (7, 16, 16, 40, 72, 24)
    on_air = sum((2 + bits + bits // 8) * 128 for bits in frames)  # start, a parity bit after each byte, end
    return (on_air + 3 * 1236 + 2 * 1172) / CARRIER_HZ

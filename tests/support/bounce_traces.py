"""Bounces of contacts as data: ``tests/device/hardware/bounces.csv``, which this program writes.

Nothing here was recorded. The traces are generated, with a fixed seed, so that every run looks at the same ones.
How long each kind bounces is taken from what others have published:

- ``reed``: 0.5 to 1 ms as it closes (reed-sensor.com, glossary, "Bounce Time"); it opens at once.
- ``button``: on average 1.56 ms and at most 6.2 ms over sixteen switches (J. Ganssle, A Guide to Debouncing).
- ``worn``: 6 to 30 ms. Nobody's figure: from the longest of those to the longest that this post promises to bear.

The shape is a contact's that falls on the other and springs back, each time less high: flights shrink by a factor,
and the touches between them are shorter than the flights.
"""

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parents[1] / "device" / "hardware" / "bounces.csv"
HEADER = "# Generated, not recorded: see tests/support/bounce_traces.py for the figures and who published them.\n"
COLUMNS = "kind,moves,edges_us\n"
SEED = 1
LASTS_US = {"reed": (500, 1_000), "button": (300, 6_200), "worn": (6_200, 30_000)}
BUTTON_MEAN_US = 1_557


@dataclass(frozen=True, slots=True)
class Trace:
    """One move of a contact. ``closes``: how it comes to rest. ``edges_us``: microseconds after the first, 0."""

    kind: str
    closes: bool
    edges_us: tuple[int, ...]

    def __str__(self) -> str:
        """A line of the file."""
        return f"{self.kind},{'closes' if self.closes else 'opens'},{' '.join(map(str, self.edges_us))}\n"


def generated() -> Iterator[Trace]:
    """The traces, always the same."""
    chance = random.Random(SEED)
    for kind, (shortest_us, longest_us) in LASTS_US.items():
        for number in range(16):
            closes = number % 2 == 0
            if kind == "reed" and not closes:
                yield Trace(kind, closes, (0,))
                continue
            lasts_us = chance.uniform(shortest_us, longest_us)
            if kind == "button":
                lasts_us = min(longest_us, shortest_us + chance.expovariate(1 / (BUTTON_MEAN_US - shortest_us)))
            yield Trace(kind, closes, _edges_us(chance, lasts_us))


def _edges_us(chance: random.Random, lasts_us: float) -> tuple[int, ...]:
    """First touch, then flight and touch by turns; an odd number of edges in all, the last at ``lasts_us``."""
    damping = chance.uniform(0.45, 0.85)
    spans: list[float] = []
    flight = 1.0
    for _ in range(chance.randint(1, 9)):
        spans += [flight * chance.uniform(0.1, 0.9), flight]  # how long it touches, and then flies
        flight *= damping
    scale = lasts_us / sum(spans)
    edges, now_us = [0], 0
    for span in spans:
        now_us += max(1, round(span * scale))
        edges.append(now_us)
    return tuple(edges)


def traces() -> list[Trace]:
    """What the file holds."""
    lines = FILE.read_text(encoding="ascii").splitlines()
    rows = [line.split(",") for line in lines if not line.startswith("#")][1:]
    return [Trace(kind, moves == "closes", tuple(map(int, edges.split()))) for kind, moves, edges in rows]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(HEADER + COLUMNS + "".join(map(str, generated())), encoding="ascii")

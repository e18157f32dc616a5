"""What a figure is, and how it is judged and printed."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. ``ratio`` as the goal states it; ``met`` is None where a figure is only told."""

    name: str
    ours: str
    floor: str = ""
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        met = {True: "yes", False: "NO", None: ""}[self.met]
        return self.name, self.ours, self.floor, ratio, self.goal, met


HEADINGS = ("figure", "ours", "floor", "ratio", "goal", "met")


def table(figures: Iterable[Figure]) -> str:
    """A Markdown table that is readable as it stands."""
    rows = [HEADINGS, *(figure.cells() for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(f"| {' | '.join(map(str.ljust, row, widths))} |" for row in rows)


@dataclass(frozen=True, slots=True)
class Bench:
    """Where it works, and how much of everything: ``scale`` is 1 for the figures that are published.

    ``pi``: the programs that are in the tree of ``make test-pi``, or None where that is not to be used.
    """

    folder: Path
    scale: float
    pi: str | None = None

    def count(self, full: int, least: int) -> int:
        """``full`` at scale 1, never below ``least``."""
        return max(least, round(full * self.scale))

    def at(self, name: str) -> Path:
        """A folder of that name on the measured disk."""
        return self.folder / name


class Unit:
    """Prints a number with its unit. ``per``: how many of what is measured make one of it."""

    def __init__(self, name: str, per: float, digits: int) -> None:
        self._name, self._per, self._digits = name, per, digits

    def __call__(self, value: float) -> str:
        return f"{value / self._per:,.{self._digits}f} {self._name}"


MS = Unit("ms", 1e6, 2)
S = Unit("s", 1e9, 2)
MIB = Unit("MiB", 1024, 1)


def at_most(name: str, ours: float, floor: float, goal: float, unit: Unit) -> Figure:
    """Lower is better: ours may be ``goal`` times the floor."""
    ratio = ours / floor
    return Figure(name, unit(ours), unit(floor), ratio, f"at most {goal:g}x", ratio <= goal)


def at_least(name: str, ours: float, floor: float, goal: float) -> Figure:
    """Events a second: ours must be ``goal`` times the floor."""
    ratio = ours / floor
    return Figure(name, f"{ours:,.0f}/s", f"{floor:,.0f}/s", ratio, f"at least {goal:g}x", ratio >= goal)


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least ``part`` of all are not above."""
    return sorted(values)[max(0, math.ceil(len(values) * part) - 1)]

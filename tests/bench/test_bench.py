"""The bench runs and prints every row; what the numbers are is nobody's business here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import GROUPS
from bench.figures import MS, Figure, at_least, at_most, percentile, table

TESTS = Path(__file__).parents[1]
READERS = ("rc522", "pn532", "hid", "wiegand 26", "wiegand 34", "osdp 9600", "osdp 115200")
PICTURES = (
    "trigger to stored picture, p50",
    "trigger to stored picture, p99",
    "exposure to stored picture, p50",
    "camera's child, looking (the stand-in, not picamera2): CPU of one core",
    "camera's child, looking (the stand-in, not picamera2): resident memory",
    "alarm beside a picture at the default rate, p99",
    "alarm beside a picture at 6 kB/s, p99",
    "alarm beside a picture before a queue of 3 s, p99",
    "alarm beside a picture not paced, before a queue of 3 s, p99",
)
ALL_ELSE = (
    "tap to green, p50",
    "tap to green in a journal of",
    "card to green under load, p99",
    "tap to a Mosquitto subscriber, p50",
    *(f"card to BadgeRead, {reader}, p50" for reader in READERS),
    "flood, durable and signed",
    "to the last PUBACK",
    "to the last receipt",
    "start to first green with a backlog of",
    "start to first green (floor: bare imports)",
    "resident memory, idle",
    "idle: CPU of one core",
    "idle: SPI transfers per empty poll",
    "idle: wake-ups a second",
    "idle: written to disk in an hour",
    "written to disk for each event, single",
    "written to disk for each event, in batches",
)


@pytest.mark.parametrize(
    ("groups", "every_figure"), [(set(GROUPS) - {"pictures"}, ALL_ELSE), ({"pictures"}, PICTURES)]
)
def test_a_small_bench_prints_every_figure_with_the_machine(
    tmp_path: Path, groups: set[str], every_figure: tuple[str, ...]
) -> None:
    paths = os.pathsep.join([str(TESTS), str(TESTS / "support")])
    only = [word for group in GROUPS if group in groups for word in ("--only", group)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--scale", "0.001", "--folder", str(tmp_path), *only],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    machine, _, rows = done.stdout.partition("\n\n")
    assert "cores" in machine and "SQLite" in machine and "Mosquitto" in machine
    figures = [line for line in rows.splitlines() if line.startswith("| ")][2:]
    assert len(figures) == len(every_figure), rows
    for figure, name in zip(figures, every_figure, strict=True):
        assert name in figure
    assert list(tmp_path.iterdir()) == []


def test_a_figure_at_its_goal_is_met_and_one_beyond_is_not() -> None:
    assert [at_most("start", ours, 1e9, 1.5, MS).met for ours in (1.5e9, 1.6e9)] == [True, False]
    assert [at_least("drain", ours, 1000, 0.75).met for ours in (750, 749)] == [True, False]


def test_the_table_is_markdown_with_columns_below_each_other() -> None:
    told = table([Figure("idle", "25/s"), at_least("drain", 2000, 1000, 0.75)])
    heading, rule, *rows = told.splitlines()
    assert " ".join(rows[1].split()) == "| drain | 2,000/s | 1,000/s | 2.00 | at least 0.75x | yes |"
    assert {len(line) for line in (heading, rule, *rows)} == {len(heading)}


@pytest.mark.parametrize(("part", "value"), [(0.5, 50), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_a_value_that_was_measured(part: float, value: int) -> None:
    assert percentile(range(1, 101), part) == value

"""Answers shown to people: rich tables on a terminal, tab-separated lines elsewhere, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any


def show_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """On a terminal with rich, if it is installed; else plain, a tab between columns."""
    lines = [[str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and _show_rich(headings, lines):
        return
    for line in [list(headings), *lines]:
        print("\t".join(line))


def show_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON takes
    """One line."""
    print(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def when(at_ms: int) -> str:
    """Milliseconds since 1970-01-01 UTC as ``2026-11-23 01:15:00Z``."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"


def _show_rich(headings: Sequence[str], lines: list[list[str]]) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(*headings)
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    Console().print(table)
    return True

"""The demonstration on a screen: a live table on a terminal, plain lines anywhere else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from simulator.evidence import Recorded, spans

_REFRESHES_PER_S = 8
_AROUND_TABLE = 7  # lines that are not rows: the header, the table's frame, the hint


@dataclass(eq=False)
class Row:
    """One thing that happened at the post."""

    time: str
    began_s: float
    did: str
    subject: str = ""
    saw: str = ""
    events: list[Recorded] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Counts:
    """The header line."""

    line_up: bool
    recorded: int
    arrived: int
    verified: int

    def __str__(self) -> str:
        """As it is shown."""
        line = "line up" if self.line_up else "line CUT"
        return f"{line}   recorded {self.recorded}   arrived {self.arrived}   verified {self.verified}"


class Screen(Protocol):
    """Where the night is shown."""

    def show(self, rows: Sequence[Row], counts: Counts) -> None:
        """How it stands."""
        ...

    def say(self, line: str) -> None:
        """One line that stays."""
        ...

    def close(self) -> None:
        """Leave the screen as it is."""
        ...


def open_screen() -> Screen:
    """The one that fits standard output."""
    console = Console()
    return LiveScreen(console) if console.is_terminal else PlainScreen()


class LiveScreen:
    """A table that is drawn anew as things change."""

    def __init__(self, console: Console) -> None:
        """Begin to draw."""
        self._console = console
        self._live = Live(console=console, refresh_per_second=_REFRESHES_PER_S)
        self._shown = Group()
        self._live.start()

    def show(self, rows: Sequence[Row], counts: Counts) -> None:
        """As many of the newest rows as fit."""
        colour = "bold green" if counts.line_up else "bold white on red"
        room = max(3, self._console.height - _AROUND_TABLE)
        self._shown = Group(Text(f" {counts} ", style=colour), _table(rows, room))
        self._live.update(Group(self._shown, Text(" Ctrl-C ends the night", style="dim")))

    def say(self, line: str) -> None:
        """Above the table."""
        self._live.console.print(line, highlight=False, markup=False)

    def close(self) -> None:
        """The last table stays."""
        self._live.update(self._shown)
        self._live.stop()


def _table(rows: Sequence[Row], room: int) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("time", width=8)
    for title in ("at the post", "the officer sees", "recorded"):
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    table.add_column("headquarters", width=12)
    lines = [line for row in rows for line in _lines(row)]
    for line in lines[-room:]:
        table.add_row(*line)
    return table


def _lines(row: Row) -> list[tuple[str, str, Text, str, Text]]:
    """A row with several events has a line for each."""
    events: list[Recorded | None] = [*row.events] or [None]
    first = (row.time, row.did, _coloured(row.saw))
    return [(*(first if index == 0 else ("", "", Text())), *_received(event)) for index, event in enumerate(events)]


def _coloured(saw: str) -> Text:
    style = "green" if "(green" in saw else "red" if "(red" in saw else ""
    return Text(saw, style=style)


def _received(event: Recorded | None) -> tuple[str, Text]:
    if event is None:
        return "", Text()
    if event.verified:
        return str(event), Text("verified", style="green")
    return str(event), Text("held" if event.arrived else "waiting…", style="yellow")


class PlainScreen:
    """A line when something happens, and a line when headquarters has verified it."""

    def __init__(self) -> None:
        """Nothing shown yet."""
        self._last_row: Row | None = None
        self._events_shown: set[Recorded] = set()
        self._told: set[Recorded] = set()

    def show(self, rows: Sequence[Row], counts: Counts) -> None:
        """What is new since the last time."""
        after = rows.index(self._last_row) + 1 if self._last_row in rows else 0
        for row in rows[after:]:
            self.say("  ".join(part for part in (row.time, row.did, row.saw) if part))
            self._last_row = row
        events = [event for row in rows for event in row.events]
        for event in events:
            if event not in self._events_shown:
                self.say(f"          recorded {event}")
        self._events_shown = set(events)
        news = [event for event in events if event.verified and event not in self._told]
        if news:
            self._told = {event for event in events if event.verified}
            self.say(f"          headquarters verified #{spans(news)}   ({counts})")

    def say(self, line: str) -> None:
        """At once, also through a pipe."""
        print(line, flush=True)

    def close(self) -> None:
        """Nothing to leave."""

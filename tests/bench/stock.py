"""Journals with a past, filled once and used by several figures."""

from pathlib import Path

from backlog import fill, reading

from bench.figures import Bench
from bench.process import SOURCE, post_folder, settle, unsent

SHORT_ROWS = 1_000
LONG_ROWS = 1_000_000
BACKLOG_ROWS = 100_000


def long_journal(bench: Bench) -> tuple[Path, int]:
    """The folder of a post with a million events, none of them sent, and how many they are."""
    return _filled(bench.at("long"), bench.count(LONG_ROWS, 3_000))


def backlog(bench: Bench) -> tuple[Path, int]:
    """The folder of a post with a hundred thousand events, and how many they are; see ``unsent``."""
    return _filled(bench.at("backlog"), bench.count(BACKLOG_ROWS, 300))


def short_journal(bench: Bench) -> tuple[Path, int]:
    """The folder of a post with a thousand events."""
    return _filled(bench.at("short"), bench.count(SHORT_ROWS, 30))


def newest_event(folder: Path) -> str:
    """The newest event of a post, for the floor to do the same with."""
    with reading(folder / "state") as journal:
        return journal.rows(journal.newest() - 1, 1)[0].event.decode()


def _filled(folder: Path, rows: int) -> tuple[Path, int]:
    if not folder.exists():
        fill(post_folder(folder) / "state", SOURCE, rows)
    unsent(folder)
    settle()
    return folder, rows

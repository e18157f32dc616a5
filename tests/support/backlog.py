"""A journal with a past: rows that a post recorded while it had no line, through the real chain and journal."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from device.events import Door, Draft
from device.hardware.clock import KernelClock, boot_id
from device.record.journal import Sent
from device.record.journal_reader import JournalReader
from device.record.opening import JOURNAL, open_record
from device.turn import Turn

_AT_ONCE = 1_000


def fill(state_dir: Path, source: str, rows: int) -> None:
    """``rows`` events, the chain's first one among them; the doors stand shut at their end."""
    clock = KernelClock()
    with closing(open_record(state_dir, source, boot_id())) as record:
        turn = Turn([], record.chain)
        turn.begin(record.began, clock.now())
        drafts = _doors()
        while (left := rows - record.journal.newest() - len(turn.sealed)) > 0:
            turn.begin(islice(drafts, min(left, _AT_ONCE)), clock.now())
            record.journal.append(turn.sealed, {}, Sent({}))
            turn = Turn([], turn.chain)


def rows_of(state_dir: Path) -> list[bytes]:
    """Every event of a journal, also while a post writes it."""
    with reading(state_dir) as journal:
        return [row.event for row in journal.all_rows()]


@contextmanager
def reading(state_dir: Path) -> Iterator[JournalReader]:
    """A journal beside its writer."""
    with closing(JournalReader.open(state_dir / JOURNAL)) as journal:
        yield journal


def _doors() -> Iterator[Draft]:
    while True:
        yield Draft(subject="side", data=Door(door="side", change="opened", since=None))
        yield Draft(subject="side", data=Door(door="side", change="closed", since=None))

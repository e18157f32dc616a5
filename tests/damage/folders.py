"""State folders as posts leave them: killed or well stopped, young or old, in one chain or several."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4
from zoneinfo import ZoneInfo

from postkit import BOOT, SOURCE, at, blind, tapped

from device.events import Door, Draft
from device.record.journal import Sent
from device.record.journal_reader import DONE, JournalReader, Row
from device.record.opening import JOURNAL, Record, open_record
from device.roster_file import load_roster
from device.turn import Turn

ROSTER = b'[[officer]]\nid = "officer-1"\nbadges = ["04AABBCC"]\n'
FORCED = Draft(subject="front", data=Door(door="front", change="forced", since=None))


@dataclass(frozen=True)
class Left:
    """What is in a state folder. ``rows``: of its journal."""

    name: str
    files: Mapping[str, bytes] = field(repr=False)
    rows: tuple[Row, ...] = field(repr=False)
    removed: tuple[Row, ...] = field(repr=False)

    @property
    def log_bytes(self) -> int:
        """How much of the log was written since it was begun anew; behind it stand remains."""
        log = self.files.get(f"{JOURNAL}-wal", b"")
        frames = range(32, len(log), 24 + 4096)
        return max((frame + 24 + 4096 for frame in frames if log[frame + 8 : frame + 16] == log[16:24]), default=0)


class Night:
    """One life of a post that records: the real opening, turns and commits."""

    def __init__(self, state: Path) -> None:
        self.record: Record = open_record(state, SOURCE, BOOT)
        self.turn = Turn([], self.record.chain)
        self.turn.begin(self.record.began, at())

    def works(self, commits: int, done: int = 0) -> None:
        """Taps, and now and then an alarm, a long event or several at once; what the link knows goes along."""
        for number in range(commits):
            drafts = [tapped()] * (1 + 3 * (number % 7 == 3))
            drafts += [FORCED] * (number % 9 == 4) + [blind("è" * 250)] * (number % 11 == 5)
            self.turn.begin(drafts, at(100_000 + number))
            self.commit(Sent({DONE: done, self.turn.chain.head.chain: done}))

    def rolls(self) -> None:
        """Headquarters has more than the journal: a new chain."""
        self.turn.roll(str(uuid4()), self.record.key.jwk(), at())

    def commit(self, sent: Sent) -> None:
        snapshots = {"doors": f'{{"opened": {len(self.turn.sealed)}}}', "checkin": '{"last": {}}'}
        self.record.journal.append(self.turn.sealed, snapshots, sent)
        self.turn = Turn([], self.turn.chain)


def first_night_killed(state: Path) -> Iterator[None]:
    """All is in the log."""
    with closing_of(Night(state)) as night:
        night.works(14, done=5)
        yield


def well_stopped(state: Path) -> Iterator[None]:
    """All is in the database."""
    with closing_of(Night(state)) as night:
        night.works(30, done=20)
    yield


def second_night_killed(state: Path) -> Iterator[None]:
    """An old chain in the database, a new one in the log."""
    with closing_of(Night(state)) as night:
        night.works(16, done=20)
    with closing_of(Night(state)) as night:
        night.works(5, done=25)
        night.rolls()
        night.works(8, done=30)
        yield


def old_ones_removed(state: Path) -> Iterator[None]:
    """What headquarters had receipted is gone; the log was begun anew since."""
    with closing_of(Night(state)) as night:
        night.works(30, done=20)
        yield
        night.record.journal.keep(Sent({DONE: 25}), remove_to=20)
        night.record.journal._database.execute("PRAGMA wal_checkpoint(RESTART)")
        night.works(8, done=35)
        yield


def once_damaged(state: Path) -> Iterator[None]:
    """A journal that was salvaged already, with holes that are known, and a night since."""
    with closing_of(Night(state)) as night:
        night.works(30, done=20)
    file = state / JOURNAL
    content = bytearray(file.read_bytes())
    for place in (3, 9):
        at_byte = place * 4096 + 2000
        content[at_byte : at_byte + 300] = bytes(300)
    file.write_bytes(content)
    open_record(state, SOURCE, BOOT, found_damaged="a look at it").close()
    for _ in range(2):
        with closing_of(Night(state)) as night:
            night.works(5, done=30)
            yield


def large(state: Path) -> Iterator[None]:
    """Megabytes, partly in the log, which has been begun anew before."""
    with closing_of(Night(state)) as night:
        night.works(500, done=300)
        night.record.journal._database.execute("PRAGMA wal_checkpoint(RESTART)")
        night.rolls()
        night.works(300, done=500)
        night.record.journal._database.execute("PRAGMA wal_checkpoint(RESTART)")
        night.works(80, done=600)
        yield


Life = Callable[[Path], Iterator[None]]
SMALL: tuple[Life, ...] = (
    first_night_killed,
    well_stopped,
    second_night_killed,
    old_ones_removed,
    once_damaged,
)


@cache
def left_by(life: Life) -> Left:
    """The folder as it is at the last word of a life: a kill leaves just that."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        state = folder / "state"
        ever: dict[Row, None] = {}
        for _ in life(state):
            (folder / "roster.toml").write_bytes(ROSTER)
            load_roster(folder / "roster.toml", state, bytes(32), ZoneInfo("UTC"))
            files = {file.name: file.read_bytes() for file in sorted(state.iterdir())}
            with closing(JournalReader.open(state / JOURNAL)) as journal:
                rows = tuple(journal.all_rows())
            ever |= dict.fromkeys(rows)
    return Left(life.__name__, files, rows, tuple(row for row in ever if row not in rows))


@contextmanager
def closing_of(night: Night) -> Iterator[Night]:
    with closing(night.record):
        yield night


def put(left: Left, state: Path) -> None:
    """Lay the folder out anew."""
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    for name, content in left.files.items():
        (state / name).write_bytes(content)

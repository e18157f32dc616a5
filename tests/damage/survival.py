"""What must hold of a post whose files were damaged, whatever was done to them."""

import io
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from postkit import BOOT, SOURCE, acknowledged, at, tapped

from damage.folders import ROSTER, Left, put
from damage.spoiling import PAGE, Damage
from device.errors import JournalDamaged, StateError
from device.events import ChainBegan, Draft, Lost, Position
from device.journal_view import verify
from device.readings import Trouble
from device.record.chain import event_hash
from device.record.journal_reader import JournalReader, Row
from device.record.opening import JOURNAL, Record, open_record
from device.record.scrub import Scrub
from device.roster_file import load_roster
from device.turn import Turn

_MOST_LIVES = 4
"""A journal that was salvaged is sound: the scrub may find one more damage, no second."""


@dataclass
class Survivor:
    """A post that is started on a damaged folder."""

    state: Path
    left: Left
    written: list[bytes] = field(default_factory=list)
    began: list[Draft] = field(default_factory=list)
    troubles: list[tuple[Trouble, str]] = field(default_factory=list)
    found: str | None = None

    def starts(self) -> None:
        """As the program does: a first turn, then every row is looked at, and again where that finds damage."""
        for _ in range(_MOST_LIVES):
            with closing(open_record(self.state, SOURCE, BOOT, found_damaged=self.found)) as record:
                self._begins(record)
                try:
                    self._works(record)
                except JournalDamaged as error:
                    self.found = str(error)
                    continue
            return
        raise AssertionError(f"damaged again and again: {self.found}")

    def starts_again(self) -> None:
        """All is well by now."""
        with closing(open_record(self.state, SOURCE, BOOT)) as record:
            assert record.began == (), record.began
            assert record.troubles == (), record.troubles
            self._works(record)

    def _begins(self, record: Record) -> None:
        self.began += record.began
        if record.began:
            self._check_new_chain(record)
        self.troubles += record.troubles
        roster = self.state.parent / "roster.toml"
        roster.write_bytes(ROSTER)
        assert load_roster(roster, self.state, record.site_key, ZoneInfo("UTC")).officers == 1

    def _check_new_chain(self, record: Record) -> None:
        """It is told why it begins, and what came before it."""
        first, newest = record.began[0].data, record.journal.rows(record.journal.newest() - 1, 1)
        assert isinstance(first, ChainBegan)
        # Where a whole first night is gone with its log and the index, nothing tells it from a start that died.
        noticed = {what for what, _ in record.troubles} & {Trouble.JOURNAL, Trouble.SIGNING_KEY}
        assert first.why == ("damaged" if newest or noticed else "first")
        last = None if not newest else json.loads(newest[0].event)
        if last is None:
            assert first.previous is None
        else:
            previous = Position(chain=last["chain"], seq=last["seq"], hash=event_hash(newest[0].event))
            assert first.previous == previous
        assert record.chain.head.seq == 0

    def _works(self, record: Record) -> None:
        turn = Turn([], record.chain)
        turn.begin([*record.began, tapped()], at())
        record.journal.append(turn.sealed, {"doors": "{}"}, acknowledged(0))
        self.written += [sealed.event for sealed in turn.sealed]
        scrub = Scrub(record.journal)
        while not scrub.done:
            scrub.work()


def verified(state: Path) -> tuple[int, str]:
    """``guardpost journal verify``: its exit code, and its one line."""
    out = io.StringIO()
    with redirect_stdout(out):
        try:
            code = verify(state)
        except StateError as error:
            code = 1
            print(error)
    assert len(out.getvalue().splitlines()) == 1, out.getvalue()
    return code, out.getvalue()


def survives(left: Left, damages: list[Damage], state: Path) -> "Outcome":
    """One case: the folder is laid out and damaged, looked at, and two starts are made on it."""
    put(left, state)
    beside = state.with_name("beside")
    spoilt = dict(left.files)
    for damage in damages:
        content = spoilt.get(damage.file)
        if content is None:
            continue
        result = damage.done_to(content)
        if result is None:
            (state / damage.file).unlink()
            del spoilt[damage.file]
        else:
            (state / damage.file).write_bytes(result)
            spoilt[damage.file] = result
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(state, beside)  # a look at a killed post's journal makes its log's index anew
    code, _ = verified(beside)
    survivor = Survivor(state, left)
    survivor.starts()
    survivor.starts_again()
    outcome = Outcome(survivor, spoilt, code == 0)
    outcome.check()
    return outcome


class Outcome:
    """What came of a case. ``lost``: rows that are not there any more; ``unnamed``: those that no event names."""

    def __init__(self, survivor: Survivor, spoilt: Mapping[str, bytes], seemed_well: bool) -> None:
        self.survivor = survivor
        self.left = survivor.left
        self.spoilt = spoilt
        self.seemed_well = seemed_well
        with closing(JournalReader.open(survivor.state / JOURNAL)) as journal:
            self.rows = list(journal.all_rows())
        kept = set(self.rows)
        self.lost = [row for row in self.left.rows if row not in kept]
        self.unnamed = [row for row in self.lost if not self._named(row)]
        self.told = any(what is Trouble.JOURNAL for what, _ in survivor.troubles)

    def check(self) -> None:
        """All that must hold."""
        written = set(self.survivor.written)
        strangers = [
            row.position
            for row in self.rows
            if row not in self.left.rows and row not in self.left.removed and row.event not in written
        ]
        assert not strangers, f"nobody wrote rows {strangers}"
        assert verified(self.survivor.state)[0] == 0, verified(self.survivor.state)
        places = [row.position for row in self.old]
        within = [row.position for row in self.unnamed if places and min(places) < row.position < max(places)]
        assert not within, f"no event names rows {within}"
        assert self.told or not self.lost or not self._log_is_proved, "lost in silence"
        sound = [row.position for row in self.lost if self._sound(row)]
        assert not sound, f"rows {sound} stand on sound pages, and are lost"
        assert not (self.seemed_well and self.told), "a look at it found nothing"
        assert self.survivor.began or not self.told
        self._check_nothing_deleted()

    @property
    def old(self) -> list[Row]:
        """Those of before that are still there."""
        return [row for row in self.rows if row in self.left.rows]

    @property
    def _log_is_proved(self) -> bool:
        """The index still tells how long the log was; else its end may be what a power cut leaves."""
        log, index = f"{JOURNAL}-wal", f"{JOURNAL}-shm"
        return all(self.spoilt.get(name) == self.left.files.get(name) for name in (log, index)) or (
            self.spoilt.get(index, b"")[:96] == self.left.files.get(index, b"")[:96] != b""
        )

    def _named(self, row: Row) -> bool:
        members = json.loads(row.event)
        return any(
            isinstance(draft.data, Lost)
            and draft.data.chain == members["chain"]
            and draft.data.from_ <= members["seq"] <= draft.data.to
            for draft in self.survivor.began
        )

    def _sound(self, row: Row) -> bool:
        """A page with the row on it, of the database or of the log, is as it was, and the row can be proved."""
        if self.spoilt.get("signing.key") != self.left.files["signing.key"]:
            return False
        if any(row.event in page for page in self._same_pages(JOURNAL, 0, PAGE)):
            return True
        log = f"{JOURNAL}-wal"
        return self._log_is_proved and any(row.event in frame for frame in self._same_pages(log, 32, PAGE + 24))

    def _same_pages(self, name: str, first: int, size: int) -> Iterator[bytes]:
        now, before = self.spoilt.get(name, b""), self.left.files.get(name, b"")
        end = len(before) if name == JOURNAL else self.left.log_bytes
        for place in range(first, end, size):
            if now[place : place + size] == before[place : place + size]:
                yield before[place : place + size]

    def _check_nothing_deleted(self) -> None:
        """What was there is there, by its name or set aside; but for the log's index, which is made anew."""
        there = [file.read_bytes() for file in self.survivor.state.iterdir()]
        for name in ("signing.key", "site.key"):
            assert self.spoilt.get(name, b"") in there or name not in self.spoilt, name
        if self.told and self.spoilt.get(JOURNAL) and not self.survivor.found:
            assert self.spoilt[JOURNAL] in there, "the damaged journal was changed"

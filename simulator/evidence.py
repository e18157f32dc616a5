"""What the post's journal holds, and what of it headquarters has received and verified."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from device.errors import StateError
from device.events import Envelope
from device.record.chain import event_hash, read
from device.record.journal_reader import JournalReader
from device.record.opening import JOURNAL
from recorder.store import Store


@dataclass(eq=False)
class Recorded:
    """One event of the journal. ``verified``: the very same bytes are at headquarters and their signature holds."""

    envelope: Envelope
    hash: str
    arrived: bool = False
    verified: bool = False

    def __str__(self) -> str:
        """Its number and what it tells."""
        return f"#{self.envelope.seq} {self.envelope.kind} {_gist(self.envelope)}"


class Evidence:
    """Follows the journal of a post and the store of a recorder, both while they are written."""

    def __init__(self, state_dir: Path, store: Path) -> None:
        """``state_dir``: the post's. ``store``: the recorder's file."""
        self._journal = state_dir / JOURNAL
        self._store = store
        self._position = 0
        self._pending: list[Recorded] = []
        self.recorded = 0

    @property
    def arrived(self) -> int:
        """How many of the recorded events headquarters has."""
        return self.recorded - sum(not event.arrived for event in self._pending)

    @property
    def verified(self) -> int:
        """How many of them are verified there."""
        return self.recorded - len(self._pending)

    @property
    def missing(self) -> list[Recorded]:
        """What is recorded and not verified at headquarters."""
        return list(self._pending)

    def look(self) -> list[Recorded]:
        """Read both; what is new in the journal. A post that has not begun its journal yet has nothing."""
        new = list(self._new())
        self.recorded += len(new)
        self._pending += new
        if self._pending:
            with Store.read(self._store) as store, store.snapshot():
                for event in self._pending:
                    _compare(event, store)
            self._pending = [event for event in self._pending if not event.verified]
        return new

    def _new(self) -> Iterator[Recorded]:
        try:
            journal = JournalReader.open(self._journal)
        except StateError:
            if self._position:
                raise
            return
        try:
            while rows := journal.rows(self._position, 1000):
                self._position = rows[-1].position
                yield from (Recorded(read(row.event), event_hash(row.event)) for row in rows)
        finally:
            journal.close()


def spans(events: Iterable[Recorded]) -> str:
    """Numbers of events as people write them: ``3-7, 9``."""
    found: list[list[int]] = []
    for seq in sorted(event.envelope.seq for event in events):
        if found and seq == found[-1][1] + 1:
            found[-1][1] = seq
        else:
            found.append([seq, seq])
    return ", ".join(f"{first}-{last}" if first != last else f"{first}" for first, last in found)


def _compare(event: Recorded, store: Store) -> None:
    row = store.row(
        "SELECT verified FROM event JOIN chain ON chain.id = event.chain WHERE uuid = ? AND seq = ? AND hash = ?",
        event.envelope.chain,
        event.envelope.seq,
        event.hash,
    )
    event.arrived, event.verified = row is not None, row is not None and bool(row["verified"])


def _gist(envelope: Envelope) -> str:
    """The word of an event that says most."""
    data = envelope.data
    if envelope.kind == "picture":
        return f"{data['offset']} s"
    return str(data.get("verdict") or data.get("change") or "")

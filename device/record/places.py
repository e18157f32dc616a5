"""Where events belong: each at its chain's place, no number missing but those that are known to be lost."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from device.record.journal_reader import ChainRow, Hole, JournalReader, Row
from device.record.verification import members_of, public_keys


class Places:
    """A journal's chains and holes, as they are when this is made."""

    def __init__(self, journal: JournalReader) -> None:
        """Raises JournalDamaged, NotReadable."""
        self._journal = journal
        try:
            self._keys = public_keys(journal.public_jwks())
        except ValueError as error:
            raise journal.damage(str(error)) from error
        self._chains = journal.chains()
        before = dict(self._chains)
        self._holes = sorted(
            (before[hole.chain] + hole.first, before[hole.chain] + hole.last)
            for hole in journal.holes()
            if hole.chain in before
        )

    def in_order(self, rows: Iterable[Row], after: int) -> Iterator[Row]:
        """The rows behind a position, as long as none is missing or elsewhere. Raises JournalDamaged."""
        for row in rows:
            self.check_missing(after, row.position)
            self.check_place(row)
            yield row
            after = row.position

    def check_place(self, row: Row) -> None:
        """A row is where its chain and its number say, and its key is among those kept. Raises JournalDamaged."""
        members = members_of(row.event)
        if members is None:
            raise self._journal.damage(f"{self._journal.named(row.position)} is no event")
        place = ChainRow(members["chain"], row.position - members["seq"])
        if place != next((chain for chain in self._chains if chain.before < row.position), None):
            raise self._journal.damage(
                f"{self._journal.named(row.position)} is {members['chain']}/{members['seq']}"
            )
        if self._keys and members["keyid"] not in self._keys:
            raise self._journal.damage(f"{self._journal.named(row.position)} is signed by a key that is gone")

    def check_beside(self) -> None:
        """What stands beside the events is whole, and goes with them. Raises JournalDamaged."""
        self._journal.snapshots()
        alarms = self._journal.alarms()
        _, newest = self._journal.bounds()
        if any(not 0 < alarm <= newest for alarm in alarms):
            raise self._journal.damage("an alarm is open of which there is no event")
        for chain in self._chains:
            for row in self._journal.rows(chain.before, 1):
                self.check_place(row)

    def check_missing(self, after: int, before: int) -> None:
        """Between two positions there is nothing that is not known to be lost. Raises JournalDamaged."""
        if after + 1 < before:
            for first, last in self._holes:
                if first <= after + 1 <= last:
                    after = last
        if after + 1 < before:
            raise self._journal.damage(f"{self._journal.named(after + 1)} is missing")


def holes_between(positions: Iterable[int], chains: Sequence[ChainRow]) -> Iterator[Hole]:
    """What is missing between ascending positions: runs of numbers, each of one chain. ``chains``: newest first."""
    ends = [None, *(chain.before for chain in chains)]
    oldest_first = list(zip(chains, ends, strict=False))[::-1]
    for before, behind in pairwise(positions):
        if behind > before + 1:
            for chain, end in oldest_first:
                first = max(before, chain.before) + 1
                last = behind - 1 if end is None else min(behind - 1, end)
                if first <= last:
                    yield Hole(chain.chain, first - chain.before, last - chain.before)

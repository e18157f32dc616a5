"""One look at every row after each start: what a card has forgotten is found before it is needed."""

from device.record.journal_reader import JournalReader
from device.record.places import Places

ROWS_AT_ONCE = 100


class Scrub:
    """Goes through the journal from its oldest row, a little at a time."""

    def __init__(self, journal: JournalReader) -> None:
        """Begins at the oldest row; rows recorded after this are not its business."""
        self._journal = journal
        self._places = Places(journal)
        oldest, self._end = journal.bounds()
        self._at = oldest - 1

    @property
    def done(self) -> bool:
        """Every row was looked at."""
        return self._at >= self._end

    def work(self) -> None:
        """Look at the next rows. Raises JournalDamaged, NotReadable."""
        if self.done:
            return
        self._at = max(self._at, self._journal.bounds()[0] - 1)  # old ones are removed meanwhile
        rows = [row for row in self._journal.rows(self._at, ROWS_AT_ONCE) if row.position <= self._end]
        for row in self._places.in_order(rows, self._at):
            self._at = row.position
        if not rows:
            self._places.check_missing(self._at, self._end + 1)
            self._at = self._end

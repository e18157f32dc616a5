"""The look at every row after a start, a little at a time."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from postkit import acknowledged, began, new_key, sealed_all, tapped

from device.errors import JournalDamaged
from device.record.journal import Journal
from device.record.scrub import ROWS_AT_ONCE, Scrub

KEY = new_key()
CHAIN, EVENTS = sealed_all([began(KEY), *[tapped()] * 249], KEY)


@pytest.fixture(name="journal")
def _journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal.open(tmp_path / "journal")) as journal:
        journal.append(EVENTS, {}, acknowledged(0))
        yield journal


def change(journal: Journal, statement: str) -> None:
    database: sqlite3.Connection = journal._database
    database.execute(statement)


def looks(scrub: Scrub) -> int:
    """How often it worked until it was done."""
    count = 0
    while not scrub.done:
        scrub.work()
        count += 1
    return count


def test_a_sound_journal_is_looked_through_in_as_many_steps_as_it_has_hundreds(journal: Journal) -> None:
    scrub = Scrub(journal)
    assert looks(scrub) == -(-len(EVENTS) // ROWS_AT_ONCE)
    scrub.work()
    assert scrub.done


def test_an_empty_journal_is_done_at_once(tmp_path: Path) -> None:
    with closing(Journal.open(tmp_path / "empty")) as journal:
        assert Scrub(journal).done


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE events SET event = CAST(replace(event, 'officer-1', 'x') AS BLOB) WHERE position = 60", "row 60 "),
        ("UPDATE events SET hash = NULL WHERE position = 150", "row 150 "),
        ("DELETE FROM events WHERE position = 2", "row 2 "),
        ("DELETE FROM events WHERE position BETWEEN 95 AND 105", "row 95 "),
        ("DELETE FROM events WHERE position > 200", "row 201 "),
        ("DELETE FROM events", "row 1 "),
    ],
)
def test_damage_is_found_wherever_it_is(journal: Journal, statement: str, says: str) -> None:
    scrub = Scrub(journal)
    change(journal, statement)
    with pytest.raises(JournalDamaged) as damaged:
        looks(scrub)
    assert says in str(damaged.value)


def test_rows_that_are_recorded_and_rows_that_are_removed_meanwhile_do_not_disturb_it(journal: Journal) -> None:
    scrub = Scrub(journal)
    scrub.work()
    journal.append(sealed_all([tapped()] * 300, KEY, CHAIN)[1], {}, acknowledged(0))
    journal.keep(acknowledged(200), remove_to=180)
    assert looks(scrub) == 1
    assert Scrub(journal)._at == 180


def test_all_that_it_had_to_look_at_is_removed_meanwhile(journal: Journal) -> None:
    scrub = Scrub(journal)
    journal.append(sealed_all([tapped()] * 300, KEY, CHAIN)[1], {}, acknowledged(0))
    journal.keep(acknowledged(500), remove_to=500)
    assert looks(scrub) == 1

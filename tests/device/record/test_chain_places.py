"""Every event at its chain's place, and no number missing but those that are known to be lost."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import BOOT, CHAIN, SOURCE, acknowledged, began, new_key, sealed_all, tapped

from device.errors import JournalDamaged
from device.record.chain import Chain, Head
from device.record.journal import Journal
from device.record.journal_reader import ChainRow
from device.record.places import Places, holes_between

KEY = new_key()


@pytest.fixture(name="journal")
def _journal(tmp_path: Path) -> Iterator[Journal]:
    """Positions 1 to 6 of one chain, 7 to 10 of another."""
    with closing(Journal.open(tmp_path / "journal")) as journal:
        journal.append(sealed_all([began(KEY), *[tapped()] * 5], KEY)[1], {}, acknowledged(0))
        other = Chain(SOURCE, BOOT, KEY, Head(BOOT))
        journal.append(sealed_all([began(KEY), *[tapped()] * 3], KEY, other)[1], {}, acknowledged(0))
        yield journal


def change(journal: Journal, statement: str) -> None:
    database: sqlite3.Connection = journal._database
    database.execute(statement)


def looked_at(journal: Journal) -> int:
    places = Places(journal)
    places.check_beside()
    return len(list(places.in_order(journal.all_rows(), 0)))


def test_a_sound_journal_is_in_order(journal: Journal) -> None:
    assert looked_at(journal) == 10


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DELETE FROM events WHERE position = 1", f"row 1 ({CHAIN}/1) is missing"),
        ("DELETE FROM events WHERE position IN (4, 5)", f"row 4 ({CHAIN}/4) is missing"),
        ("DELETE FROM events WHERE position = 7", f"row 7 ({BOOT}/1) is missing"),
        ("UPDATE events SET position = 300 WHERE position = 3", f"row 3 ({CHAIN}/3) is missing"),
        ("UPDATE events SET position = 11 WHERE position = 9", f"row 9 ({BOOT}/3) is missing"),
        ("UPDATE chains SET before = 5 WHERE before = 6", f"row 6 ({BOOT}/1) is {CHAIN}/6"),
        ("UPDATE chains SET before = 7 WHERE before = 6", f"row 8 ({BOOT}/1) is {BOOT}/2"),
        ("DELETE FROM chains WHERE before = 0", f"row 1 is {CHAIN}/1"),
        ("INSERT INTO alarms VALUES (11)", "an alarm is open of which there is no event"),
        ("INSERT INTO alarms VALUES (-1)", "an alarm is open of which there is no event"),
        ("UPDATE snapshots SET state = 'other'", "doors is not what was written"),
        ("UPDATE keys SET jwk = '{}'", "a public key is damaged"),
        ("UPDATE chains SET before = 'text'", "another kind"),
        ("UPDATE keys SET jwk = x'00'", "another kind"),
        ("INSERT INTO lost VALUES ('chain', 1, 'text')", "another kind"),
    ],
)
def test_what_is_out_of_order_is_named(journal: Journal, statement: str, says: str) -> None:
    journal.append([], {"doors": "{}"}, acknowledged(0))
    change(journal, statement)
    with pytest.raises(JournalDamaged) as damaged:
        looked_at(journal)
    assert says in str(damaged.value)


def test_what_is_known_to_be_lost_is_not_missed(journal: Journal) -> None:
    change(journal, "DELETE FROM events WHERE position IN (1, 2, 5, 6, 7)")
    change(journal, f"INSERT INTO lost VALUES ('{CHAIN}', 1, 2), ('{CHAIN}', 5, 6), ('{BOOT}', 1, 1)")
    change(journal, "INSERT INTO lost VALUES ('a chain of which nothing is left', 1, 9)")
    assert looked_at(journal) == 5


@settings(deadline=None)
@given(st.sets(st.integers(1, 30)), st.sets(st.integers(0, 29), max_size=4))
def test_holes_are_the_numbers_between_in_order_each_of_its_chain(kept: set[int], before: set[int]) -> None:
    chains = [ChainRow(f"from {start}", start) for start in sorted(before | {0}, reverse=True)]
    named = [
        dict(chains)[hole.chain] + number
        for hole in holes_between([0, *sorted(kept), 31], chains)
        for number in range(hole.first, hole.last + 1)
    ]
    assert named == sorted(set(range(1, 31)) - kept)
    for hole in holes_between([0, *sorted(kept), 31], chains):
        end = min((start for start in before if start > dict(chains)[hole.chain]), default=30)
        assert 1 <= hole.first <= hole.last <= end - dict(chains)[hole.chain]

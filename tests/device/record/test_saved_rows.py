"""Which rows are kept: sound ones, where most of their chain is, and none that contradicts another."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

import pytest
from postkit import BOOT, CHAIN, SOURCE, began, new_key, sealed_all, tapped

from device.events import Jwk
from device.record.chain import Chain, Head, Sealed
from device.record.journal_reader import ChainRow
from device.record.journal_schema import make_or_upgrade
from device.record.raw_pages import Found
from device.record.saved_rows import SavedRows, Survey

KEY = new_key()
JWK = KEY.jwk()
CHAIN_OF_SIX, SIX = sealed_all([began(KEY), *[tapped()] * 5], KEY)


def found(events: Iterable[Sealed], before: int = 0) -> list[Found]:
    return [
        Found(before + sealed.head.seq, sealed.event, hashlib.sha256(sealed.event).digest()) for sealed in events
    ]


def chain_of(taps: int, chain: str) -> list[Sealed]:
    return sealed_all([began(KEY), *[tapped()] * taps], KEY, Chain(SOURCE, BOOT, KEY, Head(chain)))[1]


@pytest.fixture(name="fresh")
def _fresh() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        make_or_upgrade(database)
        yield database


def surveyed(rows: Iterable[Found], *jwks: object) -> Survey:
    survey = Survey()
    for jwk in jwks:
        survey.know(jwk)
    for row in rows:
        survey.look(row)
    return survey


def kept(fresh: sqlite3.Connection, rows: list[Found], *jwks: object, oldest: int = 1) -> list[Found]:
    fresh.execute("DELETE FROM events")
    survey = surveyed(rows, *jwks)
    saved = SavedRows(fresh, survey.keys, survey.chains([]), oldest)
    for row in rows:
        saved.take(row)
    saved.settle()
    return [Found(*row) for row in fresh.execute("SELECT * FROM events ORDER BY position")]


def test_sound_rows_are_kept_in_whatever_order_they_are_found(fresh: sqlite3.Connection) -> None:
    rows = found(SIX)
    assert kept(fresh, rows[::-1] + rows) == rows


def test_a_row_whose_bytes_are_not_what_was_written_is_kept_where_its_signature_says_that_they_are(
    fresh: sqlite3.Connection,
) -> None:
    rows = found(SIX)
    rows[2] = rows[2]._replace(hash=b"damaged")
    rows[3] = rows[3]._replace(hash=None)  # of a journal of an earlier version
    rows[4] = rows[4]._replace(event=rows[4].event.replace(b"officer-1", b"officer-2"))
    assert kept(fresh, rows) == [row for row in found(SIX) if row.position != 5]


def test_a_row_that_stands_at_another_number_than_its_own_is_put_back(fresh: sqlite3.Connection) -> None:
    rows = found(SIX)
    misplaced = rows[1]._replace(position=5)
    assert kept(fresh, [rows[0], misplaced, *rows[2:]]) == rows


def test_the_rows_of_a_failed_commit_do_not_displace_what_was_committed(fresh: sqlite3.Connection) -> None:
    failed = sealed_all([tapped(), tapped()], KEY, Chain(SOURCE, BOOT, KEY, SIX[3].head))[1]
    assert kept(fresh, [*found(SIX), *found(failed)]) == found(SIX)


def test_a_row_that_does_not_link_to_those_beside_it_is_left(fresh: sqlite3.Connection) -> None:
    other = sealed_all([tapped("unknown"), tapped()], KEY, Chain(SOURCE, BOOT, KEY, SIX[2].head))[1]
    rows = [*found(SIX[:4]), *found(other[1:])]  # its number 5 follows another number 4
    assert [row.position for row in kept(fresh, rows)] == [1, 2, 3, 4]
    rows = [*found(SIX[:4]), *found(SIX[5:]), *found(other[1:])]
    assert [row.position for row in kept(fresh, rows)] == [1, 2, 3, 4, 6]


def test_a_first_row_that_names_one_before_it_is_left(fresh: sqlite3.Connection) -> None:
    odd = sealed_all([began(KEY)], KEY, Chain(SOURCE, BOOT, KEY, Head(BOOT, 0, "ab" * 32)))[1]
    assert kept(fresh, found(odd)) == []


def test_keys_are_those_that_are_told_and_those_that_the_rows_themselves_announce(
    fresh: sqlite3.Connection,
) -> None:
    assert kept(fresh, found(SIX[1:])) == []
    assert kept(fresh, found(SIX[1:]), JWK.model_dump_json()) == found(SIX[1:])
    assert kept(fresh, found(SIX)) == found(SIX)


@pytest.mark.parametrize(
    "jwk",
    [None, 5, "", "nonsense", b"bytes", {}, {**JWK.model_dump(), "kid": "0" * 16}, JWK.model_dump_json()[:90]],
    ids=["none", "number", "empty", "text", "bytes", "no members", "other id", "cut short"],
)
def test_a_damaged_key_is_no_key(jwk: object) -> None:
    survey = Survey()
    survey.know(jwk)
    assert survey.keys == {}
    survey.know(Jwk.model_validate(JWK.model_dump()))
    assert list(survey.keys) == [KEY.kid]


def test_the_keys_that_were_used_are_told_with_their_first_position(fresh: sqlite3.Connection) -> None:
    survey = surveyed(found(SIX), new_key().jwk())
    saved = SavedRows(fresh, survey.keys, survey.chains([]), 1)
    for row in found(SIX)[:1:-1]:
        saved.take(row)
    assert saved.used == {KEY.kid: 3}


def test_a_chain_is_where_most_of_its_rows_are() -> None:
    rows = [*found(SIX[:3], before=7), *found(SIX[3:], before=0), *found(SIX[3:5], before=7)]
    assert surveyed(rows).chains([]) == [ChainRow(CHAIN, 7)]


def test_of_two_chains_that_overlap_the_one_with_fewer_rows_is_out() -> None:
    rows = [*found(SIX), *found(chain_of(1, BOOT), before=4)]
    assert surveyed(rows).chains([]) == [ChainRow(CHAIN, 0)]
    rows = [*found(SIX), *found(chain_of(1, BOOT), before=6)]
    assert surveyed(rows).chains([]) == [ChainRow(BOOT, 6), ChainRow(CHAIN, 0)]


def test_a_chain_of_which_no_row_is_left_is_taken_from_the_list_if_there_is_room_for_it() -> None:
    survey = surveyed(found(SIX[1:], before=10))
    assert survey.chains([("gone", 3), (CHAIN, 99)]) == [ChainRow(CHAIN, 10), ChainRow("gone", 3)]
    assert survey.chains([("its name has a flipped bit", 10)]) == [ChainRow(CHAIN, 10)]
    assert survey.chains([("gone", 13), (None, 3), ("odd", "text"), ("minus", -5)]) == [ChainRow(CHAIN, 10)]


def test_what_had_been_removed_does_not_come_back(fresh: sqlite3.Connection) -> None:
    assert kept(fresh, found(SIX), oldest=4) == found(SIX)[3:]


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"chain":1,"seq":1,"prev":"","keyid":""}',
        b'{"chain":"c","seq":true,"prev":"","keyid":""}',
        b'{"chain":"c","seq":0,"prev":"","keyid":""}',
        b'{"chain":"c","seq":1e300,"prev":"","keyid":""}',
        b"[" * 5_000,
        b'{"chain":"' + b"x" * 9_000 + b'"}',
    ],
)
def test_what_is_no_event_is_left_whatever_its_hash_says(fresh: sqlite3.Connection, event: bytes) -> None:
    assert kept(fresh, [Found(1, event, hashlib.sha256(event).digest())]) == []


def test_a_newest_row_that_was_damaged_before_its_hash_was_made_is_left(fresh: sqlite3.Connection) -> None:
    """Else the next start would stumble over it, and every start after it."""
    rows = found(SIX)
    event = json.loads(rows[5].event)
    event["data"]["officer"] = "officer-2"
    changed = json.dumps(event, separators=(",", ":"), sort_keys=True).encode()
    rows[5] = Found(6, changed, hashlib.sha256(changed).digest())
    assert kept(fresh, rows) == rows[:5]

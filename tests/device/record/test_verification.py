"""Verifying rows: the first bad one is named by its row and by what is wrong with it."""

import json

import pytest
from postkit import BOOT, SOURCE, began, new_key, sealed_all, tapped

from device.errors import BadSignature, BrokenLink, ChainError, Unreadable
from device.record.chain import Chain, Head, Sealed
from device.record.journal_reader import Row
from device.record.verification import public_keys, verified

KEY = new_key()
KEYS = {KEY.kid: KEY.public}
CHAIN_OF_SIX, SIX = sealed_all([began(KEY), *[tapped()] * 5], KEY)


def rows(*events: Sealed, first: int = 1) -> list[Row]:
    return [Row(position, sealed.event) for position, sealed in enumerate(events, first)]


def test_a_whole_chain_verifies_row_by_row_to_its_head() -> None:
    heads = [head for _, head in verified(rows(*SIX), KEYS)]
    assert heads == [sealed.head for sealed in SIX]


def test_a_run_from_the_middle_takes_its_first_row_as_it_stands() -> None:
    assert [head.seq for _, head in verified(rows(*SIX[3:], first=4), KEYS)] == [4, 5, 6]


def test_a_second_chain_begins_in_the_middle() -> None:
    second = sealed_all([began(KEY), tapped()], KEY, Chain(SOURCE, BOOT, KEY, Head(BOOT)))[1]
    heads = [head for _, head in verified(rows(*SIX, *second), KEYS)]
    assert heads[-1] == Head(BOOT, 2, second[1].head.hash)


def test_nothing_verifies_as_nothing() -> None:
    assert list(verified([], KEYS)) == []


def test_rows_before_the_bad_one_are_given_and_the_bad_one_is_named() -> None:
    bad = rows(*SIX)
    bad[3] = Row(4, SIX[3].event.replace(b"officer-1", b"officer-2"))
    good: list[int] = []
    with pytest.raises(BadSignature, match=r"^row 4: ") as refused:
        good.extend(row.position for row, _ in verified(bad, KEYS))
    assert good == [1, 2, 3]
    assert type(refused.value) is BadSignature


def test_a_row_taken_out_is_a_broken_link_and_so_are_two_that_changed_places() -> None:
    with pytest.raises(BrokenLink, match=r"^row 3: .*follows number 2"):
        list(verified(rows(SIX[0], SIX[1], SIX[3]), KEYS))
    with pytest.raises(BrokenLink, match=r"^row 2: "):
        list(verified(rows(SIX[0], SIX[2], SIX[1]), KEYS))


def test_a_hole_in_the_positions_is_where_a_salvaged_journal_lost_rows_and_verifying_goes_on() -> None:
    holed = [*rows(*SIX[:2]), *rows(*SIX[4:], first=5)]
    assert [row.position for row, _ in verified(holed, KEYS)] == [1, 2, 5, 6]
    holed[-1] = Row(6, SIX[4].event)
    with pytest.raises(BrokenLink, match=r"^row 6: "):
        list(verified(holed, KEYS))


def test_a_row_of_another_chain_without_a_first_event_is_a_broken_link() -> None:
    other = sealed_all([tapped()], KEY, Chain(SOURCE, BOOT, KEY, Head(BOOT, 6, SIX[-1].head.hash)))[1]
    with pytest.raises(BrokenLink, match="another chain"):
        list(verified(rows(*SIX, *other), KEYS))


def test_an_event_of_an_unknown_key_is_a_bad_signature_that_names_the_key() -> None:
    with pytest.raises(BadSignature, match=f"signed by key {KEY.kid}, which this journal does not know"):
        list(verified(rows(*SIX), {}))


def test_a_first_event_that_names_one_before_it_is_a_broken_link() -> None:
    chain = Chain(SOURCE, BOOT, KEY, Head(BOOT, 0, "ab" * 32))
    with pytest.raises(BrokenLink, match="the first of its chain"):
        list(verified(rows(*sealed_all([tapped()], KEY, chain)[1]), KEYS))


def test_bytes_that_are_no_event_are_unreadable() -> None:
    with pytest.raises(Unreadable, match=r"^row 1: ") as refused:
        list(verified([Row(1, b"\x00" * 300)], KEYS))
    assert isinstance(refused.value, ChainError)


def test_public_keys_come_from_their_jwks_and_a_bad_one_is_a_value_error() -> None:
    jwk = KEY.jwk().model_dump_json()
    assert public_keys([jwk]) == KEYS
    wrong = json.dumps({**json.loads(jwk), "kid": "0" * 16})
    for text in ("", "{}", "nonsense", wrong):
        with pytest.raises(ValueError):
            public_keys([text])

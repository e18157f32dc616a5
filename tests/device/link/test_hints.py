"""The retained messages: what they say of chains, keys and the post, as the contract's table has it."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from postkit import BOOT, CHAIN, SOURCE, acknowledged, at, began, new_key, sealed_all, tapped

from device import __version__
from device.link.hints import Hint, Hints, kind_of
from device.link.topics import Topics
from device.record.chain import Chain, Head
from device.record.journal import Journal

KEY = new_key()
NO_CHAINS = {"time": "2026-11-24T01:15:00.123Z", "chains": []}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal.open(tmp_path / "journal")) as journal:
        yield journal


def hints() -> Hints:
    return Hints(Topics.of(SOURCE), BOOT, KEY.jwk())


def state(journal: Journal, done: int) -> Any:
    return json.loads(hints().state(at(0), journal, done, {}))


def test_status_is_what_the_contract_says_online_offline_and_at_a_clean_stop() -> None:
    assert json.loads(hints().online(at(0))) == {
        "online": True,
        "bootid": BOOT,
        "since": "2026-11-24T01:15:00.123Z",
        "firmware": __version__,
        "protocol": 1,
    }
    assert json.loads(hints().offline()) == {"online": False, "bootid": BOOT}
    assert json.loads(hints().offline("SIGTERM")) == {"online": False, "bootid": BOOT, "why": "SIGTERM"}


def test_every_hint_has_a_topic_of_its_own() -> None:
    base = "guardpost/jember/kpu-gate"
    assert {hint: hints().topic(hint) for hint in Hint} == {
        Hint.STATUS: f"{base}/status",
        Hint.IDENTITY: f"{base}/identity",
        Hint.STATE: f"{base}/state",
    }


def test_a_journal_without_events_has_no_chains_and_the_rules_say_what_holds(journal: Journal) -> None:
    assert state(journal, 0) == NO_CHAINS
    told = json.loads(hints().state(at(0), journal, 0, {"doors": {"front": "open"}}))
    assert told == {**NO_CHAINS, "doors": {"front": "open"}}


@pytest.mark.parametrize(("done", "sent"), [(0, 0), (2, 2), (3, 3), (99, 3)])
def test_a_chain_is_named_by_its_newest_event_its_oldest_number_and_what_was_sent(
    journal: Journal, done: int, sent: int
) -> None:
    _, events = sealed_all([began(KEY), tapped(), tapped()], KEY)
    journal.append(events, {}, acknowledged(0))
    assert state(journal, done)["chains"] == [
        {"chain": CHAIN, "seq": 3, "hash": events[-1].head.hash, "first": 1, "sent": sent}
    ]


def test_two_chains_are_named_newest_first_each_with_its_own_numbers(journal: Journal) -> None:
    _, old = sealed_all([began(KEY), tapped(), tapped()], KEY)
    _, new = sealed_all([began(KEY), tapped()], KEY, Chain(SOURCE, BOOT, KEY, Head(BOOT)))
    journal.append(old, {}, acknowledged(0))
    journal.append(new, {}, acknowledged(0))
    assert state(journal, 4)["chains"] == [
        {"chain": BOOT, "seq": 2, "hash": new[-1].head.hash, "first": 1, "sent": 1},
        {"chain": CHAIN, "seq": 3, "hash": old[-1].head.hash, "first": 1, "sent": 3},
    ]
    assert [chain["sent"] for chain in state(journal, 2)["chains"]] == [0, 2]


def test_rows_that_were_removed_move_first_and_a_chain_without_rows_is_not_named(journal: Journal) -> None:
    _, old = sealed_all([began(KEY), tapped(), tapped()], KEY)
    _, new = sealed_all([began(KEY), tapped()], KEY, Chain(SOURCE, BOOT, KEY, Head(BOOT)))
    journal.append(old, {}, acknowledged(0))
    journal.append(new, {}, acknowledged(0))
    journal._database.execute("DELETE FROM events WHERE position <= 2")
    assert [(chain["chain"], chain["first"]) for chain in state(journal, 5)["chains"]] == [(BOOT, 1), (CHAIN, 3)]
    journal._database.execute("DELETE FROM events WHERE position <= 4")
    assert [(chain["chain"], chain["first"]) for chain in state(journal, 5)["chains"]] == [(BOOT, 2)]


def test_the_identity_is_the_key_that_signs_now_before_the_first_event_is_recorded(journal: Journal) -> None:
    assert json.loads(hints().identity(journal)) == {"keys": [KEY.jwk().model_dump()]}


def test_past_keys_are_kept_behind_the_one_that_signs_now_each_once(journal: Journal) -> None:
    past, older = new_key(), new_key()
    journal.append(sealed_all([began(older), began(past), began(KEY)], older)[1], {}, acknowledged(0))
    kids = [key["kid"] for key in json.loads(hints().identity(journal))["keys"]]
    assert kids == [KEY.kid, past.kid, older.kid]


def test_a_chain_that_lost_its_newest_event_names_no_other_chains_hash(journal: Journal) -> None:
    journal.append(sealed_all([began(KEY), tapped(), tapped()], KEY)[1], {}, acknowledged(0))
    _, new = sealed_all([began(KEY)], KEY, Chain(SOURCE, BOOT, KEY, Head(BOOT)))
    journal.append(new, {}, acknowledged(0))
    journal._database.execute("DELETE FROM events WHERE position = 3")
    assert [(chain["chain"], chain["hash"]) for chain in state(journal, 4)["chains"]] == [(BOOT, new[0].head.hash)]


def test_the_kind_of_an_event_is_read_from_its_type() -> None:
    _, events = sealed_all([began(KEY), tapped()], KEY)
    assert [kind_of(sealed.event) for sealed in events] == ["system", "checkin"]

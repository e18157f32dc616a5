"""The checker finds each thing it is there to find, planted into a round that was good."""

import json
from dataclasses import replace
from typing import Any

import pytest
from postkit import began, new_key, sealed_all

from device.events import Checkin, Door, Draft
from faults.checker import Evidence, Verdict, decide
from faults.history import Kill, Revive, drawn

KEY = new_key()


def _tap(officer: int) -> Draft:
    data = Checkin(
        method="badge", officer=f"officer-{officer}", badge="ab" * 32, verdict="accepted", assurance="uid",
        reader="gate",
    )  # fmt: skip
    return Draft(subject="gate", data=data)


FORCED = Draft(subject="front", data=Door(door="front", change="forced", since=None))
_, _SEALED = sealed_all([began(KEY), _tap(1), FORCED, _tap(2)], KEY)
ROWS = [sealed.event for sealed in _SEALED]
_, _OTHER = sealed_all([began(KEY), _tap(1), FORCED, _tap(2), _tap(2)], KEY)
GREEN = "accepted (green, one short beep)"
GOOD = Evidence({1: GREEN, 2: GREEN, 3: None, 4: None}, ROWS, ROWS, ROWS, {ROWS[2]})


def _counts(verdict: Verdict) -> tuple[int, int, int, int]:
    return verdict.lost, verdict.twice, verdict.foreign, verdict.unheard


def test_a_good_round_is_good() -> None:
    verdict = decide(GOOD)
    assert verdict.good and _counts(verdict) == (0, 0, 0, 0)
    assert (verdict.taps, verdict.green, verdict.events, verdict.alarms) == (4, 2, 4, 1)


def _twin(row: bytes) -> bytes:
    """Other bytes under the same number."""
    event: dict[str, Any] = json.loads(row)
    return json.dumps({**event, "time": "2026-01-01T00:00:00.000Z"}).encode()


@pytest.mark.parametrize(
    ("planted", "counts", "says"),
    [
        ({"stored": ROWS[:3]}, (2, 0, 0, 0), "lost: officer-2 saw green"),
        ({"stored": [ROWS[0], ROWS[1], ROWS[3]]}, (1, 0, 0, 0), "lost: 3 door forced"),
        ({"stored": [*ROWS, ROWS[1]]}, (0, 2, 0, 0), "twice: the one tap of officer-1"),
        ({"stored": [*ROWS[:3], _twin(ROWS[2]), ROWS[3]]}, (0, 1, 1, 0), "twice: "),
        ({"stored": [*ROWS, _OTHER[4].event]}, (0, 1, 1, 0), "foreign: 5 checkin"),
        ({"journal": ROWS[:3], "stored": ROWS[:3], "journal_after": ROWS[:3]}, (1, 0, 0, 0), "officer-2 saw green"),
        ({"answers": {1: GREEN}}, (0, 0, 1, 0), "a tap of officer-2, who never came"),
        ({"alarms": set()}, (0, 0, 0, 1), "no alarm was heard: 3 door forced"),
        ({"alarms": {ROWS[2], _twin(ROWS[2])}}, (0, 0, 1, 0), "foreign alarm: 3 door forced"),
        ({"stored": [ROWS[1], ROWS[0], *ROWS[2:]]}, (0, 0, 0, 0), "not the journal byte for byte"),
        ({"flaws": ["broken link at 3"]}, (0, 0, 0, 0), "recorder verify: broken link at 3"),
    ],
)
def test_what_is_planted_is_found(planted: dict[str, Any], counts: tuple[int, int, int, int], says: str) -> None:
    verdict = decide(replace(GOOD, **planted))
    assert _counts(verdict) == counts
    assert any(says in problem for problem in verdict.problems), verdict.problems


def test_a_second_chain_is_a_fault() -> None:
    event = json.loads(ROWS[3])
    other = json.dumps({**event, "chain": "9d1b7c1e-0000-4000-8000-000000000001"}).encode()
    rows = [*ROWS[:3], other]
    verdict = decide(replace(GOOD, journal=rows, stored=rows, journal_after=rows))
    assert "2 chains, where one goes on" in verdict.problems


def test_a_tap_that_the_post_did_not_survive_may_be_there_or_not() -> None:
    _, more = sealed_all([began(KEY), _tap(1), FORCED, _tap(2), _tap(3)], KEY)
    rows = [sealed.event for sealed in more]
    alarms = {rows[2]}
    assert decide(replace(GOOD, journal=rows, stored=rows, journal_after=rows, alarms=alarms)).good


def test_a_seed_always_draws_the_same_history() -> None:
    assert drawn("5.1") == drawn("5.1") and list(drawn("5.1").steps) == list(drawn("5.1").steps)
    assert list(drawn("5.1").steps) != list(drawn("5.2").steps)


def test_whatever_is_killed_is_started_again() -> None:
    for number in range(300):
        dead: set[str] = set()
        for step in drawn(f"3.{number}").steps:
            if isinstance(step, Kill):
                dead.add(step.who)
            elif isinstance(step, Revive):
                dead.discard(step.who)
        assert not dead

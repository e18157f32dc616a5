"""docs/contract.md says what the code does: every name is on the page, and its examples are real."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import rfc8785
from pydantic import BaseModel
from vectors import BOOT, CHAIN, SOURCE, TOPICS, TestKey, vectors

from device.events import Checkin, Data, Door, Envelope, Jwk, System
from device.link.hints import PROTOCOL, Hints
from device.link.line import EVENT_CONTENT_TYPE
from device.link.sender import WINDOW
from device.link.uplink import STATE_AT_MOST_MS
from device.readings import Instant
from device.record.chain import Chain, Head, Sealed, verify
from device.record.journal import Journal
from device.rules.doors import DoorLimits, DoorsRule
from device.rules.health import HealthRule
from device.rules.timekeeping import TimekeepingRule

PAGE = (Path(__file__).parents[2] / "docs" / "contract.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Any]] = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
SYSTEM_FORMS = System.__subclasses__()
NOW = Instant(86_420_123, 1_795_396_520_123, "synced", 12)


def names() -> Iterator[tuple[str, str]]:
    """Every member and every fixed value of the models, with the model that has it."""
    models: tuple[type[BaseModel], ...] = (Envelope, Checkin, Door, Jwk, *SYSTEM_FORMS)
    for model in models:
        for name, field in model.model_fields.items():
            yield model.__name__, field.alias or name
            for value in _values(field.annotation):
                yield model.__name__, value


def _values(annotation: object) -> Iterator[str]:
    for value in get_args(annotation):
        if isinstance(value, str):
            yield value
        else:
            yield from _values(value)


@pytest.mark.parametrize(("model", "name"), sorted(set(names())))
def test_the_page_names_it(model: str, name: str) -> None:
    assert f"`{name}`" in PAGE or f'"{name}"' in PAGE, f"{model}: {name}"


def test_every_form_of_system_has_a_row_with_its_members() -> None:
    section = PAGE.partition("### `system`")[2].partition("\n## ")[0]
    rows = {row.split("`")[1]: row for row in section.splitlines() if row.startswith("| `")}
    for form in SYSTEM_FORMS:
        (change,) = get_args(form.model_fields["change"].annotation)
        for name, field in form.model_fields.items():
            assert name == "change" or f"`{field.alias or name}`" in rows[change], f"{change}: {name}"


def test_every_kind_has_a_heading() -> None:
    assert {model.kind for model in Data.__subclasses__()} == set(re.findall(r"^### `(\w+)`$", PAGE, re.MULTILINE))


def test_the_topics_are_those_of_the_code() -> None:
    told = set(re.findall(r"^\| `\{root\}(/\S+)`", PAGE, re.MULTILINE))
    base = "/{site}/{post}"
    used = {TOPICS.event("{kind}"), TOPICS.status, TOPICS.state, TOPICS.identity}
    assert told == {topic.replace(TOPICS.base, base) for topic in used}


def test_the_numbers_are_those_of_the_code() -> None:
    text = " ".join(PAGE.split())
    assert f"more than {WINDOW} messages" in text
    assert f"at most every {STATE_AT_MOST_MS // 1000} seconds" in text
    assert EVENT_CONTENT_TYPE in text


def test_the_example_event_is_a_test_vector_and_verifies() -> None:
    (example,) = (found for found in EXAMPLES if "specversion" in found)
    event = rfc8785.dumps(example)
    assert event in [vector.payload for vector in vectors()]
    assert verify(event, TestKey("first key").public).seq == 3


def test_the_retained_examples_have_the_members_that_a_post_writes(tmp_path: Path) -> None:
    key = TestKey("first key")
    journal = Journal.open(tmp_path / "journal.sqlite3")
    sealed = [
        Sealed(vector.topic.rpartition("/")[2], vector.payload, Head(CHAIN, number, vector.listed()["sha256"]))
        for number, vector in enumerate(vectors()[:3], 1)
    ]
    journal.append(sealed, {}, 0, {key.kid: key.jwk().model_dump_json()})
    doors = DoorsRule([DoorLimits("front", 60_000, None)])
    holds = {
        **HealthRule().holds(HealthRule.initial),
        **TimekeepingRule().holds(TimekeepingRule.initial),
        **doors.holds(doors.initial),
    }
    hints = Hints(TOPICS, BOOT, key.jwk())
    status, state, identity = (
        json.loads(hints.online(NOW)),
        json.loads(hints.state(NOW, journal, 3, 3, holds)),
        json.loads(hints.identity(journal)),
    )
    journal.close()
    by_members = {frozenset(example): example for example in EXAMPLES}
    assert by_members[frozenset(status)]["protocol"] == status["protocol"] == PROTOCOL
    assert by_members[frozenset(state)]["chains"] == state["chains"]
    assert by_members[frozenset(identity)] == identity
    assert set(json.loads(hints.offline("SIGTERM"))) == {"online", "bootid", "why"}


def test_the_example_chain_is_the_one_of_the_code() -> None:
    key = TestKey("first key")
    assert Chain(SOURCE, BOOT, key, Head(CHAIN)).head.hash == "0" * 64

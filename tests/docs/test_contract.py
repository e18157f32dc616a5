"""docs/contract.md says what the code does: every name is on the page, and its examples are real."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import rfc8785
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from vectors import BOOT, CHAIN, SOURCE, TOPICS, TestKey, vectors

from device.config_link import LinkSection
from device.events import MAX_EVENT_BYTES, Checkin, Data, Door, Envelope, Jwk, System
from device.link.hints import PROTOCOL, Hints
from device.link.inbound import REPLAY_ROWS, REPLAYS_AT_ONCE, STRAYS_TOLD, STRAYS_WITHIN_MS, UNRECEIPTED_ROWS
from device.link.line import EVENT_CONTENT_TYPE
from device.link.notices import STATE_AT_MOST_MS
from device.link.orders import ORDERS, _own_members
from device.link.receipts import MAX_RECEIPT_BYTES
from device.link.sender import HOLD_LONGEST_MS, WINDOW
from device.readings import Instant
from device.record.chain import Chain, Head, Sealed, verify
from device.record.journal import Journal, Sent
from device.record.journal_reader import DONE
from device.rules.doors import DoorLimits, DoorsRule
from device.rules.health import HealthRule
from device.rules.orders import FLOOD_TOLD_EVERY_MS, LONGEST_AHEAD_MS, REMEMBERED, TOKEN_EVERY_MS, TOKENS
from device.rules.power import PowerRule
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
    rows: dict[str, str] = {}
    for row in section.splitlines():
        if row.startswith("| `"):
            change = row.split("`")[1]
            rows[change] = rows.get(change, "") + row  # two forms of ``lost``
    for form in SYSTEM_FORMS:
        (change,) = get_args(form.model_fields["change"].annotation)
        for name, field in form.model_fields.items():
            assert name == "change" or f"`{field.alias or name}`" in rows[change], f"{change}: {name}"


def test_every_kind_has_a_heading() -> None:
    assert {model.kind for model in Data.__subclasses__()} == set(re.findall(r"^### `(\w+)`$", PAGE, re.MULTILINE))


def test_the_topics_are_those_of_the_code() -> None:
    told = set(re.findall(r"^\| `\{root\}(/\S+)`", PAGE, re.MULTILINE))
    base = "/{site}/{post}"
    used = {TOPICS.event("{kind}"), TOPICS.alarm("{kind}"), TOPICS.status, TOPICS.state, TOPICS.identity}
    used |= {TOPICS.picture("{sha256}"), TOPICS.receipt, TOPICS.orders.replace("#", "{name}"), TOPICS.reply("{id}")}
    assert told == {topic.replace(TOPICS.base, base) for topic in used}
    orders = re.findall(r"^\| `order/(\w+)` \| (.+?) \|", PAGE, re.MULTILINE)
    told_forms = [(name, frozenset(re.findall(r"`(\w+)`", members)) - {"sha256"}) for name, members in orders]
    forms = [(name, frozenset(_own_members(form))) for name, forms in ORDERS.items() for form in forms]
    assert Counter(told_forms) == Counter(forms)


def test_the_numbers_are_those_of_the_code() -> None:
    text = " ".join(PAGE.split())
    section = LinkSection.model_fields
    for told in (
        f"more than {WINDOW} messages",
        f"at most {WINDOW} messages already on their way",
        f"at most every {STATE_AT_MOST_MS // 1000} seconds",
        EVENT_CONTENT_TYPE,
        f"tried again every {HOLD_LONGEST_MS // 1000} seconds at the longest",
        f"`link.receipt_timeout` ({section['receipt_timeout'].default.seconds} seconds unless configured)",
        f"at most {UNRECEIPTED_ROWS} for one receipt",
        f"at most {UNRECEIPTED_ROWS} new events beyond",
        f"at most {MAX_RECEIPT_BYTES} bytes; unknown members",
        f"at most {STRAYS_TOLD} an hour",
        f"at most {MAX_EVENT_BYTES} bytes of JSON",
        f"at most {LONGEST_AHEAD_MS // 3_600_000} hours ahead",
        f"at most {REPLAY_ROWS} numbers",
        f"at most {REMEMBERED}.",
        f"{TOKENS} orders in a burst and one more every {TOKEN_EVERY_MS // 1000} seconds",
    ):
        assert told in text, told
    assert (REPLAYS_AT_ONCE, FLOOD_TOLD_EVERY_MS, STRAYS_WITHIN_MS) == (4, 60_000, 3_600_000)
    assert "Four replays are worked on at a time" in text


def test_every_other_example_is_valid() -> None:
    """By the published schema of what it shows; each has one at least."""
    schemas = Path(__file__).parents[2] / "docs" / "schemas"
    names = ("status", "state", "identity", "receipt", "order.replay", "reply", "event")
    taken: dict[str, int] = dict.fromkeys(names, 0)
    for example in EXAMPLES:
        found = [
            name
            for name in names
            if Draft202012Validator(json.loads((schemas / f"{name}.json").read_text("utf-8"))).is_valid(example)
        ]
        assert len(found) == 1, (example, found)
        taken[found[0]] += 1
    assert taken == {**dict.fromkeys(names, 1), "reply": 4}
    (receipt,) = (found for found in EXAMPLES if found.keys() == {"chain", "seq", "hash"})
    (state,) = (found for found in EXAMPLES if "chains" in found)
    assert receipt.items() <= state["chains"][0].items()


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
    journal.append(sealed, {}, Sent({DONE: 3}))
    doors = DoorsRule([DoorLimits("front", 60_000, None)])
    holds = {
        **HealthRule([]).holds(HealthRule.initial),
        **TimekeepingRule().holds(TimekeepingRule.initial),
        **doors.holds(doors.initial),
        "health": PowerRule(None).holds(PowerRule.initial)["health"],
    }
    hints = Hints(TOPICS, BOOT, key.jwk())
    status, state, identity = (
        json.loads(hints.online(NOW)),
        json.loads(hints.state(NOW, journal, 3, {**holds, "bytes": {"event": 2412}})),
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

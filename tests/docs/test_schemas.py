"""The JSON Schemas: what the models say today, and what real sealed events satisfy."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jsonschema import Draft202012Validator, ValidationError

from device.events import (
    Blind,
    Booted,
    ChainBegan,
    Checkin,
    ClockChanged,
    Data,
    Door,
    Draft,
    KeyChanged,
    Lost,
    OrderTaken,
    PartTest,
    Picture,
    PictureLost,
    Position,
    Power,
    RosterInForce,
    SelfTested,
    Sighted,
    Stopped,
    Storage,
    System,
    Unusable,
    rfc3339,
)
from device.readings import Instant
from device.record.chain import Chain, Head
from device.record.keys import SigningKey
from device.schemas import files, main

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "schemas"
CHAIN = "6f1e0a52-8c35-4d3b-9a70-2f6d1c0b7e94"
BOOT = "3f0c8bb4-9d53-4b8e-b0a5-0d1f3a2c4e5f"
WHEN = rfc3339(1_795_396_500_123)
KEY = SigningKey(Ed25519PrivateKey.generate())


def every_kind() -> Iterator[Data]:
    """One of each form, members at their edges."""
    position = Position(chain=CHAIN, seq=1, hash="ab" * 32)
    yield ChainBegan(why="first", previous=None, jwk=KEY.jwk())
    yield ChainBegan(why="damaged", previous=position, jwk=KEY.jwk())
    yield KeyChanged(jwk=KEY.jwk())
    yield Booted(why="boot", firmware="0.1.0")
    yield Stopped(why="SIGTERM")
    yield Blind(what="reader gate", why="x" * 1000)
    yield Sighted(what="reader gate", since=WHEN)
    yield ClockChanged(state="unsynced", error_ms=None, step_ms=-7_200_000)
    yield Storage(room="free", why="disk full", since=WHEN, unrecorded=3, dropped=0)
    yield Storage(room="reserved", why="disk full", since=WHEN, unrecorded=0, dropped=0)
    yield Power(what="mains", ok=False, why="mains are lost")
    yield RosterInForce(sha256="", officers=0)
    yield Unusable(what="roster", why="line one\nline two")
    yield OrderTaken(what="replay", id=CHAIN, ok=True, error=None)
    yield OrderTaken(what="a/b", id=None, ok=False, error="not JSON: Expecting value: line 1 column 1 (char 0)")
    yield SelfTested(why="order", order=CHAIN, passed=True, parts=())
    parts = [PartTest(what="reader gate", ok=ok, why="x" * 1000) for ok in (False, True, None)] * 8
    yield SelfTested(why="check", order=None, passed=False, parts=tuple(parts))
    yield Lost.model_validate({"chain": CHAIN, "from": 2**53 - 2, "to": 2**53 - 1, "why": "removed"})
    yield PictureLost(picture="ef" * 32, why="removed")
    yield Picture(
        sha256="ab" * 32, bytes=1, sealed=False, plain_sha256=None, width=64, height=64, taken=WHEN, offset="0.000",
        why=None, replaces=None,
    )  # fmt: skip
    yield Picture(
        sha256="ab" * 32, bytes=2**53 - 1, sealed=True, plain_sha256="cd" * 32, width=65_535, height=65_535,
        taken=WHEN, offset="-30.001", why=f"{CHAIN}/{2**53 - 1}", replaces="ef" * 32,
    )  # fmt: skip
    yield Checkin(method="badge", officer=None, badge="cd" * 32, verdict="unknown", assurance="uid", reader="gate")
    yield Checkin(method="button", officer=None, badge=None, verdict="accepted", assurance="none", reader=None)
    yield Door(door="front", change="held", since=WHEN)
    yield Door(door="front", change="closed", since=None)


def sealed_events() -> list[dict[str, Any]]:
    chain = Chain("/guardpost/jember/kpu-gate", BOOT, KEY, Head(CHAIN))
    events = []
    for number, data in enumerate(every_kind()):
        draft = Draft.model_validate({"subject": "post", "data": data})
        chain, sealed = chain.seal(draft, Instant(number, 1_795_396_500_123 + number))
        events.append(json.loads(sealed.event))
    return events


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def data_schema(event: dict[str, Any]) -> str:
    return f"data.{event['type'].removeprefix('guardpost.')}.json"


def test_the_files_are_what_the_models_say(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    made = {str(file.relative_to(tmp_path)): file.read_text("utf-8") for file in tmp_path.rglob("*.json")}
    kept = {str(file.relative_to(DOCS)): file.read_text("utf-8") for file in FOLDER.iterdir()}
    kept["asyncapi.json"] = (DOCS / "asyncapi.json").read_text("utf-8")
    assert kept == made, "make schemas writes them anew"
    assert made == files()


def test_every_form_is_tried() -> None:
    assert {type(data) for data in every_kind()} == {Checkin, Door, Picture, *System.__subclasses__()}


@pytest.mark.parametrize("event", sealed_events(), ids=lambda event: f"{event['type']}-{event['seq']}")
def test_a_sealed_event_satisfies_its_schemas(event: dict[str, Any]) -> None:
    validator("event.json").validate(event)
    validator(data_schema(event)).validate(event["data"])


@pytest.mark.parametrize("event", sealed_events(), ids=lambda event: f"{event['type']}-{event['seq']}")
def test_the_schemas_name_every_member_that_is_sent(event: dict[str, Any]) -> None:
    """A schema that allows other members still lists these: closed, it takes the event as well."""
    validator_of_all = validator(data_schema(event)).evolve(
        schema=_closed(json.loads((FOLDER / data_schema(event)).read_text(encoding="utf-8")))
    )
    validator_of_all.validate(event["data"])


def test_members_of_a_later_version_are_allowed_and_wrong_ones_are_not() -> None:
    event = sealed_events()[-1]
    schema = validator(data_schema(event))
    schema.validate({**event["data"], "colour": "grey"})
    validator("event.json").validate({**event, "colour": "grey"})
    for spoilt in ({**event["data"], "change": "ajar"}, {"door": "front", "change": "closed"}):
        with pytest.raises(ValidationError):
            schema.validate(spoilt)
    with pytest.raises(ValidationError):
        validator("event.json").validate({**event, "seq": 0})


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main([str(tmp_path / "file" / "below")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main([]) == 2


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: _closed(value) for name, value in schema.items()}
    return {**inner, "additionalProperties": False} if "properties" in inner else inner

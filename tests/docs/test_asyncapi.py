"""docs/asyncapi.json: the document of the code, of one piece, by the rules of AsyncAPI 3.0."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from vectors import vectors

from device.link.hints import Hint
from device.link.topics import Topics
from provisioning.broker import rules

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT: dict[str, Any] = json.loads((DOCS / "asyncapi.json").read_text(encoding="utf-8"))
CHANNELS, OPERATIONS, COMPONENTS = (DOCUMENT[name] for name in ("channels", "operations", "components"))
TOPICS = Topics.of("/{root}/{site}/{post}")

# Fixed fields by object: AsyncAPI 3.0.0, "Schema"; required ones first.
FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "root": ({"asyncapi", "info"}, {"id", "servers", "defaultContentType", "channels", "operations", "components"}),
    "info": ({"title", "version"}, {"description", "termsOfService", "contact", "license", "tags", "externalDocs"}),
    "server": (
        {"host", "protocol"},
        {"protocolVersion", "pathname", "description", "title", "summary", "variables", "security", "tags",
         "externalDocs", "bindings"},
    ),
    "channel": (
        set(),
        {"address", "messages", "title", "summary", "description", "servers", "parameters", "tags", "externalDocs",
         "bindings"},
    ),
    "operation": (
        {"action", "channel"},
        {"title", "summary", "description", "security", "tags", "externalDocs", "bindings", "traits", "messages",
         "reply"},
    ),
    "message": (
        set(),
        {"headers", "payload", "correlationId", "contentType", "name", "title", "summary", "description", "tags",
         "externalDocs", "bindings", "examples", "traits"},
    ),
    "parameter": (set(), {"enum", "default", "description", "examples", "location"}),
}  # fmt: skip
LOCATION = re.compile(r"^\$message\.(header|payload)#(/[^/]+)+$")


def held(kind: str, found: dict[str, Any]) -> None:
    required, optional = FIELDS[kind]
    names = {name for name in found if not name.startswith("x-")}
    assert required <= names <= required | optional, found


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            assert value.keys() == {"$ref"}, "beside $ref nothing counts"
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolved(reference: str) -> Any:
    file, _, pointer = reference.partition("#")
    found = json.loads((DOCS / file).read_text(encoding="utf-8")) if file else DOCUMENT
    for level in pointer.split("/")[1:]:
        found = found[level]
    return found


def test_every_object_has_its_required_fields_and_no_unknown_ones() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    held("root", DOCUMENT)
    held("info", DOCUMENT["info"])
    for kind, objects in (
        ("server", DOCUMENT["servers"]),
        ("channel", CHANNELS),
        ("operation", OPERATIONS),
        ("message", COMPONENTS["messages"]),
        ("parameter", COMPONENTS["parameters"]),
    ):
        for name, found in objects.items():
            assert re.fullmatch(r"[A-Za-z0-9.\-_]+", name)
            held(kind, found)


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = set(references(DOCUMENT))
    for reference in used:
        assert resolved(reference) is not None, reference
    for section in ("messages", "parameters", "securitySchemes"):
        assert {f"#/components/{section}/{name}" for name in COMPONENTS[section]} <= used
    assert {f"schemas/{file.name}" for file in (DOCS / "schemas").iterdir()} <= used


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_declares_the_parameters_of_its_address(name: str) -> None:
    channel = CHANNELS[name]
    assert set(re.findall(r"\{(\w+)\}", channel["address"])) == channel["parameters"].keys()
    for reference in channel["parameters"].values():
        location = resolved(reference["$ref"]).get("location")
        assert location is None or LOCATION.match(location)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_of_its_channel(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["action"] in ("send", "receive")
    channel = operation["channel"]["$ref"]
    assert channel.startswith("#/channels/")
    assert {message["$ref"] for message in operation["messages"]} == {
        f"{channel}/messages/{message}" for message in resolved(channel)["messages"]
    }
    if "reply" in operation:
        answer = operation["reply"]["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{answer}/messages/") for message in operation["reply"]["messages"])
        assert OPERATIONS["postSendsReply"]["channel"]["$ref"] == answer
    assert operation["bindings"]["mqtt"]["qos"] == 1


def test_every_topic_of_the_code_is_a_channel_and_no_other() -> None:
    made = {
        name: getattr(TOPICS, name) if isinstance(member, property) else getattr(TOPICS, name)(f"{{{argument}}}")
        for name, member in vars(Topics).items()
        for argument in [{"event": "kind", "alarm": "kind", "picture": "sha256", "reply": "id"}.get(name, "")]
        if not name.startswith("_") and name not in ("of", "base", "order_name")
    }
    made["order"] = made.pop("orders").replace("#", "{name}")
    assert made == {name: channel["address"] for name, channel in CHANNELS.items()}
    assert TOPICS.order_name(CHANNELS["order"]["address"]) == "{name}"


def test_both_ends_have_an_operation_on_every_channel() -> None:
    seen = {
        (operation["tags"][0]["name"], operation["channel"]["$ref"].rpartition("/")[2]): operation["action"]
        for operation in OPERATIONS.values()
    }
    assert len(seen) == len(OPERATIONS) == 2 * len(CHANNELS)
    for name in CHANNELS:
        assert {seen["post", name], seen["headquarters", name]} == {"send", "receive"}


def test_what_is_retained_is_what_the_code_retains() -> None:
    """The post retains its hints alone; of what it takes, receipts."""
    retained = {
        operation["channel"]["$ref"].rpartition("/")[2]
        for operation in OPERATIONS.values()
        if operation["bindings"]["mqtt"]["retain"]
    }
    assert retained == {hint.value for hint in Hint} | {"receipt"}


def test_the_access_rules_let_a_post_do_what_the_document_says_and_no_more() -> None:
    """``roster`` is reserved: the rules name it already."""
    lines = set(re.findall(r"^pattern (write|read) guardpost/%u/([\w/#]+)$", rules("guardpost"), re.MULTILINE))
    told = {
        (
            "write" if operation["action"] == "send" else "read",
            re.sub(r"\{\w+\}", "#", CHANNELS[operation["channel"]["$ref"].rpartition("/")[2]]["address"][21:]),
        )
        for operation in OPERATIONS.values()
        if operation["tags"] == [{"name": "post"}]
    }
    assert lines - told == {("read", "roster")}
    assert told <= lines


def test_a_real_event_is_a_message_of_its_kind() -> None:
    registry: Registry[Any] = Registry().with_resources(
        (f"schemas/{file.name}", Resource.from_contents(json.loads(file.read_text("utf-8"))))
        for file in (DOCS / "schemas").iterdir()
    )
    for vector in vectors():
        if not vector.name.startswith("event-"):
            continue
        event = json.loads(vector.payload)
        kind = event["type"].split(".")[1]
        message = COMPONENTS["messages"].get(f"event.{kind}", COMPONENTS["messages"]["event.other"])
        assert message["contentType"] == "application/cloudevents+json"
        schema = Draft202012Validator(message["payload"]["schema"], registry=registry)
        schema.validate(event)
        assert not schema.is_valid({**event, "seq": 0})
        if kind in ("checkin", "door", "picture", "system"):
            assert not schema.is_valid({**event, "data": {}})

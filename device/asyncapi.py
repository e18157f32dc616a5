"""The wire contract as an AsyncAPI 3.0 document, channels from ``link.topics``; ``schemas`` writes it."""

from collections.abc import Mapping, Sequence
from typing import Any

from device import __version__
from device.link.hints import PROTOCOL
from device.link.line import EVENT_CONTENT_TYPE, QOS
from device.link.topics import Topics

_TOPICS = Topics.of("/{root}/{site}/{post}")
_SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
_BINDING = "0.2.0"
_JSON = "application/json"
PICTURE_CONTENT_TYPE = "application/octet-stream"

_ABOUT = """\
What a guard post publishes, and what it takes: docs/contract.md as a program reads it. That page says how an \
event is checked, and what its numbers and hashes mean. Operations are named from both ends: those tagged `post` \
are the firmware's, those tagged `headquarters` are a subscriber's, a recorder's and a control room's."""

_BROKER = """\
MQTT 5, and 3.1.1 where the broker refuses 5; nothing needed is in an MQTT 5 property. The user name of a post \
is `{site}/{post}`, so that one rule set confines all posts: a post may write `event/#`, `alarm/#`, `picture/#`, \
`reply/#`, `status`, `state` and `identity` of its own branch and read `order/#` and `receipt` there; the \
recorder reads everything and writes `receipt` and `order/#`; headquarters reads everything and writes `order/#`. \
`guardpost-provision broker` writes these rules for Mosquitto."""

_PARAMETERS: dict[str, dict[str, Any]] = {
    "root": {
        "description": "first level of every topic, link.root of the post: 1 to 32 of letters, digits, _ and -",
        "default": "guardpost",
    },
    "site": {"description": "1 to 32 characters of a-z, 0-9 and -"},
    "post": {"description": "1 to 32 characters of a-z, 0-9 and -"},
    "sha256": {"description": "SHA-256 of the payload, lower-case hex, as a `picture` event announced it"},
    "id": {"description": "the id of the order that is answered", "location": "$message.payload#/id"},
}


def document(kinds: Sequence[str], version: int, orders: Sequence[str]) -> dict[str, Any]:
    """The whole document. ``kinds``: of events, all of ``version``. ``orders``: their names."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:guardpost:contract",
        "info": {
            "title": "guardpost",
            "version": f"{PROTOCOL}.0.0",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "x-firmware": __version__,
        },
        "defaultContentType": _JSON,
        "servers": {"broker": _server()},
        "channels": _channels(kinds, orders),
        "operations": _operations(kinds, orders),
        "components": {
            "messages": _messages(kinds, version, orders),
            "parameters": {**_PARAMETERS, "kind": _kind(kinds), "name": _order_name(orders)},
            "securitySchemes": {
                "userPassword": {"type": "userPassword", "description": "user name {site}/{post} for a post"},
                "certificate": {"type": "X509", "description": "CN {site}/{post} for a post"},
            },
        },
    }


def _server() -> dict[str, Any]:
    will = {"topic": _TOPICS.status, "qos": QOS, "retain": True, "message": '{"online":false,"bootid":"..."}'}
    return {
        "host": "broker.example:8883",
        "protocol": "secure-mqtt",
        "protocolVersion": "5.0",
        "description": _BROKER,
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in ("userPassword", "certificate")],
        "bindings": {"mqtt": {"cleanSession": False, "lastWill": will, "bindingVersion": _BINDING}},
    }


def _kind(kinds: Sequence[str]) -> dict[str, Any]:
    return {"description": "the kind in the event's type; later versions add kinds", "examples": list(kinds)}


def _order_name(orders: Sequence[str]) -> dict[str, Any]:
    return {"description": "what is asked for; the post refuses any other", "enum": list(orders)}


def _channels(kinds: Sequence[str], orders: Sequence[str]) -> dict[str, Any]:
    events = [f"event.{kind}" for kind in (*kinds, "other")]
    return {
        "event": _channel(_TOPICS.event("{kind}"), events, "Every event of a chain in order: the evidence."),
        "alarm": _channel(
            _TOPICS.alarm("{kind}"),
            ["alarm"],
            "The same bytes of an event that cannot wait, ahead of all that waits, and again on every connection "
            "until the broker acknowledges it.",
        ),
        "picture": _channel(
            _TOPICS.picture("{sha256}"),
            ["picture"],
            "The bytes of a picture, after the event that announces them, over a connection of its own.",
        ),
        "status": _channel(_TOPICS.status, ["status"], "Whether the post is connected; also its last will."),
        "state": _channel(_TOPICS.state, ["state"], "What holds now, and how far each chain goes. No evidence."),
        "identity": _channel(_TOPICS.identity, ["identity"], "The post's public keys."),
        "receipt": _channel(_TOPICS.receipt, ["receipt"], "How far headquarters has stored a chain whole."),
        "order": _channel(
            _TOPICS.orders.replace("#", "{name}"),
            [f"order.{name}" for name in orders],
            "Asks the post for something, once. Not retained: a retained order is nobody's.",
        ),
        "reply": _channel(_TOPICS.reply("{id}"), ["reply"], "The one answer to an order."),
    }


def _channel(address: str, messages: Sequence[str], description: str) -> dict[str, Any]:
    names = [level[1:-1] for level in address.split("/") if level.startswith("{")]
    return {
        "address": address,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in names},
    }


_POST_SENDS = ("event", "alarm", "picture", "status", "state", "identity", "reply")
_RETAINED = ("status", "state", "identity", "receipt")


def _operations(kinds: Sequence[str], orders: Sequence[str]) -> dict[str, Any]:
    found = {}
    for name, channel in _channels(kinds, orders).items():
        post_sends = name in _POST_SENDS
        for who, sends in (("post", post_sends), ("headquarters", not post_sends)):
            operation = _operation(name, who, sends, list(channel["messages"]))
            found[f"{who}{'Sends' if sends else 'Receives'}{name.capitalize()}"] = operation
    return found


def _operation(channel: str, who: str, sends: bool, messages: Sequence[str]) -> dict[str, Any]:
    binding = {"qos": QOS, "retain": channel in _RETAINED, "bindingVersion": _BINDING}
    found: dict[str, Any] = {
        "action": "send" if sends else "receive",
        "channel": {"$ref": f"#/channels/{channel}"},
        "tags": [{"name": who}],
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
        "bindings": {"mqtt": binding},
    }
    if channel == "order":
        answer = {"$ref": "#/channels/reply"}
        found["reply"] = {"channel": answer, "messages": [{"$ref": "#/channels/reply/messages/reply"}]}
    return found


def _messages(kinds: Sequence[str], version: int, orders: Sequence[str]) -> dict[str, Any]:
    event = {"$ref": "schemas/event.json"}
    found = {}
    for kind in kinds:
        of_kind = {
            "properties": {
                "type": {"const": f"guardpost.{kind}.v{version}"},
                "data": {"$ref": f"schemas/data.{kind}.v{version}.json"},
            }
        }
        found[f"event.{kind}"] = _message({"allOf": [event, of_kind]}, EVENT_CONTENT_TYPE)
    found["event.other"] = _message(
        event, EVENT_CONTENT_TYPE, "A kind or version of later firmware: kept like others."
    )
    found["alarm"] = _message(event, EVENT_CONTENT_TYPE)
    found["picture"] = {
        "description": "A JPEG; where the event says `sealed`, HPKE's encapsulated key and ciphertext of one.",
        "contentType": PICTURE_CONTENT_TYPE,
    }
    for name in ("status", "state", "identity", "receipt", "reply", *(f"order.{order}" for order in orders)):
        found[name] = _message({"$ref": f"schemas/{name}.json"}, _JSON)
    return found


def _message(schema: Mapping[str, Any], content_type: str, description: str | None = None) -> dict[str, Any]:
    told = {} if description is None else {"description": description}
    return {**told, "contentType": content_type, "payload": {"schemaFormat": _SCHEMA_FORMAT, "schema": schema}}

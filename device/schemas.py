"""JSON Schemas and AsyncAPI document of the wire contract, from its models: ``python -m device.schemas FOLDER``."""

import json
import sys
from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from device.asyncapi import document
from device.events import Checkin, Door, Envelope, Picture, SystemData
from device.link.orders import ORDERS
from device.link.receipts import Receipt
from device.payloads import Identity, Reply, State, Status

VERSION = 1
"""The ``v1`` at the end of a CloudEvents type."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DATA: dict[str, Any] = {"checkin": Checkin, "door": Door, "picture": Picture, "system": SystemData}
_WRITTEN: dict[str, Any] = {
    "event": Envelope,
    **{f"data.{kind}.v{VERSION}": model for kind, model in _DATA.items()},
    "status": Status,
    "state": State,
    "identity": Identity,
    "reply": Reply,
}
_TAKEN: dict[str, Any] = {
    "receipt": Receipt,
    **{f"order.{name}": reduce(or_, forms) for name, forms in ORDERS.items()},
}


class _Taken(GenerateJsonSchema):
    """What a post takes: as strict as the post is."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's own types
        return False


class _Written(_Taken):
    """As the bytes are: a post writes every member, and a later version may add some.

    A member whose default is None may be absent, and is never null.
    """

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: ANN401, ARG002 - pydantic's own types
        return not _may_be_absent(field["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        inner = schema["schema"]
        return self.generate_inner(inner["schema"] if _may_be_absent(schema) else inner)

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        found = super().model_schema(schema)
        found.pop("additionalProperties", None)
        return found


def _may_be_absent(schema: Any) -> bool:  # noqa: ANN401 - pydantic's own types
    """A nullable schema with the default None."""
    absent = schema["type"] == "default" and "default" in schema and schema["default"] is None
    return absent and schema["schema"]["type"] == "nullable"


def schemas() -> Mapping[str, dict[str, Any]]:
    """Every schema by its file name."""
    found = {f"{name}.json": _schema(name, model, _Written) for name, model in _WRITTEN.items()}
    return found | {f"{name}.json": _schema(name, model, _Taken) for name, model in _TAKEN.items()}


def files() -> Mapping[str, str]:
    """Everything this program writes: path below the folder, and text."""
    found = {f"schemas/{name}": _text(schema) for name, schema in schemas().items()}
    return {**found, "asyncapi.json": _text(document(list(_DATA), VERSION, list(ORDERS)))}


def main(arguments: list[str]) -> int:
    """Write every file into the folder that is named; the exit code."""
    if len(arguments) != 1:
        print("usage: python -m device.schemas FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    try:
        (folder / "schemas").mkdir(parents=True, exist_ok=True)
        for name, content in files().items():
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        print(f"{folder}: cannot be written ({error.strerror}); name another folder", file=sys.stderr)
        return 2
    return 0


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _schema(name: str, model: Any, generator: type[GenerateJsonSchema]) -> dict[str, Any]:  # noqa: ANN401 - as TypeAdapter
    mode = "serialization" if generator is _Written else "validation"
    body = TypeAdapter(model).json_schema(mode=mode, schema_generator=generator)  # type: ignore[arg-type]
    return {"$schema": _DIALECT, "$id": f"urn:guardpost:schema:{name}", **body}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""JSON Schemas of the wire contract, from the models in ``events``: ``python -m device.schemas FOLDER``."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from device.events import Checkin, Door, Envelope, SystemData

VERSION = 1
"""The ``v1`` at the end of a CloudEvents type."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DATA: dict[str, type[BaseModel] | Any] = {"checkin": Checkin, "door": Door, "system": SystemData}


class _Schema(GenerateJsonSchema):
    """As the bytes are: a post writes every member, and a later version may add some."""

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: ANN401, ARG002 - pydantic's own types
        return True

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's own types
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        found = super().model_schema(schema)
        found.pop("additionalProperties", None)
        return found


def schemas() -> Mapping[str, dict[str, Any]]:
    """Every schema by its file name."""
    found = {"event.json": _schema("event", Envelope)}
    for kind, model in _DATA.items():
        name = f"data.{kind}.v{VERSION}"
        found[f"{name}.json"] = _schema(name, model)
    return found


def text(schema: Mapping[str, Any]) -> str:
    """A schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write every schema into the folder that is named; the exit code."""
    if len(arguments) != 1:
        print("usage: python -m device.schemas FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, schema in schemas().items():
            (folder / name).write_text(text(schema), encoding="utf-8")
    except OSError as error:
        print(f"{folder}: cannot be written ({error.strerror}); name another folder", file=sys.stderr)
        return 2
    return 0


def _schema(name: str, model: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever TypeAdapter takes
    body = TypeAdapter(model).json_schema(mode="serialization", schema_generator=_Schema)
    return {"$schema": _DIALECT, "$id": f"urn:guardpost:schema:{name}", **body}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

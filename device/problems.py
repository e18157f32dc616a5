"""Files that people write: TOML into a model, and what is wrong with it as one line each, with the mend."""

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from device.errors import ConfigError

_M = TypeVar("_M", bound=BaseModel)

_OURS = "guardpost"
_MENDS = {
    "missing": "missing; add it",
    "model_type": "must be a section of keys, like the one in the example file",
    "tuple_type": "must be a list: values in [ ], or sections with [[ ]] around the name",
    "too_short": "is empty; write at least one",
    "string_type": "must be text in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number without quotes",
    "path_type": "must be a path in quotes",
}
_PATTERNS = {
    "^[a-z0-9-]{1,32}$": "write a-z, 0-9 and -, at most 32 characters",
    "^[A-Za-z0-9_-]{1,32}$": "write letters, digits, _ and -, at most 32 characters",
    "^[A-Za-z0-9._-]{1,64}$": "write letters, digits, . _ and -, at most 64 characters",
}


def problem(text: str) -> PydanticCustomError:
    """An error for a validator to raise, with our own words: what is wrong; the mend."""
    return PydanticCustomError(_OURS, "{text}", {"text": text})


def parse_toml(content: bytes, file: Path) -> dict[str, Any]:
    """A TOML file's content from its bytes. Raises ConfigError."""
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except ValueError as error:  # tomllib.TOMLDecodeError, and int()'s own where a number has thousands of digits
        raise ConfigError(f"{file}: not TOML: {str(error)[:200]}; correct that line") from None
    except RecursionError:
        raise ConfigError(f"{file}: not TOML: nested too deeply; correct the brackets") from None


def validated(model: type[_M], content: dict[str, Any], file: Path) -> _M:
    """A model from a file's content. Raises ConfigError, one line a problem."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join(explain(error, file, model))) from None


def explain(error: ValidationError, file: Path, model: type[BaseModel]) -> Iterator[str]:
    """One line a problem: file, key, what is wrong, the mend."""
    problems = error.errors(include_url=False)
    misspelt = {(*p["loc"][:-1], near) for p in problems if (near := _meant(p, model)) is not None}
    for found in problems:
        place = found["loc"]
        if found["type"] == "missing" and place in misspelt:
            continue  # it is there under another name, which has a line of its own
        if found["type"] == "too_short" and any(
            p["loc"][: len(place)] == place for p in problems if p is not found
        ):
            continue  # its only items are bad and have lines of their own
        key = _key(place)
        yield f"{file}: {key + ': ' if key else ''}{_what(found, model)}"


def _key(place: Sequence[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_one_line(part)}" for part in place).lstrip(".")


def _one_line(name: str) -> str:
    """TOML lets a quoted key hold anything, a line break too."""
    return name if name.isprintable() else repr(name)


def _what(found: ErrorDetails, model: type[BaseModel]) -> str:
    kind, place = found["type"], found["loc"]
    if kind == "extra_forbidden":
        near, known = _meant(found, model), sorted(_keys_at(model, place[:-1]))
        return "unknown key; " + (f"did you mean {near}?" if near else f"known here: {', '.join(known)}")
    if kind == _OURS:
        return found["msg"]
    if kind in _MENDS:
        return _MENDS[kind]
    if kind == "string_pattern_mismatch":
        mend = _PATTERNS.get(found["ctx"]["pattern"], f"must match {found['ctx']['pattern']}")
        return f"{found['input']!r} cannot be used; {mend}"
    mend = found["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{found['input']!r} cannot be used; it must be {mend}"


def _meant(found: ErrorDetails, model: type[BaseModel]) -> str | None:
    """The known key that an unknown one most resembles."""
    if found["type"] != "extra_forbidden":
        return None
    known = sorted(_keys_at(model, found["loc"][:-1]))
    return next(iter(difflib.get_close_matches(str(found["loc"][-1]), known, n=1)), None)


def _keys_at(model: type[BaseModel], place: Sequence[int | str]) -> set[str]:
    """The keys known at a place in the tree."""
    here = model
    for part in place:
        if isinstance(part, str):
            fields = {field.alias or name: field for name, field in here.model_fields.items()}
            here = _model_in(fields[part].annotation) or here
    return {field.alias or name for name, field in here.model_fields.items()}


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model within ``Model``, ``Model | None`` or ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg)) is not None), None)

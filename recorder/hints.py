"""What a post says of itself outside the event stream: ``status`` and ``state``, hints that nobody signed."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from device.errors import Unreadable
from device.events import MAX_SAFE_INTEGER, Sha256, Uuid
from device.record.chain import parse_json

MAX_REPORT_BYTES = 65536

_Model = TypeVar("_Model", bound=BaseModel)
_Number = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER, strict=True)]


class StatedChain(BaseModel):
    """One entry of ``state.chains``: newest seq and its hash, oldest kept seq, newest seq PUBACKed."""

    model_config = ConfigDict(frozen=True)

    chain: Uuid
    seq: _Number
    hash: Sha256
    first: _Number
    sent: _Number


class State(BaseModel):
    """What the recorder needs of a post's ``state``."""

    model_config = ConfigDict(frozen=True)

    chains: tuple[StatedChain, ...]


class Status(BaseModel):
    """What the recorder needs of a post's ``status``."""

    model_config = ConfigDict(frozen=True)

    online: Annotated[bool, Field(strict=True)]


def stated_chains(payload: bytes) -> tuple[StatedChain, ...]:
    """``chains`` of a ``state``. Raises Unreadable."""
    return as_model(State, payload).chains


def is_online(payload: bytes) -> bool:
    """``online`` of a ``status``. Raises Unreadable."""
    return as_model(Status, payload).online


def one_line(text: str, limit: int = 200) -> str:
    """Text of a stranger made fit for a log line and for SQLite: printable, valid Unicode, short."""
    short = text[:limit].encode("utf-8", "replace").decode()
    return "".join(c if c.isprintable() else "?" for c in short)


def as_model(model: type[_Model], payload: bytes) -> _Model:
    """The members that ``model`` names. Raises Unreadable."""
    try:
        return model.model_validate(json_object(payload))
    except ValidationError as error:
        raise Unreadable(first_problem(error)) from None


def json_object(payload: bytes) -> dict[str, Any]:
    """A JSON object of bounded size. Raises Unreadable."""
    if len(payload) > MAX_REPORT_BYTES:
        raise Unreadable(f"{len(payload)} bytes, more than {MAX_REPORT_BYTES}")
    return parse_json(payload)


def first_problem(error: ValueError) -> str:
    """pydantic's first complaint as one line."""
    if not isinstance(error, ValidationError):
        return one_line(str(error))
    first = error.errors(include_url=False, include_input=False)[0]
    return one_line(f"member {'.'.join(str(part) for part in first['loc'])}: {first['msg']}")

"""Orders from headquarters: the one place where they are read, from one schema."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from device.errors import Unreadable
from device.events import MAX_EVENT_BYTES, Seq, Sha256, Time, Uuid
from device.readings import Arrived, Asked, Misasked, ReplayRange
from device.record.chain import parse_json


class Order(BaseModel):
    """What every order has. ``expires``: at most 24 hours ahead."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    id: Uuid
    expires: Time


class ReplayOrder(Order):
    """``order/replay``: send events ``from`` to ``to`` (inclusive) of a chain again."""

    chain: Uuid
    from_: Annotated[Seq, Field(alias="from")]
    to: Seq

    @model_validator(mode="after")
    def _forwards(self) -> "ReplayOrder":
        if self.to < self.from_:
            raise ValueError("to is smaller than from")
        return self


class ReplayPictureOrder(Order):
    """``order/replay`` with a picture: send its bytes again."""

    picture: Sha256


class PictureOrder(Order):
    """``order/picture``: take a picture now."""


class SelftestOrder(Order):
    """``order/selftest``: say in an event how every part stands, and play the lights."""


ORDERS: dict[str, tuple[type[Order], ...]] = {
    "replay": (ReplayOrder, ReplayPictureOrder),
    "picture": (PictureOrder,),
    "selftest": (SelftestOrder,),
}
"""Every order this firmware obeys, by its topic's last level, in each of its forms."""


def read_order(name: str, arrived: Arrived) -> Asked | Misasked:
    """An order as a reading; whatever is wrong with it becomes ``Misasked``."""
    ack = (arrived.generation, arrived.mid)
    try:
        order = _validated(name, arrived.payload)
    except _Bad as bad:
        return Misasked(arrived.at, name[:32], bad.id, str(bad), ack)
    replay = None
    if isinstance(order, ReplayOrder):
        replay = ReplayRange(order.chain, order.from_, order.to)
    picture = order.picture if isinstance(order, ReplayPictureOrder) else None
    digest = hashlib.sha256(arrived.payload).hexdigest()
    return Asked(arrived.at, name, order.id, _milliseconds(order.expires), digest, replay, ack, picture)


class _Bad(ValueError):
    """``id``: the order's, where it could be read."""

    def __init__(self, why: str, order_id: str | None = None) -> None:
        super().__init__(why)
        self.id = order_id


def _validated(name: str, payload: bytes) -> Order:
    if len(payload) > MAX_EVENT_BYTES:
        raise _Bad(f"{len(payload)} bytes; an order has at most {MAX_EVENT_BYTES}")
    try:
        content = parse_json(payload)
    except Unreadable as error:
        raise _Bad(str(error)) from None
    readable = _id_of(content.get("id"))
    if (forms := ORDERS.get(name)) is None:
        raise _Bad(f"this firmware knows no such order; it knows {', '.join(ORDERS)}", readable)
    # The last form whose own members are there, else the first: what is wrong is told of that one.
    model = next((form for form in reversed(forms) if _own_members(form) <= content.keys()), forms[0])
    try:
        order = model.model_validate(content)
        _milliseconds(order.expires)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _Bad(f"{_member(first['loc'])}{first['msg']}", readable) from None
    except ValueError:
        raise _Bad("expires is no time", readable) from None
    return order


def _own_members(form: type[Order]) -> set[str]:
    """What an order has beside what all orders have."""
    return {field.alias or name for name, field in form.model_fields.items() if name not in Order.model_fields}


class _Id(BaseModel):
    model_config = ConfigDict(strict=True, defer_build=True)

    id: Uuid


def _id_of(value: object) -> str | None:
    try:
        return _Id.model_validate({"id": value}).id
    except ValidationError:
        return None


def _member(place: Sequence[int | str]) -> str:
    return f"member {'.'.join(str(part) for part in place)[:40]}: " if place else ""


def _milliseconds(time: str) -> int:
    """Milliseconds since 1970 UTC; ValueError for a 31st of February and its like."""
    moment = datetime.fromisoformat(time)
    return round(moment.timestamp() * 1000)

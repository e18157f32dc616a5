"""Orders: each is obeyed once, within its time, and what a flood of them costs is bounded."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from device.effects import Effect, Replay, ReplayPicture, Reply
from device.events import Draft, OrderTaken, Picture, SelfTested
from device.readings import Asked, Instant, Misasked, PictureFailed, Replayed, ReplayRange, Started
from device.rules.rule import Cause, Due, Numbered, State, Step

LONGEST_AHEAD_MS = 24 * 3600 * 1000
REMEMBERED = 256
"""Orders whose time has not passed; one more is refused until one of them has."""
TOKENS = 30
TOKEN_EVERY_MS = 2_000
"""So many orders in a burst, and one more each two seconds, are told in events and replies of their own."""
FLOOD_TOLD_EVERY_MS = 60_000


class Known(State):
    """An order that was taken. ``reply``: what was answered, None while it is being worked on.

    ``replay``: chain, first and last number of what it asked for. ``picture``: the one that it asked for.
    ``event``: of an order to take one, the id of the event that it was taken.
    """

    sha256: str
    expires_ms: int
    replay: tuple[str, int, int] | None = None
    picture: str | None = None
    event: str | None = None
    reply: dict[str, Any] | None = None


class OrdersState(State):
    """``known``: by id. ``flooded``: orders since ``flood_ms`` (uptime) that were neither obeyed nor answered."""

    known: dict[str, Known] = Field(default_factory=dict)
    tokens: int = TOKENS
    refilled_ms: int = 0
    flooded: int = 0
    flood_ms: int | None = None


class OrdersRule:
    """Takes orders, and answers them."""

    name = "orders"
    initial = OrdersState()

    def __init__(self, *, no_pictures: str | None = None) -> None:
        """``no_pictures``: why an order to take one is refused; None where it is obeyed."""
        self._no_pictures = no_pictures

    def step(self, state: OrdersState, cause: Cause, now: Instant) -> Step[OrdersState]:
        """Decide one cause."""
        match cause:
            case Asked():
                return self._asked(_refilled(_forgotten(state, now), now), cause, now)
            case Misasked(name=name, id=order_id, why=why):
                return _refuse(_refilled(state, now), name, order_id, why, now)
            case Replayed(id=order_id, reply=reply) if order_id in state.known:
                return _answered(state, order_id, dict(reply))
            case Numbered(id=event, draft=Draft(data=SelfTested(order=str(order_id), passed=passed))):
                return _answered(state, order_id, {"ok": True, "passed": passed, "event": event})
            case Numbered(id=event, draft=Draft(data=OrderTaken(what="picture", id=str(order_id), ok=True))):
                known = state.known[order_id].model_copy(update={"event": event})
                return Step(state.model_copy(update={"known": {**state.known, order_id: known}}))
            case Numbered(id=event, draft=Draft(data=Picture(why=str(why), sha256=sha256, replaces=None))):
                return _pictured(state, why, {"ok": True, "event": event, "sha256": sha256})
            case PictureFailed(event=event, why=why):
                return _pictured(state, event, {"ok": False, "error": why})
            case Due() if state.flood_ms is not None and now.uptime_ms >= state.flood_ms + FLOOD_TOLD_EVERY_MS:
                return _flood(state)
            case Started(same_boot=same_boot):
                untaken, replies = _untaken(state if same_boot else _rebooted(state, now))
                return Step(untaken, (), (*replies, *_unfinished(untaken)))
            case _:
                return Step(state)

    def due(self, state: OrdersState) -> int | None:
        """When a flood is told."""
        return None if state.flood_ms is None else state.flood_ms + FLOOD_TOLD_EVERY_MS

    def holds(self, state: OrdersState) -> Mapping[str, Any]:  # noqa: ARG002
        """Nothing: orders are headquarters' business."""
        return {}

    def _asked(self, state: OrdersState, order: Asked, now: Instant) -> Step[OrdersState]:
        known = state.known.get(order.id)
        if known is not None and known.sha256 == order.sha256:
            return Step(state, (), self._again(order, known))
        if known is not None:
            return _refuse(state, order.name, order.id, "another order had this id already", now)
        if now.clock != "unsynced":  # an unsure clock judges no times
            if order.expires_ms <= now.wall_ms:
                return _refuse(state, order.name, order.id, "it has expired", now)
            if order.expires_ms > now.wall_ms + LONGEST_AHEAD_MS:
                return _refuse(state, order.name, order.id, "it expires more than 24 hours ahead", now)
        if len(state.known) >= REMEMBERED:
            return _refuse(
                state, order.name, order.id, f"{REMEMBERED} orders are still in their time; try later", now
            )
        if order.name == "picture" and self._no_pictures is not None:
            return _refuse(state, order.name, order.id, self._no_pictures, now)
        if state.tokens == 0:
            return _flooded(state, now)
        taken = state.model_copy(
            update={
                "known": {**state.known, order.id: _known(order)},
                "tokens": state.tokens - 1,
            }
        )
        data = OrderTaken(what=order.name, id=order.id, ok=True, error=None)
        return Step(taken, (Draft(subject="post", data=data),), _effects(order))

    def _again(self, order: Asked, known: Known) -> tuple[Effect, ...]:
        """QoS 1 delivers twice: the earlier reply, and no event. One that was cut short by a restart goes on."""
        return _effects(order) if known.reply is None else (Reply(order.id, known.reply),)


def _known(order: Asked) -> Known:
    wanted = order.replay
    replay = None if wanted is None else (wanted.chain, wanted.first, wanted.last)
    return Known(sha256=order.sha256, expires_ms=order.expires_ms, replay=replay, picture=order.picture)


def _unfinished(state: OrdersState) -> tuple[Effect, ...]:
    """What a restart cut short: the broker was told that the order is taken, and will not bring it again."""
    effects: list[Effect] = []
    for order_id, known in state.known.items():
        if known.reply is None and known.replay is not None:
            effects.append(Replay(order_id, ReplayRange(*known.replay)))
        elif known.reply is None and known.picture is not None:
            effects.append(ReplayPicture(order_id, known.picture))
    return tuple(effects)


def _untaken(state: OrdersState) -> tuple[OrdersState, tuple[Effect, ...]]:
    """Pictures that a restart cut short: one taken now would not be what was asked for."""
    replies: list[Effect] = []
    for order_id, known in state.known.items():
        if known.reply is None and known.event is not None:
            step = _answered(state, order_id, {"ok": False, "error": "the post ended before it was taken"})
            state = step.state
            replies.extend(step.effects)
    return state, tuple(replies)


def _pictured(state: OrdersState, why: str, reply: dict[str, Any]) -> Step[OrdersState]:
    """What came of an order to take a picture, if the event ``why`` was one."""
    for order_id, known in state.known.items():
        if known.event == why and known.reply is None:
            return _answered(state, order_id, reply)
    return Step(state)


def _rebooted(state: OrdersState, now: Instant) -> OrdersState:
    """Uptimes of an earlier boot mean nothing in this one."""
    return state.model_copy(update={"refilled_ms": now.uptime_ms, "flood_ms": None, "flooded": 0})


def _effects(order: Asked) -> tuple[Effect, ...]:
    if order.picture is not None:
        return (ReplayPicture(order.id, order.picture),)
    return () if order.replay is None else (Replay(order.id, order.replay),)


def _answered(state: OrdersState, order_id: str, reply: dict[str, Any]) -> Step[OrdersState]:
    known = state.known[order_id].model_copy(update={"reply": reply})
    return Step(state.model_copy(update={"known": {**state.known, order_id: known}}), (), (Reply(order_id, reply),))


def _refuse(state: OrdersState, name: str, order_id: str | None, why: str, now: Instant) -> Step[OrdersState]:
    if state.tokens == 0:
        return _flooded(state, now)
    data = OrderTaken(what=name, id=order_id, ok=False, error=why)
    effects = () if order_id is None else (Reply(order_id, {"ok": False, "error": data.error}),)
    after = state.model_copy(update={"tokens": state.tokens - 1})
    return Step(after, (Draft(subject="post", data=data),), effects)


def _flooded(state: OrdersState, now: Instant) -> Step[OrdersState]:
    since_ms = now.uptime_ms if state.flood_ms is None else state.flood_ms
    return Step(state.model_copy(update={"flooded": state.flooded + 1, "flood_ms": since_ms}))


def _flood(state: OrdersState) -> Step[OrdersState]:
    why = f"{state.flooded} orders within a minute came too fast and were neither obeyed nor answered"
    data = OrderTaken(what="orders", id=None, ok=False, error=why)
    return Step(state.model_copy(update={"flooded": 0, "flood_ms": None}), (Draft(subject="post", data=data),))


def _refilled(state: OrdersState, now: Instant) -> OrdersState:
    more = (now.uptime_ms - state.refilled_ms) // TOKEN_EVERY_MS
    if more <= 0:
        return state
    tokens = min(TOKENS, state.tokens + more)
    return state.model_copy(update={"tokens": tokens, "refilled_ms": state.refilled_ms + more * TOKEN_EVERY_MS})


def _forgotten(state: OrdersState, now: Instant) -> OrdersState:
    """Orders whose time has passed could not be obeyed again anyway; an unsure clock forgets none."""
    if now.clock == "unsynced":
        return state
    known = {order_id: order for order_id, order in state.known.items() if order.expires_ms > now.wall_ms}
    return state if len(known) == len(state.known) else state.model_copy(update={"known": known})

"""``selftest``: asks a post to test itself, and prints what it found of each part."""

import argparse
import time
from typing import Any

from pydantic import ValidationError

from device.errors import Unreadable
from device.events import SelfTested
from device.record.chain import read
from recorder.broker import Broker
from recorder.errors import OrderFailed
from recorder.hints import one_line
from recorder.ordering import Desk, Message, obeyed, reply_to

_EVENT = "event/system"
_WORDS = {True: "pass", False: "FAIL", None: "look"}


def selftest(args: argparse.Namespace, broker: Broker) -> int:
    """0: no part has failed; 1: one has. As the event came: whoever stores it verifies it. Raises OrderFailed."""
    with Desk(broker, args.source, args.protocol, also=[_EVENT]) as desk:
        event, tested = _outcome(desk, args)
    for part in tested.parts:
        print(f"{_WORDS[part.ok]}  {part.what:<14}  {part.why}")
    print(f"{'passed' if tested.passed else 'FAILED'}: event {event}")
    return 0 if tested.passed else 1


def _outcome(desk: Desk, args: argparse.Namespace) -> tuple[str, SelfTested]:
    """Reply and event go ways of their own: either may come first."""
    until = time.monotonic() + args.within
    number = desk.send("selftest", {}, args.within)
    reply: dict[str, Any] | None = None
    found: tuple[str, SelfTested] | None = None
    while reply is None or found is None:
        try:
            heard = desk.arrived(until)
        except OrderFailed as error:
            if reply is None:
                raise
            event = one_line(str(reply.get("event")))
            why = f"its event {event} is not here yet: {error}"
            raise OrderFailed(f"{args.source} has tested itself; {why}") from None
        reply, found = reply or reply_to(number, heard), found or _tested(number, heard)
        if reply is not None:
            obeyed(args.source, reply)
    return found


def _tested(number: str, heard: Message) -> tuple[str, SelfTested] | None:
    """The self-test of this order, with its event's id."""
    try:
        envelope = read(heard.payload) if heard.level == _EVENT else None
        tested = None if envelope is None else SelfTested.model_validate(envelope.data)
    except (Unreadable, ValidationError):
        return None
    return None if envelope is None or tested is None or tested.order != number else (envelope.id, tested)

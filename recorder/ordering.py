"""Orders to a post, and what comes back: one connection, as long as somebody waits for it."""

import json
import queue
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from device.errors import Unreadable
from device.events import rfc3339
from device.record.chain import parse_json
from recorder.broker import Broker
from recorder.dialling import Protocol
from recorder.errors import OrderFailed, UsageError
from recorder.hints import one_line
from recorder.line import UNSUPPORTED_PROTOCOL, Arrived, Connected, Ended, Link, Notice, Subscribed

DIALS = 4
CONNECT_WITHIN_S = 20.0


class Message(NamedTuple):
    """What a post published. ``level``: its topic below the post's."""

    level: str
    payload: bytes


class Desk:
    """One connection for the orders to one post, without a session that stays."""

    def __init__(
        self, broker: Broker, source: str, protocol: Literal["auto", "5", "3.1.1"], also: Sequence[str] = ()
    ) -> None:
        """Connect. ``also``: other levels of the post's topics to hear. Raises OrderFailed, UsageError."""
        self._broker = broker
        self._base = source[1:]
        self._topics = [f"{self._base}/{level}" for level in ("reply/+", *also)]
        self._inbox: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._link = self._dialled(Protocol(protocol))

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self._link.hang_up()

    def send(self, name: str, members: Mapping[str, Any], within_s: float) -> str:
        """Send an order that is good for so long; its id."""
        number = str(uuid.uuid4())
        expires = rfc3339(time.time_ns() // 1_000_000 + round(within_s * 1000))
        order = {"id": number, "expires": expires, **members}
        self._link.publish(f"{self._base}/order/{name}", json.dumps(order).encode())
        return number

    def ask(self, name: str, members: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        """Send an order and wait so long for its reply. Raises OrderFailed."""
        until = time.monotonic() + within_s
        number = self.send(name, members, within_s)
        while (reply := reply_to(number, self.arrived(until))) is None:
            pass
        return reply

    def arrived(self, until: float) -> Message:
        """The next message, by ``until`` (monotonic). Raises OrderFailed."""
        while True:
            heard = self._next(until)
            if isinstance(heard, Arrived):
                return Message(heard.message.topic.removeprefix(f"{self._base}/"), bytes(heard.message.payload))

    def _dialled(self, protocol: Protocol) -> Link:
        """MQTT 5, and 3.1.1 where the broker refuses it; subscribed to the replies. Raises OrderFailed."""
        why = ""
        for _ in range(DIALS):
            name = f"guardpost-order-{uuid.uuid4().hex[:8]}"
            link = Link(self._broker, protocol.next(), name, self._topics, self._inbox, session_s=0)
            self._link = link
            link.start()
            try:
                heard = self._next(time.monotonic() + CONNECT_WITHIN_S)
                if isinstance(heard, Connected) and heard.reason < 0x80:
                    link.subscribe()
                    heard = self._next(time.monotonic() + CONNECT_WITHIN_S)
                    if isinstance(heard, Subscribed) and not heard.refused:
                        return link
                    raise UsageError(f"{self._broker} does not let us read replies: correct its access rules")
                if isinstance(heard, Connected):
                    link.welcomed, why = True, heard.words
                    if heard.reason in UNSUPPORTED_PROTOCOL:
                        protocol.refused(link.version)
            except OrderFailed as error:
                why = str(error)
                protocol.closed(link.version)
            link.hang_up()
        raise OrderFailed(f"{self._broker}: {why}")

    def _next(self, until: float) -> Notice:
        try:
            heard = self._inbox.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise OrderFailed("no answer in time; is the post online? It may still do what was asked") from None
        if isinstance(heard, Arrived):
            heard.link.acknowledge(heard.message)
        if isinstance(heard, Ended) and heard.link is self._link:
            raise OrderFailed(f"no connection to {self._broker}: {heard.why}")
        return heard


def obeyed(source: str, reply: Mapping[str, Any]) -> None:
    """Raises OrderFailed, with the post's own words, where it was not."""
    if reply.get("ok") is not True:
        raise OrderFailed(f"{source} refuses: {one_line(str(reply.get('error')))}")


def reply_to(number: str, heard: Message) -> dict[str, Any] | None:
    """The reply to this order; anything else is not for us."""
    try:
        reply = parse_json(heard.payload) if heard.level.startswith("reply/") else {}
    except Unreadable:
        return None
    return reply if reply.get("id") == number else None

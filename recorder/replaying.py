"""``replay``: asks a post to send numbers again, page by page, until it has sent or named them all."""

import argparse
import json
import queue
import time
import uuid
from collections.abc import Iterator
from typing import Any, Literal

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


def replay(args: argparse.Namespace, broker: Broker) -> int:
    """Prints each reply as it came. 0: everything asked for was sent; 1: something is missing there, or refused."""
    if args.first > args.last:
        raise UsageError(f"replay: {args.first} to {args.last} is no range")
    complete = True
    with _Desk(broker, args.source, args.protocol) as desk:
        for reply in _pages(desk, args):
            print(json.dumps(reply, separators=(",", ":"), ensure_ascii=False), flush=True)
            complete = complete and reply.get("ok") is True and not reply.get("missing")
    return 0 if complete else 1


def _pages(desk: "_Desk", args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A post pages by itself; ``next`` must lead on, or it would keep us for ever."""
    first: int = args.first
    while True:
        reply = desk.order(args.chain, first, args.last, args.within)
        yield reply
        following = reply.get("next")
        if reply.get("ok") is not True or following is None:
            return
        if type(following) is not int or not first < following <= args.last:
            raise OrderFailed(
                f"{args.source} names {one_line(str(following), 40)} as next after {first}; ask in parts"
            )
        first = following


class _Desk:
    """One connection for the orders to one post, without a session that stays."""

    def __init__(self, broker: Broker, source: str, protocol: Literal["auto", "5", "3.1.1"]) -> None:
        self._broker = broker
        self._base = source[1:]
        self._inbox: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._link = self._dialled(Protocol(protocol))

    def __enter__(self) -> "_Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self._link.hang_up()

    def order(self, chain: str, first: int, last: int, within_s: float) -> dict[str, Any]:
        """Send one order and wait for its reply. Raises OrderFailed."""
        number = str(uuid.uuid4())
        expires = rfc3339(time.time_ns() // 1_000_000 + round(within_s * 1000))
        order = {"id": number, "expires": expires, "chain": chain, "from": first, "to": last}
        self._link.publish(f"{self._base}/order/replay", json.dumps(order).encode())
        until = time.monotonic() + within_s
        while True:
            heard = self._next(until)
            if isinstance(heard, Arrived) and (reply := _reply(heard, number)) is not None:
                return reply

    def _dialled(self, protocol: Protocol) -> Link:
        """MQTT 5, and 3.1.1 where the broker refuses it; subscribed to the replies. Raises OrderFailed."""
        why = ""
        for _ in range(DIALS):
            name = f"guardpost-order-{uuid.uuid4().hex[:8]}"
            link = Link(self._broker, protocol.next(), name, [f"{self._base}/reply/+"], self._inbox, session_s=0)
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


def _reply(heard: Arrived, number: str) -> dict[str, Any] | None:
    """The reply to this order; anything else on its topic is not for us."""
    try:
        reply = parse_json(bytes(heard.message.payload))
    except Unreadable:
        return None
    return reply if reply.get("id") == number else None

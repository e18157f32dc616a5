"""``replay``: asks a post to send numbers again, page by page, until it has sent or named them all."""

import argparse
import json
from collections.abc import Iterator
from typing import Any

from recorder.broker import Broker
from recorder.errors import OrderFailed, UsageError
from recorder.hints import one_line
from recorder.ordering import Desk


def replay(args: argparse.Namespace, broker: Broker) -> int:
    """Prints each reply as it came. 0: everything asked for was sent; 1: something is missing there, or refused."""
    if args.first > args.last:
        raise UsageError(f"replay: {args.first} to {args.last} is no range")
    complete = True
    with Desk(broker, args.source, args.protocol) as desk:
        for reply in _pages(desk, args):
            print(json.dumps(reply, separators=(",", ":"), ensure_ascii=False), flush=True)
            complete = complete and reply.get("ok") is True and not reply.get("missing")
    return 0 if complete else 1


def _pages(desk: Desk, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A post pages by itself; ``next`` must lead on, or it would keep us for ever."""
    first: int = args.first
    while True:
        reply = desk.ask("replay", {"chain": args.chain, "from": first, "to": args.last}, args.within)
        yield reply
        following = reply.get("next")
        if reply.get("ok") is not True or following is None:
            return
        if type(following) is not int or not first < following <= args.last:
            raise OrderFailed(
                f"{args.source} names {one_line(str(following), 40)} as next after {first}; ask in parts"
            )
        first = following

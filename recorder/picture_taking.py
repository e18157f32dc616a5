"""``pictures take``: asks a post to take a picture now."""

import argparse

from recorder.broker import Broker
from recorder.hints import one_line
from recorder.ordering import Desk, obeyed


def take_picture(args: argparse.Namespace, broker: Broker) -> int:
    """0: it was taken and announced; its bytes follow. Raises OrderFailed where it was not."""
    with Desk(broker, args.source, args.protocol) as desk:
        reply = desk.ask("picture", {}, args.within)
    obeyed(args.source, reply)
    print(f"{one_line(str(reply.get('sha256')), 64)}  event {one_line(str(reply.get('event')))}")
    return 0

"""``pictures take``: asks a post to take a picture now."""

import argparse
import time

from recorder.broker import Broker
from recorder.errors import OrderFailed
from recorder.hints import one_line
from recorder.ordering import Desk, reply_to


def take_picture(args: argparse.Namespace, broker: Broker) -> int:
    """0: it was taken and announced; its bytes follow. Raises OrderFailed where it was not."""
    with Desk(broker, args.source, args.protocol) as desk:
        until = time.monotonic() + args.within
        number = desk.send("picture", {}, args.within)
        while (reply := reply_to(number, desk.arrived(until))) is None:
            pass
    if reply.get("ok") is not True:
        raise OrderFailed(f"{args.source} refuses: {one_line(str(reply.get('error')))}")
    print(f"{one_line(str(reply.get('sha256')), 64)}  event {one_line(str(reply.get('event')))}")
    return 0

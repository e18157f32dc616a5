"""``python -m bench.alarms FOLDER COUNT``: a door is forced again and again while pictures go up a slow line.

In a network of its own, see ``slow_line``; or with ``--proxy``, where each connection has a slow line to itself.
"""

import argparse
import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
from brokers import Mosquitto, free_port, mosquitto
from headquarters import as_bytes, order
from paho.mqtt.enums import CallbackAPIVersion
from posts import BASE, SimPost, post
from proxy import proxied
from waiting import until

from bench.slow_line import BELOW, BYTES_PER_S, NEAR, line

ORDERED = 2
"""Pictures that are asked for or on their way: one at least is, at any time."""
DOORS = {"front": 17, "back": 27, "side": 23, "store": 24}
"""By name, their pins. In turn: a contact that moves more than 60 times a minute counts as chattering."""
PAUSE_S = (0.3, 0.9)
WITHIN_S = 120.0
_FORCED = 'forced_without_checkin = "1s"'
_CAMERA = """
[camera]
size = [1920, 1080]
quality = {quality}
rate = 1
before = "0s"
on = ["order"]
"""


class Headquarters:
    """Hears alarms and pictures, and orders pictures."""

    def __init__(self, port: int) -> None:
        self.alarms_ns: list[int] = []
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = self._heard
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe([(f"{BASE}/{what}", 1) for what in ("alarm/door", "event/#", "picture/+")])
        assert self._subscribed.wait(WITHIN_S)

    def keep_busy(self) -> None:
        """Pictures are on their way from now on."""
        for _ in range(ORDERED):
            self._order()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _order(self) -> None:
        self._client.publish(f"{BASE}/order/picture", as_bytes(order()), qos=1)

    def _heard(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/alarm/door"):
            self.alarms_ns.append(time.monotonic_ns())
        elif "/picture/" in message.topic:
            self._order()


@contextmanager
def reached(folder: Path, queue_ms: int, *, by_proxy: bool) -> Iterator[tuple[Mosquitto, str, Sequence[str]]]:
    """A broker; its address for a post at the end of the slow line, and what runs that post there."""
    if by_proxy:
        with mosquitto(folder / "broker", persistent=False) as near, proxied(near.port) as proxy:
            proxy.be(rate=BYTES_PER_S)
            yield near, proxy.url, BELOW
    else:
        port = free_port()
        with line(queue_ms) as there:
            lines = ("allow_anonymous true", f"listener {port} {NEAR}")
            with mosquitto(folder / "broker", lines=lines, persistent=False) as near:
                yield near, f"mqtt://{NEAR}:{port}", there


def forced(post: SimPost, headquarters: Headquarters, count: int) -> list[int]:
    """Nanoseconds from each time that the door begins to open until headquarters hears the alarm."""
    pause, taken = random.Random(0), []
    for number, door in zip(range(count), itertools.cycle(DOORS), strict=False):
        time.sleep(pause.uniform(*PAUSE_S))
        began_ns = time.monotonic_ns()
        post.do(f"open {door}")
        until(lambda: len(headquarters.alarms_ns) > number, WITHIN_S, f"alarm {number}")  # noqa: B023
        taken.append(headquarters.alarms_ns[number] - began_ns)
        post.do(f"close {door}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser("bench.alarms")
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--link", default="", help="lines of [link]")
    parser.add_argument("--quality", type=int, default=0, help="of the pictures; 0: there are none on the line")
    parser.add_argument("--unpaced", action="store_true", help="the pictures' connection is one as any other")
    parser.add_argument("--queue-ms", type=int, default=400)
    parser.add_argument("--proxy", action="store_true")
    args = parser.parse_args()
    args.folder.mkdir(parents=True)
    doors = (f'[[door]]\nname = "{name}"\npin = {pin}\n{_FORCED}\n' for name, pin in [*DOORS.items()][1:])
    more = "".join([*doors, _CAMERA.format(quality=args.quality or 85)])
    unpaced = [sys.executable, "-m", "bench.unpaced"] if args.unpaced else []
    with (
        reached(args.folder, args.queue_ms, by_proxy=args.proxy) as (broker, url, there),
        closing(Headquarters(broker.port)) as headquarters,
        post(args.folder, url, link=args.link, door=_FORCED, more=more, wrapper=[*there, *unpaced]) as far,
    ):
        forced(far, headquarters, 1)
        headquarters.alarms_ns.clear()
        if args.quality:
            headquarters.keep_busy()
            until(lambda: "pictures: connected" in far.said(), WITHIN_S, "a picture")
        taken = forced(far, headquarters, args.count)
        sizes = [file.stat().st_size for file in (far.state / "pictures").glob("*/*")]
    print(json.dumps({"alarms_ns": taken, "sizes": sizes}))


if __name__ == "__main__":
    main()

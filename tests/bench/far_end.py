"""The far ends that ours and the floor share: Mosquitto, and its own client as the subscriber."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brokers import Mosquitto
from waiting import until

EVENTS = "guardpost/+/+/event/#"
_LITTLE_LOG = ("allow_anonymous true", "log_type none", "log_type subscribe")


@contextmanager
def broker(folder: Path) -> Iterator[Mosquitto]:
    """A Mosquitto that keeps nothing: what it writes would be nobody's figure."""
    made = Mosquitto(folder, lines=_LITTLE_LOG, persistent=False)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def subscribed(folder: Path) -> Iterator[Mosquitto]:
    """A broker with a subscriber, since a post takes "nobody subscribes" (0x10) for a refusal."""
    with broker(folder) as far, _subscriber(far, subprocess.DEVNULL):
        yield far


@contextmanager
def listener(broker: Mosquitto) -> Iterator[list[int]]:
    """A subscriber; when it told of each check-in, CLOCK_MONOTONIC in nanoseconds."""
    heard_ns: list[int] = []
    with _subscriber(broker, subprocess.PIPE) as process:
        assert process.stdout is not None
        topics = process.stdout

        def listen() -> None:
            for topic in topics:
                if topic.endswith(b"/checkin\n"):
                    heard_ns.append(time.monotonic_ns())

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield heard_ns
        finally:
            process.kill()
            thread.join()


@contextmanager
def _subscriber(broker: Mosquitto, told: int) -> Iterator["subprocess.Popen[bytes]"]:
    """``mosquitto_sub`` with QoS 1, subscribed while the block runs; each message's topic goes to ``told``."""
    command = ["mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1"]
    with subprocess.Popen(["stdbuf", "-oL", *command, "-t", EVENTS, "-F", "%t"], stdout=told) as process:
        try:
            until(lambda: EVENTS in broker.log(), what="the subscription")
            yield process
        finally:
            process.kill()

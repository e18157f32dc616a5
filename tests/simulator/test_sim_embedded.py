"""The broker of our own: both protocol versions, large messages, and an end with its owner."""

import errno
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from simulator.embedded import EmbeddedBroker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as made:
        yield made


class Client:
    """A paho client that puts what it hears."""

    def __init__(self, port: int, protocol: MQTTProtocolVersion, topic: str) -> None:
        self.heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.ready: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        self.client.on_subscribe = lambda *_: self.ready.put(True)
        self.client.on_message = lambda _c, _u, message: self.heard.put(bytes(message.payload))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe(topic, 1)
        assert self.ready.get(timeout=10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_it_speaks_both_versions_and_takes_what_the_default_would_not(broker: EmbeddedBroker) -> None:
    new = Client(broker.mqtt5, mqtt.MQTTv5, "to/new")
    old = Client(broker.mqtt311, mqtt.MQTTv311, "to/old")
    picture = bytes(300_000)
    new.client.publish("to/old", picture, qos=1)
    old.client.publish("to/new", b"small", qos=1)
    assert old.heard.get(timeout=10) == picture
    assert new.heard.get(timeout=10) == b"small"
    new.close()
    old.close()


def test_it_listens_on_loopback_only(broker: EmbeddedBroker) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.2", broker.mqtt5))  # possible only where nobody has taken all addresses


def test_it_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from simulator.embedded import EmbeddedBroker\n"
        f"broker = EmbeddedBroker(Path({str(tmp_path)!r})); broker.start(); print(broker.mqtt5, flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        port = int(owner.stdout.readline())
        owner.send_signal(signal.SIGKILL)
        give_up_s = time.monotonic() + 10
        while _answers(port):
            assert time.monotonic() < give_up_s


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) != errno.ECONNREFUSED

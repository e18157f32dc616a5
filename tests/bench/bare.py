"""``python tests/bench/bare.py FOLDER [PORT]``: the same work with nothing around it.

One command a line comes on standard input. Each is written as plainly as its library lets one, and keeps the
promise that it stands for: what is said to be durable is, what is said to be acknowledged was acknowledged.
"""

import argparse
import base64
import json
import os
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

ROW_BYTES = 750
GROUP = 10
IN_FLIGHT = 20
RECEIVE_MAXIMUM = 1000
BATCH = 256
TOPIC = "guardpost/jember/kpu-gate/event/checkin"
_WITHIN_S = 600.0


class Disk:
    """A table of rows in a write-ahead log with ``synchronous=FULL``; SQLite's own checkpoints."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(file, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE IF NOT EXISTS rows (n INTEGER PRIMARY KEY, row BLOB NOT NULL)")

    def commit(self, rows: Sequence[bytes]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        for row in rows:
            self._database.execute("INSERT INTO rows (row) VALUES (?)", (row,))
        self._database.execute("COMMIT")


class Bare:
    """What each command does."""

    def __init__(self, folder: Path, port: int) -> None:
        self._port = port
        self._disk = Disk(folder / "bare.sqlite3")

    def commits(self, count: int, pause_s: float) -> list[int]:
        """Durable commits of one row; nanoseconds each."""
        taken = []
        for _ in range(count):
            row = os.urandom(ROW_BYTES)
            time.sleep(pause_s)
            began = time.monotonic_ns()
            self._disk.commit([row])
            taken.append(time.monotonic_ns() - began)
        return taken

    def sealed(self, count: int, event: str) -> int:
        """``count`` events canonicalised, signed and committed ten at a time; nanoseconds."""
        members, key, group = json.loads(event), Ed25519PrivateKey.generate(), []
        del members["signature"]
        began = time.monotonic_ns()
        for number in range(count):
            members["seq"] = number
            unsigned = rfc8785.dumps(members)
            group.append(unsigned + base64.urlsafe_b64encode(key.sign(unsigned)))
            if len(group) == GROUP:
                self._disk.commit(group)
                group = []
        return time.monotonic_ns() - began

    def taps(self, count: int, pause_s: float, event: str) -> list[int]:
        """One durable commit, then one publish; when each began."""
        client, payload, taken = self._connected(IN_FLIGHT), event.encode(), []
        for _ in range(count):
            time.sleep(pause_s)
            taken.append(time.monotonic_ns())
            self._disk.commit([payload])
            client.publish(TOPIC, payload, qos=1)
        client.disconnect()
        return taken

    def publishes(self, journal: str, rows: int) -> tuple[int, int]:
        """The rows of a journal, QoS 1, 20 in flight: when the first one went, and when the last PUBACK came."""
        database = sqlite3.connect(f"{Path(journal).as_uri()}?mode=ro", uri=True)
        query = "SELECT event FROM events ORDER BY position LIMIT ?"
        payloads = [bytes(event) for (event,) in database.execute(query, (rows,))]
        database.close()
        client, room = self._connected(0), threading.Semaphore(IN_FLIGHT)
        client.on_publish = lambda *_: room.release()
        began = time.monotonic_ns()
        for payload in payloads:
            room.acquire()
            client.publish(TOPIC, payload, qos=1)
        for _ in range(IN_FLIGHT):
            assert room.acquire(timeout=_WITHIN_S)
        ended = time.monotonic_ns()
        client.disconnect()
        return began, ended

    def receives(self, rows: int, jwk: dict[str, str]) -> int:
        """``rows`` messages received, read, canonicalised, verified, committed in groups, then acknowledged.

        When the last one was.
        """
        came: queue.SimpleQueue[mqtt.MQTTMessage] = queue.SimpleQueue()
        public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "="))
        client = self._connected(0, manual_ack=True)
        client.on_message = lambda _client, _userdata, message: came.put(message)
        subscribed = threading.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.subscribe("guardpost/+/+/event/#", qos=1)
        assert subscribed.wait(_WITHIN_S)
        print(json.dumps("subscribed"), flush=True)
        done = 0
        while done < rows:
            batch = [came.get(timeout=_WITHIN_S)]
            while len(batch) < BATCH and not came.empty():
                batch.append(came.get())
            for message in batch:
                members = json.loads(message.payload)
                signature = members.pop("signature")
                public.verify(base64.urlsafe_b64decode(signature + "=="), rfc8785.dumps(members))
            self._disk.commit([bytes(message.payload) for message in batch])
            for message in batch:
                client.ack(message.mid, message.qos)
            done += len(batch)
        at = time.monotonic_ns()
        client.disconnect()
        return at

    def _connected(self, in_flight: int, *, manual_ack: bool = False) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, manual_ack=manual_ack)
        client.max_inflight_messages_set(in_flight)
        connected = threading.Event()
        client.on_connect = lambda *_: connected.set()
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        client.connect("127.0.0.1", self._port, properties=properties)
        client.loop_start()
        assert connected.wait(_WITHIN_S)
        return client


def main() -> None:
    parser = argparse.ArgumentParser("bare.py")
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int, nargs="?", default=0)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    bare = Bare(args.folder, args.port)
    commands: dict[str, Callable[..., Any]] = {
        "commits": bare.commits,
        "sealed": bare.sealed,
        "taps": bare.taps,
        "publishes": bare.publishes,
        "receives": bare.receives,
    }
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(commands[asked.pop("do")](**asked)), flush=True)


if __name__ == "__main__":
    main()

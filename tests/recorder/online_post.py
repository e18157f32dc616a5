"""The post's side of receipts, small: publishes in order, and sends again what a receipt does not cover."""

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as mqtt
from far_ends import Post
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from waiting import until

RESENT_AT_MOST = 500
"""Rows that a post sends again for one receipt (contract, Receipts)."""


class OnlinePost:
    """``resend_after_s`` stands for ``link.receipt_timeout``: a row sent more recently is not sent again.

    ``first``: rows below are no longer kept.
    """

    def __init__(self, port: int, post: Post, resend_after_s: float = 0.3) -> None:
        self.post = post
        self.resend_after_s = resend_after_s
        self.receipts: list[dict[str, Any]] = []
        self.resent = 0
        self.sent = 0
        self.first = 1
        self._sent_at: dict[int, float] = {}
        self._pubacks = 0
        self._published = 0
        self._counting = threading.Lock()
        self._inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "post", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = lambda _c, _u, message: self._inbox.put(bytes(message.payload))
        self._client.on_publish = self._on_publish
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        until(self._client.is_connected)
        self._client.subscribe(f"{post.source[1:]}/receipt", 1)
        self._worker = threading.Thread(target=self._heed)
        self._worker.start()

    def send_new(self) -> None:
        """Everything sealed and not sent yet, in order; back once it is all PUBACKed."""
        for seq in range(self.sent + 1, self.post.here.seq + 1):
            self._send(seq)
        self.sent = self.post.here.seq
        self.settle()

    def settle(self) -> None:
        """Until nothing waits for its PUBACK."""
        until(lambda: self._pubacks == self._published, 60)

    def say(self, name: str, value: object) -> None:
        """A retained message."""
        self._publish(f"{self.post.source[1:]}/{name}", json.dumps(value).encode(), retain=True)
        self.settle()

    def state(self) -> None:
        message = self.post.state(self.sent, first=self.first)
        self.say("state", json.loads(message.payload))

    def identity(self) -> None:
        self.say("identity", json.loads(self.post.identity().payload))

    def close(self) -> None:
        self._inbox.put(None)
        self._worker.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _heed(self) -> None:
        while (payload := self._inbox.get()) is not None:
            said = json.loads(payload)
            self.receipts.append(said)
            now = time.monotonic()
            for seq in range(max(self.first, said["seq"] + 1), min(said["seq"] + RESENT_AT_MOST, self.sent) + 1):
                if now - self._sent_at[seq] >= self.resend_after_s:
                    self.resent += 1
                    self._send(seq)

    def _send(self, seq: int) -> None:
        self._sent_at[seq] = time.monotonic()
        message = self.post.message(self.post.sealed[seq - 1])
        self._publish(message.topic, message.payload)

    def _publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        with self._counting:  # both this thread and that of the receipts publish
            self._published += 1
        self._client.publish(topic, payload, qos=1, retain=retain)

    def _on_publish(self, *_: object) -> None:
        self._pubacks += 1


@contextmanager
def online(port: int, post: Post) -> Iterator[OnlinePost]:
    far = OnlinePost(port, post)
    try:
        yield far
    finally:
        far.close()

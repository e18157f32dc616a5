"""The post's side of pictures, small: hears orders to send one again, and does what a test says."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as mqtt
from far_ends import Post
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from waiting import until

from recorder.intake import Message

Answer = Callable[["PicturePost", dict[str, Any]], None]


class PicturePost:
    """``orders``: those that came, in order. ``answer``: called for each, in paho's thread."""

    def __init__(self, port: int, post: Post, answer: Answer) -> None:
        self.orders: list[dict[str, Any]] = []
        self.base = post.source[1:]
        self._answer = answer
        name = f"{self.base}-pictures"
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._subscribed = False
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(f"{self.base}/order/replay", 1)
        until(lambda: self._subscribed)

    def send(self, *messages: Message, retain: bool = False) -> None:
        """QoS 1, in order."""
        for message in messages:
            self._client.publish(message.topic, message.payload, qos=1, retain=retain)

    def reply(self, order: dict[str, Any], **members: Any) -> None:
        payload = json.dumps({"id": order["id"], **members}).encode()
        self._client.publish(f"{self.base}/reply/{order['id']}", payload, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: mqtt.Client, _user: object, message: mqtt.MQTTMessage) -> None:
        order = json.loads(message.payload)
        self.orders.append(order)
        self._answer(self, order)

    def _on_subscribe(self, *_: object) -> None:
        self._subscribed = True


@contextmanager
def picture_post(port: int, post: Post, answer: Answer) -> Iterator[PicturePost]:
    """It says that it is online, and who it is."""
    far = PicturePost(port, post, answer)
    try:
        far.send(post.identity(), post.retained("status", {"online": True}), retain=True)
        yield far
    finally:
        far.close()

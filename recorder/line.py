"""One MQTT connection: a paho client that lives for exactly one of its connections and only puts notices."""

import ssl
import struct
import threading
from dataclasses import dataclass
from typing import Literal, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from recorder.broker import Broker

Version = Literal["5", "3.1.1"]

SESSION_EXPIRY_S = 7 * 86400
KEEPALIVE_S = 30
WINDOW = 20
"""Our own messages without a PUBACK, at most; fewer where the broker says so."""

UNSUPPORTED_PROTOCOL = frozenset({0x01, 0x84})
"""CONNACK of MQTT 3.1.1 section 3.2.2.3 and of MQTT 5 section 3.2.2.2; paho names both by the latter."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a connection takes in, so that the broker waits and not our memory.

    ``receive_maximum``: messages without our PUBACK. It does not hold everybody: 3.1.1 and QoS 0 know none, and
    Mosquitto 2.0.11 sends far beyond it once the first PUBACKs come (tried: 50 of 100 acknowledged brought 1,400
    more). So after ``unseen`` messages taken off the line and not yet recorded the socket is not read until there
    is room. ``packet_bytes``: the largest packet a broker may hand us. ``payload_bytes``: kept of one message; the
    longest that is of use has one byte less.
    """

    receive_maximum: int
    packet_bytes: int
    unseen: int
    payload_bytes: int


SMALL = Bounds(receive_maximum=1000, packet_bytes=2 << 20, unseen=2000, payload_bytes=65537)
"""For events and hints: an event has 8 KiB at most, a ``state`` 64 KiB, so anything larger is garbage."""


@dataclass(frozen=True, slots=True)
class Connected:
    """CONNACK. ``reason`` below 0x80 is a welcome."""

    link: "Link"
    reason: int
    words: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message, to be acknowledged on its own connection."""

    link: "Link"
    message: mqtt.MQTTMessage


@dataclass(frozen=True, slots=True)
class Subscribed:
    """SUBACK. ``refused``: the broker does not let us read everything."""

    link: "Link"
    refused: bool


@dataclass(frozen=True, slots=True)
class Published:
    """PUBACK for a message of ours. ``reason`` of 0x80 and above: refused (MQTT 5 only)."""

    link: "Link"
    mid: int
    reason: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection is over or never came up. ``expected``: by something that networks do."""

    link: "Link"
    why: str
    expected: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody asks the recorder to end."""


Notice = Connected | Arrived | Subscribed | Published | Ended | Stop


class Inbox(Protocol):
    """What callbacks do: put, and nothing else."""

    def put(self, item: Notice, /) -> None:
        """Never blocks."""
        ...


class _Client(mqtt.Client):
    """paho's thread runs ``loop_forever``; this one reports how it ended, whatever happened in it."""

    link: "Link"

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """Connects first (``connect_async`` came before) and never again: each connection has its own client."""
        del retry_first_connection
        why, expected = "its thread died", False
        try:
            code = super().loop_forever(timeout, retry_first_connection=False)
            why, expected = mqtt.error_string(code), True
            return code
        except OSError as error:
            why, expected = _os_words(error), True
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        except (MQTTException, struct.error, IndexError, KeyError, ValueError) as error:
            why, expected = f"not MQTT: {type(error).__name__} {error}", True
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        finally:
            self.link.end(why, expected=expected)


class Link:
    """One connection, from its attempt to its end. Callbacks only put notices into ``inbox``.

    ``session_s``: how long the broker keeps what comes while we are away; 0 begins and ends with nothing.
    """

    def __init__(
        self,
        broker: Broker,
        version: Version,
        client_id: str,
        topics: list[str],
        inbox: Inbox,
        session_s: int = SESSION_EXPIRY_S,
        bounds: Bounds = SMALL,
    ) -> None:
        self.version = version
        self._session_s = session_s
        self._bounds = bounds
        self._room = threading.Semaphore(bounds.unseen)
        self._closing = False
        self._window = WINDOW
        self._published = 0
        self._acknowledged = 0
        self.welcomed = False
        self._broker = broker
        self._topics = topics
        self._inbox = inbox
        self._reason = ""
        v5 = version == "5"
        self._client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if v5 else session_s == 0,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self._client.link = self
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish

    def start(self) -> None:
        """Dial on paho's own thread; how it goes comes as notices."""
        broker, client = self._broker, self._client
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls:
            client.tls_set_context(ssl.create_default_context(cafile=broker.ca))
        if self.version == "5":
            client.connect_async(
                broker.host,
                broker.port,
                KEEPALIVE_S,
                clean_start=self._session_s == 0,
                properties=self._connect_properties(),
            )
        else:
            client.connect_async(broker.host, broker.port, KEEPALIVE_S)
        client.loop_start()

    def subscribe(self) -> None:
        """All topics at QoS 1; asked again on every connection, so that retained messages come again."""
        self._client.subscribe([(topic, 1) for topic in self._topics])

    def acknowledge(self, message: mqtt.MQTTMessage) -> None:
        """PUBACK: its content is durable."""
        self._client.ack(message.mid, message.qos)
        self._room.release()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """QoS 1; returns the packet id that ``Published`` will name."""
        self._published += 1
        return self._client.publish(topic, payload, qos=1, retain=retain).mid

    @property
    def room(self) -> int:
        """How many PUBLISHes more may wait for their PUBACK; counted before the inbox, which may be long."""
        return self._window - (self._published - self._acknowledged)

    def hang_up(self) -> None:
        """DISCONNECT, after the acknowledgements that wait; the session stays. ``Ended`` follows."""
        self._closing = True
        self._room.release(self._bounds.unseen)
        self._client.disconnect()

    def end(self, why: str, *, expected: bool) -> None:
        """Called by the client's thread as its last act."""
        self._inbox.put(Ended(self, self._reason or why, expected))

    def _on_connect(
        self, _c: mqtt.Client, _u: object, _f: mqtt.ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        self._inbox.put(Connected(self, reason.value, str(reason)))

    def _on_disconnect(
        self, _c: mqtt.Client, _u: object, _f: mqtt.DisconnectFlags, reason: ReasonCode, _p: Properties | None
    ) -> None:
        self._reason = str(reason)

    def _on_subscribe(
        self, _c: mqtt.Client, _u: object, _m: int, reasons: list[ReasonCode], _p: Properties | None
    ) -> None:
        self._inbox.put(Subscribed(self, any(reason.is_failure for reason in reasons)))

    def _on_message(self, _c: mqtt.Client, _u: object, message: mqtt.MQTTMessage) -> None:
        self._room.acquire()
        if not self._closing:
            message.payload = message.payload[: self._bounds.payload_bytes]
            self._inbox.put(Arrived(self, message))

    def _on_publish(self, _c: mqtt.Client, _u: object, mid: int, reason: ReasonCode, _p: Properties | None) -> None:
        self._acknowledged += 1
        self._inbox.put(Published(self, mid, reason.value))

    def _connect_properties(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._session_s
        properties.ReceiveMaximum = self._bounds.receive_maximum
        properties.MaximumPacketSize = self._bounds.packet_bytes
        return properties


def _os_words(error: OSError) -> str:
    return str(error.strerror or error) or type(error).__name__

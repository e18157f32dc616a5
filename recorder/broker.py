"""One MQTT connection: a broker's URL, and a paho client that lives for exactly one of its connections."""

import ssl
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from recorder.errors import UsageError

Version = Literal["5", "3.1.1"]

SESSION_EXPIRY_S = 7 * 86400
RECEIVE_MAXIMUM = 1000
MAX_PACKET_BYTES = 2 * 1024 * 1024
"""What a broker may hand us at once; an event has 8 KiB at most, so anything larger is garbage."""
KEEPALIVE_S = 30

UNSUPPORTED_PROTOCOL = frozenset({0x01, 0x84})
"""CONNACK of MQTT 3.1.1 section 3.2.2.3 and of MQTT 5 section 3.2.2.2; paho names both by the latter."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are to it."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = None
    ca: Path | None = None

    def __str__(self) -> str:
        """The URL without secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_broker(url: str, password: str | None = None, ca: Path | None = None) -> Broker:
    """``mqtt://[user@]host[:port]`` or ``mqtts://...``. Raises UsageError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"broker {url}: {error}") from None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise UsageError(f"broker {url}: write it as mqtt://host:port or mqtts://host:port")
    if parts.password is not None:
        raise UsageError("broker: a password in the URL is seen by everybody on this machine; use --password-file")
    if password is not None and not parts.username:
        raise UsageError(f"broker {url}: a password needs a user: mqtt://user@host:port")
    tls = parts.scheme == "mqtts"
    if ca is not None and (not tls or not ca.is_file()):
        raise UsageError(f"CA file {ca}: no such file" if tls else f"broker {url}: a CA file needs mqtts://")
    user = unquote(parts.username) if parts.username else None
    return Broker(parts.hostname, port or (8883 if tls else 1883), tls, user, password, ca)


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
class Ended:
    """The connection is over or never came up. ``expected``: by something that networks do."""

    link: "Link"
    why: str
    expected: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody asks the recorder to end."""


Notice = Connected | Arrived | Subscribed | Ended | Stop


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
    """One connection, from its attempt to its end. Callbacks only put notices into ``inbox``."""

    def __init__(self, broker: Broker, version: Version, client_id: str, topics: list[str], inbox: Inbox) -> None:
        self.version = version
        self.welcomed = False
        self._broker = broker
        self._topics = topics
        self._inbox = inbox
        self._reason = ""
        v5 = version == "5"
        self._client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if v5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self._client.link = self
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Dial on paho's own thread; how it goes comes as notices."""
        broker, client = self._broker, self._client
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls:
            client.tls_set_context(ssl.create_default_context(cafile=broker.ca))
        if self.version == "5":
            client.connect_async(
                broker.host, broker.port, KEEPALIVE_S, clean_start=False, properties=_connect_properties()
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

    def hang_up(self) -> None:
        """DISCONNECT, after the acknowledgements that wait; the session stays. ``Ended`` follows."""
        self._client.disconnect()

    def end(self, why: str, *, expected: bool) -> None:
        """Called by the client's thread as its last act."""
        self._inbox.put(Ended(self, self._reason or why, expected))

    def _on_connect(
        self, _c: mqtt.Client, _u: object, _f: mqtt.ConnectFlags, reason: ReasonCode, _p: Properties | None
    ) -> None:
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
        self._inbox.put(Arrived(self, message))


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_EXPIRY_S
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    properties.MaximumPacketSize = MAX_PACKET_BYTES
    return properties


def _os_words(error: OSError) -> str:
    return str(error.strerror or error) or type(error).__name__

"""One MQTT connection: a fresh paho client that only puts readings and never holds a queue of its own."""

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal, Protocol, cast

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device.addresses import Broker
from device.errors import ConfigError
from device.readings import Arrived, Clock, Connected, Delivered, Disconnected, LinkReading

MqttVersion = Literal["5", "3.1.1"]

QOS = 1
EVENT_CONTENT_TYPE = "application/cloudevents+json"
_UNSUPPORTED_PROTOCOL = 0x84
_NO_WORD = 0x80  # what paho gives where no DISCONNECT told why
_NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID (OpenSSL, x509_vfy.h)
_SESSION_EXPIRY_S = 7 * 24 * 3600
_RECEIVE_AT_ONCE = 20
_ROOM_WITHIN_S = 0.5
_LARGEST_PACKET_BYTES = 64 * 1024
_PAHO_KEEPALIVE = 0.7
_RECEIVE_MAXIMUM_DEFAULT = 65_535
"""MQTT 5, section 3.2.2.3.3: what an absent Receive Maximum means; 3.1.1 has none."""


@dataclass(frozen=True, slots=True)
class Access:
    """How the post shows who it is, and whom it believes."""

    user: str
    client_id: str
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says, retained, when the post has gone without a word."""

    topic: str
    payload: bytes


class Inbox(Protocol):
    """Where a line's readings go: a ``queue.SimpleQueue``."""

    def put(self, reading: LinkReading, /) -> None:
        """Return at once."""
        ...


class Line:
    """One connection, from dialling to its end. ``generation`` marks its readings."""

    def __init__(
        self,
        generation: int,
        version: MqttVersion,
        access: Access,
        will: Will | None,
        inbox: Inbox,
        clock: Clock,
        *,
        session: bool = True,
        client: type[mqtt.Client] = mqtt.Client,
        opened: Callable[[socket.socket], None] | None = None,
    ) -> None:
        """Prepare; ``dial`` connects.

        ``session``: the broker keeps messages for this client while it is away. ``opened``: sets what its socket
        needs, before MQTT's first packet; OSError from it ends the line.
        """
        self._generation = generation
        self._is_5 = version == "5"
        self._session = session
        self._access = access
        self._inbox = inbox
        self._clock = clock
        self._accepted = False
        self._given_up = False
        self._gone = threading.Event()
        self._room = threading.Semaphore(_RECEIVE_AT_ONCE)
        self._client = client(
            CallbackAPIVersion.VERSION2,
            client_id=access.client_id,
            clean_session=None if self._is_5 else not session,
            protocol=mqtt.MQTTv5 if self._is_5 else mqtt.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,  # an order is acknowledged after it is recorded
        )
        self._client.max_inflight_messages_set(0)  # the window is the sender's
        if will is not None:
            self._client.will_set(will.topic, will.payload, qos=QOS, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        if opened is not None:
            self._client.on_socket_open = lambda _client, _userdata, ours: opened(cast(socket.socket, ours))

    def dial(self, broker: Broker, keepalive_s: int) -> None:
        """Connect in a thread of its own: names resolve, hosts answer and TLS agrees in their own time."""
        threading.Thread(
            target=self._dial, args=(broker, keepalive_s), name=f"dial-{self._generation}", daemon=True
        ).start()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, content_type: str | None = None) -> int:
        """Hand one QoS 1 message to the network thread; its packet identifier."""
        properties = _typed(content_type) if self._is_5 and content_type is not None else None
        return self._client.publish(topic, payload, qos=QOS, retain=retain, properties=properties).mid

    def subscribe(self, topics: Sequence[str]) -> None:
        """Ask for messages; each comes as ``Arrived``."""
        self._client.subscribe([(topic, QOS) for topic in topics])

    def acknowledge(self, mid: int) -> None:
        """PUBACK a message that arrived; one of QoS 0 (packet identifier 0) only makes room for another."""
        self._room.release()
        if mid:
            self._client.ack(mid, QOS)

    @property
    def alive(self) -> bool:
        """Whether paho's network thread runs: it can end while the client still says that it is connected."""
        thread = self._client._thread
        return thread is not None and thread.is_alive()

    def close(self) -> None:
        """Send DISCONNECT if the line is up, and let go. Returns at once; the network thread ends by itself."""
        self._given_up = True
        self._client.disconnect()

    def cut(self) -> None:
        """Let go at once, whatever is on its way: the network thread finds its connection broken, and ends."""
        self._given_up = True
        if isinstance(ours := self._client.socket(), socket.socket):
            with suppress(OSError):
                # Not TLS's own shutdown: what the network thread writes next would leave it in the clear.
                socket.socket.shutdown(ours, socket.SHUT_RDWR)
        self._client.disconnect()

    def wait_closed(self, timeout_s: float) -> bool:
        """Whether the network thread has sent what it had and closed, within ``timeout_s``."""
        return self._gone.wait(timeout_s)

    def _dial(self, broker: Broker, keepalive_s: int) -> None:
        try:
            self._identify(broker)
            # paho finds a silent line after two of its keepalives, and is promised after one and a half of ours.
            keepalive_s = max(2, int(keepalive_s * _PAHO_KEEPALIVE))
            if self._is_5:
                self._client.connect(
                    broker.host,
                    broker.port,
                    keepalive_s,
                    clean_start=not self._session,
                    properties=_connect_properties(_SESSION_EXPIRY_S if self._session else 0),
                )
            else:
                self._client.connect(broker.host, broker.port, keepalive_s)
            # Opens a pair of sockets over 127.0.0.1: with no loopback, or no descriptor left, it fails.
            self._client.loop_start()
        except (OSError, UnicodeError, ConfigError) as error:
            self._ended(f"{broker}: {_plain(error)}")
            self._client.disconnect()  # where it was connected; what is said of that comes too late to count

    def _identify(self, broker: Broker) -> None:
        access = self._access
        if access.password_file is not None:
            self._client.username_pw_set(access.user, _password(access.password_file))
        if broker.tls:
            self._client.tls_set_context(_tls(access))

    # The callbacks run in paho's thread, where an exception would leave a client that looks connected
    # and is deaf: they only put.

    def _on_connect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: object,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._accepted = True
        if self._given_up:
            # The name resolved or the host answered long after we dialled anew: it must not push that line away.
            self._client.disconnect()
            return
        if reason.is_failure:
            self._ended(f"the broker refuses: {reason}", speaks_other=reason.value == _UNSUPPORTED_PROTOCOL)
            return
        maximum = getattr(properties, "ReceiveMaximum", _RECEIVE_MAXIMUM_DEFAULT)
        packet = getattr(properties, "MaximumPacketSize", None)
        self._inbox.put(Connected(self._clock.now(), self._generation, maximum, packet))

    def _on_message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        # Receive Maximum does not bound QoS 0, and Mosquitto 2.0.11 passes it as soon as PUBACKs flow: let the
        # line wait, not our memory. What finds no room in time, since the disk takes no orders now, is not
        # acknowledged, and comes again on the next connection.
        if self._given_up or not self._room.acquire(timeout=_ROOM_WITHIN_S):
            return
        self._inbox.put(
            Arrived(
                self._clock.now(),
                self._generation,
                message.mid,
                message.topic,
                bytes(message.payload),
                message.retain,
            )
        )

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: object,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        mute = not self._accepted
        self._gone.set()
        self._ended("closed before it answered; is it an MQTT broker?" if mute else _lost(reason), mute=mute)

    def _on_publish(
        self, _client: mqtt.Client, _userdata: object, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._inbox.put(Delivered(self._clock.now(), self._generation, mid, reason.value))

    def _ended(self, why: str, *, speaks_other: bool = False, mute: bool = False) -> None:
        self._inbox.put(Disconnected(self._clock.now(), self._generation, why, speaks_other, mute))


@cache
def _typed(content_type: str) -> Properties:
    """The properties of a message with content of this type, made and packed once.

    Anew for each message, they cost as much as all else that paho does to send it.
    """
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = content_type
    packed = properties.pack()  # type: ignore[no-untyped-call]
    object.__setattr__(properties, "pack", lambda: packed)  # paho's own __setattr__ takes properties alone
    return properties


def _connect_properties(session_s: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = session_s
    properties.ReceiveMaximum = _RECEIVE_AT_ONCE
    properties.MaximumPacketSize = _LARGEST_PACKET_BYTES
    return properties


def reason_text(reason: int) -> str:
    """A PUBACK's reason code in words (MQTT 5, section 3.4.2.1)."""
    names = {
        0x10: "nobody subscribes",
        0x87: "not authorised",
        0x95: "they are larger than it allows",
        0x97: "its quota is used up",
    }
    return f"{names.get(reason, 'reason')} (0x{reason:02X})"


def _tls(access: Access) -> ssl.SSLContext:
    """Host name and certificate are checked; Python's errors name no file, so these do."""
    file = access.ca_file
    try:
        context = ssl.create_default_context(cafile=file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if access.certificate_file is not None:
            file = access.certificate_file
            context.load_cert_chain(access.certificate_file, access.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{file}: cannot be used for TLS ({_plain(error)}); see the files in [link]") from None
    return context


def _lost(reason: ReasonCode) -> str:
    if reason.value == _NO_WORD:
        return "line lost without a word: the broker or the line has gone, or another client took this post's name"
    return f"line lost: {reason}"


def _password(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: the MQTT password cannot be read ({error}); see link.password_file") from None


def _plain(error: Exception) -> str:
    """An error of the operating system or of TLS in words for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _NOT_YET_VALID:
            today = datetime.now(UTC)
            return f"its certificate is not valid yet: is this post's clock, {today:%Y-%m-%d %H:%M} UTC, right?"
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__

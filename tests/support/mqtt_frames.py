"""MQTT control packets in a stream of bytes, as far as a hostile line has to know them."""

PUBLISH, PUBACK = 3, 4
_MOST_LENGTH_BYTES = 4


class Frames:
    """Cuts a stream into whole control packets (fixed header: MQTT 5, section 2.1; the same in 3.1.1)."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are complete with ``data``."""
        self._rest += data
        whole = []
        while (size := _size(self._rest)) is not None and len(self._rest) >= size:
            whole.append(bytes(self._rest[:size]))
            del self._rest[:size]
        return whole


def kind(packet: bytes) -> int:
    """The control packet's type (section 2.1.2)."""
    return packet[0] >> 4


def is_qos_1(packet: bytes) -> bool:
    """Whether a PUBLISH asks for a PUBACK (section 3.3.1.2)."""
    return packet[0] & 0b0110 == 0b0010


def puback(mid: int, reason: int | None = None) -> bytes:
    """A PUBACK; ``reason`` needs MQTT 5 (section 3.4)."""
    return bytes([PUBACK << 4, 2]) + mid.to_bytes(2) if reason is None else _with_reason(mid, reason)


def packet_id(packet: bytes) -> int:
    """What a PUBACK acknowledges."""
    return int.from_bytes(packet[2:4])


def _with_reason(mid: int, reason: int) -> bytes:
    return bytes([PUBACK << 4, 4]) + mid.to_bytes(2) + bytes([reason, 0])


def _size(stream: bytearray) -> int | None:
    """Bytes of the first packet, header included; None while its length has not come whole (section 1.5.5)."""
    remaining = 0
    for index, byte in enumerate(stream[1 : 1 + _MOST_LENGTH_BYTES]):
        remaining |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return 2 + index + remaining
    return None


class Outstanding:
    """PUBLISHes of QoS 1 towards the broker that no PUBACK has answered. ``most``: the most there ever were."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    def published(self, packet: bytes) -> None:
        if kind(packet) == PUBLISH and is_qos_1(packet):
            self.now += 1
            self.most = max(self.most, self.now)

    def answered(self, packet: bytes) -> None:
        if kind(packet) == PUBACK:
            self.now -= 1

"""The far end of SNTP on loopback: real datagrams, right ones and every wrong kind."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PACKET = struct.Struct("!BBbb4s4s4s8s8s8s8s")
"""As RFC 5905, figure 8, written down apart from the client's."""


def ntp_time(wall_ms: int) -> bytes:
    """A timestamp: seconds since 1900 modulo 2^32, and their fraction."""
    seconds, rest_ms = divmod(wall_ms, 1000)
    return struct.pack("!II", (seconds + 2_208_988_800) % 2**32, (rest_ms << 32) // 1000)


def answer(
    request: bytes,
    wall_ms: int,
    *,
    first: int = 0b00_100_100,
    stratum: int = 2,
    reference: bytes = b"\x7f\x00\x00\x01",
    origin: bytes | None = None,
    root: bytes = bytes(4),
    transmit: bytes | None = None,
) -> bytes:
    """What a server whose time is ``wall_ms`` sends. ``first``: leap 0, version 4, mode 4."""
    now = ntp_time(wall_ms)
    origin = request[40:48] if origin is None else origin
    transmit = now if transmit is None else transmit
    return _PACKET.pack(first, stratum, 6, -20, root, root, reference, now, origin, now, transmit)


@contextmanager
def time_server(replies: Callable[[bytes], list[bytes]]) -> Iterator[tuple[int, list[bytes]]]:
    """A server that sends ``replies(request)``: its port, and the requests that came."""
    requests: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        end = b"end"

        def serve() -> None:
            while True:
                request, whom = line.recvfrom(2048)
                if request == end:
                    return
                requests.append(request)
                for reply in replies(request):
                    line.sendto(reply, whom)

        thread = threading.Thread(target=serve)
        thread.start()
        port: int = line.getsockname()[1]
        try:
            yield port, requests
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
                own.sendto(end, ("127.0.0.1", port))
            thread.join()

"""What keeps large messages from standing in the way of small ones, on lines of any speed."""

import select
import socket
from collections.abc import Callable

import paho.mqtt.client as mqtt

SEND_BUFFER_BYTES = 3_072
"""The kernel doubles it and counts its own records too: two pieces are on their way at most.

So much can stand ahead of an alarm in a router's queue, however slow the line: 0.35 s at 64 kbit/s. With three, a
queue of 0.4 s runs over now and then, and an alarm that is lost there waits for TCP's timer. It also bounds how
fast pictures go: 2.8 KB in each time there and back.
"""
PIECE_BYTES = 1_400
DEAD_AFTER_MS = 60_000
"""How long TCP may get no answer to what it sent."""
_SO_MAX_PACING_RATE = 47  # Linux, asm-generic/socket.h; Python has no name for it
_LARGEST_INT = 0x7FFF_FFFF


class PiecemealClient(mqtt.Client):
    """Gives the kernel little at a time: of one large write it takes 64 KB and more, however small its buffer."""

    def _sock_send(self, buf: bytes | bytearray) -> int:
        ours = self.socket()
        if isinstance(ours, socket.socket) and not _takes_more(ours):
            raise BlockingIOError
        return super()._sock_send(buf[:PIECE_BYTES])


def _takes_more(line: socket.socket) -> bool:
    """Whether a third of its buffer is free: the kernel would add to its last packet even if nothing were."""
    poll = select.poll()
    poll.register(line, select.POLLOUT)
    return bool(poll.poll(0))


def paced(rate: int) -> Callable[[socket.socket], None]:
    """Sets what a socket needs so that others have their part of the line. ``rate``: bytes a second."""

    def opened(line: socket.socket) -> None:
        line.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, min(rate, _LARGEST_INT))
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_MS)
        # While only the PUBACK is awaited, nothing of ours is on its way that could go unanswered.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, DEAD_AFTER_MS // 2_000)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, DEAD_AFTER_MS // 6_000)

    return opened

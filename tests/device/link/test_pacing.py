"""How much of a large message the kernel holds: all of it stands ahead of an alarm in the queues of a slow line."""

import fcntl
import queue
import socket
import struct
import termios
from collections.abc import Iterator
from contextlib import closing, contextmanager

import paho.mqtt.client as mqtt
import pytest
from postkit import RunningClock
from waiting import until

from device.config_link import LinkSection
from device.link.line import Access, Line
from device.link.pacing import PiecemealClient, paced
from device.readings import Connected, LinkReading

LARGE = bytes(8_000_000)
CONNACK = b"\x20\x03\x00\x00\x00"
SO_MAX_PACING_RATE = 47
HELD_AT_MOST = 6_000
TAKEN_AT_ONCE = 30_000


@contextmanager
def mute_broker() -> Iterator[tuple[socket.socket, int]]:
    """A far end that will take nothing once it has let a client in; its socket, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server, server.getsockname()[1]


def unacknowledged(line: socket.socket) -> int:
    """Bytes that the kernel has taken, and the far end has not (SIOCOUTQ)."""
    return int(struct.unpack("i", fcntl.ioctl(line, termios.TIOCOUTQ, bytes(4)))[0])


@pytest.mark.parametrize(("client", "piecemeal"), [(PiecemealClient, True), (mqtt.Client, False)])
def test_a_kernel_holds_little_of_a_large_message_and_much_without_these_means(
    client: type[mqtt.Client], piecemeal: bool
) -> None:
    inbox: queue.SimpleQueue[LinkReading] = queue.SimpleQueue()
    sockets: list[socket.socket] = []

    def opened(ours: socket.socket) -> None:
        paced(1 << 40)(ours)
        sockets.append(ours)

    line = Line(1, "5", Access("u", "u"), None, inbox, RunningClock(), session=False, client=client, opened=opened)
    with mute_broker() as (server, port):
        [broker] = LinkSection.model_validate({"brokers": [f"mqtt://127.0.0.1:{port}"]}).brokers
        line.dial(broker, 60)
        far, _ = server.accept()
        with closing(far):
            far.recv(1_000)
            far.send(CONNACK)
            assert isinstance(inbox.get(timeout=20), Connected)
            line.publish("t", LARGE)
            held = _settled(sockets[0])
            assert held < HELD_AT_MOST if piecemeal else held > TAKEN_AT_ONCE
            line.cut()
            assert line.wait_closed(20), "what is on its way does not hold up whoever cuts"


def _settled(line: socket.socket) -> int:
    """How much is held once no more is taken."""
    looks: list[int] = []

    def same() -> bool:
        looks.append(unacknowledged(line))
        return looks[-1] > 0 and len(looks) > 30 and len(set(looks[-30:])) == 1

    until(same, what="a line on which nothing moves")
    return looks[-1]


def test_tcp_paces_by_the_rate_and_finds_a_dead_line() -> None:
    with socket.socket() as line:
        paced(128_000)(line)
        assert line.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE) == 128_000
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
        paced(1 << 40)(line)
        assert line.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE) == 0x7FFF_FFFF

"""The hostile line itself: each of its faults does what it says."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from mqtt_frames import Frames, Outstanding, packet_id, puback
from proxy import Proxy, proxied
from waiting import until

PUBLISH = b"\x32\x0a\x00\x03a/b\x00\x07pay"


@pytest.fixture
def far() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


@contextmanager
def joined(far: socket.socket) -> Iterator[tuple[Proxy, socket.socket, socket.socket]]:
    """A line with one connection, and its near and far end."""
    with (
        proxied(far.getsockname()[1]) as line,
        closing(socket.create_connection(("127.0.0.1", line.port), 5)) as near,
        closing(far.accept()[0]) as end,
    ):
        end.settimeout(5)
        yield line, near, end


def test_packets_are_cut_out_of_a_stream_byte_by_byte() -> None:
    long = b"\x30\x80\x01" + b"x" * 128
    frames = Frames()
    got = [packet for byte in PUBLISH + long + puback(9) for packet in frames.feed(bytes([byte]))]
    assert got == [PUBLISH, long, puback(9)]
    assert packet_id(got[2]) == 9


def test_outstanding_counts_qos_1_and_its_pubacks() -> None:
    counted = Outstanding()
    for packet in (PUBLISH, PUBLISH, b"\x30\x05\x00\x03a/b"):
        counted.published(packet)
    counted.answered(puback(7))
    counted.published(PUBLISH)
    assert (counted.now, counted.most) == (2, 2)


def test_a_good_line_carries_both_ways_and_the_end(far: socket.socket) -> None:
    with joined(far) as (_, near, end):
        near.sendall(PUBLISH)
        assert end.recv(100) == PUBLISH
        end.sendall(puback(7))
        assert near.recv(100) == puback(7)
        near.shutdown(socket.SHUT_WR)
        assert end.recv(100) == b""


def test_pubacks_are_swallowed_doubled_turned_and_held_and_nothing_else_is(far: socket.socket) -> None:
    with joined(far) as (line, near, end):
        line.be(swallow=True)
        end.sendall(puback(1) + PUBLISH)
        assert near.recv(100) == PUBLISH
        line.be(twice=True)
        end.sendall(puback(2))
        until(lambda: line.pubacks == 2)
        assert near.recv(100) == puback(2) * 2
        line.be(reason=0x87)
        end.sendall(puback(3))
        assert near.recv(100) == b"\x40\x04\x00\x03\x87\x00"
        line.be(puback_s=float("inf"))
        end.sendall(puback(4) + PUBLISH)
        assert near.recv(100) == PUBLISH
        line.heal()
        assert near.recv(100) == puback(4)
        line.say(puback(5))
        assert near.recv(100) == puback(5)
        line.be(puback_s=0.05)
        end.sendall(puback(6))
        assert near.recv(100) == puback(6)


def test_a_deaf_connection_stays_dead_and_the_next_one_is_good(far: socket.socket) -> None:
    with joined(far) as (line, near, end):
        line.be(deaf=True)
        near.sendall(PUBLISH)
        line.heal()
        near.sendall(PUBLISH)
        near.settimeout(0.2)
        end.settimeout(0.2)
        for side in (near, end):
            with pytest.raises(TimeoutError):
                side.recv(100)
        with closing(socket.create_connection(("127.0.0.1", line.port), 5)) as again:
            again.sendall(PUBLISH)
            with closing(far.accept()[0]) as fresh:
                assert fresh.recv(100) == PUBLISH


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_cut_ends_connections_as_it_says(far: socket.socket, how: str) -> None:
    with joined(far) as (line, near, end):
        line.cut("fin" if how == "fin" else "rst")
        for side in (near, end):
            if how == "fin":
                assert side.recv(100) == b""
            else:
                with pytest.raises(ConnectionResetError):
                    side.recv(100)


def test_a_packet_is_cut_after_so_many_bytes(far: socket.socket) -> None:
    with joined(far) as (line, near, end):
        line.be(close_after=5)
        near.sendall(PUBLISH)
        assert end.recv(100) == PUBLISH[:5]
        assert end.recv(100) == b"" == near.recv(100)


def test_calls_are_refused_hung_up_and_taken_again(far: socket.socket) -> None:
    with proxied(far.getsockname()[1]) as line:
        line.be(calls="refuse")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", line.port), 5)
        line.be(calls="hang up")
        with closing(socket.create_connection(("127.0.0.1", line.port), 5)) as near:
            assert near.recv(100) == b""
        with line.shut(), pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", line.port), 5)
        line.heal()
        socket.create_connection(("127.0.0.1", line.port), 5).close()
        until(lambda: line.taken == 2)


def test_a_slow_line_is_slow(far: socket.socket) -> None:
    with joined(far) as (line, near, end):
        line.be(rate=10_000.0)
        began_s = time.monotonic()
        near.sendall(b"x" * 5_000)
        came = 0
        while came < 5_000:
            came += len(end.recv(5_000))
        assert time.monotonic() - began_s > 0.3

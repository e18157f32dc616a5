"""The line that can be cut: what goes through, what ends, and that its port stays its own."""

import socket
import threading
from collections.abc import Iterator

import pytest

from simulator.line import Line


class EchoServer:
    """The far end: sends back what it gets, one thread a connection."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.threads: list[threading.Thread] = []
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self._echo, args=(client,)))
            self.threads[-1].start()

    def _echo(self, client: socket.socket) -> None:
        with client:
            while data := client.recv(65_536):
                client.sendall(data)

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def line() -> Iterator[Line]:
    server = EchoServer()
    made = Line("127.0.0.1", server.port)
    made.start()
    yield made
    made.stop()
    server.close()


def call(line: Line) -> socket.socket:
    return socket.create_connection(("127.0.0.1", line.port), timeout=10)


def says(connection: socket.socket, words: bytes) -> bytes:
    connection.sendall(words)
    heard = b""
    while len(heard) < len(words) and (more := connection.recv(65_536)):
        heard += more
    return heard


def ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_what_is_said_comes_through_both_ways(line: Line) -> None:
    with call(line) as first, call(line) as second:
        assert says(first, b"first") == b"first"
        long = bytes(range(256)) * 100
        assert says(second, long) == long


def test_a_caller_that_has_said_all_still_hears_the_rest(line: Line) -> None:
    with call(line) as connection:
        connection.sendall(b"last words")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"last words"
        assert ended(connection)


def test_a_cut_ends_connections_and_refuses_new_ones_until_it_is_restored(line: Line) -> None:
    with call(line) as before:
        assert says(before, b"1") == b"1"
        line.cut()
        assert not line.up
        assert ended(before)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            call(line)
        line.restore()
        with call(line) as after:
            assert says(after, b"2") == b"2"
        line.cut()
        line.cut()
    line.restore()


def test_the_port_of_a_cut_line_stays_its_own(line: Line) -> None:
    line.cut()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", line.port))


def test_with_nobody_at_the_far_end_a_caller_is_hung_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    nowhere = Line("127.0.0.1", port)
    nowhere.start()
    with call(nowhere) as connection:
        assert ended(connection)
    nowhere.stop()


def test_it_stops_with_a_call_under_way() -> None:
    server = EchoServer()
    made = Line("127.0.0.1", server.port)
    made.start()
    with call(made) as connection:
        assert says(connection, b"1") == b"1"
        made.stop()
        assert ended(connection)
    server.close()

"""The control socket as its clients meet it: many at once, bad input, a stale or a living socket in the way."""

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.client import ask, pipe
from simulator.control import MAX_LINE_BYTES, ControlServer
from simulator.errors import ControlError


def answer(line: str) -> str:
    return f"error: {line}" if line.startswith("bad") else f"did {line}"


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with ControlServer(tmp_path / "control", answer):
        yield tmp_path / "control"
    assert not (tmp_path / "control").exists()


def piped(path: Path, lines: bytes) -> tuple[bool, list[str]]:
    """What ``do -`` does with ``lines`` on its standard input."""
    source, feed = os.pipe()
    heard, out = os.pipe()
    chunks: list[bytes] = []

    def write() -> None:
        with os.fdopen(feed, "wb") as stream:
            stream.write(lines)

    def read() -> None:
        with os.fdopen(heard, "rb") as stream:
            chunks.append(stream.read())

    threads = [threading.Thread(target=target) for target in (write, read)]
    for thread in threads:
        thread.start()
    try:
        good = pipe(path, source, out)
    finally:
        os.close(out)
        os.close(source)
        for thread in threads:
            thread.join()
    return good, b"".join(chunks).decode().splitlines()


def test_a_command_a_line_an_answer_a_line(path: Path) -> None:
    assert ask(path, "lights") == "did lights"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_thousands_are_pipelined_and_answered_in_order(path: Path) -> None:
    commands = [f"tap {number}" for number in range(20_000)]
    good, answers = piped(path, "\n".join(commands).encode())
    assert good
    assert answers == [f"did {command}" for command in commands]


def test_blank_lines_and_comments_are_no_commands(path: Path) -> None:
    assert piped(path, b"# a night\n\n  \nlights\n") == (True, ["did lights"])
    assert piped(path, b"") == (True, [])


def test_one_error_among_the_answers_is_told(path: Path) -> None:
    good, answers = piped(path, b"first\nbad one\nlast\n")
    assert not good
    assert answers == ["did first", "error: bad one", "did last"]


def test_a_line_that_is_not_text_is_answered_too(path: Path) -> None:
    assert piped(path, b"\xff\xfe\n")[1] == ["did \ufffd\ufffd"]


@pytest.mark.parametrize("length", [MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 5 * MAX_LINE_BYTES, 1_000_000])
def test_a_line_that_is_too_long_is_refused_and_the_next_one_done(path: Path, length: int) -> None:
    good, answers = piped(path, b"x" * length + b"\nlights\n" + b"y" * length)
    assert not good
    assert answers == ["error: a command has fewer than 1000 characters", "did lights", answers[0]]


def test_the_longest_line_is_done(path: Path) -> None:
    longest = "x" * (MAX_LINE_BYTES - 1)
    assert piped(path, longest.encode() + b"\n") == (True, [f"did {longest}"])


def test_several_clients_at_once_each_in_its_own_order(tmp_path: Path) -> None:
    together = threading.Barrier(5)

    def meet(line: str) -> str:
        together.wait(10)  # passes only if five commands are under way at once
        return line

    answers: list[str] = []
    with ControlServer(tmp_path / "control", meet):
        clients = [
            threading.Thread(target=lambda n=n: answers.append(ask(tmp_path / "control", f"tap {n}")))
            for n in range(5)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert sorted(answers) == [f"tap {n}" for n in range(5)]


def test_it_stops_under_an_idle_client(tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "control", answer)
    server.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "control"))
        client.sendall(b"lights\n")
        assert client.recv(100) == b"did lights\n"
        server.stop()
        assert client.recv(100) == b""


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control"))
    with ControlServer(tmp_path / "control", answer):
        assert ask(tmp_path / "control", "lights") == "did lights"


def test_a_living_one_is_left_alone(path: Path) -> None:
    with pytest.raises(ControlError, match="answers there already; stop it or name another path"):
        ControlServer(path, answer).start()
    assert ask(path, "lights") == "did lights"


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "control").write_text("mine")
    with pytest.raises(ControlError, match="is no socket"):
        ControlServer(tmp_path / "control", answer).start()
    assert (tmp_path / "control").read_text() == "mine"


@pytest.mark.parametrize("name", ["no/such/folder", "x" * 120])
def test_a_path_that_cannot_be_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ControlError, match=r"cannot be used as control socket|no simulator") as refused:
        ControlServer(tmp_path / name, answer).start()
    assert "\n" not in str(refused.value)
    with pytest.raises(ControlError, match="no simulator answers there"):
        ask(tmp_path / name, "lights")

"""The other end of the control socket: sends commands, prints answers, both at once."""

import os
import select
import socket
import sys
from pathlib import Path

from simulator.errors import ControlError

_CHUNK_BYTES = 65_536


def ask(path: Path, command: str) -> str:
    """The answer to one command. Raises ControlError."""
    with _connected(path) as connection, connection.makefile("rb") as answers:
        try:
            connection.sendall(f"{command}\n".encode())
            answer = answers.readline()
        except OSError:
            answer = b""
    if not answer.endswith(b"\n"):
        raise ControlError(f"{path}: the simulator ended before it answered; see what it said")
    return answer.decode().rstrip("\n")


def pipe(path: Path, source: int, out: int) -> bool:
    """Send the lines of descriptor ``source``, write the answers to ``out``. True if none was an error.

    Raises ControlError.
    """
    with _connected(path) as connection:
        return _Pipe(connection, path).run(source, out)


class _Pipe:
    """Sends and receives in one thread, so that neither side's full buffer can stop the other."""

    def __init__(self, connection: socket.socket, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._to_send = b""
        self._source_open = True
        self._asked = self._answered = self._errors = 0
        self._asked_line, self._answer_line = b"", b""

    def run(self, source: int, out: int) -> bool:
        """Until the last answer."""
        while True:
            reading: list[socket.socket | int] = [self._connection]
            if self._source_open and not self._to_send:
                reading.append(source)
            ready, writable, _ = select.select(reading, [self._connection] if self._to_send else [], [])
            if source in ready:
                self._read(source)
            try:
                if writable:
                    self._to_send = self._to_send[self._connection.send(self._to_send) :]
                    self._end_if_all_sent()
                if self._connection in ready and not self._receive(out):
                    break
            except (BrokenPipeError, ConnectionResetError):
                break
        if self._answered < self._asked or self._source_open:
            raise ControlError(f"{self._path}: the simulator ended; {self._asked - self._answered} unanswered")
        return self._errors == 0

    def _read(self, source: int) -> None:
        chunk = os.read(source, _CHUNK_BYTES)
        self._source_open = bool(chunk)
        if not chunk and self._asked_line:
            chunk = b"\n"
        *lines, self._asked_line = (self._asked_line + chunk).split(b"\n")
        self._asked += sum(1 for line in lines if line.strip() and not line.strip().startswith(b"#"))
        self._to_send += chunk
        self._end_if_all_sent()

    def _end_if_all_sent(self) -> None:
        if not self._source_open and not self._to_send:
            self._connection.shutdown(socket.SHUT_WR)

    def _receive(self, out: int) -> bool:
        chunk = self._connection.recv(_CHUNK_BYTES)
        *lines, self._answer_line = (self._answer_line + chunk).split(b"\n")
        self._answered += len(lines)
        self._errors += sum(1 for line in lines if line.startswith(b"error:"))
        view = memoryview(chunk)
        while view:
            view = view[os.write(out, view) :]
        return bool(chunk)


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        why = error.strerror or str(error)
        mend = f"start it with: guardpost-sim post --config FILE --control {path}"
        raise ControlError(f"{path}: no simulator answers there ({why}); {mend}") from None
    return connection


def do(path: Path, words: list[str]) -> bool:
    """One command, or ``-`` for those on standard input. True if no answer was an error."""
    if words == ["-"]:
        return pipe(path, sys.stdin.fileno(), sys.stdout.fileno())
    answer = ask(path, " ".join(words))
    print(answer)
    return not answer.startswith("error:")

"""The control socket: a Unix-domain socket that takes a command a line and answers each with one line."""

import contextlib
import errno
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from simulator.errors import ControlError

MAX_LINE_BYTES = 1000
_PROBE_S = 2.0


class ControlServer:
    """Serves any number of clients, each in its own thread; a client's commands are done in its order."""

    def __init__(self, path: Path, command: Callable[[str], str]) -> None:
        """``command`` does one line and returns the line that answers it."""
        self._path = path
        self._command = command
        self._socket: socket.socket | None = None
        self._inode = 0
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, name="control")

    def start(self) -> None:
        """Open the socket. Raises ControlError, also where another simulator answers at the same path."""
        try:
            self._socket = _listening(self._path)
            self._inode = self._path.stat().st_ino
        except OSError as error:
            raise ControlError(f"{self._path}: cannot be used as control socket ({_why(error)})") from None
        self._thread.start()

    def stop(self) -> None:
        """End every client's thread and remove the socket."""
        if self._socket is None:
            return
        # On Linux this wakes accept(); closing the descriptor alone would not.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        with self._lock:
            clients = dict(self._clients)
        for client, thread in clients.items():
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            thread.join()
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def __enter__(self) -> "ControlServer":
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def _accept(self) -> None:
        assert self._socket is not None
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError as error:
                if error.errno == errno.ECONNABORTED:
                    continue
                return
            thread = threading.Thread(target=self._serve, args=(client,), name="control client")
            with self._lock:
                self._clients[client] = thread
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client.makefile("rb") as lines:
                while line := lines.readline(MAX_LINE_BYTES):
                    if answer := self._answer(line, lines):
                        client.sendall(f"{answer}\n".encode())
        except OSError:
            pass  # the client has gone, or we end
        finally:
            with self._lock:
                del self._clients[client]
            client.close()

    def _answer(self, line: bytes, rest: BinaryIO) -> str:
        """The answer to one line; none for a blank one or a comment."""
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = rest.readline(MAX_LINE_BYTES)
            return f"error: a command has fewer than {MAX_LINE_BYTES} characters"
        words = line.decode("utf-8", "replace").strip()
        return self._command(words) if words and not words.startswith("#") else ""


def _listening(path: Path) -> socket.socket:
    """A listening socket that only its owner can reach; a stale file in its place is replaced."""
    _clear(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind(str(path))
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)  # before listen(): until then nobody can connect
        server.listen()
    except OSError:
        server.close()
        raise
    return server


def _clear(path: Path) -> None:
    """Remove a socket nobody listens on. Raises ControlError for anything else."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlError(f"{path}: exists and is no socket; name another path with --control")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
    raise ControlError(f"{path}: a simulator answers there already; stop it or name another path with --control")


def _why(error: OSError) -> str:
    return error.strerror or str(error)

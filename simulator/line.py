"""The line to the control room: a TCP proxy on loopback that can be cut and restored."""

import contextlib
import socket
import threading
from dataclasses import dataclass

_CHUNK_BYTES = 65_536
_BACKLOG = 16
_DIAL_S = 5.0


@dataclass(eq=False)
class _Call:
    near: socket.socket
    far: socket.socket

    def drop(self) -> None:
        """End both sides; their threads then close them."""
        for side in (self.near, self.far):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


class Line:
    """Forwards connections at ``port`` of 127.0.0.1 to a target.

    Cut: connections end and new ones are refused. The port stays ours meanwhile.
    """

    def __init__(self, host: str, port: int) -> None:
        """``host`` and ``port``: where the line leads."""
        self._target = (host, port)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._up = True
        self._stopping = False
        self._calls: set[_Call] = set()
        self._threads: set[threading.Thread] = set()
        self._listener, self.port = _listener()
        self._thread = threading.Thread(target=self._accept, name="line")

    @property
    def up(self) -> bool:
        """Whether it forwards."""
        return self._up

    def start(self) -> None:
        """Begin to forward."""
        self._thread.start()

    def cut(self) -> None:
        """End all connections and refuse new ones."""
        with self._lock:
            if not self._up:
                return
            self._up = False
            # Linux: no longer listening, but still bound, so the port answers with RST and stays ours.
            self._listener.shutdown(socket.SHUT_RDWR)
            for call in self._calls:
                call.drop()

    def restore(self) -> None:
        """Forward again."""
        with self._lock:
            if not self._up and not self._stopping:
                self._listener.listen(_BACKLOG)
                self._up = True
                self._changed.notify_all()

    def stop(self) -> None:
        """End all connections and threads; the port is free again."""
        self.cut()
        with self._lock:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        self._listener.close()
        while self._threads:
            self._threads.pop().join()

    def _accept(self) -> None:
        while True:
            with self._lock:
                self._changed.wait_for(lambda: self._up or self._stopping)
                if self._stopping:
                    return
            try:
                near, _ = self._listener.accept()
            except OSError:
                continue  # cut, or the caller had gone already
            self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._target, timeout=_DIAL_S)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        for side in (near, far):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        call = _Call(near, far)
        with self._lock:
            self._calls.add(call)
            if not self._up:
                call.drop()
            self._threads = {thread for thread in self._threads if thread.is_alive()}
            thread = threading.Thread(target=self._forward, args=(call,), name="line call")
            self._threads.add(thread)
            thread.start()

    def _forward(self, call: _Call) -> None:
        back = threading.Thread(target=_pump, args=(call.far, call.near), name="line back")
        back.start()
        _pump(call.near, call.far)
        back.join()
        with self._lock:
            self._calls.discard(call)
            call.near.close()
            call.far.close()


def _listener() -> tuple[socket.socket, int]:
    """A listening socket that keeps its port while it does not listen, and that port.

    Linux lets go of a port it has chosen itself as soon as the socket stops listening, so we ask for one by number.
    """
    with socket.socket() as chosen:
        chosen.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        chosen.bind(("127.0.0.1", 0))
        address = chosen.getsockname()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    listener.listen(_BACKLOG)
    return listener, address[1]


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy until one side ends, then tell the other."""
    try:
        while chunk := source.recv(_CHUNK_BYTES):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for side in (source, sink):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

"""A hostile line on loopback: a TCP proxy before a broker, whose faults are switched while it runs."""

import contextlib
import queue
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from brokers import free_port
from mqtt_frames import PUBACK, Frames, Outstanding, kind, packet_id, puback

_CHUNK_BYTES = 65_536
_SLOW_BUFFER_BYTES = 2_048
_SLOW_TICK_S = 0.02
_ASK_WITHIN_S = 10.0
_BACKLOG = 16
_RST = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close sends RST

End = Literal["fin", "rst"]
Calls = Literal["take", "refuse", "hang up"]


@dataclass
class Faults:
    """What is wrong with the line now.

    ``rate``: bytes a second in each direction. ``deaf``: a half-open line, that swallows all silently.
    ``close_after``: so many bytes more go to the broker, then both ends close. ``calls``: of new ones.
    ``puback_s``: how long PUBACKs are held, infinity until the faults end. ``swallow``: PUBACKs vanish.
    ``twice``: each PUBACK comes twice. ``reason``: what PUBACKs say instead.
    """

    rate: float | None = None
    deaf: bool = False
    close_after: int | None = None
    calls: Calls = "take"
    puback_s: float = 0.0
    swallow: bool = False
    twice: bool = False
    reason: int | None = None


@dataclass(eq=False)
class _Pipe:
    """One direction. Data waits in ``buffer`` until the line takes it."""

    source: socket.socket
    sink: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    tokens: float = 0.0
    at_s: float = field(default_factory=time.monotonic)
    ended: bool = False
    told: bool = False

    def send(self, rate: float | None) -> None:
        """As much as the line takes now. Raises OSError."""
        sendable = len(self.buffer)
        if rate is not None:
            sendable = min(sendable, int(self.tokens))
        if sendable:
            sent = self.sink.send(self.buffer[:sendable])
            del self.buffer[:sent]
            self.tokens -= sent

    def refill(self, rate: float | None) -> None:
        now_s = time.monotonic()
        if rate is not None:
            self.tokens = min(self.tokens + (now_s - self.at_s) * rate, max(1.0, rate * 0.1))
        self.at_s = now_s


@dataclass(eq=False)
class _Call:
    up: _Pipe
    down: _Pipe
    frames: Frames = field(default_factory=Frames)
    frames_up: Frames = field(default_factory=Frames)
    upwards: Outstanding = field(default_factory=Outstanding)
    held: list[tuple[float, bytes]] = field(default_factory=list)
    deaf: bool = False
    closing: bool = False

    def forward(self, packet: bytes) -> None:
        """A PUBACK goes on to the near end."""
        self.upwards.answered(packet)
        self.down.buffer += packet

    @property
    def near(self) -> socket.socket:
        return self.up.source

    @property
    def far(self) -> socket.socket:
        return self.up.sink


class Proxy:
    """Forwards connections at ``port`` of 127.0.0.1 to ``target``. One thread owns all sockets and faults.

    ``taken``: how many connections it has let in. ``pubacks``: how many PUBACKs the broker has sent.
    ``most_up``: the most unacknowledged PUBLISHes that one connection ever carried to the broker.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._faults = Faults()
        self._calls: set[_Call] = set()
        self._ghosts: list[socket.socket] = []
        self._asked: queue.SimpleQueue[tuple[Callable[[], None], threading.Event]] = queue.SimpleQueue()
        self._wakes, self._waker = socket.socketpair()
        self._listener: socket.socket | None = None
        self._stopping = self._is_shut = False
        self.port = free_port()
        self.taken = 0
        self.pubacks = self.most_up = 0
        self._listen()
        self._thread = threading.Thread(target=self._run, name="hostile line")
        self._thread.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    # What a test says

    def be(self, **faults: object) -> None:
        """Only these faults from now on; see ``Faults``. Half-open connections stay dead."""
        self._ask(lambda: self._set(Faults(**faults)))  # type: ignore[arg-type]

    def heal(self) -> None:
        """No faults; PUBACKs that were held go out."""
        self.be()

    def cut(self, how: End = "fin") -> None:
        """End every connection; new ones are taken."""
        self._ask(lambda: self._end_all(how))

    @contextmanager
    def shut(self) -> Iterator[None]:
        """No new connection is let in meanwhile, and none is there."""
        self._ask(lambda: self._shut(True))
        try:
            yield
        finally:
            self._ask(lambda: self._shut(False))

    def say(self, packet: bytes) -> None:
        """Send a packet of our own to the near end, as if it came from the broker."""
        self._ask(lambda: self._inject(packet))

    def stop(self) -> None:
        """End all connections and the thread."""
        self._ask(self._stop)
        self._thread.join()
        self._wakes.close()
        self._waker.close()

    def _ask(self, what: Callable[[], None]) -> None:
        done = threading.Event()
        self._asked.put((what, done))
        self._waker.send(b"!")
        assert done.wait(_ASK_WITHIN_S), "the hostile line's thread does not answer"

    # What its thread does

    def _run(self) -> None:
        while not self._stopping:
            readers, writers, patience_s = self._interest()
            readable, writable, _ = select.select(readers, writers, [], patience_s)
            if self._wakes in readable:
                self._wakes.recv(4096)
            with contextlib.suppress(queue.Empty):
                while True:
                    what, done = self._asked.get_nowait()
                    what()
                    done.set()
            if self._listener in readable:
                self._take()
            for call in list(self._calls):
                self._work(call, readable, writable)

    def _interest(self) -> tuple[list[socket.socket], list[socket.socket], float | None]:
        readers: list[socket.socket] = [self._wakes]
        writers: list[socket.socket] = []
        patience_s: float | None = None
        rate = self._faults.rate
        if self._listener is not None:
            readers.append(self._listener)
        full = _CHUNK_BYTES if rate is None else _SLOW_BUFFER_BYTES
        for call in self._calls:
            self._release(call)
            for pipe in (call.up, call.down):
                pipe.refill(rate)
                if not pipe.ended and len(pipe.buffer) < full:
                    readers.append(pipe.source)
                if pipe.buffer and (rate is None or pipe.tokens >= 1):
                    writers.append(pipe.sink)
                elif pipe.buffer:
                    patience_s = _SLOW_TICK_S
            dues = [due_s - time.monotonic() for due_s, _ in call.held if due_s != float("inf")]
            if dues:
                patience_s = min(max(0.0, min(dues)), patience_s or _ASK_WITHIN_S)
        return readers, writers, patience_s

    def _set(self, faults: Faults) -> None:
        self._faults = faults
        for call in self._calls:
            call.deaf = call.deaf or faults.deaf
            if not faults.puback_s:
                call.held = [(0.0, packet) for _, packet in call.held]
        self._open_or_refuse()

    def _shut(self, shut: bool) -> None:
        self._is_shut = shut
        if shut:
            self._end_all("fin")
        self._open_or_refuse()

    def _open_or_refuse(self) -> None:
        if self._faults.calls == "refuse" or self._is_shut:
            if self._listener is not None:
                self._listener.close()
                self._listener = None
        elif self._listener is None:
            self._listen()

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(_BACKLOG)
        self._listener = listener

    def _stop(self) -> None:
        self._stopping = True
        self._shut(True)
        for ghost in self._ghosts:
            ghost.close()

    def _take(self) -> None:
        assert self._listener is not None
        near, _ = self._listener.accept()
        self.taken += 1
        if self._faults.calls == "hang up":
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self._target), 5)
        except OSError:
            near.close()
            return
        for side in (near, far):
            side.setblocking(False)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._calls.add(_Call(_Pipe(near, far), _Pipe(far, near), deaf=self._faults.deaf))

    def _work(self, call: _Call, readable: list[socket.socket], writable: list[socket.socket]) -> None:
        if call not in self._calls:
            return
        try:
            if call.near in readable and not call.up.ended:
                self._read_up(call)
            if call.far in readable and not call.down.ended:
                self._read_down(call)
            for pipe in (call.up, call.down):
                if pipe.sink in writable:
                    pipe.send(self._faults.rate)
                if pipe.ended and not pipe.buffer and not pipe.told and not call.deaf:
                    pipe.told = True
                    pipe.sink.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:
            self._end(call, "fin")
            return
        if (call.closing and not call.up.buffer) or (call.up.told and call.down.told):
            self._end(call, "fin")

    def _read_up(self, call: _Call) -> None:
        data = call.near.recv(_CHUNK_BYTES)
        call.up.ended = not data
        if call.deaf:
            if not data:  # the far end never learns of it
                self._calls.discard(call)
                call.near.close()
                self._ghosts.append(call.far)
            return
        for packet in call.frames_up.feed(data):
            call.upwards.published(packet)
        self.most_up = max(self.most_up, call.upwards.most)
        left = self._faults.close_after
        if left is not None and not call.closing:
            call.closing = len(data) >= left
            data = data[:left]
            self._faults.close_after = None if call.closing else left - len(data)
        elif call.closing:
            return
        call.up.buffer += data

    def _read_down(self, call: _Call) -> None:
        data = call.far.recv(_CHUNK_BYTES)
        call.down.ended = not data
        for packet in call.frames.feed(data):
            if kind(packet) == PUBACK:
                self.pubacks += 1
                self._puback(call, packet)
            elif not call.deaf:
                call.down.buffer += packet

    def _puback(self, call: _Call, packet: bytes) -> None:
        faults = self._faults
        if call.deaf or faults.swallow:
            return
        if faults.reason is not None:
            packet = puback(packet_id(packet), faults.reason)
        if faults.twice:
            packet += packet
        if faults.puback_s:
            call.held.append((time.monotonic() + faults.puback_s, packet))
        else:
            call.forward(packet)

    def _release(self, call: _Call) -> None:
        now_s = time.monotonic()
        for due_s, packet in call.held:
            if due_s <= now_s:
                call.forward(packet)
        call.held = [(due_s, packet) for due_s, packet in call.held if due_s > now_s]

    def _inject(self, packet: bytes) -> None:
        for call in self._calls:
            call.down.buffer += packet

    def _end_all(self, how: End) -> None:
        for call in list(self._calls):
            self._end(call, how)

    def _end(self, call: _Call, how: End) -> None:
        self._calls.discard(call)
        for side in (call.near, call.far):
            if how == "rst":
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            side.close()


@contextmanager
def proxied(target: int) -> Iterator[Proxy]:
    """A proxy before the broker at port ``target``."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.stop()

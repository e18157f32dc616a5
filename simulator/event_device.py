"""An input event device: what the kernel does between a USB keyboard and the programs that have opened it.

A node is evdev's own reader of ``struct input_event``, over a pipe in place of ``/dev/input/event*``; the ioctls
that ``evdev.InputDevice`` makes of a real one are answered here.
"""

import os
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from errno import EBUSY, ENODEV, ENOENT

from evdev import InputEvent, ecodes
from evdev.eventio import EventIO

_EVENT = struct.Struct("@llHHi")
"""``struct input_event`` (linux/input.h): seconds, microseconds, type, code, value."""

_DROPPED = _EVENT.pack(0, 0, ecodes.EV_SYN, ecodes.SYN_DROPPED, 0)

TypeCodeValue = tuple[int, int, int]


class EventDevice:
    """The device. Any thread may call."""

    def __init__(self, path: str, keys: Sequence[int]) -> None:
        """Plugged in. ``keys``: that it has."""
        self._path = path
        self.keys = list(keys)
        self._nodes: list[EventNode] = []
        self._grabber: EventNode | None = None
        self._plugged = True
        self._changed = threading.Condition()
        self.console: list[int] = []
        """Keys pressed while nobody had grabbed it: a console has them."""

    def open(self) -> "EventNode":
        """Raises FileNotFoundError while it is unplugged."""
        with self._changed:
            if not self._plugged:
                raise FileNotFoundError(ENOENT, os.strerror(ENOENT), self._path)
            node = EventNode(self)
            self._nodes.append(node)
            return node

    def emit(self, *packet: TypeCodeValue) -> bool:
        """Send events and their SYN_REPORT to who grabbed it, else to all; whether anybody has it open."""
        now_us = time.time_ns() // 1000
        packet += ((ecodes.EV_SYN, ecodes.SYN_REPORT, 0),)
        data = b"".join(_EVENT.pack(*divmod(now_us, 1_000_000), *event) for event in packet)
        with self._changed:
            if not self._plugged:
                return False
            if self._grabber is None:
                self.console += [code for kind, code, value in packet if kind == ecodes.EV_KEY and value == 1]
            nodes = self._nodes if self._grabber is None else [self._grabber]
            for node in nodes:
                node.put(data)
            return bool(nodes)

    def plug(self, plugged: bool) -> None:
        """Pull it out: whoever has it open has ENODEV from now on. Or plug it in again: it can be opened anew."""
        with self._changed:
            self._plugged = plugged
            if not plugged:
                for node in self._nodes:
                    node.gone = True
                    node.end()
                self._nodes, self._grabber = [], None

    def wait_grabbed(self, timeout_s: float) -> bool:
        """Wait until somebody has grabbed it."""
        with self._changed:
            return self._changed.wait_for(lambda: self._grabber is not None, timeout_s)

    def grab(self, node: "EventNode") -> None:
        """EVIOCGRAB. Raises OSError."""
        with self._changed:
            if node.gone:
                raise OSError(ENODEV, os.strerror(ENODEV))
            if self._grabber is not None:
                raise OSError(EBUSY, os.strerror(EBUSY))
            self._grabber = node
            self._changed.notify_all()

    def closed(self, node: "EventNode") -> None:
        """Nobody holds this node any more."""
        with self._changed:
            if node in self._nodes:
                self._nodes.remove(node)
                node.end()
            if self._grabber is node:
                self._grabber = None


class EventNode(EventIO):
    """What one program has opened, in place of an ``evdev.InputDevice``. Its ``read`` is evdev's."""

    def __init__(self, device: EventDevice) -> None:
        """Nothing waits."""
        self.fd, self._out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._device = device
        self._full = False
        self.gone = False

    def capabilities(self) -> dict[int, list[int]]:
        """EVIOCGBIT."""
        return {ecodes.EV_KEY: self._device.keys}

    def grab(self) -> None:
        """EVIOCGRAB. Raises OSError."""
        self._device.grab(self)

    def read(self) -> Iterator[InputEvent]:
        """As evdev reads; what waited is lost when the device goes, as in the kernel. Raises OSError."""
        if self.gone:
            raise OSError(ENODEV, os.strerror(ENODEV))
        return super().read()

    def close(self) -> None:
        """Let it go; twice is no harm."""
        if self.fd >= 0:
            self._device.closed(self)
            os.close(self.fd)
            self.fd = -1

    def put(self, data: bytes) -> None:
        """Events from the device; SYN_DROPPED before them, where earlier ones were not read in time."""
        try:
            os.write(self._out, _DROPPED + data if self._full else data)
            self._full = False
        except BlockingIOError:
            self._full = True

    def end(self) -> None:
        """No events come any more: whoever waits for one wakes."""
        os.close(self._out)

"""A reader on the two lines of a Wiegand interface, by gpiozero's pins."""

import queue
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from device.config import ReaderSection
from device.config_values import Duration, Pin
from device.hardware.readers.driver import Bench, Driver
from device.hardware.readers.reader import WAIT_S, ReaderSilent
from device.hardware.readers.wiegand_frames import Edge, Frame, Frames, number
from device.problems import problem
from device.readings import Assurance

if TYPE_CHECKING:
    from gpiozero import InputDevice

MOST_EDGES = 1_000
"""Edges that wait at once; what more a humming line makes is no badge either."""
STUCK_S = 1.0
_PULSE_S = 0.001
_LOOKS = 3


class WiegandSection(ReaderSection):
    """``driver = "wiegand"``: on two pins, behind a level shifter, since the reader's lines have 5 V.

    ``bits``: of a frame; its number has 3, 4 or 5 bytes. ``gap``: the pause that ends a frame, longer than any in
    it. ``reversed``: for a reader that sends the last byte first.
    """

    driver: Literal["wiegand"]
    data0_pin: Pin
    data1_pin: Pin
    bits: Literal[26, 34, 37] = 26
    gap: Duration = timedelta(milliseconds=25)
    reversed: Annotated[bool, Field(strict=True)] = False

    @field_validator("gap")
    @classmethod
    def _between(cls, value: timedelta) -> timedelta:
        if not timedelta(milliseconds=5) <= value <= timedelta(milliseconds=250):
            raise problem('must be from "5ms" to "250ms"')
        return value

    def pins(self) -> Iterable[tuple[int, str]]:
        """The two lines."""
        return (self.data0_pin, "data0_pin"), (self.data1_pin, "data1_pin")

    def libraries(self) -> Iterable[tuple[str, str]]:
        """That of the pins."""
        yield "lgpio", "apt install python3-lgpio"


class Line:
    """One of the two lines: its edges into a queue."""

    def __init__(self, line: int, device: "InputDevice", edges: "queue.SimpleQueue[Edge]") -> None:
        """``device``: with its pull-up on."""
        self.name = f"DATA{line} ({device.pin.info.name})"
        self._line = line
        self._device = device
        self._edges = edges

    @property
    def low(self) -> bool:
        """As it is now."""
        return bool(self._device.is_active)

    def listen(self) -> None:
        """Ask the driver of the pins for edges, anew."""
        self._device.pin.when_changed = None
        self._device.pin.edges = "both"
        self._device.pin.when_changed = self._changed

    def deafen(self) -> None:
        """No more edges."""
        self._device.pin.when_changed = None

    def _changed(self, ticks: float, state: int) -> None:
        """Called in the factory's thread, where an exception would make every pin deaf: only put."""
        if self._edges.qsize() < MOST_EDGES:
            self._edges.put(Edge(ticks, self._line, not state))


class Wiegand:
    """A CardReader. The reader only ever talks, so a dead one and a cut cable look like nobody who taps.

    Both lines rest high by our own pull-ups. All that can be noticed is a line that stays low, and broken frames.

    Which bit came first, and which pause ended a frame, is judged by the times that gpiozero hands over. With lgpio
    they are the kernel's, taken in the interrupt, and one thread hands over the edges of both lines, so a Python
    that is late changes nothing. Edges that overflow the kernel's buffer leave a frame too short, or a fall without
    its rise: it is refused.
    """

    rests = False
    assurance: Assurance = "uid"

    def __init__(
        self,
        lines: Sequence[Line],
        edges: "queue.SimpleQueue[Edge]",
        bits: int,
        gap_s: float,
        *,
        reversed_bytes: bool = False,
    ) -> None:
        """``lines``: DATA0, then DATA1, which put into ``edges``."""
        self._lines = lines
        self._edges = edges
        self._bits = bits
        self._gap_s = gap_s
        self._reversed = reversed_bytes
        self._frames = Frames(bits, gap_s)
        self._low_since_s: list[float | None] = [None] * len(lines)

    def start(self) -> None:
        """Listen anew. Raises ReaderSilent while a line is low."""
        for line in self._lines:
            line.deafen()
        while not self._edges.empty():
            self._edges.get()
        self._frames = Frames(self._bits, self._gap_s)
        self._low_since_s = [None] * len(self._lines)
        for line in self._lines:
            line.listen()
            for look in range(_LOOKS):
                if not line.low:
                    break
                if look == _LOOKS - 1:
                    raise self._stuck(line)
                time.sleep(_PULSE_S)  # longer than a pulse

    def cards(self) -> list[bytes]:
        """The number of a frame that ended. Raises FrameRefused for a broken one, ReaderSilent for a stuck line."""
        frame = self._next()
        self._look()
        return [] if frame is None else [number(frame, self._bits, reversed_bytes=self._reversed)]

    def close(self) -> None:
        """The pins are freed by whoever opened them."""
        for line in self._lines:
            line.deafen()

    def _next(self) -> Frame | None:
        """The first frame that ends within ``WAIT_S``."""
        until_s = time.monotonic() + WAIT_S
        frame = None
        while frame is None and (now_s := time.monotonic()) < until_s:
            due_s = self._frames.due_s
            try:
                edge = self._edges.get(timeout=max(0.0, min(until_s, due_s or until_s) - now_s))
            except queue.Empty:
                frame = self._frames.silent(time.monotonic())
            else:
                self._low_since_s[edge.line] = None
                frame = self._frames.add(edge, time.monotonic())
        return frame

    def _look(self) -> None:
        now_s = time.monotonic()
        for index, line in enumerate(self._lines):
            since_s = self._low_since_s[index]
            if not line.low:
                self._low_since_s[index] = None
            elif since_s is None:
                self._low_since_s[index] = now_s
            elif now_s - since_s >= STUCK_S:
                raise self._stuck(line)

    def _stuck(self, line: Line) -> ReaderSilent:
        return ReaderSilent(
            f"Wiegand {line.name} is stuck low: a short, or the level shifter or the reader has no 5 V; check these"
        )


def _open(section: WiegandSection, bench: Bench) -> Wiegand:
    from gpiozero import InputDevice  # here: whoever only reads the configuration needs no pins

    edges: queue.SimpleQueue[Edge] = queue.SimpleQueue()
    lines = []
    for line, pin in enumerate((section.data0_pin, section.data1_pin)):
        device = InputDevice(pin, pull_up=True, pin_factory=bench.copper.factory)
        bench.closing.callback(device.close)
        lines.append(Line(line, device, edges))
    gap_s = section.gap.total_seconds()
    return Wiegand(lines, edges, section.bits, gap_s, reversed_bytes=section.reversed)


DRIVER = Driver(WiegandSection, _open)

"""Wiegand frames, pure: edges of two lines in, badge numbers out.

SIA AC-01-1996.10 (26 bits): both lines rest high; a pulse to low of 20 to 100 us on DATA0 is a 0, on DATA1 a 1;
pulses never overlap and begin 0.2 to 20 ms apart. There are readers that make pulses of 200 us.

HID's formats H10301 (26 bits), H10306 (34) and H10302 (37): an even parity bit, the number, an odd parity bit. Each
covers the half of the number that is beside it; of the 35 bits of H10302 both cover the middle one. H10304 differs
from H10302 in that the number begins with a facility code, as those of H10301 and H10306 do: here it is part of it.
"""

from dataclasses import dataclass

from device.hardware.readers.reader import FrameRefused

FORMATS = (26, 34, 37)
"""Bits of a frame, with both parity bits."""
MOST_BITS = 64
LATE_S = 0.25
"""An unfinished frame is waited for longer than a whole one: it may be our own threads that are late."""

_CABLE = "check the cable, the common ground and the level shifter"


@dataclass(frozen=True, slots=True)
class Edge:
    """``line``: 0 for DATA0, 1 for DATA1. ``at_s``: when, by the driver of the pins; seconds from anywhere."""

    at_s: float
    line: int
    low: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """What came between two pauses. ``torn``: a piece of what went on without one."""

    edges: tuple[Edge, ...]
    torn: bool = False


class Frames:
    """Edges in, frames out. ``now_s``: seconds of a clock of ours."""

    def __init__(self, bits: int, gap_s: float) -> None:
        """``bits``: of a whole frame. ``gap_s``: the pause that ends one."""
        self._whole = 2 * bits
        self._gap_s = gap_s
        self._edges: list[Edge] = []
        self._last_at_s = 0.0
        self._seen_s = 0.0
        self._torn = False

    @property
    def due_s(self) -> float | None:
        """When ``silent`` is to be asked, while a frame has begun."""
        if not self._edges:
            return None
        return self._seen_s + (self._gap_s if len(self._edges) >= self._whole else max(self._gap_s, LATE_S))

    def add(self, edge: Edge, now_s: float) -> Frame | None:
        """The frame before this edge, if it ends that one."""
        frame = None
        if edge.at_s - self._last_at_s > self._gap_s:
            frame = self._cut(ended=True)
        self._edges.append(edge)
        self._last_at_s, self._seen_s = max(self._last_at_s, edge.at_s), now_s
        return self._cut(ended=False) if len(self._edges) == 2 * MOST_BITS else frame

    def silent(self, now_s: float) -> Frame | None:
        """The frame that has ended by now."""
        return self._cut(ended=True) if self.due_s is not None and now_s >= self.due_s else None

    def _cut(self, *, ended: bool) -> Frame | None:
        frame = Frame(tuple(self._edges), torn=self._torn or not ended) if self._edges else None
        self._edges, self._torn = [], not ended
        return frame


def number(frame: Frame, bits: int, *, reversed_bytes: bool = False) -> bytes:
    """A frame's number without its parity bits, in 3, 4 or 5 bytes. Raises FrameRefused."""
    return value(bits_of(frame), bits, reversed_bytes=reversed_bytes)


def bits_of(frame: Frame) -> list[int]:
    """The bits as they were sent. Raises FrameRefused where the lines contradict the protocol."""
    if frame.torn:
        raise FrameRefused(f"pulses without a pause: hum or noise on the lines; {_CABLE}")
    low = [False, False]
    bits = []
    # Edges of two lines may be handed over in the wrong order; their times are the kernel's own.
    for edge in sorted(frame.edges, key=lambda edge: edge.at_s):
        if low[edge.line] == edge.low:
            raise FrameRefused(f"an edge of DATA{edge.line} was lost; {_CABLE}")
        if edge.low and low[1 - edge.line]:
            raise FrameRefused(f"both lines low at once: they touch, or one disturbs the other; {_CABLE}")
        low[edge.line] = edge.low
        if edge.low:
            bits.append(edge.line)
    if any(low):
        raise FrameRefused(f"DATA{low.index(True)} stayed low; {_CABLE}")
    return bits


def value(bits: list[int], expected: int, *, reversed_bytes: bool = False) -> bytes:
    """The number in a frame that should have ``expected`` bits. Raises FrameRefused: its length, its parity."""
    if len(bits) != expected:
        raise FrameRefused(f"{len(bits)} bits instead of {expected}: {_why(len(bits), expected)}")
    data = bits[1:-1]
    half = (len(data) + 1) // 2
    if (bits[0] + sum(data[:half])) % 2 != 0 or (sum(data[-half:]) + bits[-1]) % 2 != 1:
        raise FrameRefused(f"wrong parity: a bit was misread, or it is another format of {expected} bits; {_CABLE}")
    length = (len(data) + 7) // 8
    found = int("".join(map(str, data)), 2).to_bytes(length, "big")
    return found[::-1] if reversed_bytes else found


def _why(found: int, expected: int) -> str:
    if found in FORMATS:
        return f"the reader is set to another format; write bits = {found}"
    if found > expected:
        return f"noise, or another format; {_CABLE}"
    lost = expected - found
    return f"{'one was' if lost == 1 else f'{lost} were'} lost, or it is a key of the reader's keypad; {_CABLE}"

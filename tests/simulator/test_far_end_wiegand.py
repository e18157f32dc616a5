"""The model of a Wiegand reader: what it sends, and what its cable does."""

import time
from itertools import pairwise

import pytest
from wired import section, wired

from device.hardware.readers.reader import FrameRefused
from device.hardware.readers.wiegand_frames import FORMATS, value
from simulator.factory import SimFactory
from simulator.far_ends import Site, far_end
from simulator.far_ends.wiegand import LATEST_S, frame

KEYS = {"driver": "wiegand", "data0_pin": 20, "data1_pin": 21, "gap": "250ms"}
BADGE = bytes.fromhex("A1B2C3")


def test_a_frame_is_as_a_readers_manual_has_it() -> None:
    sent = "".join(map(str, frame(section(**KEYS), bytes.fromhex("D41B81"))))
    assert sent == "11101010000011011100000010"
    sent = "".join(map(str, frame(section(**KEYS, bits=34), bytes.fromhex("89D41B81"))))
    assert sent == "1100010011101010000011011100000011"


@pytest.mark.parametrize("bits", FORMATS)
def test_a_number_without_room_in_a_frame_is_no_badge_of_this_reader(bits: int) -> None:
    a_section = section(**KEYS, bits=bits)
    length = (bits + 5) // 8
    for uid in (bytes(length - 1), bytes(length + 1)):
        with pytest.raises(
            ValueError, match=f"a frame of {bits} bits has room for {bits - 2} bits, {length} bytes"
        ):
            frame(a_section, uid)
    if bits == 37:
        with pytest.raises(ValueError, match="has room for 35 bits"):
            frame(a_section, b"\x08" + bytes(4))


class Watched:
    """One line at the post's end. ``changes``: when, which line, and whether it is high now."""

    def __init__(self, factory: SimFactory, line: int, changes: list[tuple[float, int, bool]]) -> None:
        self.line = line
        self.changes = changes
        self.hold_up_s = 0.0
        pin = factory.pin(f"GPIO{20 + line}")
        assert pin.level
        pin.when_changed = self.changed

    def changed(self, ticks: float, state: int) -> None:
        self.changes.append((ticks, self.line, bool(state)))
        if len(self.changes) == 20:
            time.sleep(self.hold_up_s)


def watched(hold_up_s: float) -> list[tuple[float, int, bool]]:
    """The changes of both lines while a badge is read; the machine is held up once."""
    factory, changes = SimFactory(), list[tuple[float, int, bool]]()
    reader = far_end(section(**KEYS), Site(factory))
    lines = [Watched(factory, line, changes) for line in (0, 1)]
    for line in lines:
        line.hold_up_s = hold_up_s
    reader.place(BADGE)
    factory.close()
    return changes


def test_a_pulse_is_low_and_both_lines_rest_high() -> None:
    changes = watched(0)[-52:]
    assert value([line for _, line, high in changes if not high], 26) == BADGE
    assert [high for _, _, high in changes] == [False, True] * 26
    began = [ticks for ticks, _, high in changes if not high]
    assert all(after - before >= 0.0002 for before, after in pairwise(began))


def test_a_frame_that_a_busy_machine_tore_is_sent_again() -> None:
    """A reader is never late, so the model must not be taken for a broken one where the machine was."""
    changes = watched(2 * LATEST_S)
    assert len(changes) >= 104
    assert value([line for _, line, high in changes[-52:] if not high], 26) == BADGE


def test_a_card_that_stays_is_sent_once() -> None:
    with wired(section(**KEYS)) as post:
        for _ in range(2):
            post.far.place(BADGE)
            assert post.far.wait_read(BADGE, 0)
        post.until_told("sighted", "A1B2C3")
        post.far.remove(BADGE)
        assert not post.far.wait_read(BADGE, 0)
        post.do("cut")
        post.far.place(BADGE)
        assert not post.far.wait_read(BADGE, 0)


def test_what_is_bent_is_no_number_of_another_badge() -> None:
    sent = frame(section(**KEYS), BADGE)
    for bent in (sent[:13] + sent[14:], [*sent[:13], 1 - sent[13], *sent[14:]]):
        with pytest.raises(FrameRefused):
            value(bent, 26)

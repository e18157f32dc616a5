"""Which frame of the last seconds shows a moment."""

from dataclasses import dataclass

import pytest

from device.hardware.camera.ring import SLACK_MS, Ring, places


@dataclass(frozen=True)
class Dated:
    taken_ms: int


def ring(*times_ms: int, most: int = 100) -> Ring[Dated]:
    made: Ring[Dated] = Ring(most)
    for time_ms in times_ms:
        made.add(Dated(time_ms))
    return made


EVERY_QUARTER = ring(*range(10_000, 15_000, 250))


def test_before_an_event_the_newest_frame_of_the_moment_or_earlier_is_taken() -> None:
    assert EVERY_QUARTER.before(14_900, -3_000) == Dated(11_750)
    assert EVERY_QUARTER.before(14_750, -3_000) == Dated(11_750)


def test_where_none_is_so_old_the_oldest_from_before_the_event_is_taken() -> None:
    assert EVERY_QUARTER.before(11_000, -3_000) == Dated(10_000)


@pytest.mark.parametrize("at_ms", [9_000, 10_000])
def test_a_frame_of_the_event_or_later_does_not_show_what_was_before(at_ms: int) -> None:
    assert EVERY_QUARTER.before(at_ms, -3_000) is None


def test_a_frame_from_long_before_a_stall_is_not_taken_for_the_moment() -> None:
    assert ring(1_000, 2_000).before(20_000, -3_000) is None
    assert ring(1_000, 15_000 + 1).before(20_000, -3_000) == Dated(15_001)


def test_a_frame_of_the_event_or_shortly_after_is_the_first_there_is() -> None:
    assert EVERY_QUARTER.first(12_001, 17_000) == Dated(12_250)
    assert EVERY_QUARTER.first(12_250, 17_000) == Dated(12_250)
    assert EVERY_QUARTER.first(14_751, 17_000) is None
    assert EVERY_QUARTER.first(1_000, 9_999) is None


def test_there_is_place_for_the_frames_of_the_time_before_and_for_events_written_down_late() -> None:
    most = places(before_ms=3_000, rate=4)
    assert most == 3 * 4 + SLACK_MS * 4 // 1000 + 1
    full = ring(*range(0, 100_000, 250), most=most)
    assert next(frame.taken_ms for frame in full) <= 99_750 - 3_000 - SLACK_MS
    assert len(list(full)) == most

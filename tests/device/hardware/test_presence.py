"""Who is newly there: flicker is no second tap, and a second tap is never taken for flicker."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from device.hardware.readers.presence import GONE_MS, GONE_POLLS, Presence

A, B = b"\x01\x02\x03\x04", b"\x05\x06\x07\x08"


@dataclass(frozen=True)
class Poll:
    uids: tuple[bytes, ...]
    garbled: bool
    after_ms: int


def histories() -> st.SearchStrategy[list[Poll]]:
    uids = st.sampled_from([(), (A,), (B,), (A, B), (B, A)])
    pause_ms = st.sampled_from([5, 10, 40, 100, 299, 300, 1000])
    return st.lists(st.builds(Poll, uids, st.booleans(), pause_ms), max_size=60)


def play(history: list[Poll]) -> list[tuple[int, list[bytes]]]:
    """Each poll's time and the UIDs reported as new."""
    presence, at_ms, told = Presence(), 0, []
    for poll in history:
        at_ms += poll.after_ms
        told.append((at_ms, presence.polled(poll.uids, garbled=poll.garbled, at_ms=at_ms)))
    return told


def clean(count: int, *uids: bytes, every_ms: int = 5) -> list[Poll]:
    return [Poll(uids, False, every_ms)] * count


def told(history: list[Poll], uid: bytes = A) -> int:
    return sum(new.count(uid) for _, new in play(history))


def test_a_tap_is_told_once_however_long_the_card_rests() -> None:
    assert told(clean(1000, A)) == 1


def test_a_flickering_card_is_one_tap() -> None:
    assert told((clean(1, A) + clean(2, every_ms=150)) * 50) == 1  # never three polls running without it
    assert told((clean(1, A) + clean(50)) * 50) == 1  # many polls, never 300 ms


def test_the_same_card_tapped_again_after_it_was_away_is_told_again() -> None:
    away = clean(GONE_POLLS - 1) + clean(1, every_ms=GONE_MS)
    assert told((clean(1, A) + away) * 3) == 3


def test_the_limits_are_both_needed() -> None:
    two_polls = clean(1, A) + clean(GONE_POLLS - 1, every_ms=GONE_MS) + clean(1, A)
    assert told(two_polls) == 1
    too_soon = [*clean(1, A), *clean(GONE_POLLS, every_ms=1), Poll((A,), False, GONE_MS - GONE_POLLS - 1)]
    assert told(too_soon) == 1
    in_time = [*clean(1, A), *clean(GONE_POLLS, every_ms=1), Poll((A,), False, GONE_MS - GONE_POLLS)]
    assert told(in_time) == 2


def test_somebody_garbled_may_be_the_card_that_was_there() -> None:
    garbled = [Poll((), True, 100)] * 100
    assert told(clean(1, A) + garbled + clean(1, A)) == 1
    mixed = [*clean(1, A), *([*clean(GONE_POLLS - 1, every_ms=200), Poll((), True, 5)] * 10), *clean(1, A)]
    assert told(mixed) == 1


def test_a_second_card_is_told_while_the_first_one_rests() -> None:
    assert [new for _, new in play(clean(2, A) + clean(2, A, B))] == [[A], [], [B], []]


def test_a_uid_read_twice_in_one_poll_is_one_card() -> None:
    assert [new for _, new in play(clean(1, B, A, B))] == [[B, A]]


@given(histories())
@settings(deadline=None)
def test_a_card_is_told_only_when_it_is_there_and_at_its_first_sight(history: list[Poll]) -> None:
    seen: set[bytes] = set()
    for poll, (_, new) in zip(history, play(history), strict=True):
        assert set(new) <= set(poll.uids)
        assert set(poll.uids) - seen <= set(new)
        seen |= set(poll.uids)


@given(histories())
@settings(deadline=None)
def test_told_again_means_three_clean_polls_running_without_it_and_300_ms_between(history: list[Poll]) -> None:
    results = play(history)
    for uid in (A, B):
        run = longest_run = 0
        seen_ms: int | None = None
        for poll, (at_ms, new) in zip(history, results, strict=True):
            if uid in poll.uids:
                if uid in new and seen_ms is not None:
                    assert longest_run >= GONE_POLLS
                    assert at_ms - seen_ms >= GONE_MS
                run = longest_run = 0
                seen_ms = at_ms
            else:
                run = 0 if poll.garbled else run + 1
                longest_run = max(longest_run, run)


@given(histories(), st.integers(GONE_POLLS, 20), st.integers(GONE_MS // GONE_POLLS, 1000))
@settings(deadline=None)
def test_whatever_came_before_a_card_that_was_cleanly_away_is_told_again(
    history: list[Poll], polls: int, every_ms: int
) -> None:
    before = [*history, *clean(1, A)]
    assert told([*before, *clean(polls, every_ms=every_ms), *clean(1, A)]) == told(before) + 1


@given(histories(), st.data())
@settings(deadline=None)
def test_a_garbled_poll_more_never_makes_a_tap_more(history: list[Poll], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(history)))
    # Put in at the time of its neighbour, so that nothing else changes.
    more = [*history[:at], Poll((), True, 0), *history[at:]]
    for uid in (A, B):
        assert told(more, uid) <= told(history, uid)

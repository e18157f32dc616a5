"""Pacing, naming gaps and noticing silence: every moment is an argument."""

import logging

import pytest
from far_ends import SOURCE, Desk, Post
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.absence import AbsenceWatch
from recorder.gapwatch import GapWatch
from recorder.intake import Message
from recorder.ledger import Settled
from recorder.pacing import EVERY_S, Pacing


def test_wishes_are_gathered_until_it_is_time() -> None:
    pacing = Pacing()
    pacing.want("a", ["x"])
    assert pacing.take(5.0) == ("a", {"x"})
    pacing.want("a", ["x"])
    pacing.want("a", ["y", "x"])
    assert pacing.take(5.0 + EVERY_S / 2) is None
    assert pacing.due() == 5.0 + EVERY_S
    assert pacing.take(5.0 + EVERY_S) == ("a", {"x", "y"})
    assert pacing.take(9.0) is None


def test_one_post_does_not_hold_back_another() -> None:
    pacing = Pacing()
    pacing.want("a", ["x"])
    assert pacing.take(1.0)
    pacing.want("a", ["x"])
    pacing.want("b", ["y"])
    assert pacing.take(1.01) == ("b", {"y"})


def test_what_was_on_its_way_when_the_line_was_lost_goes_out_again() -> None:
    pacing = Pacing()
    pacing.want("a", ["x", "y"])
    assert pacing.take(1.0)
    pacing.sent(7, "a", "x")
    pacing.sent(8, "a", "y")
    assert pacing.acknowledged(8)
    assert not pacing.acknowledged(9)
    assert pacing.take(2.0) is None
    pacing.disconnected()
    assert pacing.take(1.01) == ("a", {"x"})


@settings(deadline=None)
@given(st.lists(st.floats(0, 10), max_size=200))
def test_never_more_than_ten_a_second(moments: list[float]) -> None:
    pacing = Pacing()
    given_at = []
    for now in sorted(moments):
        pacing.want("a", ["x"])
        if pacing.take(now):
            given_at.append(now)
    for start in given_at:
        assert sum(start <= at < start + 1 for at in given_at) <= 11


def took(desk: Desk, *messages: Message) -> Settled:
    with desk.store.transaction():
        for message in messages:
            desk.ledger.take(message)
        return desk.ledger.settle()


def test_a_gap_is_named_once_it_has_stayed_open(desk: Desk, post: Post, caplog: pytest.LogCaptureFixture) -> None:
    """After 5 s, again every half minute for the post, in the log only when it changes, and once when over."""
    caplog.set_level(logging.INFO)
    watch, chain = GapWatch(desk.store), post.here.chain
    one, *rest = [post.message(post.sealed[0]), *post.checkins(9)]

    def heed(now: float, *messages: Message) -> None:
        settled = took(desk, *messages)
        watch.heed(settled.touched, settled.stated, now)

    heed(100.0, post.identity(), one, *rest[3:])
    assert watch.due() == 105.0
    assert watch.work(104.9) == []
    assert watch.work(105.0) == [(SOURCE, chain)]
    assert watch.work(106.0) == []
    assert watch.work(135.0) == [(SOURCE, chain)]
    assert caplog.messages == [f"{SOURCE} lacks 2-4 (sent, not here) of chain {chain}"]
    heed(136.0, rest[0])
    assert watch.work(170.0) == [(SOURCE, chain)]
    heed(171.0, *rest)
    assert caplog.messages[1:] == [
        f"{SOURCE} lacks 3-4 (sent, not here) of chain {chain}",
        f"{SOURCE} chain {chain} is whole again, up to 10",
    ]
    assert watch.due() == float("inf")


def test_a_gap_that_closes_in_time_is_not_spoken_of(
    desk: Desk, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watch = GapWatch(desk.store)
    one, *rest = [post.message(post.sealed[0]), *post.checkins(3)]
    watch.heed(took(desk, post.identity(), one, rest[2]).touched, (), 100.0)
    watch.heed(took(desk, *rest).touched, (), 104.0)
    assert watch.work(200.0) == []
    assert caplog.messages == []


def test_a_chain_of_which_nothing_came_is_named_too(
    desk: Desk, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    """All that is known of it is the state."""
    watch = GapWatch(desk.store)
    watch.heed((), took(desk, post.state(1)).stated, 100.0)
    assert watch.work(106.0) == [(SOURCE, post.here.chain)]
    assert "lacks 1 (sent, not here)" in caplog.text


def test_a_fork_is_a_finding_and_no_gap(desk: Desk, post: Post) -> None:
    watch = GapWatch(desk.store)
    one, before = post.message(post.sealed[0]), post.chain
    two = post.checkin()
    post.chain = before
    post.uptime_ms += 77
    watch.heed(took(desk, post.identity(), one, two, post.checkin()).touched, (), 100.0)
    assert watch.work(106.0) == []


def test_silence_is_said_once_and_its_end_once(desk: Desk, post: Post, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watch = AbsenceWatch(desk.store, 60.0)
    took(desk, Message(post.state(1).topic, post.state(1).payload, 1_795_482_900_123))
    watch.listening(1000.0)
    assert watch.work(1059.0) == []
    (message,) = watch.work(1060.0 + 10)
    assert message == b'{"source": "%b", "since": "2026-11-24T01:15:00.123Z"}' % SOURCE.encode()
    assert watch.work(1200.0) == []
    settled = took(
        desk,
        Message(
            post.sealed[0].kind and post.message(post.sealed[0]).topic, post.sealed[0].event, 1_795_483_900_123
        ),
    )
    (back,) = watch.heed(settled.alive, 1201.0)
    assert back.endswith(b'"until": "2026-11-24T01:31:40.123Z"}')
    assert watch.heed(settled.alive, 1202.0) == []
    assert [line.split(",")[0] for line in caplog.messages] == [
        f"{SOURCE} is silent: nothing heard since 2026-11-24T01:15:00.123Z",
        f"{SOURCE} is back",
    ]
    assert len(watch.work(1300.0)) == 1


def test_nobody_is_absent_for_our_own_deafness(desk: Desk, post: Post) -> None:
    """A line that comes and goes does not begin the count anew either."""
    watch = AbsenceWatch(desk.store, 60.0)
    took(desk, post.state(1))
    watch.listening(1000.0)
    assert watch.work(1000.0) == []
    for start in (1000.0, 5000.0):
        watch.listening(start)
        assert watch.work(start + 29) == []
        watch.deaf(start + 29)
        assert watch.due() == float("inf")
    watch.listening(9000.0)
    assert len(watch.work(9002.0)) == 1

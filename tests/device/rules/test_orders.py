"""Orders: once each, within their time, and a flood of them costs little."""

from dataclasses import replace

from device.effects import Replay, ReplayPicture, Reply
from device.events import Draft, OrderTaken, Picture, rfc3339
from device.readings import Asked, Instant, Misasked, PictureFailed, Replayed, ReplayRange, Started
from device.rules.orders import (
    FLOOD_TOLD_EVERY_MS,
    LONGEST_AHEAD_MS,
    REMEMBERED,
    TOKEN_EVERY_MS,
    TOKENS,
    OrdersRule,
    OrdersState,
)
from device.rules.rule import Cause, Due, Numbered, Seat, Step

NOON = Instant(uptime_ms=1_000_000, wall_ms=1_795_500_000_000)
RANGE = ReplayRange("0a0a0a0a-0000-4000-8000-000000000000", 1, 5)


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def order(number: int = 1, at: Instant = NOON, ahead_ms: int = 60_000, sha256: str = "aa") -> Asked:
    return Asked(at, "replay", uuid(number), at.wall_ms + ahead_ms, sha256, RANGE, (1, number))


class Desk:
    """The rule with its state, and everything it said."""

    def __init__(self) -> None:
        self.seat = Seat(OrdersRule(), OrdersRule.initial)
        self.events: list[OrderTaken] = []

    def take(self, cause: Cause, now: Instant | None = None) -> Step[OrdersState]:
        at = now if now is not None else getattr(cause, "at", NOON)
        self.seat, step = self.seat.decide(cause, at)
        for draft in step.drafts:
            assert isinstance(draft.data, OrderTaken)
            self.events.append(draft.data)
        return step

    def restart(self) -> None:
        self.seat = Seat.restored(OrdersRule(), self.seat.snapshot())


def test_an_order_is_recorded_and_obeyed() -> None:
    desk = Desk()
    step = desk.take(order())
    assert step.effects == (Replay(uuid(1), RANGE),)
    assert desk.events == [OrderTaken(what="replay", id=uuid(1), ok=True, error=None)]


def test_the_same_order_again_gets_the_earlier_reply_and_no_event_even_after_a_restart() -> None:
    desk = Desk()
    desk.take(order())
    assert desk.take(Replayed(NOON, uuid(1), {"ok": True, "sent": 5})).effects == (
        Reply(uuid(1), {"ok": True, "sent": 5}),
    )
    desk.restart()
    assert desk.take(order()).effects == (Reply(uuid(1), {"ok": True, "sent": 5}),)
    assert len(desk.events) == 1


def test_an_order_whose_work_a_restart_cut_short_goes_on_when_it_is_delivered_again() -> None:
    desk = Desk()
    desk.take(order())
    desk.restart()
    assert desk.take(order()).effects == (Replay(uuid(1), RANGE),)
    assert len(desk.events) == 1


def test_an_order_that_a_restart_cut_short_goes_on_by_itself() -> None:
    desk = Desk()
    desk.take(order(1))
    desk.take(order(2))
    desk.take(Replayed(NOON, uuid(1), {"ok": True}))
    desk.restart()
    assert desk.take(Started(NOON, True, "1")).effects == (Replay(uuid(2), RANGE),)


def test_another_order_under_the_same_id_is_refused() -> None:
    desk = Desk()
    desk.take(order())
    step = desk.take(order(sha256="bb"))
    assert step.effects == (Reply(uuid(1), {"ok": False, "error": "another order had this id already"}),)
    assert [event.ok for event in desk.events] == [True, False]


def test_an_expired_order_does_nothing_but_an_event_and_a_reply() -> None:
    desk = Desk()
    step = desk.take(order(ahead_ms=0))
    assert step.effects == (Reply(uuid(1), {"ok": False, "error": "it has expired"}),)
    assert desk.events[0].error == "it has expired"


def test_an_order_from_a_far_future_is_refused() -> None:
    desk = Desk()
    assert desk.take(order(ahead_ms=LONGEST_AHEAD_MS)).effects == (Replay(uuid(1), RANGE),)
    desk.take(order(2, ahead_ms=LONGEST_AHEAD_MS + 1))
    assert [event.ok for event in desk.events] == [True, False]


def test_an_unsure_clock_judges_no_times_and_forgets_no_order() -> None:
    desk = Desk()
    unsure = replace(NOON, clock="unsynced")
    desk.take(order(at=unsure, ahead_ms=-3_600_000))
    assert desk.events[0].ok
    desk.take(replace(order(2), at=unsure))
    assert desk.take(order(at=unsure, ahead_ms=-3_600_000)).drafts == ()


def test_an_order_is_forgotten_once_its_time_has_passed_and_cannot_be_repeated_then() -> None:
    desk = Desk()
    desk.take(order())
    late = replace(NOON, wall_ms=NOON.wall_ms + 60_000)
    again = replace(order(), at=late)
    assert desk.take(again).effects == (Reply(uuid(1), {"ok": False, "error": "it has expired"}),)


def test_a_malformed_order_is_answered_where_its_id_can_be_read() -> None:
    desk = Desk()
    assert desk.take(Misasked(NOON, "replay", uuid(9), "member to: missing", (1, 1))).effects == (
        Reply(uuid(9), {"ok": False, "error": "member to: missing"}),
    )
    assert desk.take(Misasked(NOON, "replay", None, "not JSON", (1, 2))).effects == ()
    assert [event.id for event in desk.events] == [uuid(9), None]


def test_a_flood_makes_a_bounded_number_of_events_and_replies_and_is_told_once_a_minute() -> None:
    desk = Desk()
    replies = 0
    for number in range(10_000):  # all within one second
        step = desk.take(
            Misasked(replace(NOON, uptime_ms=NOON.uptime_ms + number // 10), "x", uuid(number), "no", (1, 1))
        )
        replies += len(step.effects)
    assert len(desk.events) == replies == TOKENS
    due = desk.seat.due()
    assert due is not None and due <= NOON.uptime_ms + 1_000 + FLOOD_TOLD_EVERY_MS
    desk.take(Due(), replace(NOON, uptime_ms=due))
    assert desk.events[-1].error is not None and desk.events[-1].error.startswith(f"{10_000 - TOKENS} orders")
    assert desk.seat.due() is None


def test_after_a_flood_orders_are_taken_again() -> None:
    desk = Desk()
    for number in range(TOKENS + 5):
        desk.take(Misasked(NOON, "x", None, "no", (1, number)))
    later = replace(NOON, uptime_ms=NOON.uptime_ms + TOKEN_EVERY_MS)
    assert desk.take(order(at=later)).effects == (Replay(uuid(1), RANGE),)


def test_no_more_orders_are_remembered_than_fit() -> None:
    desk = Desk()
    at = NOON
    for number in range(REMEMBERED + 3):
        at = replace(at, uptime_ms=at.uptime_ms + TOKEN_EVERY_MS)
        desk.take(order(number, at=at, ahead_ms=LONGEST_AHEAD_MS))
    assert sum(event.ok for event in desk.events) == REMEMBERED
    assert desk.events[-1].error is not None and "in their time" in desk.events[-1].error


def test_a_reboot_does_not_leave_the_bucket_waiting_for_an_earlier_uptime() -> None:
    desk = Desk()
    for number in range(TOKENS):
        desk.take(Misasked(NOON, "x", None, "no", (1, number)))
    boot = replace(NOON, uptime_ms=5_000)
    desk.take(Started(boot, False, "1"))
    soon = replace(boot, uptime_ms=5_000 + TOKEN_EVERY_MS)
    assert desk.take(order(at=soon)).effects == (Replay(uuid(1), RANGE),)


PICTURE = Asked(NOON, "picture", uuid(1), NOON.wall_ms + 60_000, "aa", None, (1, 1))
TOOK = Draft(subject="post", data=OrderTaken(what="picture", id=uuid(1), ok=True, error=None))


def announced(why: str, sha256: str = "ab" * 32) -> Draft:
    data = Picture(
        sha256=sha256, bytes=9, sealed=False, plain_sha256=None, width=640, height=480,
        taken=rfc3339(NOON.wall_ms), offset="0.040", why=why, replaces=None,
    )  # fmt: skip
    return Draft(subject="camera", data=data)


def test_an_order_for_a_picture_is_answered_once_the_picture_is_announced() -> None:
    desk = Desk()
    assert desk.take(PICTURE).effects == ()
    desk.take(Numbered(f"{uuid(5)}/3", TOOK))
    assert desk.take(Numbered(f"{uuid(5)}/4", announced(f"{uuid(5)}/2"))).effects == ()
    reply = Reply(uuid(1), {"ok": True, "event": f"{uuid(5)}/5", "sha256": "ab" * 32})
    assert desk.take(Numbered(f"{uuid(5)}/5", announced(f"{uuid(5)}/3"))).effects == (reply,)
    desk.restart()
    assert desk.take(PICTURE).effects == (reply,)


def test_an_order_for_a_picture_that_cannot_be_taken_is_answered_with_why() -> None:
    desk = Desk()
    desk.take(PICTURE)
    desk.take(Numbered(f"{uuid(5)}/3", TOOK))
    step = desk.take(PictureFailed(NOON, f"{uuid(5)}/3", "no camera is connected"))
    assert step.effects == (Reply(uuid(1), {"ok": False, "error": "no camera is connected"}),)


def test_a_picture_that_a_restart_cut_short_is_not_taken_later() -> None:
    desk = Desk()
    desk.take(PICTURE)
    desk.take(Numbered(f"{uuid(5)}/3", TOOK))
    desk.restart()
    refusal = Reply(uuid(1), {"ok": False, "error": "the post ended before it was taken"})
    assert desk.take(Started(NOON, True, "1")).effects == (refusal,)
    assert desk.take(PICTURE).effects == (refusal,)


def test_a_post_that_takes_no_pictures_says_so() -> None:
    desk = Desk()
    desk.seat = Seat(OrdersRule(no_pictures="this post has no camera"), OrdersRule.initial)
    assert desk.take(PICTURE).effects == (Reply(uuid(1), {"ok": False, "error": "this post has no camera"}),)
    assert [event.ok for event in desk.events] == [False]


def test_a_picture_is_sent_again_and_goes_on_after_a_restart() -> None:
    desk = Desk()
    asked = replace(order(), replay=None, picture="ab" * 32)
    assert desk.take(asked).effects == (ReplayPicture(uuid(1), "ab" * 32),)
    desk.restart()
    assert desk.take(Started(NOON, True, "1")).effects == (ReplayPicture(uuid(1), "ab" * 32),)
    assert desk.take(Replayed(NOON, uuid(1), {"ok": True, "sent": 1})).effects == (
        Reply(uuid(1), {"ok": True, "sent": 1}),
    )

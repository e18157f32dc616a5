"""The sender: three lanes over one window, live rows strictly in order, whatever the broker does."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from device.link.sender import HOLD_FIRST_MS, HOLD_LONGEST_MS, WINDOW, Flying, Lane, Sender

SUCCESS, NOT_AUTHORISED, NOBODY_SUBSCRIBES = 0x00, 0x87, 0x10


class Desk:
    """A journal of ``newest`` rows and one connection; packet ids count up and are never used twice."""

    def __init__(self, done: int = 0, newest: int = 100, receive_maximum: int = 65_535) -> None:
        self.sender = Sender(done)
        self.newest = newest
        self.mid = 0
        self.now_ms = 0
        self.sender.connected(receive_maximum)

    def send(self, lane: Lane, position: int = 0) -> int:
        self.mid += 1
        self.sender.published(self.mid, lane, position, self.now_ms)
        return self.mid

    def alarms(self) -> list[int]:
        """Publish the alarms that may go; their positions."""
        wanted = self.sender.next_alarms(self.now_ms)
        for position in wanted:
            self.send(Lane.ALARM, position)
        return wanted

    def live(self) -> dict[int, int]:
        """Publish the live rows that may go; row by packet id."""
        out: dict[int, int] = {}
        while self.sender.sent < self.newest and self.sender.live_room(self.now_ms) > 0:
            row = self.sender.sent + 1
            out[self.send(Lane.LIVE, row)] = row
        return out

    def again(self) -> list[int]:
        """Publish the rows that may go again; their positions."""
        wanted = self.sender.next_again(self.now_ms)
        for position in wanted:
            self.send(Lane.AGAIN, position)
        return wanted

    def held(self) -> bool:
        return self.sender.held

    def answer(self, mid: int, reason: int = SUCCESS) -> Flying | None:
        return self.sender.acknowledged(mid, reason, self.now_ms)


def test_what_is_to_go_again_or_on_its_way_is_wanted_until_it_was_taken() -> None:
    desk = Desk(done=50)
    wanted = [desk.sender.oldest_wanted]
    desk.sender.send_again([7, 9])
    desk.sender.alarm([8])
    wanted.append(desk.sender.oldest_wanted)
    assert (desk.again(), desk.alarms()) == ([7, 9], [8])
    for mid, reason in ((1, SUCCESS), (3, SUCCESS), (2, NOT_AUTHORISED)):
        wanted.append(desk.sender.oldest_wanted)
        desk.answer(mid, reason)
    desk.sender.disconnected()
    assert [*wanted, desk.sender.oldest_wanted] == [None, 7, 7, 8, 9, 9]


def test_live_rows_go_out_in_order_and_leave_one_place_for_an_alarm() -> None:
    desk = Desk()
    assert list(desk.live().values()) == list(range(1, WINDOW))
    assert desk.live() == {}
    desk.sender.alarm([50])
    assert desk.alarms() == [50]
    assert not desk.sender.room_for_hint()
    assert desk.answer(1) == Flying(Lane.LIVE, 1, 0)
    assert desk.live() == {}
    desk.answer(2)
    assert list(desk.live().values()) == [20]


@pytest.mark.parametrize(("receive_maximum", "rows"), [(1, 1), (2, 1), (3, 2), (65_535, WINDOW - 1)])
def test_the_brokers_receive_maximum_narrows_the_window_and_never_widens_it(
    receive_maximum: int, rows: int
) -> None:
    assert len(Desk(receive_maximum=receive_maximum).live()) == rows


def test_nothing_goes_out_before_a_connection_and_after_it() -> None:
    desk = Desk()
    desk.sender.alarm([1])
    desk.sender.send_again([2])
    desk.sender.disconnected()
    for sender in (desk.sender, Sender(0)):
        assert (sender.next_alarms(0), sender.live_room(0), sender.next_again(0)) == ([], 0, [])
        assert not sender.room_for_hint()
        assert sender.due() is None


def test_acknowledgements_out_of_order_move_done_only_over_what_is_whole() -> None:
    desk = Desk()
    desk.live()
    for mid, done in ((2, 0), (4, 0), (1, 2), (3, 4), (19, 4)):
        desk.answer(mid)
        assert desk.sender.done == done


def test_a_second_puback_and_one_for_a_stranger_change_nothing() -> None:
    desk = Desk()
    desk.live()
    assert desk.answer(1) is not None
    assert desk.answer(1) is None
    assert desk.answer(9_999) is None
    assert desk.sender.done == 1


def test_a_new_connection_sends_again_from_the_first_row_that_was_not_acknowledged() -> None:
    desk = Desk(done=7)
    desk.live()
    for mid in (1, 2, 5):
        desk.answer(mid)
    desk.sender.disconnected()
    assert desk.answer(3) is None
    desk.sender.connected(65_535)
    assert list(desk.live().values())[:3] == [10, 11, 12]


def test_a_limit_holds_the_live_rows_and_nothing_else() -> None:
    desk = Desk(done=3)
    desk.sender.limit = 5
    desk.sender.alarm([90])
    desk.sender.send_again([1])
    assert (desk.alarms(), list(desk.live().values()), desk.again()) == ([90], [4, 5], [1])
    desk.sender.limit = 2
    assert desk.sender.live_room(0) == 0
    desk.sender.limit = None
    assert next(iter(desk.live().values())) == 6


def test_hints_share_the_window_and_are_no_rows() -> None:
    desk = Desk(receive_maximum=3)
    mid = desk.send(Lane.HINT)
    assert len(desk.live()) == 1
    assert desk.answer(mid) == Flying(Lane.HINT, 0, 0)
    assert desk.sender.done == 0


def test_a_refused_hint_holds_no_row() -> None:
    desk = Desk()
    desk.answer(desk.send(Lane.HINT), NOT_AUTHORISED)
    assert not desk.held()
    assert len(desk.live()) == WINDOW - 1


def test_a_refused_row_lets_the_lane_drain_waits_and_is_tried_alone() -> None:
    desk = Desk()
    desk.live()
    for mid in (1, 2):
        desk.answer(mid)
    desk.answer(3, NOT_AUTHORISED)
    assert desk.held()
    assert desk.live() == {}
    assert desk.sender.due() is None
    for mid in range(4, 20):
        desk.answer(mid)
    assert desk.sender.done == 2
    assert desk.sender.due() == HOLD_FIRST_MS
    desk.now_ms = HOLD_FIRST_MS - 1
    assert desk.live() == {}
    desk.now_ms = HOLD_FIRST_MS
    ((mid, row),) = desk.live().items()
    assert row == 3
    assert desk.live() == {}
    desk.answer(mid)
    assert not desk.held()
    assert next(iter(desk.live().values())) == 4


def test_rows_before_the_refused_one_that_are_acknowledged_later_are_not_sent_again() -> None:
    desk = Desk()
    desk.live()
    desk.answer(3, NOT_AUTHORISED)
    for mid in (1, 2, *range(4, 20)):
        desk.answer(mid)
    assert desk.sender.done == 2
    desk.now_ms = HOLD_FIRST_MS
    assert list(desk.live().values()) == [3]


def test_pauses_double_up_to_the_longest_and_a_success_starts_them_anew() -> None:
    desk = Desk()
    for mid in desk.live():
        desk.answer(mid, NOT_AUTHORISED)
    pauses = []
    for _refusal in range(8):
        due = desk.sender.due()
        assert due is not None
        pauses.append(due - desk.now_ms)
        desk.now_ms = due
        ((mid, row),) = desk.live().items()
        assert row == 1
        desk.answer(mid, NOT_AUTHORISED)
    assert pauses == [1_000, 2_000, 4_000, 8_000, 16_000, HOLD_LONGEST_MS, HOLD_LONGEST_MS, HOLD_LONGEST_MS]
    desk.now_ms = desk.sender.due() or 0
    ((mid, _),) = desk.live().items()
    desk.answer(mid)
    first, *others = desk.live()
    desk.answer(first, NOT_AUTHORISED)
    for mid in others:
        desk.answer(mid)
    assert (desk.sender.due() or 0) - desk.now_ms == HOLD_FIRST_MS


def test_nobody_subscribing_frees_nothing() -> None:
    desk = Desk(newest=1)
    desk.live()
    desk.answer(1, NOBODY_SUBSCRIBES)
    assert (desk.sender.done, desk.held()) == (0, True)


def test_a_probe_keeps_to_a_window_of_one_that_a_hint_already_fills() -> None:
    desk = Desk(receive_maximum=1)
    ((mid, _),) = desk.live().items()
    desk.answer(mid, NOT_AUTHORISED)
    hint = desk.send(Lane.HINT)
    desk.now_ms = HOLD_FIRST_MS
    assert desk.live() == {}
    desk.answer(hint)
    assert list(desk.live().values()) == [1]


def test_a_pause_goes_on_over_a_new_connection() -> None:
    desk = Desk()
    desk.live()
    desk.answer(1, NOT_AUTHORISED)
    desk.sender.disconnected()
    desk.sender.connected(65_535)
    assert desk.live() == {}
    desk.now_ms = HOLD_FIRST_MS
    assert list(desk.live().values()) == [1]


def test_an_alarm_goes_ahead_once_and_again_on_every_connection_until_it_is_acknowledged() -> None:
    desk = Desk()
    desk.sender.alarm([42, 17])
    assert desk.alarms() == [17, 42]
    assert desk.alarms() == []
    desk.answer(1)
    desk.sender.alarm([42])
    assert desk.sender.alarms == {42}
    desk.sender.disconnected()
    desk.sender.connected(65_535)
    assert desk.alarms() == [42]
    desk.answer(desk.mid)
    assert desk.sender.alarms == set()
    assert desk.sender.done == 0


def test_a_refused_alarm_pauses_alarms_and_leaves_the_stream_alone() -> None:
    desk = Desk()
    desk.sender.alarm([7, 8])
    desk.alarms()
    desk.answer(1, NOT_AUTHORISED)
    desk.answer(2)
    assert (desk.sender.alarms, desk.alarms()) == ({7}, [])
    assert len(desk.live()) == WINDOW - 1
    desk.now_ms = HOLD_FIRST_MS
    assert desk.alarms() == [7]


def test_rows_that_go_again_take_what_is_left_and_are_not_lost_with_the_line() -> None:
    desk = Desk(newest=5)
    desk.sender.send_again([3, 1, 2])
    desk.live()
    assert desk.again() == [3, 1, 2]
    assert desk.sender.again_waiting == 3
    desk.answer(7)
    desk.sender.disconnected()
    desk.sender.connected(65_535)
    assert desk.sender.again_waiting == 2
    assert sorted(desk.again()) == [2, 3]


def test_a_row_refused_on_its_second_way_is_tried_a_third_time() -> None:
    desk = Desk(newest=0)
    desk.sender.send_again([3])
    desk.again()
    desk.answer(1, NOT_AUTHORISED)
    assert desk.again() == []
    desk.now_ms = HOLD_FIRST_MS
    assert desk.again() == [3]
    desk.answer(2)
    assert (desk.sender.again_waiting, desk.sender.done) == (0, 0)


def test_a_row_that_cannot_be_handed_over_at_all_pauses_its_lane() -> None:
    desk = Desk()
    desk.sender.refuse(Lane.LIVE, 0)
    assert desk.live() == {}
    desk.now_ms = HOLD_FIRST_MS
    assert list(desk.live().values()) == [1]


def test_the_age_of_the_oldest_unacknowledged_packet_is_known() -> None:
    desk = Desk(newest=1)
    assert desk.sender.oldest_ms() is None
    desk.now_ms = 5
    desk.live()
    desk.now_ms = 9
    desk.send(Lane.HINT)
    assert desk.sender.oldest_ms() == 5
    desk.answer(1)
    assert desk.sender.oldest_ms() == 9


class AgainstAModel(RuleBasedStateMachine):
    """Connections, acknowledgements and refusals in any order; the model is what the broker took."""

    @initialize(done=st.integers(0, 5), maximum=st.integers(1, 30))
    def first_connection(self, done: int, maximum: int) -> None:
        self.sender = Sender(done)
        self.newest = self.last_done = done
        self.mid = self.now_ms = self.window = 0
        self.taken = set(range(1, done + 1))
        self.flight: dict[int, tuple[Lane, int]] = {}
        self.expected = done + 1
        self.refused = False
        self.open_alarms: set[int] = set()
        self.to_go_again: list[int] = []
        self.connect(maximum)

    @rule(rows=st.integers(1, 40), alarm=st.booleans())
    def record(self, rows: int, alarm: bool) -> None:
        self.newest += rows
        if alarm:
            self.sender.alarm([self.newest])
            self.open_alarms.add(self.newest)

    @precondition(lambda self: self.newest > 0)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        positions = data.draw(st.lists(st.integers(1, self.newest), max_size=5))
        self.sender.send_again(positions)
        self.to_go_again += positions

    @precondition(lambda self: self.window == 0)
    @rule(maximum=st.integers(1, 30))
    def connect(self, maximum: int) -> None:
        self.sender.connected(maximum)
        self.window = min(20, maximum)
        self.expected, self.refused = self.sender.done + 1, False

    @precondition(lambda self: self.window > 0)
    @rule()
    def disconnect(self) -> None:
        self.sender.disconnected()
        self.to_go_again += [position for lane, position in self.flight.values() if lane is Lane.AGAIN]
        self.window, self.flight = 0, {}

    @rule(ms=st.sampled_from([1, 500, 1_000, 40_000]))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @rule()
    def publish_alarms(self) -> None:
        for position in self.sender.next_alarms(self.now_ms):
            assert position in self.open_alarms
            self.send(Lane.ALARM, position)

    @rule(most=st.integers(1, 40))
    def publish_live(self, most: int) -> None:
        for _ in range(most):
            if self.sender.live_room(self.now_ms) <= 0 or self.sender.sent >= self.newest:
                return
            row = self.sender.sent + 1
            if self.refused:  # a pause has ended: again from the first row that was not taken
                assert not self.flying(Lane.LIVE)
                self.expected, self.refused = self.sender.done + 1, False
            assert row == self.expected, "a row was skipped, or sent twice on one connection"
            self.expected += 1
            self.send(Lane.LIVE, row)

    @rule()
    def publish_again(self) -> None:
        for position in self.sender.next_again(self.now_ms):
            self.to_go_again.remove(position)
            self.send(Lane.AGAIN, position)

    @precondition(lambda self: self.sender.room_for_hint())
    @rule()
    def publish_hint(self) -> None:
        self.send(Lane.HINT, 0)

    @precondition(lambda self: self.flight)
    @rule(data=st.data(), reason=st.sampled_from([SUCCESS, SUCCESS, SUCCESS, SUCCESS, NOT_AUTHORISED]))
    def answer(self, data: st.DataObject, reason: int) -> None:
        self.acknowledge(data.draw(st.sampled_from(sorted(self.flight))), reason)

    @precondition(lambda self: self.window > 0)
    @rule()
    def a_broker_that_takes_everything_gets_everything(self) -> None:
        for _ in range(2 * (self.newest + len(self.to_go_again) + 20)):
            self.now_ms += 40_000
            self.publish_alarms()
            self.publish_live(20)
            self.publish_again()
            for mid in sorted(self.flight):
                self.acknowledge(mid, SUCCESS)
            if self.sender.done == self.newest and not self.open_alarms and not self.to_go_again:
                assert not self.sender.held
                assert (self.sender.alarms, self.sender.again_waiting) == (set(), 0)
                return
        raise AssertionError("rows are left that nobody sends")

    def acknowledge(self, mid: int, reason: int) -> None:
        lane, position = self.flight.pop(mid)
        answered = self.sender.acknowledged(mid, reason, self.now_ms)
        assert answered is not None
        assert (answered.lane, answered.position) == (lane, position)
        if reason == SUCCESS:
            if lane is Lane.LIVE:
                self.taken.add(position)
            elif lane is Lane.ALARM:
                self.open_alarms.discard(position)
        elif lane is Lane.LIVE:
            self.refused = True
        elif lane is Lane.AGAIN:
            self.to_go_again.append(position)

    def send(self, lane: Lane, position: int) -> None:
        self.mid += 1
        self.sender.published(self.mid, lane, position, self.now_ms)
        self.flight[self.mid] = (lane, position)

    def flying(self, lane: Lane) -> bool:
        return any(flying is lane for flying, _ in self.flight.values())

    @invariant()
    def never_more_in_flight_than_the_window(self) -> None:
        assert len(self.flight) <= self.window
        assert {mid: (what.lane, what.position) for mid, what in self.sender.flight.items()} == self.flight

    @invariant()
    def done_never_passes_what_the_broker_took_and_never_goes_back(self) -> None:
        assert self.taken.issuperset(range(1, self.sender.done + 1))
        assert self.sender.done >= self.last_done
        self.last_done = self.sender.done

    @invariant()
    def no_alarm_and_no_second_way_is_forgotten(self) -> None:
        assert self.sender.alarms == self.open_alarms
        assert self.sender.again_waiting == len(self.to_go_again) + sum(
            lane is Lane.AGAIN for lane, _ in self.flight.values()
        )

    @invariant()
    def the_oldest_that_is_wanted_is_the_oldest_open_alarm_or_row_on_its_way(self) -> None:
        rows = (position for lane, position in self.flight.values() if lane is not Lane.HINT)
        wanted = min((*self.open_alarms, *self.to_go_again, *rows), default=None)
        assert self.sender.oldest_wanted == wanted


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

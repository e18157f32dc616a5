"""The sender: a window over the journal, strictly in order, against a broker that does what it likes."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from device.link.sender import HOLD_FIRST_MS, HOLD_LONGEST_MS, WINDOW, Hint, Sender

SUCCESS, NOT_AUTHORISED, NOBODY_SUBSCRIBES = 0x00, 0x87, 0x10


class Desk:
    """A journal of ``newest`` rows and one connection; packet ids count up and are never used twice."""

    def __init__(self, done: int = 0, newest: int = 100, receive_maximum: int = 65_535) -> None:
        self.sender = Sender(done)
        self.newest = newest
        self.mid = 0
        self.now_ms = 0
        self.sender.connected(receive_maximum)

    def pump(self) -> dict[int, int]:
        """Publish all that may go; row by packet id."""
        out: dict[int, int] = {}
        while self.sender.sent < self.newest and self.sender.room(self.now_ms) > 0:
            self.mid += 1
            row = self.sender.sent + 1
            self.sender.published(self.mid, row)
            out[self.mid] = row
        return out

    def hint(self) -> int:
        self.mid += 1
        self.sender.published(self.mid, Hint.STATE)
        return self.mid

    def answer(self, mid: int, reason: int = SUCCESS) -> int | Hint | None:
        return self.sender.acknowledged(mid, reason, self.now_ms)


def test_rows_go_out_in_order_and_no_more_than_the_window() -> None:
    desk = Desk()
    assert list(desk.pump().values()) == list(range(1, WINDOW + 1))
    assert desk.pump() == {}
    assert desk.answer(1) == 1
    assert list(desk.pump().values()) == [21]


def test_the_brokers_receive_maximum_narrows_the_window_and_never_widens_it() -> None:
    assert len(Desk(receive_maximum=3).pump()) == 3
    assert len(Desk(receive_maximum=65_535).pump()) == WINDOW


def test_nothing_goes_out_before_a_connection_and_after_it() -> None:
    assert Sender(0).room(0) == 0
    assert not Sender(0).room_for_hint()
    desk = Desk()
    desk.sender.disconnected()
    assert desk.pump() == {}
    assert desk.sender.due() is None


def test_acknowledgements_out_of_order_move_done_only_over_what_is_whole() -> None:
    desk = Desk()
    desk.pump()
    for mid, done in ((2, 0), (4, 0), (1, 2), (3, 4), (20, 4)):
        desk.answer(mid)
        assert desk.sender.done == done


def test_a_second_puback_and_one_for_a_stranger_change_nothing() -> None:
    desk = Desk()
    desk.pump()
    assert desk.answer(1) == 1
    assert desk.answer(1) is None
    assert desk.answer(9_999) is None
    assert desk.sender.done == 1


def test_a_new_connection_sends_again_from_the_first_row_that_was_not_acknowledged() -> None:
    desk = Desk(done=7)
    desk.pump()
    for mid in (1, 2, 5):
        desk.answer(mid)
    desk.sender.disconnected()
    assert desk.answer(3) is None
    desk.sender.connected(65_535)
    assert list(desk.pump().values())[:3] == [10, 11, 12]


def test_hints_share_the_window_and_are_no_rows() -> None:
    desk = Desk(receive_maximum=2)
    mid = desk.hint()
    assert len(desk.pump()) == 1
    assert not desk.sender.room_for_hint()
    assert desk.answer(mid) is Hint.STATE
    assert desk.sender.done == 0


def test_a_refused_hint_holds_no_row() -> None:
    desk = Desk()
    desk.answer(desk.hint(), NOT_AUTHORISED)
    assert not desk.sender.held
    assert len(desk.pump()) == WINDOW


def test_a_refused_row_lets_the_flight_drain_waits_and_is_tried_alone() -> None:
    desk = Desk()
    desk.pump()
    for mid in (1, 2):
        desk.answer(mid)
    desk.answer(3, NOT_AUTHORISED)
    assert desk.sender.held
    assert desk.pump() == {}
    assert desk.sender.due() is None
    for mid in range(4, 21):
        desk.answer(mid)
    assert desk.sender.done == 2
    assert desk.sender.due() == HOLD_FIRST_MS
    desk.now_ms = HOLD_FIRST_MS - 1
    assert desk.pump() == {}
    desk.now_ms = HOLD_FIRST_MS
    (probe,) = desk.pump().items()
    assert probe[1] == 3
    assert desk.pump() == {}
    desk.answer(probe[0])
    assert not desk.sender.held
    assert list(desk.pump().values())[0] == 4


def test_rows_before_the_refused_one_that_are_acknowledged_later_are_not_sent_again() -> None:
    desk = Desk()
    desk.pump()
    desk.answer(3, NOT_AUTHORISED)
    for mid in (1, 2, *range(4, 21)):
        desk.answer(mid)
    assert desk.sender.done == 2
    desk.now_ms = HOLD_FIRST_MS
    assert list(desk.pump().values()) == [3]


def test_pauses_double_up_to_the_longest_and_a_success_starts_them_anew() -> None:
    desk = Desk()
    desk.pump()
    pauses = []
    for mid in range(1, 21):
        desk.answer(mid, NOT_AUTHORISED)
    for _refusal in range(8):
        due = desk.sender.due()
        assert due is not None
        pauses.append(due - desk.now_ms)
        desk.now_ms = due
        ((mid, row),) = desk.pump().items()
        assert row == 1
        desk.answer(mid, NOT_AUTHORISED)
    assert pauses == [1_000, 2_000, 4_000, 8_000, 16_000, HOLD_LONGEST_MS, HOLD_LONGEST_MS, HOLD_LONGEST_MS]
    desk.now_ms = desk.sender.due() or 0
    ((mid, _),) = desk.pump().items()
    desk.answer(mid)
    mids = list(desk.pump())
    desk.answer(mids[0], NOT_AUTHORISED)
    for mid in mids[1:]:
        desk.answer(mid)
    assert (desk.sender.due() or 0) - desk.now_ms == HOLD_FIRST_MS


def test_nobody_subscribing_frees_nothing() -> None:
    desk = Desk(newest=1)
    desk.pump()
    desk.answer(1, NOBODY_SUBSCRIBES)
    assert (desk.sender.done, desk.sender.held) == (0, True)


def test_a_probe_keeps_to_a_window_of_one_that_a_hint_already_fills() -> None:
    desk = Desk(receive_maximum=1)
    ((mid, _),) = desk.pump().items()
    desk.answer(mid, NOT_AUTHORISED)
    hint = desk.hint()
    desk.now_ms = HOLD_FIRST_MS
    assert desk.pump() == {}
    desk.answer(hint)
    assert list(desk.pump().values()) == [1]


def test_a_pause_goes_on_over_a_new_connection() -> None:
    desk = Desk()
    desk.pump()
    desk.answer(1, NOT_AUTHORISED)
    desk.sender.disconnected()
    desk.sender.connected(65_535)
    assert desk.pump() == {}
    desk.now_ms = HOLD_FIRST_MS
    assert list(desk.pump().values()) == [1]


class AgainstAModel(RuleBasedStateMachine):
    """Connections, acknowledgements and refusals in any order; the model is a set of rows the broker took."""

    @initialize(done=st.integers(0, 5), maximum=st.integers(1, 30))
    def connect_first(self, done: int, maximum: int) -> None:
        self.sender = Sender(done)
        self.newest = done
        self.mid = 0
        self.now_ms = 0
        self.taken = set(range(1, done + 1))
        self.flight: dict[int, int | Hint] = {}
        self.expected = done + 1
        self.window = 0
        self.refused: int | None = None
        self.last_done = done
        self.connect(maximum)

    @rule(rows=st.integers(1, 40))
    def record(self, rows: int) -> None:
        self.newest += rows

    @precondition(lambda self: self.window == 0)
    @rule(maximum=st.integers(1, 30))
    def connect(self, maximum: int) -> None:
        self.sender.connected(maximum)
        self.window = min(20, maximum)
        self.expected = self.sender.done + 1

    @precondition(lambda self: self.window > 0)
    @rule()
    def disconnect(self) -> None:
        self.sender.disconnected()
        self.window, self.flight = 0, {}

    @rule(ms=st.sampled_from([1, 500, 1_000, 40_000]))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @rule(most=st.integers(1, 40))
    def publish(self, most: int) -> None:
        for _ in range(most):
            room = self.sender.room(self.now_ms)
            if room <= 0 or self.sender.sent >= self.newest:
                return
            row = self.sender.sent + 1
            if self.refused is not None:  # a pause has ended: again from the first row that was not taken
                assert not any(isinstance(what, int) for what in self.flight.values())
                self.expected, self.refused = self.sender.done + 1, None
            assert row == self.expected, "a row was skipped or sent twice on one connection"
            self.expected += 1
            self.send(row)

    @precondition(lambda self: self.sender.room_for_hint())
    @rule(hint=st.sampled_from(Hint))
    def publish_hint(self, hint: Hint) -> None:
        self.send(hint)

    @precondition(lambda self: self.flight)
    @rule(data=st.data(), reason=st.sampled_from([SUCCESS, SUCCESS, SUCCESS, SUCCESS, NOT_AUTHORISED]))
    def answer(self, data: st.DataObject, reason: int) -> None:
        mid = data.draw(st.sampled_from(sorted(self.flight)))
        what = self.flight.pop(mid)
        assert self.sender.acknowledged(mid, reason, self.now_ms) == what
        if isinstance(what, int):
            if reason == SUCCESS:
                self.taken.add(what)
            elif self.refused is None:
                self.refused = what

    @rule()
    def end_of_trouble(self) -> None:
        """Whatever happened: a broker that takes everything gets everything, in order."""
        self.disconnect_if_up()
        self.connect(65_535)
        self.refused = None
        for _ in range(self.newest + 2):
            self.now_ms += 40_000
            self.expected = self.sender.sent + 1 if self.sender.room(self.now_ms) else self.expected
            self.publish(self.newest + 1)
            for mid in sorted(self.flight):
                self.sender.acknowledged(mid, SUCCESS, self.now_ms)
                what = self.flight.pop(mid)
                if isinstance(what, int):
                    self.taken.add(what)
            if self.sender.done == self.newest:
                return
        raise AssertionError("rows are left that nobody sends")

    def disconnect_if_up(self) -> None:
        if self.window:
            self.disconnect()

    def send(self, what: int | Hint) -> None:
        self.mid += 1
        self.sender.published(self.mid, what)
        self.flight[self.mid] = what

    @invariant()
    def never_more_in_flight_than_the_window(self) -> None:
        assert len(self.flight) <= self.window
        assert self.sender.flight == self.flight

    @invariant()
    def done_never_passes_what_the_broker_took_and_never_goes_back(self) -> None:
        assert self.taken.issuperset(range(1, self.sender.done + 1))
        assert self.sender.done >= self.last_done
        self.last_done = self.sender.done


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

"""A journal's life: what headquarters has is removed in time, and nothing else, whatever order things come in."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lifekit import TOPICS, Life, Place, place_of

from device.effects import Answer
from device.journal_view import verify
from device.record.chain import event_hash
from device.record.opening import JOURNAL

DAY_MS = 86_400_000
MINUTE_MS = 60_000
MINUTES = st.sampled_from([0, 0, 1, 11])
ALARM = TOPICS.alarm("")
MEMORY = Path("/dev/shm")
"""A disk that takes no time, where there is one: hundreds of power cuts are played."""


@pytest.fixture(name="life")
def _life(tmp_path: Path) -> Iterator[Life]:
    """Everything that headquarters has goes within minutes."""
    with closing(Life(tmp_path / "state", keep_days=0)) as life:
        yield life


def removed_to(life: Life) -> int:
    """The number before the oldest that is kept of the oldest chain."""
    return next(iter(life.rows()))[1] - 1


def minutes(life: Life, count: int = 12) -> None:
    """Time goes by; the broker answers what comes."""
    for _ in range(count):
        life.pass_ms(MINUTE_MS)
        life.answer_all()


def delivered(life: Life, presses: int) -> None:
    """Recorded, sent, acknowledged."""
    life.connect()
    life.press(presses)
    life.answer_all()


def test_a_receipt_lets_events_go_and_state_says_from_where_they_are_kept(life: Life) -> None:
    delivered(life, 20)
    chain, newest = life.chain, life.journal.newest()
    minutes(life)
    assert removed_to(life) == 0
    life.receipt(chain, 15)
    minutes(life)
    assert removed_to(life) == 15
    assert life.state()["chains"] == [
        {"chain": chain, "seq": newest, "hash": life.post._chain.head.hash, "first": 16, "sent": newest}
    ]
    life.receipt(chain, newest)
    minutes(life)
    assert list(life.rows()) == [(chain, newest)]


def test_a_puback_alone_lets_nothing_go(life: Life) -> None:
    delivered(life, 20)
    minutes(life, 60)
    assert removed_to(life) == 0


def test_with_keep_until_broker_a_puback_without_reserve_lets_events_go_and_any_other_does_not(
    tmp_path: Path,
) -> None:
    with closing(Life(tmp_path / "state", keep_days=0, link={"keep_until": "broker"})) as life:
        life.connect()
        life.press(9)
        life.answer_all()
        minutes(life)
        newest = life.journal.newest()
        assert removed_to(life) == newest - 1
        life.press(5)
        for _ in range(30):
            life.answer(20, reason=0x10)
            life.pass_ms(MINUTE_MS)
        assert removed_to(life) == newest
        life.answer_all()
        minutes(life)
        assert removed_to(life) == life.journal.newest() - 1


def test_an_alarm_that_no_broker_has_taken_holds_back_itself_and_all_behind_it(life: Life) -> None:
    life.connect()
    life.press(5)
    life.force_door()
    life.press(5)
    wire = life.wire
    assert wire is not None
    alarms = [mid for mid, (topic, _) in wire.flying.items() if topic.startswith(ALARM)]
    unanswered = {mid: wire.flying.pop(mid) for mid in alarms}
    life.answer_all()
    life.receipt(life.chain, life.journal.newest())
    life.clock.pass_ms(1)
    ((_, alarm),) = unanswered.values()
    life.pass_ms(MINUTE_MS)
    assert removed_to(life) == place_of(alarm)[1] - 1
    wire.flying |= unanswered
    life.answer_all()
    minutes(life)
    assert removed_to(life) == life.journal.newest() - 1


def test_rows_on_their_way_again_stay_until_they_have_arrived(life: Life) -> None:
    delivered(life, 20)
    life.order_replay(life.chain, 5, 9)
    assert life.wire is not None
    flying = dict(life.wire.flying)
    life.receipt(life.chain, life.journal.newest())
    life.pass_ms(MINUTE_MS)
    assert len(flying) >= 5
    assert removed_to(life) == 4
    life.answer_all()
    minutes(life)
    assert removed_to(life) == life.journal.newest() - 1


def test_a_replay_of_what_was_removed_says_that_it_is_missing(life: Life) -> None:
    delivered(life, 20)
    life.receipt(life.chain, 10)
    minutes(life)
    life.order_replay(life.chain, 8, 12)
    (answer,) = [json.loads(payload) for topic, payload in life.answer_all() if "/reply/" in topic]
    assert (answer["ok"], answer["sent"], answer["missing"], answer["next"]) == (True, 2, [[8, 10]], None)


# A recorder that was restored from an old copy


def lost(life: Life) -> list[tuple[str, int, int]]:
    told = life.told("lost")
    assert all(data["why"] == "removed" for data in told)
    return [(data["chain"], data["from"], data["to"]) for data in told]


def test_who_asks_below_what_is_kept_is_told_once_what_was_removed(life: Life) -> None:
    delivered(life, 20)
    chain = life.chain
    life.receipt(chain, 10)
    minutes(life)
    rows = life.rows()
    for seq in (4, 4, 7):
        life.receipt(chain, seq, rows.get((chain, seq)) or b"{}")
    assert lost(life) == [(chain, 5, 10)]
    life.restart()
    life.connect()
    life.receipt(chain, 4, b"{}")
    assert lost(life) == [(chain, 5, 10)]
    life.receipt(chain, 0)
    assert lost(life) == [(chain, 5, 10), (chain, 1, 10)]


def test_a_retained_receipt_may_be_older_than_what_was_removed_and_asks_for_nothing(life: Life) -> None:
    delivered(life, 20)
    life.receipt(life.chain, 10)
    minutes(life)
    life.receipt(life.chain, 4, b"{}", retained=True)
    assert lost(life) == []


def test_while_a_receipt_is_below_what_is_kept_nothing_more_goes(life: Life) -> None:
    delivered(life, 20)
    life.receipt(life.chain, 10)
    minutes(life)
    life.receipt(life.chain, 4, b"{}")
    minutes(life, 60)
    assert removed_to(life) == 10
    life.answer_all()
    life.receipt(life.chain, 15)
    minutes(life)
    assert removed_to(life) == 15


def test_a_receipt_that_went_down_is_remembered_over_a_power_cut(life: Life) -> None:
    delivered(life, 20)
    chain = life.chain
    life.receipt(chain, 15)
    life.press()
    life.answer_all()
    life.receipt(chain, 3)
    life.restart()
    minutes(life, 60)
    assert removed_to(life) == 3


def test_receipts_that_go_up_and_down_all_the_time_are_a_commit_or_two_a_minute(life: Life) -> None:
    delivered(life, 20)
    chain, rows = life.chain, life.rows()
    minutes(life, 1)
    log = life.folder / f"{JOURNAL}-wal"
    before = log.stat().st_size
    for second in range(600):
        life.receipt(chain, 9 if second % 2 else 0, rows[chain, 9] if second % 2 else None)
        life.clock.pass_ms(1_000)
        life.answer_all()
    commits = (log.stat().st_size - before) // 4096
    assert commits <= 3 * 2 * 10


# Several chains


def rolled(life: Life) -> str:
    """Headquarters has more than the journal: a new chain begins; the old one."""
    old = life.chain
    life.receipt(old, 10_000, b"{}")
    assert life.chain != old
    life.answer_all()
    return old


def test_chains_go_one_after_the_other_and_the_second_not_before_the_first_is_whole_at_headquarters(
    life: Life,
) -> None:
    delivered(life, 10)
    old = rolled(life)
    end = life.told("chain")[-1]["previous"]["seq"]
    delivered(life, 10)
    life.receipt(life.chain, 8)
    minutes(life)
    assert removed_to(life) == 0
    life.receipt(old, 6)
    minutes(life)
    assert next(iter(life.rows())) == (old, 7)
    life.receipt(old, end)
    minutes(life)
    assert next(iter(life.rows())) == (life.chain, 9)
    assert [chain["chain"] for chain in life.state()["chains"]] == [life.chain]


def test_of_a_chain_that_is_gone_altogether_it_is_still_told_and_it_holds_nothing_up(life: Life) -> None:
    delivered(life, 10)
    old = rolled(life)
    end = life.told("chain")[-1]["previous"]["seq"]
    delivered(life, 10)
    life.receipt(old, end)
    life.receipt(life.chain, 5)
    minutes(life)
    life.receipt(old, 3, b"{}")
    assert lost(life) == [(old, 4, end)]
    life.order_replay(old, 1, end)
    replies = [json.loads(payload) for topic, payload in life.answer_all() if "/reply/" in topic]
    assert [reply["missing"] for reply in replies] == [[[1, end]]]
    life.receipt(life.chain, 9)
    minutes(life)
    assert next(iter(life.rows())) == (life.chain, 10)
    life.restart()
    life.connect()
    life.receipt(old, 3, b"{}")
    assert lost(life) == [(old, 4, end)]
    assert life.told("refused") == []


# A journal at its limit


def test_a_full_journal_is_red_until_headquarters_has_enough_of_it(tmp_path: Path) -> None:
    """Nothing undelivered is dropped, however red it stays; the first receipt makes it green again."""
    with closing(Life(tmp_path / "state", most_bytes=4 << 20)) as life:
        life.connect()
        while life.press(200) is Answer.ACCEPTED:
            life.answer_all()
        chain, newest = life.chain, life.journal.newest()
        minutes(life)
        assert life.press() is Answer.NOT_RECORDED
        assert life.journal.oldest() == 1
        (full,) = life.told("storage")
        assert (full["room"], full["what"]) == ("reserved", "journal")
        assert "run a recorder, whose receipts let old events go, or raise journal.most_bytes" in full["why"]
        life.answer_all()
        life.receipt(chain, newest - 1_000)
        life.pass_ms(5_000)
        assert life.press() is Answer.ACCEPTED
        assert life.told("storage")[-1]["room"] == "free"
        assert life.told("storage")[-1]["unrecorded"] >= 2
        assert 1 < life.journal.oldest() <= newest - 1_000 + 1


# Wear


def content(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        file.name: (file.stat().st_mtime_ns, file.stat().st_size, file.read_bytes())
        for file in sorted(folder.iterdir())
    }


@pytest.mark.parametrize("line", [True, False])
def test_an_idle_post_writes_nothing_in_an_hour(tmp_path: Path, line: bool) -> None:
    with closing(Life(tmp_path / "state")) as life:
        life.press(30)
        if line:
            life.connect()
            life.answer_all()
            life.receipt(life.chain, life.journal.newest())
        minutes(life, 2)
        life.answer_all()
        before = content(life.folder)
        for _ in range(3_600):
            life.clock.pass_ms(1_000)
            life.post.turn([])
            if life.wire is not None and life.uplink.up:
                life.answer_all()
        assert content(life.folder) == before


# Any history


class AnyLife(RuleBasedStateMachine):
    """Appends, PUBACKs, receipts that also go down, removals, rollbacks and power cuts, in any order.

    ``recorded``: every event there ever was. ``taken``: by a broker. ``receipted``: the last receipt that reached
    the post, by chain. ``stored``: what headquarters may give receipts for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.recorded: dict[Place, bytes] = {}
        self.taken: set[Place] = set()
        self.alarms: set[Place] = set()
        self.receipted: dict[str, int] = {}
        self.kept: list[Place] = []

    @initialize()
    def starts(self) -> None:
        self.life = Life(Path(self.folder.name) / "state", keep_days=0)
        self.look()

    def teardown(self) -> None:
        self.life.close()
        assert verify(self.life.folder) == 0
        self.folder.cleanup()

    # What happens, and then a minute goes by or none

    @rule(times=st.integers(1, 4), minutes=MINUTES)
    def is_pressed(self, times: int, minutes: int) -> None:
        self.life.press(times)
        self.look(minutes)

    @rule(minutes=MINUTES)
    def has_its_door_forced(self, minutes: int) -> None:
        self.life.force_door()
        self.look(minutes)

    @rule(minutes=MINUTES)
    def is_connected(self, minutes: int) -> None:
        self.life.connect()
        self.look(minutes)

    @rule(minutes=MINUTES)
    def is_hung_up_on(self, minutes: int) -> None:
        self.life.hang_up()
        self.look(minutes)

    @rule(count=st.integers(1, 40), alarms=st.booleans(), refused=st.booleans(), minutes=MINUTES)
    def is_answered(self, count: int, alarms: bool, refused: bool, minutes: int) -> None:
        """``alarms``: of these too; some brokers let a post write its events and not those."""
        self.life.connect()
        self.answer(count, alarms, refused)
        self.look(minutes)

    @rule(alarms=st.booleans(), minutes=MINUTES)
    def has_everything_taken(self, alarms: bool, minutes: int) -> None:
        self.life.connect()
        while self.answer(40, alarms, refused=False):
            self.look()
        self.look(minutes)

    @rule(minutes=st.integers(1, 15))
    def has_time_pass(self, minutes: int) -> None:
        self.look(minutes)

    @rule(data=st.data(), retained=st.booleans(), minutes=MINUTES)
    def is_receipted(self, data: st.DataObject, retained: bool, minutes: int) -> None:
        """At any number up to which a broker has taken the whole chain: further than before, or not so far."""
        self.life.connect()
        chain = data.draw(st.sampled_from([chain for chain, _ in self.life.journal.chains()]))
        whole = 0
        while (chain, whole + 1) in self.taken:
            whole += 1
        seq = data.draw(st.sampled_from([0, whole]) | st.integers(0, whole))
        self.receipted[chain] = seq
        self.life.receipt(chain, seq, self.recorded.get((chain, seq)), retained=retained)
        self.look(minutes)

    @precondition(lambda self: len(self.life.journal.chains()) < 4)
    @rule()
    def is_rolled_back(self) -> None:
        """Headquarters has more of the present chain than the journal."""
        self.life.connect()
        self.life.receipt(self.life.chain, 10_000, b"{}")
        self.look()

    @rule(first=st.integers(1, 9), more=st.integers(0, 30), data=st.data(), minutes=MINUTES)
    def is_asked_for_a_replay(self, first: int, more: int, data: st.DataObject, minutes: int) -> None:
        self.life.connect()
        chain = data.draw(st.sampled_from([chain for chain, _ in self.life.journal.chains()]))
        self.life.order_replay(chain, first, first + more)
        self.look(minutes)

    @rule(minutes=MINUTES)
    def has_its_plug_pulled(self, minutes: int) -> None:
        self.life.restart()
        self.look(minutes)

    # What holds

    def answer(self, count: int, alarms: bool, refused: bool) -> int:
        """PUBACKs for the oldest packets; for how many."""
        wire = self.life.wire
        assert wire is not None
        coming = [mid for mid, (topic, _) in wire.flying.items() if alarms or not topic.startswith(ALARM)][:count]
        if not refused:
            self.note([wire.flying[mid] for mid in coming])
        self.life.answer_these(coming, 0x87 if refused else 0)
        return len(coming)

    def note(self, packets: list[tuple[str, bytes]]) -> None:
        for topic, payload in packets:
            if topic.startswith(ALARM):
                self.alarms.discard(place_of(payload))
            elif topic.startswith(TOPICS.event("")):
                self.taken.add(place_of(payload))

    def look(self, minutes: int = 0) -> None:
        """Now, and after each of these minutes."""
        self._look()
        for _ in range(minutes):
            self.life.pass_ms(MINUTE_MS)
            self._look()

    def _look(self) -> None:
        """Only what the last receipt covers has gone, oldest first, and what came fits behind what was there."""
        rows = self.life.rows()
        for place, event in rows.items():
            assert self.recorded.setdefault(place, event) == event
            if place not in self.kept and json.loads(event)["data"].get("change") == "forced":
                self.alarms.add(place)
        gone = [place for place in self.kept if place not in rows]
        for chain, seq in gone:
            assert (chain, seq) in self.taken
            assert seq <= self.receipted.get(chain, 0)
            assert (chain, seq) not in self.alarms
        assert gone == self.kept[: len(gone)]
        before = self.kept[len(gone) :]
        self.kept = list(rows)
        assert self.kept[: len(before)] == before
        assert before or not gone  # the newest never goes
        if self.life.wire is not None and self.life.wire.alive:
            flying = {place_of(event) for topic, event in self.life.wire.flying.values() if "/event/" in topic}
            assert flying <= set(rows)

    @invariant()
    def the_chain_is_unbroken(self) -> None:
        """Links within are looked at in the end, by ``guardpost journal verify``."""
        journal = self.life.journal
        rows = list(journal.all_rows())
        assert [row.position for row in rows] == list(range(journal.oldest(), journal.newest() + 1))
        head = self.life.post._chain.head
        assert (*self.kept[-1], event_hash(rows[-1].event)) == (head.chain, head.seq, head.hash)
        assert list(journal.holes()) == []

    @invariant()
    def state_says_what_is_kept(self) -> None:
        said: dict[str, Any] = {chain["chain"]: chain for chain in self.life.state()["chains"]}
        kept: dict[str, list[int]] = {}
        for chain, seq in self.kept:
            kept.setdefault(chain, []).append(seq)
        assert {chain: (found["first"], found["seq"]) for chain, found in said.items()} == {
            chain: (seqs[0], seqs[-1]) for chain, seqs in kept.items()
        }


AnyLife.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to make a failure shorter takes minutes
)
TestAnyLife = AnyLife.TestCase

"""The short form of the fault suite: a few rounds with fixed seeds; ``make faults`` plays hundreds."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from brokers import free_port

from faults.checker import decide
from faults.history import History, Tap
from faults.played import House
from faults.rounds import play, play_all, summary, told


def test_four_rounds_lose_nothing(tmp_path: Path) -> None:
    results = list(play_all(11, 4, 4, tmp_path))
    assert all(result.good for result in results), "\n".join(told(result) for result in results)
    assert "events lost 0, events twice 0, events from nowhere 0" in summary(results, "11")
    assert sum(len(result.faults) for result in results) >= 12
    assert list(tmp_path.iterdir()) == []


class Unrecorded(House):
    """Its recorder listens where nobody speaks."""

    @property
    def recorded_from(self) -> str:
        return f"mqtt://127.0.0.1:{free_port()}"


def test_a_round_that_loses_is_told_with_its_seed_and_kept(tmp_path: Path) -> None:
    result = play("11.1", tmp_path / "11.1", partial(Unrecorded, healed_within_s=1.0))
    assert result.verdict is not None and result.verdict.lost >= result.verdict.green > 0
    assert "round 11.1 FAILED" in told(result) and str(tmp_path) in told(result)
    assert (tmp_path / "11.1" / "post" / "post.log").exists()
    assert "rounds that failed: 11.1" in summary([result], "11")


def test_an_event_removed_from_the_store_is_found(tmp_path: Path) -> None:
    history = History("planted", "forgetful", 1_000, 0, "auto", False, [Tap(1), Tap(2), Tap(3)])
    with closing(House(tmp_path / "house", history)) as house:
        house.open()
        for step in history.steps:
            house.play(step)
        house.heal()
        assert decide(house.evidence()).good
        assert house.recorder is not None
        house.recorder.kill()
        house.recorder.wait(10)
        with closing(sqlite3.connect(house.store)) as store, store:
            removed = store.execute("DELETE FROM event WHERE seq = 4").rowcount
        assert removed == 1
        verdict = decide(house.evidence_now())
        assert verdict.lost >= 1 and any("recorder verify" in problem for problem in verdict.problems)

"""The short form of the power cuts, and that the rig would show a loss; ``make powercuts`` cuts far more often."""

from collections.abc import Callable
from pathlib import Path

import pytest
from volatile_disk import unusable

from powercuts.rounds import (
    Result,
    broken_by_control,
    play,
    play_lying,
    play_normal,
    play_replacing,
    summary,
    summary_of_control,
    told,
)

Play = Callable[[str, Path, int], Result]

pytestmark = pytest.mark.skipif(unusable() is not None, reason=str(unusable()))


def test_a_round_of_cuts_in_write_bursts_loses_nothing_green(tmp_path: Path) -> None:
    result = play("11.1", tmp_path / "11.1", cuts=5)
    assert result.good, told(result)
    assert len(result.cuts) == 5 and result.green > 0
    assert f"taps acknowledged {result.green}, lost 0" in summary([result])
    assert list(tmp_path.iterdir()) == []


def test_cuts_while_a_damaged_journal_is_replaced_lose_nothing_green(tmp_path: Path) -> None:
    result = play_replacing("11.1", tmp_path / "11.1", cuts=8)
    assert result.good, told(result)


@pytest.mark.parametrize("control", [play_normal, play_lying])
def test_the_controls_lose(tmp_path: Path, control: Play) -> None:
    result = control("11.1", tmp_path / "11.1", 4)
    assert result.lost > 0 and not result.problems, told(result)
    assert broken_by_control([result]) == []
    assert list(tmp_path.iterdir()) == []


def test_a_control_that_loses_nothing_says_that_the_rig_is_broken() -> None:
    kind = Result("7.1", Path("7.1"), ["fsync journal.sqlite3-wal"], green=40, lost=0, problems=[], seconds=1.0)
    assert summary_of_control("a kind disk", [kind]).splitlines() == [
        "control, a kind disk: 1 cuts, taps acknowledged 40, lost 0",
        "  IT MUST LOSE TAPS AND LOST NONE: the rig is broken, and the 0 above proves nothing",
    ]


def test_a_round_that_loses_is_told_with_its_seed_and_where_it_is_kept() -> None:
    problems = ["the keys have changed"]
    lossy = Result("7.2", Path("kept/7.2"), ["at rest"], green=40, lost=2, problems=problems, seconds=1.0)
    assert not lossy.good
    assert told(lossy) == "round 7.2: 1 cuts, 40 green, 2 lost; kept in kept/7.2\n  the keys have changed"
    assert "rounds that failed: 7.2" in summary([lossy])

"""A post that cannot hear, read or feel the mains says so, as a process of its own, and goes on or starts again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from notify import notified
from posts import SimPost, post
from waiting import until

from device.post import EXIT_CRASHED, EXIT_POWER

NOBODY = "mqtt://127.0.0.1:1"


@contextmanager
def alone(folder: Path, more: str = "") -> Iterator[SimPost]:
    """A post without a line. ``more``: further sections of its configuration."""
    with post(folder / "post", NOBODY, link=more) as made:
        yield made


def systems(made: SimPost, change: str) -> list[dict[str, Any]]:
    """``data`` of every ``system`` event of a kind."""
    return [event["data"] for event in made.events() if event["data"].get("change") == change]


def parts(made: SimPost, change: str) -> list[str]:
    return [data["what"] for data in systems(made, change)]


def ended(made: SimPost) -> int:
    """The code that it ended with by itself."""
    assert made.process is not None
    code = made.process.wait(30)
    made.process = None
    return code


def test_a_post_gone_deaf_says_so_and_starts_again_until_it_hears(tmp_path: Path) -> None:
    with alone(tmp_path) as made:
        made.do("open front")
        until(lambda: "door opened" in made.told())

        assert made.do("edges lost") == "edges: lost"
        made.do("close front")
        until(lambda: parts(made, "blind") == ["input front"], what="the event that it is deaf")
        assert made.told()[-2:] == ["door closed", "system blind"]  # by its level, before anything was wrong

        made.do("open front")
        assert ended(made) == EXIT_CRASHED
        assert made.told()[-2:] == ["door opened", "system stop"]
        assert "contacts died: InputDeaf: input front" in systems(made, "stop")[-1]["why"]

        made.start()
        made.do("open front")
        until(lambda: parts(made, "sighted") == ["input front"], what="the event that it hears again")
        blind = next(event for event in made.events() if event["data"].get("change") == "blind")
        assert systems(made, "sighted")[0]["since"] == blind["time"]
        assert made.end() == 0


def test_edges_that_come_back_once_the_input_was_opened_again_need_no_new_start(tmp_path: Path) -> None:
    with alone(tmp_path) as made:
        made.do("open front")
        made.do("edges lost")
        made.do("close front")
        until(lambda: parts(made, "blind") == ["input front"])
        made.do("edges back")
        made.do("open front")
        until(lambda: parts(made, "sighted") == ["input front"])
        assert made.end() == 0


def test_a_reader_whose_bus_blocks_holds_up_neither_the_post_nor_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with notified(tmp_path / "notify") as systemd:
        monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
        with alone(tmp_path) as made:
            assert made.tap() == "accepted (green, one short beep)"
            assert made.do("reader gate block") == "reader gate: blocked"
            until(lambda: parts(made, "blind") == ["reader gate"], what="the event that the reader is blind")
            assert systems(made, "blind")[0]["why"].startswith("its thread hangs")
            assert made.do("press bell") == "press bell: accepted (green, one short beep)"
            until(lambda: "BLIND: reader gate" in systemd.statuses()[-1], what="a status that says so")

            assert made.do("reader gate thaw") == "reader gate: thawed"
            until(lambda: parts(made, "sighted") == ["reader gate"])
            assert made.tap(2) == "accepted (green, one short beep)"

            made.do("reader gate block")
            assert made.end() == 0
            assert made.told()[-1] == "system stop"
            assert "reader gate hangs, and is left behind" in made.said()


UPS = '[ups]\npin = 4\nmains_when = "low"\nstop_after = "{}"'


def test_mains_are_told_as_they_go_and_come(tmp_path: Path) -> None:
    with alone(tmp_path, UPS.format("1h")) as made:
        made.do("mains off")
        until(lambda: [data["ok"] for data in systems(made, "power")] == [False])
        made.do("mains on")
        until(lambda: [data["ok"] for data in systems(made, "power")] == [False, True])
        assert made.end() == 0


def test_without_mains_for_long_the_post_stops(tmp_path: Path) -> None:
    with alone(tmp_path, UPS.format("1s")) as made:
        made.do("mains off")
        assert ended(made) == EXIT_POWER
        assert systems(made, "stop")[-1]["why"] == "no mains for 1 s"

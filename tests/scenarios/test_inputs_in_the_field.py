"""Lids, lines and lights as they are at a wall: the post is a process of its own, over restarts."""

from pathlib import Path
from typing import Any

from brokers import listening, mosquitto
from posts import SimPost, post
from waiting import until

NOBODY = "mqtt://127.0.0.1:1"
LID = '[[tamper]]\nname = "lid"\npin = 23'


def lid(made: SimPost) -> list[str]:
    """Every change of the lid."""
    return [event["data"]["change"] for event in made.events() if event["subject"] == "lid"]


def blind(made: SimPost) -> list[dict[str, Any]]:
    return [event["data"] for event in made.events() if event["data"].get("change") == "blind"]


def test_a_lid_is_an_alarm_and_one_that_was_shut_while_the_post_was_down_is_told(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        post(tmp_path / "post", broker.url, link=LID) as made,
    ):
        made.do("open lid")
        until(lambda: listener.of("alarm/door") and listener.of("event/door"))
        assert listener.of("alarm/door")[0].payload == listener.of("event/door")[0].payload
        assert listener.of("event/door")[0].json()["data"]["change"] == "tampered"
        until(lambda: listener.of("state")[-1].json()["doors"] == {"front": "closed", "lid": "open"})
        assert made.end() == 0

        made.start()  # the simulated lid is shut again
        until(lambda: lid(made) == ["tampered", "closed"])
        until(lambda: listener.of("state")[-1].json()["doors"] == {"front": "closed", "lid": "closed"})
        assert len(listener.of("alarm/")) == 1
        assert made.end() == 0


def test_a_line_that_hums_is_one_event_while_the_rest_of_the_post_works(tmp_path: Path) -> None:
    with post(tmp_path / "post", NOBODY, link=LID) as made:
        made.do("input lid hums")
        until(lambda: blind(made), within_s=60, what="the event that the lid's line is blind")
        assert made.tap() == "accepted (green, one short beep)"
        made.do("open front")
        until(lambda: "door opened" in made.told())
        made.do("input lid quiet")
        assert made.end() == 0
        (told,) = blind(made)
        assert told["what"] == "input lid"
        assert told["why"].startswith(("hums", "chatters")) and "away from mains cables" in told["why"]


def test_a_relay_board_and_a_passive_buzzer_answer_as_any_lights_do(tmp_path: Path) -> None:
    made = SimPost(tmp_path / "post", [NOBODY])
    keys = 'lit_by = "low"\nbuzzer_kind = "passive"\nbuzzer_by = "low"\ntone_hz = 2700\nnight = "00:01-00:00"'
    made.config.write_text(made.config.read_text().replace("[indicator]", f"[indicator]\n{keys}"))
    made.start()
    try:
        assert made.tap(1) == "accepted (green, one short beep)"
        assert made.tap(1) == "repeated (green, two short beeps)"
        assert made.tap(999) == "refused (red, one long beep)"
        assert "buzzer 2700Hz" in (made.state / "pins.log").read_text()
    finally:
        assert made.end() == 0

"""A post tested from headquarters, and one tested by hand before it starts: what is found is at the recorder."""

import json
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from brokers import listening, mosquitto
from posts import badge, post, recorder, recording, stored
from waiting import until

from device.by_hand import by_hand
from device.config import load
from device.hardware.clock import KernelClock
from device.trial import Patience, Person
from simulator.board import Board

SOURCE = "/guardpost/jember/kpu-gate"


def selftests_at(store: Path) -> list[dict[str, Any]]:
    """Every self-test that the recorder has verified."""
    events = map(json.loads, recorder("export", "--store", str(store)).stdout.splitlines())
    return [event for event in events if event["data"].get("change") == "selftest"]


def test_an_order_is_answered_and_what_each_part_showed_is_evidence(tmp_path: Path) -> None:
    store = tmp_path / "recorder.db"
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        recording(store, broker.url),
        post(tmp_path / "post", broker.url) as gate,
    ):
        assert gate.tap(1).startswith("accepted")
        gate.do("open front")
        gate.do("close front")
        until(lambda: gate.told()[-1] == "door closed")
        answer = recorder("selftest", SOURCE, "--broker", broker.url)
        told = {line[6:].split("  ")[0]: line for line in answer.stdout.splitlines()[:-1]}
        assert told["reader gate"] == "pass  reader gate     answers; 1 badge since the last self-test"
        assert told["input front"] == "pass  input front     moved 2 times since the last self-test"
        assert told["input bell"] == "look  input bell      has not moved: move it once"
        assert told["lights"].startswith("look  lights ")
        assert answer.returncode == int("FAIL" in answer.stdout), answer.stderr
        (event,) = until(lambda: selftests_at(store))
        assert answer.stdout.splitlines()[-1].endswith(f": event {event['id']}")
        (reply,) = until(lambda: listener.of("reply/"))
        assert reply.json() == {
            "id": event["data"]["order"],
            "ok": True,
            "passed": answer.returncode == 0,
            "event": event["id"],
        }
        until(lambda: "last answer: self-test" in gate.do("lights"))


def test_a_post_that_is_away_gives_no_answer_and_that_is_one_line(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "mosquitto") as broker:
        answer = recorder("selftest", SOURCE, "--broker", broker.url, "--within", "1s")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.startswith("guardpost-recorder: no answer in time; is the post online?")
    assert answer.stderr.count("\n") == 1


def test_a_test_by_hand_is_sent_with_the_next_start(tmp_path: Path) -> None:
    store = tmp_path / "recorder.db"
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        recording(store, broker.url),
        post(tmp_path / "post", broker.url) as gate,
    ):
        gate.tap(1)
        gate.end()
        config = load(gate.config)
        with closing(Board(config)) as board:

            def does(line: str) -> None:
                if line.startswith("hold a badge"):
                    board.reader("gate").place(bytes.fromhex(badge(1)))

            by_hand(
                config,
                nullcontext(board.copper),
                KernelClock(),
                Person(say=does, ask=lambda _: "y"),
                Patience(stands_s=20.0, move_s=0.1),
            )
        gate.start()
        (event,) = until(lambda: selftests_at(store))
        assert event["data"]["why"] == "check"
        found = {part["what"]: part["ok"] for part in event["data"]["parts"]}
        assert (found["reader gate"], found["input front"], found["buzzer"]) == (True, False, True)
        until(lambda: stored(store) == len(gate.events()))
        assert recorder("verify", "--store", str(store)).returncode == 0
        assert "boot restart" in [f"{e['data'].get('change')} {e['data'].get('why')}" for e in gate.events()]

"""Post, broker and recorder together: receipts, replay, alarms, and a journal that was rolled back."""

import json
import shutil
import signal
from pathlib import Path

from brokers import listening, mosquitto
from posts import post, recorder, recording, stored
from waiting import until

from recorder.service import read_summary

SOURCE = "/guardpost/jember/kpu-gate"


def test_what_is_recorded_is_receipted_and_comes_again_on_order(tmp_path: Path) -> None:
    store = tmp_path / "recorder.db"
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        recording(store, broker.url),
        post(tmp_path / "post", broker.url) as gate,
    ):
        for number in range(1, 6):
            assert gate.tap(number).startswith("accepted")
        head = gate.events()[-1]
        until(lambda: listener.of("receipt") and listener.of("receipt")[-1].json()["seq"] == head["seq"])
        assert listener.of("receipt")[-1].json()["chain"] == head["chain"]
        answer = recorder("replay", SOURCE, head["chain"], "2", "4", "--broker", broker.url)
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout.splitlines()[-1])["sent"] == 3
        until(lambda: [heard.json()["seq"] for heard in listener.of("event/")].count(3) == 2)
        until(lambda: gate.told()[-1] == "system order")
        until(lambda: stored(store) == len(gate.events()))
        assert recorder("findings", "--store", str(store)).returncode == 0


def test_a_forced_door_is_an_alarm_and_stays_in_its_place_in_the_stream(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        post(tmp_path / "post", broker.url, door='forced_without_checkin = "30s"') as gate,
    ):
        gate.do("open front")
        until(lambda: listener.of("alarm/door") and listener.of("event/door"))
        assert listener.of("alarm/door")[0].payload == listener.of("event/door")[0].payload
        assert listener.of("event/door")[0].json()["data"]["change"] == "forced"
        gate.do("close front")
        gate.tap(1)
        gate.do("open front")
        until(lambda: len(listener.of("event/door")) == 3)
        assert listener.of("event/door")[-1].json()["data"]["change"] == "opened"
        assert len(listener.of("alarm/")) == 1


def test_a_post_set_back_to_an_older_image_says_so_and_headquarters_keeps_both(tmp_path: Path) -> None:
    """A lying disk or a restored card: what headquarters has receipted is not in the journal any more."""
    store = tmp_path / "recorder.db"
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        recording(store, broker.url),
        post(tmp_path / "post", broker.url) as gate,
    ):
        gate.tap(1)
        gate.end()
        shutil.copytree(gate.state, tmp_path / "image")
        gate.start()
        for number in range(2, 6):
            gate.tap(number)
        until(lambda: stored(store) == len(gate.events()))
        whole = len(gate.events())
        until(lambda: read_summary(store).chains[0].whole == whole)
        gate.end(signal.SIGKILL)
        shutil.rmtree(gate.state)
        shutil.copytree(tmp_path / "image", gate.state)
        gate.start()
        assert gate.tap(9).startswith("accepted")
        until(lambda: any(event["data"].get("why") == "rolled-back" for event in gate.events()))
        began = next(event for event in gate.events() if event["data"].get("why") == "rolled-back")
        assert began["seq"] == 1 and began["data"]["previous"]["chain"] != began["chain"]
        assert gate.tap(10).startswith("accepted")
        until(lambda: len(read_summary(store).chains) == 2)
        until(lambda: {chain.chain: chain for chain in read_summary(store).chains}[began["chain"]].whole >= 2)
        old = next(c for c in read_summary(store).chains if c.chain == began["data"]["previous"]["chain"])
        assert old.count > whole  # both sides of the fork are kept, and nothing that was receipted is gone
        flaws = json.loads(recorder("findings", "--store", str(store), "--json").stdout)
        assert any("fork" in flaw["flaw"] for flaw in flaws)

"""What a newcomer is promised, shown with real processes: a post, a broker, a recorder, foreign clients."""

import json
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from brokers import free_port, listening, mosquitto
from posts import BASE, badge, post, recorder, recording, stored
from waiting import until

from device.record.chain import from_base64url, verify
from device.record.opening import JOURNAL
from recorder.service import read_summary
from simulator.embedded import EmbeddedBroker


def test_a_tap_reaches_a_foreign_subscriber_signed(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        post(tmp_path / "post", broker.url) as gate,
    ):
        assert gate.tap(7) == "accepted (green, one short beep)"
        until(lambda: listener.of("event/checkin"))
        (checkin,) = listener.of("event/checkin")
        (jwk,) = listener.of("identity")[0].json()["keys"]
        event = verify(checkin.payload, from_base64url(jwk["x"]))
        assert checkin.topic == f"{BASE}/event/checkin"
        assert (event.data["officer"], event.data["verdict"], event.subject) == ("officer-7", "accepted", "gate")
        assert badge(7).encode() not in checkin.payload  # nobody who listens learns the number


def test_the_same_with_a_broker_that_speaks_only_3_1_1(tmp_path: Path) -> None:
    with (
        EmbeddedBroker(tmp_path) as embedded,
        listening(embedded.mqtt311, f"{BASE}/event/#", "mqttv311") as listener,
        post(tmp_path / "post", f"mqtt://127.0.0.1:{embedded.mqtt311}") as gate,
    ):
        assert gate.tap(3).startswith("accepted")
        until(lambda: listener.of("event/checkin"))
        assert listener.of("event/checkin")[0].json()["data"]["officer"] == "officer-3"


def test_fifty_taps_while_the_broker_is_down_survive_the_post_being_killed(tmp_path: Path) -> None:
    store = tmp_path / "recorder.db"
    with mosquitto(tmp_path / "mosquitto") as broker:
        with recording(store, broker.url):
            until(lambda: "guardpost-recorder" in broker.log() and "SUBSCRIBE" in broker.log())
        broker.stop()
        with post(tmp_path / "post", broker.url) as gate:
            assert [gate.tap(number) for number in range(1, 51)] == ["accepted (green, one short beep)"] * 50
            gate.end(signal.SIGKILL)
            broker.start()
            gate.start()
            with recording(store, broker.url):
                until(lambda: stored(store) >= len(gate.events()))
                gate.end()
                until(lambda: stored(store) >= len(gate.events()))
            checkins = [e["data"]["officer"] for e in gate.events() if e["type"] == "guardpost.checkin.v1"]
            assert checkins == [f"officer-{number}" for number in range(1, 51)]
        result = recorder("verify", "--store", str(store), "--json")
        assert result.returncode == 0, result.stdout + result.stderr
        (chain,) = json.loads(result.stdout)
        assert chain["count"] == chain["whole"] == len(gate.events())
        exported = recorder("export", "--store", str(store)).stdout.splitlines()
        assert [json.loads(line)["seq"] for line in exported] == list(range(1, len(exported) + 1))


def test_a_tap_whose_commit_fails_is_red_and_the_next_good_one_is_recorded(tmp_path: Path) -> None:
    with post(tmp_path / "post", f"mqtt://127.0.0.1:{free_port()}") as gate:
        assert gate.tap(1).startswith("accepted")
        before = gate.told()
        log = gate.state / f"{JOURNAL}-wal"
        _, hard = resource.prlimit(gate.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gate.pid, resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
        assert gate.tap(2).startswith("not recorded (red")
        assert "last answer: not recorded" in gate.do("lights")
        assert gate.told() == before
        resource.prlimit(gate.pid, resource.RLIMIT_FSIZE, (hard, hard))
        # Accepted, not repeated: the failed tap changed no state.
        assert gate.tap(2).startswith("accepted")
        assert gate.told()[len(before) :] == ["system storage", "checkin accepted"]
        assert gate.command("journal", "verify").returncode == 0


@pytest.mark.parametrize("uid", ["04A1B2C3", "04A1B2C3D4E5F6", "04A1B2C3D4E5F6A7B8C9"])
def test_cards_of_every_length_are_read(tmp_path: Path, uid: str) -> None:
    with post(tmp_path / "post", f"mqtt://127.0.0.1:{free_port()}") as gate:
        assert gate.do(f"tap {uid}") == f"tap {uid}: refused (red, one long beep)"
        assert gate.told()[-1] == "checkin unknown"


def test_a_frozen_reader_is_told_and_the_doors_go_on(tmp_path: Path) -> None:
    with post(tmp_path / "post", f"mqtt://127.0.0.1:{free_port()}") as gate:
        gate.tap(1)
        gate.do("reader gate freeze")
        until(lambda: gate.told()[-1] == "system blind")
        gate.do("open front")
        until(lambda: gate.told()[-1] == "door opened")
        gate.do("reader gate thaw")
        until(lambda: "system sighted" in gate.told())
        assert gate.tap(2).startswith("accepted")


def test_every_green_is_written_after_its_commit_has_reached_the_disk(tmp_path: Path) -> None:
    """Traced from outside: fdatasync of the log returns before the green write to pins.log begins."""
    trace = tmp_path / "trace"
    tracing = [
        "strace",
        "-f",
        "-ttt",
        "-y",
        "-e",
        "trace=fdatasync,fsync,write,pwrite64",
        "-s",
        "80",
        "-o",
        str(trace),
    ]
    with post(tmp_path / "post", f"mqtt://127.0.0.1:{free_port()}", wrapper=tracing) as gate:
        for number in range(1, 6):
            assert gate.tap(number).startswith("accepted")
        gate.end()
    checkin = re.compile(r"pwrite64\(.*-wal>.*|fdatasync\(\d+<.*-wal>\) += 0|write\(.*pins\.log>, \"[^\"]* green 1")
    resumed = re.compile(r"fdatasync resumed.*= 0")
    order: list[str] = []
    for line in trace.read_text(errors="replace").splitlines():
        if resumed.search(line) or (checkin.search(line) and "fdatasync" in line):
            order.append("synced")
        elif checkin.search(line):
            order.append("green" if "green 1" in line else "written")
    assert order.count("green") == 5
    dirty = False
    for what in order:
        if what == "green":
            assert not dirty, "green before the log was on disk"
        dirty = {"written": True, "synced": False, "green": dirty}[what]


def test_ctrl_c_and_sigterm_end_a_post_cleanly(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        post(tmp_path / "post", broker.url) as gate,
    ):
        for how in (signal.SIGTERM, signal.SIGINT):
            until(lambda: listener.of("status") and listener.of("status")[-1].json()["online"])
            assert gate.end(how) == 0
            assert gate.told()[-1] == "system stop"
            stop = gate.events()[-1]["seq"]
            until(lambda stop=stop: stop in [heard.json()["seq"] for heard in listener.of("event")])  # type: ignore[misc]
            until(lambda how=how: listener.of("status")[-1].json().get("why") == how.name)  # type: ignore[misc]
            gate.start()


def test_two_posts_on_one_state_folder_are_refused(tmp_path: Path) -> None:
    with post(tmp_path / "post", f"mqtt://127.0.0.1:{free_port()}") as gate:
        second = subprocess.run(
            [sys.executable, "-m", "simulator", "post", "--config", str(gate.config),
             "--control", str(tmp_path / "second")],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert second.returncode == 3
        assert (
            second.stderr.strip()
            .splitlines()[-1]
            .endswith("another guardpost is running on it; stop that one first")
        )


def test_a_damaged_key_is_set_aside_and_the_recorder_waits_for_a_person(tmp_path: Path) -> None:
    store = tmp_path / "recorder.db"
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        recording(store, broker.url),
        post(tmp_path / "post", broker.url) as gate,
    ):
        gate.tap(1)
        until(lambda: stored(store) >= len(gate.events()))
        gate.end()
        until(lambda: stored(store) == len(gate.events()))
        old = gate.events()[-1]
        (gate.state / "signing.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\nnonsense\n")
        gate.start()
        assert gate.tap(2).startswith("accepted")
        began = next(event for event in reversed(gate.events()) if event["data"].get("change") == "chain")
        assert began["data"]["why"] == "damaged"
        assert began["data"]["previous"]["seq"] == old["seq"]
        assert (gate.state / "signing.key.damaged-1").exists()
        assert any(e["data"].get("what") == "signing key" for e in gate.events())
        new = [event for event in gate.events() if event["chain"] == began["chain"]]
        until(lambda: read_summary(store).held >= len(new))
        kid = began["keyid"]
    trusted = recorder("trust", "/guardpost/jember/kpu-gate", kid, "--store", str(store))
    assert trusted.returncode == 0, trusted.stderr
    assert len(read_summary(store).chains) == 2
    assert all(chain.whole_and_verified for chain in read_summary(store).chains)

"""Pictures from the camera to headquarters: what they show was true, and they arrive whatever breaks."""

import contextlib
import hashlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import Listener, listening, mosquitto
from headquarters import as_bytes, order, publish
from posts import BASE, SimPost, post, recorder, recording
from waiting import until

from device.pictures.worker import PICTURES
from provisioning.__main__ import main as provision
from simulator.scene import read

SMALL = "[camera]\nsize = [640, 480]\n"
TAKEN_APART_MS = 250
"""Frames are kept four times a second."""
SOURCE = f"/{BASE}"
JPEG = b"\xff\xd8\xff"


def pictures(gate: SimPost, why: str | None = None) -> list[dict[str, Any]]:
    """Those that were announced, of one event or of all."""
    announced = [event["data"] for event in gate.events() if event["type"] == "guardpost.picture.v1"]
    return [data for data in announced if why in (None, data["why"])]


def happened(gate: SimPost, since: int = 0, **members: str) -> dict[str, Any]:
    """The first event after number ``since`` whose data have these members, once there is one."""

    def told() -> list[dict[str, Any]]:
        events = [event for event in gate.events() if event["seq"] > since]
        return [event for event in events if members.items() <= event["data"].items()]

    return until(told, what=str(members))[0]


def at_headquarters(store: Path) -> dict[str, dict[str, Any]]:
    """What the recorder knows of each picture, by its hash."""
    if not store.exists():
        return {}
    listed = recorder("pictures", "list", "--store", str(store), "--json")
    return {each["picture"]: each for each in json.loads(listed.stdout or "[]")}


def comes(store: Path, sha256: str, state: str = "stored") -> None:
    """Until headquarters has it, or knows what became of it."""
    until(lambda: at_headquarters(store).get(sha256, {}).get("state") == state, 40, f"{sha256} {state}")


def files(gate: SimPost, *folders: str) -> Iterator[Path]:
    for folder in folders or ("new", "waiting", "sent"):
        with contextlib.suppress(FileNotFoundError):
            yield from (gate.state / PICTURES / folder).iterdir()


def content_of(gate: SimPost, sha256: str) -> bytes:
    """Its bytes, in whichever folder it is on its way."""

    def content() -> bytes:
        for file in files(gate):
            if file.name.startswith(sha256):
                with contextlib.suppress(FileNotFoundError):  # it has gone on to the next one
                    return file.read_bytes()
        return b""

    return until(content, what=f"the file of {sha256}")


def sees(gate: SimPost, seconds: float = 0.0) -> None:
    """Until the camera has given a picture, and then for so long: what is from before needs a before."""

    def taken() -> bool:
        gate.tap(60)
        return bool(pictures(gate))

    until(taken, 40, "the first picture", every_s=0.3)
    began_s = uptime_s()
    until(lambda: uptime_s() - began_s >= seconds)


def uptime_s() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def ordered(listener: Listener, port: int, name: str, **members: str) -> dict[str, Any]:
    """The reply to an order."""
    asked = {**order(), **members}
    publish(port, f"{BASE}/order/{name}", as_bytes(asked))

    def answers() -> list[dict[str, Any]]:
        return [reply for heard in listener.of("reply/") if (reply := heard.json())["id"] == asked["id"]]

    return until(answers, what=f"the reply to {name}")[0]


def child_of(gate: SimPost) -> int:
    """The camera's process."""
    for child in Path(f"/proc/{gate.pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            for pid in child.read_text().split():
                if b"simulator.camera" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return int(pid)
    raise AssertionError("the camera has no process")


def test_a_door_that_opens_is_seen_shut_before_it_and_open_after_it_here_and_at_headquarters(
    tmp_path: Path,
) -> None:
    store = tmp_path / "recorder.db"
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        recording(store, broker.url),
        post(tmp_path / "post", broker.url, more=SMALL) as gate,
    ):
        sees(gate, 3.5)
        gate.do("open front")
        door = happened(gate, change="opened")
        until(lambda: len(pictures(gate, door["id"])) == 3)
        series = pictures(gate, door["id"])
        before, then, after = sorted(series, key=lambda picture: float(picture["offset"]))
        shown = [read(content_of(gate, picture["sha256"])) for picture in (before, then, after)]
        assert [seen.doors for seen in shown] == [(False,), (True,), (True,)]
        opened_ms = float(door["uptime"]) * 1000
        for picture, seen in zip((before, then, after), shown, strict=True):
            offset_ms = float(picture["offset"]) * 1000
            assert abs(seen.uptime_ms - opened_ms - offset_ms) <= 2, "the offset is what the picture itself shows"
        # The oldest frame that is kept is of two seconds before that; a busy machine misses one or another.
        assert -3_000 - 4 * TAKEN_APART_MS <= float(before["offset"]) * 1000 <= -3_000
        assert float(then["offset"]) >= 0 and float(after["offset"]) >= 1
        for picture in series:
            comes(store, picture["sha256"])
            wire = content_of(gate, picture["sha256"])
            assert hashlib.sha256(wire).hexdigest() == picture["sha256"]
            out = tmp_path / f"{picture['sha256']}.jpg"
            opened = recorder("pictures", "open", "--store", str(store), picture["sha256"], str(out))
            assert opened.returncode == 0, opened.stderr
            assert out.read_bytes() == wire, "byte for byte"
        assert recorder("pictures", "verify", "--store", str(store)).returncode == 0
        a_third_party_is_convinced_and_by_no_other_byte(store, after["sha256"], tmp_path / "proof.json")


def a_third_party_is_convinced_and_by_no_other_byte(store: Path, sha256: str, proof: Path) -> None:
    def exported() -> bool:
        proof.unlink(missing_ok=True)
        return recorder("pictures", "export", "--store", str(store), sha256, str(proof)).returncode == 0

    until(exported, what="a receipt that covers the picture's event")
    checked = recorder("verify-proof", str(proof))
    assert checked.returncode == 0, checked.stderr
    assert sha256 in checked.stdout
    whole = proof.read_bytes()
    for place in (1, len(whole) // 3, len(whole) // 2, len(whole) - 2):
        proof.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused = recorder("verify-proof", str(proof))
        assert refused.returncode == 1 and refused.stdout == "", f"byte {place}: {refused.stdout}"
        assert len(refused.stderr.splitlines()) == 1


def test_a_stolen_post_shows_no_pictures_and_headquarters_opens_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, private = tmp_path / "recorder.db", tmp_path / "pictures.key"
    assert provision(["picture-key", str(private)]) == 0
    public = next(word for word in capsys.readouterr().out.replace('"', " ").split() if len(word) == 43)
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        recording(store, broker.url),
        post(tmp_path / "post", broker.url, more=f'{SMALL}seal_to = "{public}"\n') as gate,
    ):
        sees(gate)
        gate.do("open front")
        door = happened(gate, change="opened")
        after = until(lambda: [p for p in pictures(gate, door["id"]) if float(p["offset"]) >= 1])[-1]
        comes(store, after["sha256"])
        assert after["sealed"]
        gate.end(signal.SIGKILL)  # it is taken away as it stands, and no file moves under our eyes
        for file in [file for file in gate.folder.rglob("*") if file.is_file()]:
            assert JPEG not in file.read_bytes(), f"{file}: a picture in the clear"
        out = tmp_path / "door.jpg"
        words = ["pictures", "open", "--store", str(store), after["sha256"], str(out)]
        assert recorder(*words).returncode != 0, "not without the key"
        assert not out.exists()
        opened = recorder(*words, "--key", str(private))
        assert opened.returncode == 0, opened.stderr
        assert hashlib.sha256(out.read_bytes()).hexdigest() == after["plain_sha256"]
        assert read(out.read_bytes()).doors == (True,)


def test_headquarters_asks_for_a_picture_and_for_one_again(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        post(tmp_path / "post", broker.url, more=SMALL) as gate,
    ):
        sees(gate)
        reply = ordered(listener, broker.port, "picture")
        assert reply["ok"], reply
        (announced,) = (event for event in gate.events() if event["id"] == reply["event"])
        assert announced["data"]["sha256"] == reply["sha256"]
        topic = f"picture/{reply['sha256']}"
        (first,) = until(lambda: listener.of(topic))
        assert hashlib.sha256(first.payload).hexdigest() == reply["sha256"]
        again = ordered(listener, broker.port, "replay", picture=reply["sha256"])
        assert again == {"id": again["id"], "ok": True, "sent": 1}
        until(lambda: len(listener.of(topic)) > 1)
        assert [heard.payload for heard in listener.of(topic)] == [first.payload] * 2
        taken = recorder("pictures", "take", SOURCE, "--broker", broker.url)
        assert taken.returncode == 0, taken.stderr
        assert taken.stdout.split()[0] in {picture["sha256"] for picture in pictures(gate)}
        nothing = ordered(listener, broker.port, "replay", picture="ab" * 32)
        assert not nothing["ok"] and "no such picture" in nothing["error"]
        assert happened(gate, change="lost", picture="ab" * 32)


def test_a_camera_whose_process_is_killed_is_told_blind_and_sees_again(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "mosquitto") as broker, post(tmp_path / "post", broker.url, more=SMALL) as gate:
        sees(gate)
        since = gate.events()[-1]["seq"]  # on a slow machine it may have been blind at the start
        os.kill(child_of(gate), signal.SIGKILL)
        assert "camera" in happened(gate, since, change="blind", what="camera")["data"]["why"]
        assert happened(gate, since, change="sighted", what="camera")
        gate.do("open front")
        door = happened(gate, change="opened")
        until(lambda: pictures(gate, door["id"]))


def test_pictures_that_wait_for_a_line_outlive_the_program(tmp_path: Path) -> None:
    store = tmp_path / "recorder.db"
    with mosquitto(tmp_path / "mosquitto") as broker, post(tmp_path / "post", broker.url, more=SMALL) as gate:
        broker.stop()
        sees(gate)
        waiting = until(lambda: {file.name for file in files(gate, "waiting")})
        gate.end(signal.SIGKILL)
        broker.start()
        with recording(store, broker.url):
            gate.start()
            for name in waiting:
                comes(store, name.partition(".")[0])
        until(lambda: waiting <= {file.name for file in files(gate, "sent")})


def test_a_picture_that_somebody_changed_on_the_disk_is_told_as_lost_and_never_sent(tmp_path: Path) -> None:
    store = tmp_path / "recorder.db"
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        post(tmp_path / "post", broker.url, more=SMALL) as gate,
    ):
        broker.stop()
        sees(gate)
        victim = until(lambda: list(files(gate, "waiting")))[0]
        sha256 = victim.name.partition(".")[0]
        content = victim.read_bytes()
        victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        broker.start()
        with recording(store, broker.url):
            lost = happened(gate, change="lost", picture=sha256)
            comes(store, sha256, "lost")
        assert "not what was stored" in lost["data"]["why"]
        assert not any(sha256 in heard.topic for heard in listener.heard)

"""What the line's issue promises to show, with real processes (rounds of faults are in test_rounds.py)."""

import json
import signal
import time
from pathlib import Path

from backlog import fill, reading, rows_of
from brokers import Heard, listening, mosquitto
from posts import BASE, post, recorder, recording, stored
from proxy import proxied
from waiting import until

from device.record.chain import event_hash

QUICK = 'receipt_timeout = "2s"\nstate_every = "5s"'
DEFAULT_QUEUE = ("allow_anonymous true", "max_queued_messages 1000")


def test_a_broker_that_dies_with_200_acknowledged_taps_loses_none_of_them(tmp_path: Path) -> None:
    store = tmp_path / "recorder.db"
    with (
        mosquitto(tmp_path / "mosquitto", lines=DEFAULT_QUEUE) as broker,
        post(tmp_path / "post", broker.url, link=QUICK, officers=200) as gate,
    ):
        with listening(broker.port) as listener:
            assert {gate.tap(number) for number in range(1, 201)} == {"accepted (green, one short beep)"}
            tapped = len(rows_of(gate.state))
            until(lambda: listener.of("state")[-1].json()["chains"][0]["sent"] >= tapped)
        broker.stop(signal.SIGKILL)
        broker.start()
        with recording(store, broker.url), listening(broker.port, f"{BASE}/receipt") as receipts:
            until(lambda: stored(store) >= tapped, 40)
            until(lambda: _receipted(receipts.heard) >= tapped)
        last = receipts.heard[-1].json()
        rows = rows_of(gate.state)
        assert last["hash"] == event_hash(rows[last["seq"] - 1])
    _is_whole(store, rows[:tapped])


def _receipted(receipts: list[Heard]) -> int:
    """The number in the newest receipt, 0 where there is none."""
    return int(receipts[-1].json()["seq"]) if receipts else 0


def _is_whole(store: Path, rows: list[bytes]) -> None:
    """The store verifies from scratch, and begins with ``rows``, byte for byte."""
    result = recorder("verify", "--store", str(store), "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    (chain,) = json.loads(result.stdout)
    assert chain["count"] == chain["whole"] >= len(rows)
    exported = recorder("export", "--store", str(store)).stdout.encode().splitlines()
    assert exported[: len(rows)] == rows


def test_a_recorder_away_for_3000_events_gets_those_that_the_broker_dropped(tmp_path: Path) -> None:
    store = tmp_path / "recorder.db"
    with mosquitto(tmp_path / "mosquitto", lines=DEFAULT_QUEUE) as broker:
        with recording(store, broker.url):
            until(lambda: "SUBACK to guardpost-recorder" in broker.log())
        fill(tmp_path / "post" / "state", f"/{BASE}", 3_000)
        with (
            listening(broker.port, f"{BASE}/state") as listener,
            listening(broker.port, f"{BASE}/order/#") as orders,
            post(tmp_path / "post", broker.url, link=QUICK) as gate,
        ):
            until(lambda: listener.heard and listener.heard[-1].json()["chains"][0]["sent"] > 3_000, 40)
            assert "being dropped for client guardpost-recorder" in broker.log()
            with recording(store, broker.url):
                until(lambda: stored(store) >= len(rows_of(gate.state)), 60)
            assert orders.heard == []
            rows = rows_of(gate.state)
    _is_whole(store, rows[:3_000])


def test_a_forced_door_passes_50000_waiting_events(tmp_path: Path) -> None:
    """PUBACKs are held back, so that the window stands full of rows when the door is forced."""
    fill(tmp_path / "post" / "state", f"/{BASE}", 50_000)
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        listening(broker.port) as listener,
        proxied(broker.port) as line,
    ):
        line.be(puback_s=float("inf"))
        with post(tmp_path / "post", line.url, door='forced_without_checkin = "1s"') as gate:
            until(lambda: listener.of("event"))
            gate.do("open front")
            until(lambda: listener.of("alarm/door"))
            (alarm,) = listener.of("alarm/door")
            ahead = [each for each in listener.heard[: listener.heard.index(alarm)] if "/event/" in each.topic]
            assert 1 <= len(ahead) <= 20
            line.heal()
            until(lambda: len(listener.of("event")) >= len(rows_of(gate.state)), 90, every_s=1.0)
            rows = rows_of(gate.state)
    assert [heard.payload for heard in listener.of("event")][: len(rows)] == rows
    assert rows.index(alarm.payload) >= 50_000
    assert json.loads(alarm.payload)["data"]["change"] == "forced"


def test_an_acl_that_refuses_events_is_told_at_once_and_frees_nothing(tmp_path: Path) -> None:
    acl, store = tmp_path / "acl", tmp_path / "recorder.db"
    hints = "".join(f"topic write {BASE}/{name}\n" for name in ("status", "identity", "state"))
    acl.write_text(f"topic read #\ntopic write {BASE}/receipt\n{hints}")
    with (
        mosquitto(tmp_path / "mosquitto", lines=("allow_anonymous true", f"acl_file {acl}")) as broker,
        listening(broker.port, f"{BASE}/state") as states,
        recording(store, broker.url),
        post(tmp_path / "post", broker.url, link=QUICK) as gate,
    ):
        began_s = time.monotonic()
        until(lambda: "does not take events: not authorised (0x87)" in gate.said(), 10)
        until(lambda: states.heard and "0x87" in states.heard[-1].json().get("refused", ""), 10)
        assert time.monotonic() - began_s < 10
        assert gate.tap(1).startswith("accepted")
        assert states.heard[-1].json()["chains"][0]["sent"] == 0
        with reading(gate.state) as journal:
            assert journal.oldest() == 1
        acl.write_text("topic readwrite #\n")
        broker.reload()
        until(lambda: stored(store) >= len(rows_of(gate.state)), 30)
        until(lambda: "refused" not in states.heard[-1].json())
        assert "the broker takes events again" in gate.said()
        assert gate.told().count("system refused") == 1, gate.told()
        rows = rows_of(gate.state)
    _is_whole(store, rows)

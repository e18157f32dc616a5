"""Brokers and lines that misbehave while officers tap."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from backlog import fill, rows_of
from brokers import Listener, Mosquitto, listening, mosquitto
from mqtt_frames import puback
from postkit import at
from posts import BASE, SimPost, post
from proxy import Proxy, proxied
from waiting import until

from device.config import Config
from device.link.redial import Redial
from device.readings import Disconnected

HOUR_MS = 3_600_000
QUICK = 'keepalive = "5s"\nreceipt_timeout = "1s"\nstate_every = "5s"'


@dataclass
class Gate:
    """A post behind a hostile line, its broker, and a foreign listener to its events."""

    post: SimPost
    broker: Mosquitto
    line: Proxy
    listener: Listener

    def heard(self) -> list[bytes]:
        """Every event, the first time it came."""
        return list(dict.fromkeys(heard.payload for heard in self.listener.of("event")))

    def until_all_heard(self, within_s: float = 40) -> None:
        until(lambda: set(rows_of(self.post.state)) <= set(self.heard()), within_s)

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = until(lambda: self.listener.of("state"))[-1].json()
        return state


@contextmanager
def gate_with(folder: Path, *lines: str, link: str = QUICK, rows: int = 0, **faults: object) -> Iterator[Gate]:
    if rows:
        fill(folder / "post" / "state", f"/{BASE}", rows)
    with (
        mosquitto(folder / "mosquitto", lines=("allow_anonymous true", *lines)) as broker,
        listening(broker.port) as listener,
        proxied(broker.port) as line,
    ):
        line.be(**faults)
        with post(folder / "post", line.url, link=link) as made:
            yield Gate(made, broker, line, listener)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_pubacks_that_come_twice_or_for_nothing_change_nothing(tmp_path: Path, version: str) -> None:
    with gate_with(tmp_path, link=f'{QUICK}\nprotocol = "{version}"', rows=300, twice=True) as gate:
        until(lambda: gate.listener.of("event"))
        for mid in (1, 7, 40_000, 65_535):
            gate.line.say(puback(mid))
        assert gate.post.tap(1).startswith("accepted")
        gate.until_all_heard()
        newest = len(rows_of(gate.post.state))
        until(lambda: gate.state()["chains"][0]["sent"] >= newest)
        assert gate.heard()[:newest] == [heard.payload for heard in gate.listener.of("event")][:newest]
        assert gate.heard()[:newest] == rows_of(gate.post.state)[:newest]
        assert gate.line.taken == 1


@pytest.mark.parametrize(
    ("reason", "says"), [(0x87, "not authorised (0x87)"), (0x97, "its quota is used up (0x97)")]
)
def test_pubacks_that_refuse_free_nothing_until_they_accept(tmp_path: Path, reason: int, says: str) -> None:
    with gate_with(tmp_path, reason=reason) as gate:
        until(lambda: says in gate.post.said())
        assert gate.post.tap(1).startswith("accepted")
        until(lambda: says in gate.state().get("refused", ""))
        assert gate.state()["chains"][0]["sent"] == 0
        gate.line.heal()
        until(lambda: "refused" not in gate.state() and gate.state()["chains"][0]["sent"] > 1, 30)
        gate.until_all_heard()
        assert gate.post.told().count("system refused") == 1
        assert gate.line.taken == 1


def test_pubacks_that_never_come_are_missed_and_a_fresh_connection_sends_again(tmp_path: Path) -> None:
    with gate_with(tmp_path, swallow=True) as gate:
        until(lambda: "no PUBACK for 7 s" in gate.post.said(), 30)
        assert gate.post.tap(1).startswith("accepted")
        gate.line.heal()
        newest = len(rows_of(gate.post.state))
        until(lambda: gate.state()["chains"][0]["sent"] >= newest, 30)
        assert gate.heard()[:newest] == rows_of(gate.post.state)[:newest]


def test_a_connection_closed_in_the_middle_of_a_packet_loses_nothing(tmp_path: Path) -> None:
    with gate_with(tmp_path, rows=400, close_after=20_000) as gate:
        until(lambda: gate.line.taken >= 2)
        gate.until_all_heard()
        assert gate.heard()[:400] == rows_of(gate.post.state)[:400]


def test_a_slow_line_brings_everything_on_one_connection(tmp_path: Path) -> None:
    with gate_with(tmp_path, rows=100, rate=20_000.0) as gate:
        assert gate.post.tap(1).startswith("accepted")
        gate.until_all_heard()
        assert gate.line.taken == 1


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "with a tap on its way"])
def test_a_half_open_line_is_found_within_one_and_a_half_keepalives(tmp_path: Path, busy: bool) -> None:
    with gate_with(tmp_path) as gate:
        until(lambda: gate.listener.of("state") and gate.heard())
        gate.until_all_heard()
        gate.line.be(deaf=True)
        went_s = time.monotonic()
        if busy:
            assert gate.post.tap(1).startswith("accepted")
        until(lambda: "line lost" in gate.post.said() or "no PUBACK" in gate.post.said(), 15)
        assert time.monotonic() - went_s < 10.0  # where two keepalives are waited for, it takes longer
        gate.line.heal()
        assert gate.post.tap(2).startswith("accepted")
        gate.until_all_heard(60)


def test_a_broker_that_hangs_up_for_an_hour_is_dialled_seldom_and_in_both_versions() -> None:
    settings = Config.model_validate(
        {"post": {"site": "jember", "name": "kpu-gate"}, "link": {"brokers": ["mqtt://127.0.0.1"]}}
    ).link
    redial, now_ms, versions, pauses = Redial(settings, random.Random(1)), 0, [], []
    while now_ms < HOUR_MS:
        _, version = redial.next()
        versions.append(version)
        redial.ended(Disconnected(at(now_ms), 1, "closed", mute=True), version, None)
        pauses.append(redial.at_ms - now_ms)
        now_ms = max(redial.at_ms, now_ms + 1)
    assert 60 <= len(versions) <= 240
    assert {"5", "3.1.1"} == set(versions)
    assert max(pauses) <= 60_000
    assert all(one + other >= 15_000 for one, other in pairwise(pauses[40:]))


def test_a_broker_that_hangs_up_costs_no_green_and_one_line_of_log(tmp_path: Path) -> None:
    with gate_with(tmp_path, calls="hang up") as gate:
        until(lambda: gate.line.taken >= 4)
        assert {gate.post.tap(number) for number in range(1, 6)} == {"accepted (green, one short beep)"}
        assert gate.post.said().count("is it an MQTT broker?") == 1, gate.post.said()
        gate.line.heal()
        gate.until_all_heard(60)


def test_receive_maximum_holds_on_the_wire(tmp_path: Path) -> None:
    """Mosquitto's max_inflight_messages is its CONNACK's Receive Maximum; hints and alarms count too."""
    with gate_with(tmp_path, "max_inflight_messages 3", rows=200, puback_s=0.02) as gate:
        gate.until_all_heard()
        assert 2 <= gate.line.most_up <= 3  # one place is kept for alarms
        assert gate.line.taken == 1


@pytest.mark.parametrize("largest", [200, 600], ids=["no hint fits either", "some hints fit"])
def test_events_too_large_for_the_broker_wait_without_a_reconnect_until_it_takes_them(
    tmp_path: Path, largest: int
) -> None:
    with gate_with(tmp_path, f"max_packet_size {largest}") as gate:
        until(lambda: "larger than it allows (0x95)" in gate.post.said())
        for number in range(1, 6):
            assert gate.post.tap(number).startswith("accepted")
        # State is due again after 5 s: said or sent twice on one connection, nothing of it made the broker hang up.
        until(lambda: gate.post.said().count("state is not sent") + len(gate.listener.of("state")) >= 2)
        assert gate.post.told().count("system refused") == 1
        assert gate.line.taken == 1, gate.post.said()
        gate.broker.stop(signal.SIGTERM)
        gate.broker.lines = ("allow_anonymous true", "max_packet_size 20000")
        gate.broker.start()
        gate.until_all_heard()


def test_a_broker_that_comes_and_goes_as_an_officer_taps_costs_no_green(tmp_path: Path) -> None:
    with gate_with(tmp_path) as gate:
        until(gate.heard)
        answers = []
        for number in range(1, 11):
            gate.line.cut("rst" if number % 2 else "fin")
            answers.append(gate.post.tap(number))
        assert set(answers) == {"accepted (green, one short beep)"}
        gate.until_all_heard(60)

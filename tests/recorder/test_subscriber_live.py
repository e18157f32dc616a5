"""Against a real Mosquitto, with ``mosquitto_pub`` as a client that is not ours."""

import contextlib
import signal
import socket
import sqlite3
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

import pytest
from brokers import Mosquitto, free_port
from far_ends import Desk, Post, publish, publish_lines
from programs import program, recording, subscribed, whole
from waiting import until

from recorder.broker import Broker
from recorder.dialling import Protocol
from recorder.errors import StoreError, WorkerDied
from recorder.line import UNSUPPORTED_PROTOCOL, Arrived, Connected, Ended, Link, Notice, Subscribed
from recorder.service import Recorder, Settings, read_summary
from recorder.verifying import verify_store


@pytest.mark.parametrize(("protocol", "version"), [("5", "5"), ("3.1.1", "mqttv311"), ("auto", "mqttv311")])
def test_what_a_foreign_client_publishes_is_recorded(
    mosquitto: Mosquitto, tmp_path: Path, post: Post, protocol: Literal["auto", "5", "3.1.1"], version: str
) -> None:
    with recording(mosquitto.url, tmp_path / "r.db", protocol=protocol) as recorder:
        publish(mosquitto, post.identity(), post.retained("status", {"online": True}), version=version, retain=True)
        first, rest = post.message(post.sealed[0]), post.checkins(20)
        publish(mosquitto, first, version=version)
        publish_lines(mosquitto, rest[0].topic, [message.payload for message in rest], version)
        until(lambda: recorder.summary().chains and recorder.summary().chains[0].whole == 21)
        assert recorder.summary().online == {post.source: True}
        assert recorder.failure is None
    assert read_summary(tmp_path / "r.db").verified == 21


def test_a_megabyte_of_garbage_is_one_finding(mosquitto: Mosquitto, tmp_path: Path, post: Post) -> None:
    message = post.retained("event/checkin", "x" * 2**20)
    with recording(mosquitto.url, tmp_path / "r.db") as recorder:
        publish(mosquitto, message, post.identity(), post.message(post.sealed[0]))
        until(lambda: recorder.summary().verified == 1)
        assert recorder.summary().findings == 1


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_session_keeps_what_comes_while_the_recorder_is_away(
    mosquitto: Mosquitto, tmp_path: Path, post: Post, protocol: Literal["5", "3.1.1"]
) -> None:
    with recording(mosquitto.url, tmp_path / "r.db", protocol=protocol):
        publish(mosquitto, post.identity(), retain=True)
    publish(mosquitto, post.message(post.sealed[0]), *post.checkins(3))
    with recording(mosquitto.url, tmp_path / "r.db", protocol=protocol) as recorder:
        until(lambda: recorder.summary().verified == 4)


def test_the_recorder_comes_back_after_the_broker(mosquitto: Mosquitto, tmp_path: Path, post: Post) -> None:
    with recording(mosquitto.url, tmp_path / "r.db") as recorder:
        mosquitto.stop()
        until(lambda: not recorder.connected)
        mosquitto.start()
        until(lambda: recorder.connected)
        publish(mosquitto, post.identity(), post.message(post.sealed[0]))
        until(lambda: recorder.summary().verified == 1)


def test_killed_while_messages_flow_it_misses_nothing(mosquitto: Mosquitto, tmp_path: Path, post: Post) -> None:
    """Three times SIGKILL at some moment; what the broker got is all here in the end, and whole."""
    path, log = tmp_path / "r.db", tmp_path / "log"
    events = post.checkins(1500)
    publish(mosquitto, post.identity(), retain=True)
    topic = events[0].topic
    flow = threading.Thread(target=publish_lines, args=(mosquitto, topic, [event.payload for event in events]))
    for kill in range(3):
        with program(mosquitto.url, path, log) as process:
            if kill == 0:
                until(lambda: subscribed(mosquitto))
                publish(mosquitto, post.message(post.sealed[0]))
                flow.start()
            until(lambda: whole(path) > 300 * kill + 50)  # noqa: B023
            process.send_signal(signal.SIGKILL)
    flow.join(30)
    with program(mosquitto.url, path, log) as process:
        until(lambda: whole(path) == 1501)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    desk = Desk(path)
    assert [(v.good, v.summary.whole) for v in verify_store(desk.store)] == [(True, 1501)]
    assert desk.flaws() == {}
    desk.store.close()
    assert "Traceback" not in log.read_text()


def _faulty(*_: object) -> None:
    raise AttributeError("a fault in a callback")


def _answering(reply: bytes, wait_for_hello: bool) -> tuple[socket.socket, list[bytes]]:
    """A server that is no broker of ours: says ``reply`` to each caller and closes."""
    server = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            with caller, contextlib.suppress(ConnectionError):  # it may have hung up already
                if wait_for_hello:
                    heard.append(caller.recv(4096))
                caller.sendall(reply)

    threading.Thread(target=serve, daemon=True).start()
    return server, heard


def _level(connect: bytes) -> int:
    """The protocol level byte behind the name ``MQTT`` (MQTT 5 section 3.1.2.2)."""
    return connect[connect.index(b"MQTT") + 4]


@pytest.mark.parametrize(
    ("reply", "versions"),
    [
        (b"\x20\x02\x00\x01", [5, 4, 5, 4]),
        (b"\x20\x03\x00\x84\x00", [5, 4, 5, 4]),
        (b"", [5, 5, 4, 5, 5, 4]),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", [5, 5, 4]),
        (b"\xff" * 40, [5, 5, 4]),
    ],
)
def test_a_broker_that_speaks_otherwise_is_tried_with_the_older_protocol(
    tmp_path: Path, reply: bytes, versions: list[int]
) -> None:
    server, heard = _answering(reply, wait_for_hello=True)
    with server:
        url = f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        with Recorder(Settings(url, tmp_path / "r.db", backoff_s=(0.01, 0.02))) as recorder:
            until(lambda: len(heard) >= len(versions))
            assert recorder.failure is None
            assert not recorder.connected
        server.shutdown(socket.SHUT_RDWR)
    assert [_level(connect) for connect in heard[: len(versions)]] == versions


@pytest.mark.parametrize("url", ["mqtt://no-such-host.invalid", "refusing", "mqtts-to-plain"])
def test_an_unreachable_broker_is_one_line_each_time(tmp_path: Path, mosquitto: Mosquitto, url: str) -> None:
    known = {"refusing": f"mqtt://127.0.0.1:{free_port()}", "mqtts-to-plain": f"mqtts://127.0.0.1:{mosquitto.port}"}
    log = tmp_path / "log"
    with program(known.get(url, url), tmp_path / "r.db", log) as process:
        until(lambda: log.exists() and log.read_text().count("no connection to ") >= 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert all("no connection to " in line for line in log.read_text().splitlines())


def test_a_store_that_fails_ends_the_program_and_acknowledges_nothing(
    mosquitto: Mosquitto, tmp_path: Path, post: Post
) -> None:
    path, log = tmp_path / "r.db", tmp_path / "log"
    with program(mosquitto.url, path, log) as process:
        until(lambda: subscribed(mosquitto))
        db = sqlite3.connect(path)
        db.execute("DROP TABLE finding")
        db.close()
        publish(mosquitto, post.identity(), post.retained("event/checkin", "garbage"))
        assert process.wait(10) == 1
    assert log.read_text().splitlines()[-1].startswith("guardpost-recorder: ")
    path.unlink()
    with recording(mosquitto.url, path) as recorder:
        until(lambda: recorder.summary().findings == 1)


def test_what_the_thread_raises_comes_out_of_stop(mosquitto: Mosquitto, tmp_path: Path, post: Post) -> None:
    recorder = Recorder(Settings(mosquitto.url, tmp_path / "r.db"))
    recorder.start()
    until(lambda: subscribed(mosquitto))
    db = sqlite3.connect(tmp_path / "r.db")
    db.execute("DROP TABLE key")
    db.close()
    publish(mosquitto, post.identity())
    until(lambda: isinstance(recorder.failure, StoreError))
    with pytest.raises(StoreError):
        recorder.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_network_thread_that_dies_ends_the_recorder(mosquitto: Mosquitto, tmp_path: Path, post: Post) -> None:
    """An error of our own in a callback: paho's thread ends while its client still says it is connected."""

    class Faulty(SimpleQueue[Notice]):
        def put(self, item: Notice, block: bool = True, timeout: float | None = None) -> None:
            if isinstance(item, Arrived):
                raise AttributeError("a fault in a callback")
            super().put(item)

    inbox = Faulty()
    link = Link(Broker("127.0.0.1", mosquitto.port), "5", "faulty", ["#"], inbox)
    link.start()
    assert isinstance(inbox.get(timeout=10), Connected)
    link.subscribe()
    assert isinstance(inbox.get(timeout=10), Subscribed)
    publish(mosquitto, post.checkin())
    ended = inbox.get(timeout=10)
    assert isinstance(ended, Ended)
    assert not ended.expected


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_recorder_whose_network_thread_dies_fails_with_a_name(
    mosquitto: Mosquitto, tmp_path: Path, post: Post
) -> None:
    recorder = Recorder(Settings(mosquitto.url, tmp_path / "r.db"))
    recorder.start()
    until(lambda: subscribed(mosquitto))
    link = recorder._subscriber._link
    assert link is not None
    link._client.on_message = _faulty
    publish(mosquitto, post.identity())
    until(lambda: recorder.failure or not recorder.connected)
    with pytest.raises(WorkerDied):
        recorder.stop()


def test_protocol_5_is_tried_again_after_every_fall_back() -> None:
    protocol = Protocol()
    assert protocol.next() == "5"
    protocol.refused("5")
    assert [protocol.next(), protocol.next()] == ["3.1.1", "5"]
    protocol.closed("5")
    assert protocol.next() == "5"
    protocol.welcomed()
    protocol.closed("5")
    assert protocol.next() == "5"
    assert {0x01, 0x84} == UNSUPPORTED_PROTOCOL

"""The link against real brokers: what a subscriber of another make sees, and what a bad line costs."""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from brokers import Mosquitto, free_port, listening, mosquitto
from iotcore import Broker as IotCore
from limits import descriptors_left
from link_bench import BASE, sending
from waiting import until

from device.hardware.clock import boot_id
from device.link.line import Line
from device.record.chain import jwk_public, verify


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "mosquitto") as running:
        yield running


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_events_arrive_byte_for_byte_and_in_order(tmp_path: Path, broker: Mosquitto, version: str) -> None:
    subscriber = {"5": "5", "3.1.1": "mqttv311"}[version]
    with (
        listening(broker.port, f"{BASE}/#", subscriber) as listener,
        sending(tmp_path, broker.url, protocol=version) as post,
    ):
        post.record_taps(100)
        post.until_delivered()
        until(lambda: len(listener.of("event")) >= 101)
        rows = [row.event for row in post.journal.all_rows()]
        assert [heard.payload for heard in listener.of("event")] == rows
        assert {heard.topic for heard in listener.of("event")} == {f"{BASE}/event/system", f"{BASE}/event/checkin"}
        for event in rows:
            verify(event, post.record.key.public)


def test_the_retained_messages_say_who_is_there_and_what_holds(tmp_path: Path, broker: Mosquitto) -> None:
    with sending(tmp_path, broker.url) as post, listening(broker.port, f"{BASE}/event/#"):
        post.record_taps(3)
        post.until_delivered()
        with listening(broker.port, f"{BASE}/#") as late:
            until(lambda: len(late.heard) == 3)
            by_topic = {heard.topic.removeprefix(f"{BASE}/"): heard for heard in late.heard}
        assert all(heard.retained for heard in by_topic.values())
        status = by_topic["status"].json()
        assert status["online"] is True and status["protocol"] == 1 and status["bootid"] == boot_id()
        (jwk,) = by_topic["identity"].json()["keys"]
        assert jwk["kid"] == post.record.key.kid
        assert jwk_public(post.record.key.jwk()) == post.record.key.public
        (chain,) = by_topic["state"].json()["chains"]
        assert (chain["chain"], chain["seq"], chain["hash"], chain["first"]) == (
            post.chain.head.chain, 4, post.chain.head.hash, 1,
        )  # fmt: skip


def test_state_follows_what_was_acknowledged(tmp_path: Path, broker: Mosquitto) -> None:
    with listening(broker.port) as listener, sending(tmp_path, broker.url) as post:
        post.record_taps(10)
        post.until(lambda: listener.of("state") and listener.of("state")[-1].json()["chains"][0]["sent"] == 11)


def test_a_clean_stop_and_a_death_are_told_apart(tmp_path: Path, broker: Mosquitto) -> None:
    with listening(broker.port, f"{BASE}/status") as listener:
        with sending(tmp_path, broker.url) as post:
            post.until(lambda: listener.heard)
        until(lambda: len(listener.heard) == 2)
        assert listener.heard[1].json() == {"online": False, "bootid": boot_id(), "why": "test ends"}
        with sending(tmp_path, broker.url) as post:
            post.until(lambda: post.uplink.up and len(listener.heard) == 3)
            call = post.uplink._call
            assert call is not None and isinstance(call.line, Line)
            broken = call.line._client.socket()
            assert isinstance(broken, socket.socket)
            broken.shutdown(socket.SHUT_RDWR)
            until(lambda: len(listener.heard) >= 4)
            assert listener.heard[3].json() == {"online": False, "bootid": boot_id()}
            post.until(lambda: post.reasons)
            assert post.reasons[0].startswith("line lost without a word: ")


def test_rows_wait_for_a_broker_and_a_new_connection_goes_on_where_the_old_one_stopped(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with (
        sending(tmp_path, broker.url) as post,
        listening(broker.port, f"{BASE}/event/#", "5", "-c", "-i", "log") as _,
    ):
        post.record_taps(30)
        post.until_delivered()
        broker.stop()
        post.until(lambda: not post.uplink.up)
        post.record_taps(30)
        broker.start()
        post.until_delivered()
        assert post.uplink.done == 61


def test_a_broker_that_nobody_listens_to_takes_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    """MQTT 5 says with reason 0x10 that no subscriber has it: then it is not delivered."""
    with sending(tmp_path, broker.url) as post:
        post.record_taps(5)
        post.until(lambda: 0x10 in post.codes)
        assert post.uplink.done == 0
        with listening(broker.port, f"{BASE}/event/#") as listener:
            post.until_delivered()
            until(lambda: len(listener.heard) >= 6)
            assert [heard.json()["seq"] for heard in listener.heard] == [1, 2, 3, 4, 5, 6]


def test_a_broker_that_refuses_events_takes_nothing_until_it_is_mended(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text(
        f"topic read #\ntopic write {BASE}/status\ntopic write {BASE}/identity\ntopic write {BASE}/state\n"
    )
    with (
        mosquitto(tmp_path / "mosquitto", lines=("allow_anonymous true", f"acl_file {acl}")) as broker,
        listening(broker.port, f"{BASE}/event/#") as listener,
        sending(tmp_path, broker.url) as post,
    ):
        post.record_taps(40)
        post.until(lambda: 0x87 in post.codes)
        assert post.uplink.done == 0
        acl.write_text("topic readwrite #\n")
        broker.reload()
        post.until_delivered()
        until(lambda: len({heard.payload for heard in listener.heard}) == 41)


def test_a_broker_that_knows_only_3_1_1_is_spoken_to_in_3_1_1(tmp_path: Path) -> None:
    port = free_port()
    settings = tmp_path / "broker.toml"
    settings.write_text(_iotcore_v4(port))
    with (
        IotCore(config_path=str(settings)),
        listening(port, f"{BASE}/event/#", "mqttv311") as listener,
        sending(tmp_path, f"mqtt://127.0.0.1:{port}") as post,
    ):
        post.record_taps(10)
        post.until_delivered()
        until(lambda: len(listener.heard) == 11)
        assert post.versions[-1] == "3.1.1"
        assert set(post.versions[:-1]) == {"5"}


def _iotcore_v4(port: int) -> str:
    limits = "connection_timeout_ms = 5000\nmax_payload_size = 262144\nmax_inflight_count = 100\n"
    return (
        "id = 0\n[router]\nid = 0\nmax_connections = 100\nmax_outgoing_packet_count = 200\n"
        "max_segment_size = 104857600\nmax_segment_count = 10\n"
        f'[v4.1]\nname = "v4"\nlisten = "127.0.0.1:{port}"\nnext_connection_delay_ms = 1\n'
        f"[v4.1.connections]\n{limits}"
    )


def test_a_name_that_does_not_resolve_is_one_clear_reason(tmp_path: Path) -> None:
    with sending(tmp_path, "mqtt://no-such-host.invalid") as post:
        post.until(lambda: post.reasons)
        assert post.reasons[0].startswith("mqtt://no-such-host.invalid:1883: ")


def test_a_port_that_refuses_is_one_clear_reason(tmp_path: Path) -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    with sending(tmp_path, url) as post:
        post.until(lambda: post.reasons)
        assert post.reasons[0] == f"{url}: Connection refused"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_connection_that_gets_no_thread_is_one_clear_reason_and_dialled_again(
    tmp_path: Path, broker: Mosquitto, version: str
) -> None:
    with sending(tmp_path, broker.url, protocol=version) as post, listening(broker.port, f"{BASE}/event/#"):
        with descriptors_left(1):  # the socket to the broker; paho's thread needs three more
            post.until(lambda: post.reasons)
        assert post.reasons[0] == f"{broker.url}: Too many open files"
        post.until_delivered()


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_is_no_broker_is_one_clear_reason_and_dialled_again(tmp_path: Path, says: bytes) -> None:
    with _server(says) as port, sending(tmp_path, f"mqtt://127.0.0.1:{port}") as post:
        post.until(lambda: len(post.reasons) >= 2)
        assert "is it an MQTT broker?" in post.reasons[0]
        assert not post.uplink.up


@contextmanager
def _server(says: bytes) -> Iterator[int]:
    """A server that answers every connection with the same bytes and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, suppress(ConnectionError):  # it may have hung up already
                    connection.recv(1024)
                    connection.sendall(says)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_the_second_broker_serves_when_the_first_does_not(tmp_path: Path, broker: Mosquitto) -> None:
    dead = f"mqtt://127.0.0.1:{free_port()}"
    with sending(tmp_path, dead, brokers=[dead, broker.url], protocol="3.1.1") as post:
        post.until_delivered()


def test_the_window_is_what_the_broker_asks_for(tmp_path: Path) -> None:
    """CONNACK's Receive Maximum (MQTT 5, section 3.2.2.3.3) is obeyed, though paho does not."""
    lines = ("allow_anonymous true", "max_inflight_messages 3")
    with (
        mosquitto(tmp_path / "mosquitto", lines=lines) as broker,
        listening(broker.port, f"{BASE}/event/#"),
        sending(tmp_path, broker.url) as post,
    ):
        post.record_taps(50)
        post.until(lambda: post.uplink.up)
        assert post.uplink._sender.window == 3
        post.until_delivered()
        assert "quota" not in broker.log().lower()


def test_a_password_that_is_asked_for_is_given(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "jember/kpu-gate", "s3cret"], check=True)
    passwords.chmod(0o644)
    word = tmp_path / "word"
    word.write_text("s3cret\n")
    with mosquitto(tmp_path / "mosquitto", lines=("allow_anonymous false", f"password_file {passwords}")) as broker:
        with sending(tmp_path, broker.url) as post:
            post.until(lambda: post.reasons)
            assert "refuses" in post.reasons[0]
        with sending(tmp_path, broker.url, access={"password_file": word}) as post:
            post.until(lambda: post.uplink.up)
        with sending(tmp_path, broker.url, access={"password_file": tmp_path / "missing"}) as post:
            post.until(lambda: post.reasons)
            assert "password_file" in post.reasons[0]


def test_state_is_valid_json_with_the_documented_members(tmp_path: Path, broker: Mosquitto) -> None:
    with listening(broker.port, f"{BASE}/state") as listener, sending(tmp_path, broker.url) as post:
        post.until(lambda: listener.heard)
        assert set(json.loads(listener.heard[0].payload)) == {"time", "chains", "bytes"}

"""The line and the machine around the recorder: TLS, passwords, a full disk, a second recorder, floods."""

import datetime
import json
import resource
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from queue import SimpleQueue

import brokers
import paho.mqtt.client as mqtt
import pytest
from brokers import Mosquitto, listening
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from far_ends import Desk, Post, publish, publish_lines
from paho.mqtt.enums import CallbackAPIVersion
from programs import program, recording, subscribed, whole
from waiting import until

from recorder.__main__ import main
from recorder.broker import Broker
from recorder.errors import StoreError
from recorder.line import SMALL, Arrived, Connected, Ended, Link, Notice, Subscribed
from recorder.lock import StoreLock

WORD = "a word of 20 letters"
SIGNS = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip
"""Of an authority's key; Python 3.13 asks for it and for the identifiers of keys (RFC 5280, 4.2.1)."""


class Authority:
    """A throw-away CA with one broker's certificate for 127.0.0.1."""

    def __init__(self, folder: Path, name: str = "127.0.0.1") -> None:
        folder.mkdir()
        self.ca, self.certificate, self.key = folder / "ca.pem", folder / "broker.pem", folder / "broker.key"
        root, broker = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throw-away")])
        own = x509.BasicConstraints(ca=True, path_length=0)
        of_root = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
        self._write(
            self.ca,
            _named(issuer, issuer, root).add_extension(own, critical=True).add_extension(SIGNS, critical=True),
            root,
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(name))])
        self._write(
            self.certificate,
            _named(subject, issuer, broker)
            .add_extension(names, critical=False)
            .add_extension(of_root, critical=False),
            root,
        )
        plain = serialization.NoEncryption()
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        self.key.write_bytes(broker.private_bytes(pem, pkcs8, plain))

    @property
    def lines(self) -> tuple[str, ...]:
        """Of a Mosquitto that speaks TLS and asks for a password."""
        passwords = self.ca.parent / "passwords"
        words = ["mosquitto_passwd", "-b", "-c", str(passwords), "recorder", WORD]
        subprocess.run(words, check=True, capture_output=True, timeout=20)
        passwords.chmod(0o644)
        keys = (f"certfile {self.certificate}", f"keyfile {self.key}")
        return ("allow_anonymous false", f"password_file {passwords}", *keys)

    def _write(self, path: Path, builder: x509.CertificateBuilder, by: ec.EllipticCurvePrivateKey) -> None:
        path.write_bytes(builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _named(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Mosquitto, Authority]]:
    authority = Authority(tmp_path / "authority")
    with brokers.mosquitto(tmp_path / "broker", lines=authority.lines) as broker:
        yield broker, authority


def _asked(tmp_path: Path, word: str) -> tuple[str, ...]:
    file = tmp_path / "word"
    file.write_text(word + "\n")
    return ("--password-file", str(file))


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_over_tls_with_a_password(
    secure: tuple[Mosquitto, Authority], tmp_path: Path, post: Post, version: str
) -> None:
    broker, authority = secure
    path, log = tmp_path / "r.db", tmp_path / "log"
    more = (*_asked(tmp_path, WORD), "--ca", str(authority.ca), "--protocol", version)
    with program(f"mqtts://recorder@127.0.0.1:{broker.port}", path, log, *more):
        until(lambda: subscribed(broker))
        client = mqtt.Client(CallbackAPIVersion.VERSION2, "foreign")
        client.username_pw_set("recorder", WORD)
        client.tls_set_context(ssl.create_default_context(cafile=authority.ca))
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        for message in (post.identity(), post.message(post.sealed[0])):
            client.publish(message.topic, message.payload, qos=1)
        until(lambda: whole(path) == 1)
        client.disconnect()
        client.loop_stop()
    assert WORD not in log.read_text()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [("word", "Not authorized"), ("ca", "CERTIFICATE_VERIFY_FAILED"), ("host", "CERTIFICATE_VERIFY_FAILED")],
)
def test_a_wrong_password_or_certificate_is_one_line(
    secure: tuple[Mosquitto, Authority], tmp_path: Path, spoil: str, words: str
) -> None:
    broker, authority = secure
    ca = Authority(tmp_path / "other").ca if spoil == "ca" else authority.ca
    host = "localhost" if spoil == "host" else "127.0.0.1"
    log = tmp_path / "log"
    more = (*_asked(tmp_path, "wrong" if spoil == "word" else WORD), "--ca", str(ca))
    with program(f"mqtts://recorder@{host}:{broker.port}", tmp_path / "r.db", log, *more) as process:
        until(lambda: log.exists() and log.read_text().count("no connection to ") >= 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    said = log.read_text()
    assert words in said
    assert "Traceback" not in said


def test_a_full_disk_acknowledges_nothing_and_goes_on_when_there_is_room(
    mosquitto: Mosquitto, tmp_path: Path, post: Post
) -> None:
    """The limit of a file's size stands for the end of the disk."""
    path, log = tmp_path / "r.db", tmp_path / "log"
    post.checkins(600)
    with (
        listening(mosquitto.port, "guardpost/+/+/receipt") as listener,
        program(mosquitto.url, path, log) as process,
    ):
        until(lambda: subscribed(mosquitto))
        publish(mosquitto, post.identity(), post.message(post.sealed[0]))
        until(lambda: listener.heard)
        size = max(file.stat().st_size for file in tmp_path.glob("r.db*"))
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size + 50_000, resource.RLIM_INFINITY))
        publish_lines(mosquitto, f"{post.source[1:]}/event/checkin", [sealed.event for sealed in post.sealed[1:]])
        until(lambda: "nothing is acknowledged" in log.read_text())
        stuck = whole(path)
        assert stuck < 601
        assert max(heard.json()["seq"] for heard in listener.heard) <= stuck
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        until(lambda: whole(path) == 601, 30)
        until(lambda: listener.heard[-1].json()["seq"] == 601)
        assert process.poll() is None
    assert log.read_text().count("ERROR") == 1
    assert "is written again" in log.read_text()


def test_two_recorders_on_one_store_are_refused(
    mosquitto: Mosquitto, tmp_path: Path, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.db"
    with program(mosquitto.url, path, tmp_path / "log") as process:
        until(lambda: (tmp_path / "log").exists() and "connected" in (tmp_path / "log").read_text())
        assert main(["run", "--broker", mosquitto.url, "--store", str(path)]) == 2
        said = capsys.readouterr().err
        assert (
            said == f"guardpost-recorder: {path}: another recorder runs on it; stop that one or name another file\n"
        )
        process.kill()
        process.wait(10)
    with recording(mosquitto.url, path):
        assert whole(path) == 0


def test_a_lock_let_go_can_be_taken(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path / "r.db")
    with pytest.raises(StoreError, match="another recorder"):
        StoreLock(tmp_path / "r.db")
    lock.release()
    lock.release()
    StoreLock(tmp_path / "r.db").release()
    with pytest.raises(StoreError, match="No such file"):
        StoreLock(tmp_path / "nowhere" / "r.db")


def test_what_is_taken_off_the_line_is_bounded_on_3_1_1(mosquitto: Mosquitto, post: Post) -> None:
    """Nothing reads the inbox: QoS 0 knows no window, so the socket waits; then all comes, cut short."""
    inbox: SimpleQueue[Notice] = SimpleQueue()
    bounds = replace(SMALL, unseen=10)
    link = Link(Broker("127.0.0.1", mosquitto.port), "3.1.1", "slow", ["guardpost/#"], inbox, bounds=bounds)
    link.start()
    assert isinstance(inbox.get(timeout=10), Connected)
    link.subscribe()
    assert isinstance(inbox.get(timeout=10), Subscribed)
    with listening(mosquitto.port) as other:
        lines = "\n".join("x" * 70_000 for _ in range(30)).encode()
        words = [
            "mosquitto_pub",
            "-h",
            "127.0.0.1",
            "-p",
            str(mosquitto.port),
            "-l",
            "-t",
            "guardpost/a/b/event/door",
        ]
        subprocess.run(words, input=lines, check=True, timeout=20)
        until(lambda: len(other.heard) == 30)
    until(lambda: inbox.qsize() == 10)
    for _ in range(30):
        arrived = inbox.get(timeout=10)
        assert isinstance(arrived, Arrived)
        assert len(arrived.message.payload) == SMALL.payload_bytes
        assert inbox.qsize() <= 10
        link.acknowledge(arrived.message)
    link.hang_up()
    assert isinstance(inbox.get(timeout=10), Ended)


def test_a_link_that_waits_for_room_can_be_hung_up(mosquitto: Mosquitto) -> None:
    inbox: SimpleQueue[Notice] = SimpleQueue()
    bounds = replace(SMALL, unseen=2)
    link = Link(Broker("127.0.0.1", mosquitto.port), "3.1.1", "slow", ["guardpost/#"], inbox, bounds=bounds)
    link.start()
    assert isinstance(inbox.get(timeout=10), Connected)
    link.subscribe()
    assert isinstance(inbox.get(timeout=10), Subscribed)
    publish_lines(mosquitto, "guardpost/a/b/event/door", [b"x"] * 10)
    until(lambda: inbox.qsize() == 2)
    link.hang_up()
    until(lambda: inbox.qsize() == 3)


def test_silence_is_published_where_somebody_asked_for_it(mosquitto: Mosquitto, tmp_path: Path, post: Post) -> None:
    more = {"absent_after_s": 0.5, "absent_topic": "control-room/absent"}
    with (
        listening(mosquitto.port, "control-room/#") as listener,
        recording(mosquitto.url, tmp_path / "r.db", **more),
    ):
        publish(mosquitto, post.state(0))
        until(lambda: len(listener.heard) == 1)
        assert set(listener.heard[0].json()) == {"source", "since"}
        publish(mosquitto, post.state(0))
        until(lambda: len(listener.heard) >= 2)
        assert set(listener.heard[1].json()) == {"source", "since", "until"}


@contextmanager
def answering(broker: Mosquitto, *answers: dict[str, object]) -> Iterator[list[dict[str, object]]]:
    """A post that answers one order after the other; the orders it got."""
    orders: list[dict[str, object]] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "answering")

    def answer(_client: mqtt.Client, _user: object, message: mqtt.MQTTMessage) -> None:
        order = json.loads(message.payload)
        orders.append(order)
        base = message.topic.rsplit("/", 2)[0]
        if len(orders) <= len(answers):
            client.publish(f"{base}/reply/{order['id']}", json.dumps({"id": "another"}), 1)
            client.publish(f"{base}/reply/{order['id']}", "not JSON", 1)
            client.publish(
                f"{base}/reply/{order['id']}", json.dumps({"id": order["id"], **answers[len(orders) - 1]}), 1
            )

    client.on_message = answer
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    until(client.is_connected)
    heard: list[int] = []
    client.on_subscribe = lambda *_: heard.append(1)
    client.subscribe("guardpost/+/+/order/#", 1)
    until(lambda: heard)
    try:
        yield orders
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.parametrize(
    ("answers", "code", "asked"),
    [
        ([{"ok": True, "sent": 9, "missing": [], "next": None}], 0, [(2, 10)]),
        (
            [{"ok": True, "sent": 5, "missing": [], "next": 7}, {"ok": True, "sent": 4, "next": None}],
            0,
            [(2, 10), (7, 10)],
        ),
        ([{"ok": True, "sent": 8, "missing": [[3, 3]], "next": None}], 1, [(2, 10)]),
        ([{"ok": False, "error": "no such chain"}], 1, [(2, 10)]),
        ([{"ok": True, "sent": 0, "next": 2}], 1, [(2, 10)]),
        ([], 1, [(2, 10)]),
    ],
)
def test_a_replay_is_asked_for_page_by_page(
    mosquitto: Mosquitto,
    post: Post,
    capsys: pytest.CaptureFixture[str],
    answers: list[dict[str, object]],
    code: int,
    asked: list[tuple[int, int]],
) -> None:
    with answering(mosquitto, *answers) as orders:
        within = "20s" if answers else "2s"
        words = ["replay", post.source, post.here.chain, "2", "10", "--broker", mosquitto.url, "--within", within]
        assert main(words) == code
    assert [(order["from"], order["to"]) for order in orders] == asked
    assert {order["chain"] for order in orders} == {post.here.chain}
    assert len({order["id"] for order in orders}) == len(orders)
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == len(answers)
    assert len(said.err.splitlines()) == (1 if not answers or answers[0].get("next") == 2 else 0)


@pytest.mark.parametrize(
    "words", [("x", "1", "2"), ("CHAIN", "0", "2"), ("CHAIN", "3", "2"), ("CHAIN", "1", "9" * 30)]
)
def test_a_replay_of_nonsense_is_refused(post: Post, words: tuple[str, ...]) -> None:
    named = [post.here.chain if word == "CHAIN" else word for word in words]
    try:
        code = main(["replay", post.source, *named, "--broker", "mqtt://127.0.0.1:1"])
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == 2


def test_no_broker_for_a_replay_is_one_line(post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"mqtt://127.0.0.1:{brokers.free_port()}"
    assert main(["replay", post.source, post.here.chain, "1", "2", "--broker", url]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"ok": False, "error": "unknown\norder"}, "/guardpost/site/post refuses: unknown?order\n"),
        (
            {"ok": True, "passed": True, "event": "1/2"},
            "tested itself; its event 1/2 is not here yet: no answer in time",
        ),
    ],
)
def test_a_self_test_that_is_refused_or_whose_event_does_not_come_is_one_line(
    mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str], answer: dict[str, object], told: str
) -> None:
    with answering(mosquitto, answer) as orders:
        words = ["selftest", "/guardpost/site/post", "--broker", mosquitto.url, "--within", "5s"]
        assert main(words) == 1
    assert [order.keys() for order in orders] == [{"id", "expires"}]
    said = capsys.readouterr()
    assert said.out == ""
    assert told in said.err
    assert said.err.count("\n") == 1


def test_a_picture_is_taken_at_once_or_why_not_is_one_line(
    mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pictures", "take", "/guardpost/site/post", "--broker", mosquitto.url, "--within", "20s"]
    with answering(mosquitto, {"ok": True, "event": "1/2", "sha256": "ab" * 32}) as orders:
        assert main(words) == 0
        assert [order.keys() for order in orders] == [{"id", "expires"}]
    assert capsys.readouterr().out == f"{'ab' * 32}  event 1/2\n"
    with answering(mosquitto, {"ok": False, "error": "this post has no camera"}):
        assert main(words) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "/guardpost/site/post refuses: this post has no camera" in said.err


def test_a_desk_beside_a_recorder_reads_on(mosquitto: Mosquitto, tmp_path: Path, post: Post) -> None:
    """A note and an import write beside it; the recorder goes on."""
    path = tmp_path / "r.db"
    with recording(mosquitto.url, path) as recorder:
        publish(mosquitto, post.identity(), post.message(post.sealed[0]))
        until(lambda: whole(path) == 1)
        assert main(["note", post.sealed[0].id, "seen", "--by", "Wati", "--store", str(path)]) == 0
        publish(mosquitto, post.checkin())
        until(lambda: whole(path) == 2)
        assert recorder.failure is None
    desk = Desk(path)
    assert desk.store.number("SELECT count(*) FROM note") == 1
    desk.store.close()

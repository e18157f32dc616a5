"""TLS as a post meets it: the fleet's authority, certificates on both sides, and all that can be wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from brokers import Mosquitto, mosquitto
from certificates import Authority
from link_bench import sending

# paho leaves the socket of a failed handshake to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
    ),
]


@pytest.fixture
def fleet(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "fleet")


@contextmanager
def guarded(folder: Path, fleet: Authority, host: str = "localhost", begins_in: timedelta = -timedelta(days=1),
            *more: str) -> Iterator[Mosquitto]:  # fmt: skip
    certificate, key = fleet.issue("broker", host, begins_in)
    lines = (f"cafile {fleet.file}", f"certfile {certificate}", f"keyfile {key}", *more)
    with mosquitto(folder / "mosquitto", lines=lines) as broker:
        yield broker


def url(broker: Mosquitto, host: str = "localhost") -> str:
    return f"mqtts://{host}:{broker.port}"


def test_a_broker_of_the_fleet_is_believed(tmp_path: Path, fleet: Authority) -> None:
    with (
        guarded(tmp_path, fleet, "localhost", -timedelta(days=1), "allow_anonymous true") as broker,
        sending(tmp_path, url(broker), access={"ca_file": fleet.file}) as post,
    ):
        post.until(lambda: post.uplink.up)


def test_the_certificate_is_the_post_s_user_name(tmp_path: Path, fleet: Authority) -> None:
    certificate, key = fleet.issue("jember/kpu-gate")
    lines = ("require_certificate true", "use_identity_as_username true", "allow_anonymous false")
    with guarded(tmp_path, fleet, "localhost", -timedelta(days=1), *lines) as broker:
        ours = {"ca_file": fleet.file, "certificate_file": certificate, "key_file": key}
        with sending(tmp_path, url(broker), access=ours) as post:
            post.until(lambda: post.uplink.up)
            assert "jember/kpu-gate" in broker.log()
        with sending(tmp_path, url(broker), access={"ca_file": fleet.file}) as post:
            post.until(lambda: post.reasons)
            assert not post.uplink.up


def test_a_stranger_s_certificate_is_refused(tmp_path: Path, fleet: Authority) -> None:
    with guarded(tmp_path, fleet, "localhost", -timedelta(days=1), "allow_anonymous true") as broker:
        with sending(tmp_path, url(broker)) as post:  # the system's authorities do not know the fleet's
            post.until(lambda: post.reasons)
            assert "certificate is not accepted" in post.reasons[0]
        other = Authority(tmp_path / "other")
        with sending(tmp_path, url(broker), access={"ca_file": other.file}) as post:
            post.until(lambda: post.reasons)
            assert "certificate is not accepted" in post.reasons[0]


def test_the_host_s_name_is_checked(tmp_path: Path, fleet: Authority) -> None:
    with (
        guarded(tmp_path, fleet, "elsewhere.example", -timedelta(days=1), "allow_anonymous true") as broker,
        sending(tmp_path, url(broker), access={"ca_file": fleet.file}) as post,
    ):
        post.until(lambda: post.reasons)
        assert "certificate is not accepted" in post.reasons[0] and "ostname" in post.reasons[0]


def test_a_clock_before_the_certificate_s_time_is_named_as_such(tmp_path: Path, fleet: Authority) -> None:
    with (
        guarded(tmp_path, fleet, "localhost", timedelta(days=2), "allow_anonymous true") as broker,
        sending(tmp_path, url(broker), access={"ca_file": fleet.file}) as post,
    ):
        post.until(lambda: post.reasons)
        assert "not valid yet: is this post's clock" in post.reasons[0]


def test_a_missing_ca_file_is_one_clear_reason(tmp_path: Path, fleet: Authority) -> None:
    with (
        guarded(tmp_path, fleet, "localhost", -timedelta(days=1), "allow_anonymous true") as broker,
        sending(tmp_path, url(broker), access={"ca_file": tmp_path / "missing.pem"}) as post,
    ):
        post.until(lambda: post.reasons)
        assert "missing.pem" in post.reasons[0]


def test_plain_mqtt_to_a_tls_port_is_one_clear_reason(tmp_path: Path, fleet: Authority) -> None:
    with (
        guarded(tmp_path, fleet, "localhost", -timedelta(days=1), "allow_anonymous true") as broker,
        sending(tmp_path, broker.url) as post,
    ):
        post.until(lambda: post.reasons)
        assert "is it an MQTT broker?" in post.reasons[0]

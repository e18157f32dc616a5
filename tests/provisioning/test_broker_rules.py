"""The access rules on a real Mosquitto, included as Debian's own configuration would include them."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from brokers import MOSQUITTO, free_port, listening
from waiting import until

from provisioning.__main__ import main
from provisioning.broker import PASSWORDS

POST, OTHER = "jember/kpu-gate", "jember/warehouse"
USERS = (POST, OTHER, "recorder", "headquarters")
WORD = "a-word-for-tests"

ORDER_ID = "9d0f1c52-2f55-4f5e-8a51-c1d2e3f40516"
BRANCHES = ("event/checkin", "event/system", "alarm/door", f"reply/{ORDER_ID}", "status", "state", "identity")

OWN = [f"guardpost/{POST}/{branch}" for branch in BRANCHES]
NOT_OWN = [
    *(f"guardpost/{OTHER}/{branch}" for branch in BRANCHES),
    *(f"guardpost/{POST}/{branch}" for branch in ("receipt", "order/replay", "roster", "elsewhere")),
    "guardpost/jember/event/checkin",
    "elsewhere/jember/kpu-gate/event/checkin",
]


@dataclass(frozen=True)
class Fleet:
    """A broker that knows its users."""

    port: int

    def publish(self, user: str, topic: str, payload: str = "x") -> bool:
        """Whether the broker takes it: MQTT 5 says so in the PUBACK."""
        done = subprocess.run(
            ["mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", str(self.port), "-u", user, "-P", WORD,
             "-q", "1", "-d", "-t", topic, "-m", payload],
            capture_output=True, text=True, check=False, timeout=20,
        )  # fmt: skip
        (acknowledged,) = (line for line in done.stdout.splitlines() if "received PUBACK" in line)
        reason = int(acknowledged.rpartition("RC:")[2].rstrip(")"))
        assert reason in (0x00, 0x10, 0x87), done.stdout
        return reason != 0x87

    def signed_in(self, user: str, word: str) -> list[str]:
        return ["-u", user, "-P", word]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("mosquitto")
    rules, port = folder / "conf.d", free_port()
    assert main(["broker", "--out", str(rules), "--listen", f"127.0.0.1:{port}"]) == 0
    (rules / PASSWORDS).touch(0o600)
    for user in USERS:
        subprocess.run(["mosquitto_passwd", "-b", rules / PASSWORDS, user, WORD], check=True, capture_output=True)
    whole = folder / "mosquitto.conf"
    log = folder / "log"
    lines = ["user root", f"persistence_location {folder}/", f"log_dest file {log}", f"include_dir {rules}"]
    whole.write_text("\n".join(lines) + "\n")
    with subprocess.Popen([MOSQUITTO, "-c", str(whole)], stderr=subprocess.DEVNULL) as broker:
        try:
            until(lambda: log.exists() and "running" in log.read_text(), what="Mosquitto")
            yield Fleet(port)
        finally:
            broker.terminate()


@pytest.mark.parametrize("topic", OWN)
def test_a_post_writes_its_own_branch(fleet: Fleet, topic: str) -> None:
    assert fleet.publish(POST, topic)


@pytest.mark.parametrize("topic", NOT_OWN)
def test_a_post_is_refused_elsewhere_and_on_what_others_tell_it(fleet: Fleet, topic: str) -> None:
    assert not fleet.publish(POST, topic)


def test_a_post_hears_its_own_orders_and_nothing_of_another_post(fleet: Fleet) -> None:
    with listening(fleet.port, "#", "5", *fleet.signed_in(POST, WORD)) as post:
        assert fleet.publish(OTHER, f"guardpost/{OTHER}/event/checkin")
        assert fleet.publish("recorder", f"guardpost/{OTHER}/receipt")
        for user in ("recorder", "headquarters"):
            assert fleet.publish(user, f"guardpost/{OTHER}/order/replay")
            assert fleet.publish(user, f"guardpost/{POST}/order/replay")
        assert fleet.publish("recorder", f"guardpost/{POST}/receipt")
        until(lambda: len(post.heard) >= 3, what="two orders and a receipt")
        own = [f"guardpost/{POST}/{branch}" for branch in ("order/replay", "order/replay", "receipt")]
        assert [heard.topic for heard in post.heard] == own


@pytest.mark.parametrize("user", ["recorder", "headquarters"])
def test_headquarters_hears_every_post_and_the_replies(fleet: Fleet, user: str) -> None:
    with listening(fleet.port, "guardpost/#", "5", *fleet.signed_in(user, WORD)) as hearing:
        topics = [(post, f"guardpost/{post}/{branch}") for post in (POST, OTHER) for branch in BRANCHES]
        for post, topic in topics:
            assert fleet.publish(post, topic)
        until(lambda: len(hearing.heard) >= len(topics), what="every message")
        assert [heard.topic for heard in hearing.heard] == [topic for _, topic in topics]


@pytest.mark.parametrize(
    ("user", "branch", "taken"),
    [
        ("recorder", "receipt", True),
        ("recorder", "order/replay", True),
        ("recorder", "event/checkin", False),
        ("recorder", "alarm/door", False),
        ("recorder", "status", False),
        ("recorder", "state", False),
        ("recorder", "identity", False),
        ("recorder", f"reply/{ORDER_ID}", False),
        ("recorder", "roster", False),
        ("recorder", "elsewhere", False),
        ("headquarters", "order/identify", True),
        ("headquarters", "roster", True),
        ("headquarters", "receipt", False),
        ("headquarters", "state", False),
    ],
)
def test_what_headquarters_may_write(fleet: Fleet, user: str, branch: str, taken: bool) -> None:
    assert fleet.publish(user, f"guardpost/{POST}/{branch}") is taken


@pytest.mark.parametrize("who", [["-u", POST, "-P", "wrong"], ["-u", "jember/nobody", "-P", WORD], []])
def test_nobody_comes_in_without_a_name_and_its_word(fleet: Fleet, who: list[str]) -> None:
    done = subprocess.run(
        ["mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", str(fleet.port), *who, "-t", OWN[0], "-m", "x"],
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.returncode != 0
    assert "not authori" in done.stderr.lower()

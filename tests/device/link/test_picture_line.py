"""The pictures' own line by its pauses: what ends one, what begins one, and what leaves one as it is."""

import queue
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from brokers import mosquitto
from picture_bench import SOURCE, broker_at
from postkit import at
from proxy import Proxy, proxied

from device.link.budget import Budget
from device.link.line import Access
from device.link.picture_line import FIRST_PAUSE_MS, LONGEST_PAUSE_MS, NO_SUBSCRIBERS, Answer, PictureLine
from device.link.topics import Topics
from device.readings import Connected, Disconnected, Instant, LinkReading

WITHIN_S = 20
FAST = 100_000_000


@dataclass
class Pictures:
    """A line whose thread is the test; its clock stands until the test moves it, and a picture always waits."""

    port: int
    uptime_ms: int = 100_000
    heard: "queue.SimpleQueue[LinkReading]" = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        self.through = broker_at(self.port), "5"
        access = Access("jember/kpu-gate", "jember.kpu-gate-pictures")
        self.line = PictureLine(access, Topics.of(SOURCE), FAST, self.heard, self, Budget())

    def now(self) -> Instant:
        return at(self.uptime_ms)

    def hears(self, kind: type[LinkReading]) -> Answer | None:
        """What the next reading, which is of this kind, means for the picture on its way."""
        reading = self.heard.get(timeout=WITHIN_S)
        assert isinstance(reading, kind), reading
        return self.line.take(reading)

    def works(self) -> None:
        assert self.line.work(self.now(), self.through, wanted=True) is None

    def connects(self) -> None:
        self.works()
        self.hears(Connected)

    def sends(self) -> None:
        assert self.line.ready(self.now())
        self.line.send("ab" * 32, b"a picture", self.now())

    def asked(self) -> None:
        """By somebody, who therefore listens."""
        self.line.somebody_listens(self.now())

    def to_nobody(self, times: int) -> None:
        """So many pictures go out, and nobody subscribes; the last pause has just begun."""
        for number in range(times):
            self.uptime_ms += LONGEST_PAUSE_MS if number else 0
            self.sends()
            assert self.line.take(self.heard.get(timeout=WITHIN_S)) == Answer(NO_SUBSCRIBERS)


@pytest.fixture(name="there")
def _there(tmp_path: Path) -> Iterator[tuple[Proxy, Pictures]]:
    with mosquitto(tmp_path / "broker") as broker, proxied(broker.port) as proxy:
        pictures = Pictures(proxy.port)
        pictures.connects()
        yield proxy, pictures
        pictures.line.close()


def test_whoever_asks_is_served_though_the_idle_line_ended_after_nobody_had_subscribed(
    there: tuple[Proxy, Pictures],
) -> None:
    proxy, pictures = there
    pictures.to_nobody(9)
    proxy.cut()
    assert pictures.hears(Disconnected) is None
    pictures.asked()
    pictures.connects()
    pictures.sends()


def test_whoever_asks_is_served_though_it_could_not_be_dialled_after_nobody_had_subscribed(
    there: tuple[Proxy, Pictures],
) -> None:
    proxy, pictures = there
    pictures.to_nobody(9)
    with proxy.shut():
        pictures.hears(Disconnected)
        pictures.uptime_ms += LONGEST_PAUSE_MS
        pictures.works()
        pictures.hears(Disconnected)
    pictures.asked()
    pictures.connects()
    pictures.sends()


def test_whoever_asks_again_and_again_has_no_dead_line_dialled_each_time(there: tuple[Proxy, Pictures]) -> None:
    proxy, pictures = there
    pictures.to_nobody(1)
    with proxy.shut():
        pictures.hears(Disconnected)
        pictures.asked()
        pictures.works()
        pictures.hears(Disconnected)
        pictures.asked()
        pictures.works()
        with pytest.raises(queue.Empty):
            pictures.heard.get(timeout=0.5)


def test_an_idle_line_that_ends_makes_no_pause_longer(there: tuple[Proxy, Pictures]) -> None:
    proxy, pictures = there
    pictures.to_nobody(3)
    proxy.cut()
    pictures.hears(Disconnected)
    pictures.uptime_ms += FIRST_PAUSE_MS << 2
    pictures.connects()


def test_whoever_asks_waits_where_the_line_broke_in_the_middle_of_a_picture(there: tuple[Proxy, Pictures]) -> None:
    """Each try may cost a metered line the whole length again."""
    proxy, pictures = there
    pictures.to_nobody(9)
    pictures.uptime_ms += LONGEST_PAUSE_MS
    proxy.be(swallow=True)
    pictures.sends()
    proxy.cut()
    assert pictures.hears(Disconnected) == Answer(None)
    pictures.asked()
    pictures.works()
    with pytest.raises(queue.Empty):
        pictures.heard.get(timeout=0.5)
    pictures.uptime_ms += LONGEST_PAUSE_MS
    pictures.connects()

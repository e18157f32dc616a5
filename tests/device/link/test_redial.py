"""Dialling again: brokers in order, MQTT 5 first, 3.1.1 where 5 seems not to be known, patience with jitter."""

import random
from typing import Literal

import pytest
from postkit import at

from device.config_link import LinkSection
from device.link.redial import FIRST_WAIT_MS, LONGEST_WAIT_MS, STEADY_MS, Redial
from device.readings import Disconnected


class Phone:
    """A post that dials; each call's end is told, and who is to be dialled next is read."""

    def __init__(self, brokers: int = 1, protocol: Literal["auto", "5", "3.1.1"] = "auto", seed: int = 1) -> None:
        addresses = [f"mqtt://broker-{number}" for number in range(brokers)]
        section = LinkSection.model_validate({"brokers": addresses, "protocol": protocol})
        self.redial = Redial(section, random.Random(seed))
        self.now_ms = 0

    def next(self) -> tuple[int, str]:
        broker, version = self.redial.next()
        return int(broker.host.removeprefix("broker-")), version

    def ends(self, lasted_ms: int | None = None, *, mute: bool = False, speaks_other: bool = False) -> int:
        """The call at the next attempt's moment ends; how long to wait for another."""
        self.now_ms = max(self.now_ms, self.redial.at_ms) + (lasted_ms or 0)
        reading = Disconnected(at(self.now_ms), 1, "why", speaks_other, mute)
        self.redial.ended(reading, self.redial.next()[1], lasted_ms)
        return self.redial.at_ms - self.now_ms


def test_the_first_call_is_made_at_once_to_the_first_broker_with_mqtt_5() -> None:
    phone = Phone(brokers=2)
    assert phone.redial.at_ms == 0
    assert phone.next() == (0, "5")


def test_a_broker_that_says_it_does_not_know_mqtt_5_is_called_at_once_with_3_1_1() -> None:
    phone = Phone(brokers=2)
    assert phone.ends(speaks_other=True) == 0
    assert phone.next() == (0, "3.1.1")


def test_one_mute_close_is_tried_again_with_mqtt_5_and_a_second_with_3_1_1() -> None:
    phone = Phone(brokers=2)
    assert phone.ends(mute=True) > 0
    assert phone.next() == (0, "5")
    assert phone.ends(mute=True) == 0
    assert phone.next() == (0, "3.1.1")


def test_two_mute_closes_that_are_not_running_are_none() -> None:
    phone = Phone()
    phone.ends(mute=True)
    phone.ends()
    phone.ends(mute=True)
    assert phone.next() == (0, "5")
    phone.ends(lasted_ms=100)
    phone.ends(mute=True)
    assert phone.next() == (0, "5")


def test_3_1_1_is_tried_once_and_then_mqtt_5_is_first_again_at_the_next_broker() -> None:
    phone = Phone(brokers=2)
    phone.ends(speaks_other=True)
    assert phone.ends() > 0
    assert phone.next() == (1, "5")


@pytest.mark.parametrize("end", [{}, {"mute": True}, {"speaks_other": True}])
def test_3_1_1_failing_in_any_way_is_no_second_try_of_it(end: dict[str, bool]) -> None:
    phone = Phone()
    phone.ends(speaks_other=True)
    assert phone.ends(**end) > 0
    assert phone.next() == (0, "5")


def test_a_connection_over_3_1_1_that_ends_is_followed_by_mqtt_5() -> None:
    phone = Phone()
    phone.ends(mute=True)
    phone.ends(mute=True)
    assert phone.next() == (0, "3.1.1")
    phone.ends(lasted_ms=3_600_000)
    assert phone.next() == (0, "5")
    phone.ends(mute=True)
    assert phone.next() == (0, "5")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_pinned_version_never_changes(protocol: Literal["5", "3.1.1"]) -> None:
    phone = Phone(brokers=2, protocol=protocol)
    dialled = []
    for number in range(12):
        dialled.append(phone.next())
        assert phone.ends(mute=number % 2 == 0, speaks_other=number % 3 == 0) > 0
    assert {version for _, version in dialled} == {protocol}
    assert [broker for broker, _ in dialled] == [0, 1] * 6


def test_a_fleet_that_keeps_until_the_broker_has_it_never_falls_back_to_where_refusals_are_hidden() -> None:
    section = LinkSection.model_validate({"brokers": ["mqtt://broker"], "keep_until": "broker"})
    redial = Redial(section, random.Random(1))
    redial.ended(Disconnected(at(0), 1, "why", speaks_other=True), "5", None)
    assert redial.next()[1] == "5"
    assert redial.at_ms > 0


def test_brokers_are_called_in_order_and_round_again() -> None:
    phone = Phone(brokers=3)
    order = []
    for _ in range(7):
        order.append(phone.next())
        phone.ends()
    assert order == [(0, "5"), (1, "5"), (2, "5"), (0, "5"), (1, "5"), (2, "5"), (0, "5")]


def test_after_a_connection_the_first_broker_is_called_first_again() -> None:
    phone = Phone(brokers=3)
    phone.ends()
    assert phone.next()[0] == 1
    phone.ends(lasted_ms=STEADY_MS)
    assert phone.next()[0] == 0


@pytest.mark.parametrize("seed", range(20))
def test_waits_grow_with_jitter_and_never_beyond_the_longest(seed: int) -> None:
    phone = Phone(seed=seed)
    waits = [phone.ends() for _ in range(40)]
    for number, wait in enumerate(waits, 1):
        longest = min(FIRST_WAIT_MS * 2**number, LONGEST_WAIT_MS)
        assert longest / 2 <= wait <= longest
    assert min(waits[10:]) >= LONGEST_WAIT_MS / 2
    assert len(set(waits[10:])) > 20


def test_two_posts_do_not_call_at_the_same_moments() -> None:
    one, other = Phone(seed=1), Phone(seed=2)
    assert [one.ends() for _ in range(5)] != [other.ends() for _ in range(5)]


def test_a_steady_connection_starts_the_waits_anew_and_a_short_one_does_not() -> None:
    phone = Phone()
    for _ in range(10):
        phone.ends()
    assert phone.ends(lasted_ms=STEADY_MS - 1) >= LONGEST_WAIT_MS / 2
    assert phone.ends(lasted_ms=STEADY_MS) <= FIRST_WAIT_MS


def test_a_hundred_days_without_a_broker_overflow_nothing() -> None:
    phone = Phone(brokers=2)
    for _ in range(5_000):
        assert phone.ends(mute=True) <= LONGEST_WAIT_MS

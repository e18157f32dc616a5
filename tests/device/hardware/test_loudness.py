"""Loudness: when it is night at the post, and what a percentage is to a passive buzzer."""

from dataclasses import replace
from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.hardware.loudness import Loudness, duty
from device.readings import Instant

JAKARTA = ZoneInfo("Asia/Jakarta")
NIGHT = Loudness(day=100, night=30, hours=(time(22), time(6)), timezone=JAKARTA)


def local(clock: str, timezone: ZoneInfo = JAKARTA, day: str = "2026-11-23") -> Instant:
    moment = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=timezone)
    return Instant(1_000, int(moment.timestamp() * 1_000))


@pytest.mark.parametrize(
    ("clock", "percent"),
    [
        ("21:59:59.999", 100),
        ("22:00:00", 30),
        ("23:59:59", 30),
        ("00:00:00", 30),
        ("05:59:59.999", 30),
        ("06:00:00", 100),
        ("12:00:00", 100),
    ],
)
def test_the_night_is_the_post_s_own_and_runs_over_midnight(clock: str, percent: int) -> None:
    assert NIGHT.percent(local(clock)) == percent


def test_hours_within_a_day_are_a_night_too() -> None:
    siesta = replace(NIGHT, hours=(time(13), time(15, 30)))
    assert [siesta.percent(local(clock)) for clock in ("12:59", "13:00", "15:29", "15:30")] == [100, 30, 30, 100]


def test_a_night_in_which_the_clocks_are_put_back_is_as_long_as_it_lasts() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    loudness = replace(NIGHT, timezone=berlin)
    evening = local("22:00", berlin, "2026-10-24")
    assert [loudness.percent(replace(evening, wall_ms=evening.wall_ms + h * 3_600_000)) for h in (0, 8, 9)] == [
        30,
        30,
        100,
    ]


def test_a_post_that_does_not_know_the_time_is_as_loud_as_by_day() -> None:
    assert NIGHT.percent(replace(local("23:00"), clock="unsynced")) == 100
    assert NIGHT.percent(replace(local("23:00"), clock="holdover")) == 30


def test_without_a_night_it_is_always_day() -> None:
    assert Loudness(day=70, night=30).percent(local("23:00")) == 70


def test_full_volume_is_half_the_period_and_half_the_amplitude_a_sixth() -> None:
    assert duty(100) == pytest.approx(1 / 2)
    assert duty(50) == pytest.approx(1 / 6)


@settings(deadline=None)
@given(st.integers(10, 99))
def test_louder_is_a_longer_pulse_that_lgpio_still_tells_from_none(percent: int) -> None:
    assert 0 < int(duty(percent) * 100) <= int(duty(percent + 1) * 100) <= 50
    assert duty(percent) < duty(percent + 1)

"""A time server asked once: what it says is believed only if it is an answer, and a time."""

import errno
import os
import re
import struct
from functools import partial

import pytest
from brokers import free_port
from hypothesis import given, settings
from hypothesis import strategies as st
from time_servers import answer, ntp_time, time_server

from device.hardware.sntp import NoTime, ask
from device.readings import Instant

NOW_MS = 1_795_482_900_123
"""2026-11-24 01:15:00.123 UTC: what our clock shows here; its uptime stands, so the answer takes no time."""
ERA_1_MS = 2_085_978_496_000
"""2036-02-07 06:28:16 UTC, where NTP's seconds begin anew."""


class Standing:
    """Our clock, which shows ``wall_ms``; a millisecond passes between two looks."""

    def __init__(self, wall_ms: int = NOW_MS) -> None:
        self._wall_ms = wall_ms
        self._uptime_ms = 0

    def now(self) -> Instant:
        self._uptime_ms += 1
        return Instant(self._uptime_ms, self._wall_ms + self._uptime_ms)


@pytest.mark.parametrize("ahead_ms", [0, 1_500, -1_500, 86_400_000 * 365, -86_400_000 * 365])
def test_it_tells_how_far_we_are_off(ahead_ms: int) -> None:
    with time_server(lambda request: [answer(request, NOW_MS + ahead_ms)]) as (port, requests):
        told = ask("127.0.0.1", port, Standing())
    assert abs(told.ahead_ms - ahead_ms) <= 2
    assert told.stratum == 2
    assert 0 < told.error_ms <= 3
    (request,) = requests
    assert len(request) == 48
    assert request[0] == 0b00_100_011
    assert not any(request[1:40])


def test_a_request_says_nothing_of_our_time_and_no_two_are_alike() -> None:
    with time_server(lambda request: [answer(request, NOW_MS)]) as (port, requests):
        for _ in range(20):
            ask("127.0.0.1", port, Standing())
    assert len(set(requests)) == 20
    seconds = [struct.unpack("!I", request[40:44])[0] for request in requests]
    assert sum(abs(second - (NOW_MS // 1000 + 2_208_988_800)) < 86_400 * 365 for second in seconds) < 5


def test_a_server_far_from_its_own_source_is_right_only_so_far() -> None:
    root = struct.pack("!I", 2 << 16)  # 2 s of root delay, 2 s of root dispersion
    with time_server(lambda request: [answer(request, NOW_MS, root=root)]) as (port, _):
        assert 3_000 <= ask("127.0.0.1", port, Standing()).error_ms <= 3_003


@pytest.mark.parametrize("wall_ms", [ERA_1_MS - 1, ERA_1_MS + 1, ERA_1_MS + 86_400_000])
def test_ntps_seconds_begin_anew_in_2036(wall_ms: int) -> None:
    with time_server(lambda request: [answer(request, wall_ms)]) as (port, _):
        assert abs(ask("127.0.0.1", port, Standing(wall_ms)).ahead_ms) <= 2


BAD = {
    "kiss-o'-death": ({"stratum": 0, "reference": b"RATE"}, r"it refuses \(kiss-o'-death 'RATE'\)"),
    "stratum 0 without a word": ({"stratum": 0, "reference": bytes(4)}, "it refuses"),
    "stratum 16": ({"stratum": 16}, "does not know the time itself"),
    "leap 3": ({"first": 0b11_100_100}, "does not know the time itself"),
    "no time": ({"transmit": bytes(8)}, "does not know the time itself"),
    "wrong origin": ({"origin": ntp_time(NOW_MS)}, "no answer within 1 s; what came is no answer to our request"),
    "a client's packet": ({"first": 0b00_100_011}, "what came is no answer to our request"),
    "a broadcast": ({"first": 0b00_100_101}, "what came is no answer to our request"),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_answer_that_is_none_or_gives_no_time_is_told_as_such(kind: str) -> None:
    members, why = BAD[kind]
    with (
        time_server(lambda request: [answer(request, NOW_MS, **members)]) as (port, _),  # type: ignore[arg-type]
        pytest.raises(NoTime, match=why),
    ):
        ask("127.0.0.1", port, Standing(), within_s=1)


def sent(packet: bytes, _request: bytes) -> list[bytes]:
    return [packet]


def test_a_short_packet_an_empty_one_and_garbage_are_no_answer() -> None:
    for junk in (b"", b"short", answer(bytes(48), NOW_MS)[:47], os.urandom(48)):
        with time_server(partial(sent, junk)) as (port, _), pytest.raises(NoTime, match=r"within 1 s; "):
            ask("127.0.0.1", port, Standing(), within_s=1)


def test_a_stranger_who_answers_first_with_another_time_is_passed_over() -> None:
    def both(request: bytes) -> list[bytes]:
        return [b"?", answer(request, 0, origin=bytes(8)), answer(request, NOW_MS + 400)]

    with time_server(both) as (port, _):
        assert abs(ask("127.0.0.1", port, Standing()).ahead_ms - 400) <= 2


def test_a_longer_packet_counts_by_its_head() -> None:
    with time_server(lambda request: [answer(request, NOW_MS) + bytes(20)]) as (port, _):
        assert ask("127.0.0.1", port, Standing()).stratum == 2


def test_silence_is_told_after_the_time_given() -> None:
    with time_server(lambda _: []) as (port, requests), pytest.raises(NoTime, match=r"^no answer within 0\.2 s$"):
        ask("127.0.0.1", port, Standing(), within_s=0.2)
    assert len(requests) == 1


def test_a_port_where_nobody_listens_is_told_as_the_system_says_it() -> None:
    refused = re.escape(os.strerror(errno.ECONNREFUSED))
    with pytest.raises(NoTime, match=refused):
        ask("127.0.0.1", free_port(), Standing(), within_s=2)


def test_a_name_that_is_none_is_told_as_the_system_says_it() -> None:
    with pytest.raises(NoTime, match="no such name"):
        ask("a..b", 123, Standing())


@given(st.binary(max_size=100))
@settings(max_examples=50, deadline=None)
def test_no_bytes_make_it_fall_over(packet: bytes) -> None:
    with time_server(lambda request: [packet[:24] + request[40:48] + packet[32:]]) as (port, _):
        try:
            told = ask("127.0.0.1", port, Standing(), within_s=0.05)
        except NoTime:
            return
    assert 1 <= told.stratum <= 15

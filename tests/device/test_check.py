"""``guardpost check``: what it says of the time, and that advice fails nobody."""

import re
import time
from contextlib import closing
from pathlib import Path

import pytest
from brokers import free_port, mosquitto
from postkit import BOOT, EPOCH_MS, at, blind
from posts import SimPost
from time_servers import answer, time_server
from volatile_disk import unusable, volatile_disk

from device.check import results
from device.config import Config, parse
from device.readings import ClockState, Instant
from device.record.journal import Sent
from device.record.journal_reader import DONE
from device.record.opening import JOURNAL, open_record
from device.result import Result
from device.turn import Turn


class Standing:
    """A clock that stands."""

    def __init__(self, now: Instant) -> None:
        self._now = now

    def now(self) -> Instant:
        return self._now


def post_with(folder: Path, server: str | None = None, **journal: str) -> Config:
    """A post whose broker is not there. ``journal``: keys of its section."""
    section = {} if server is None else {"server": server}
    content = {
        "post": {"site": "jember", "name": "kpu-gate", "state_dir": "state"},
        "link": {"brokers": [f"mqtt://127.0.0.1:{free_port()}"]},
        "time": section,
        "journal": journal,
    }
    return parse(content, folder / "post.toml")


def found(config: Config, part: str, rtc: Path = Path("/nowhere"), clock: ClockState = "synced") -> Result:
    """What is said of one part, at uptime 0."""
    every = results(config, Standing(at(0, clock=clock)), rtc)
    return next(result for result in every if result.part == part)


def battery_clock(folder: Path, since_epoch: str | None) -> Path:
    """A folder as sysfs shows an RTC."""
    rtc = folder / "rtc0"
    rtc.mkdir()
    if since_epoch is not None:
        (rtc / "since_epoch").write_text(f"{since_epoch}\n")
    return rtc


def test_a_pi_without_a_battery_clock_is_told_what_that_means_and_what_to_buy(tmp_path: Path) -> None:
    result = found(post_with(tmp_path), "battery clock")
    assert (result.passed, result.advised) == (True, True)
    assert "until a time server answers" in result.why
    assert "DS3231" in result.why
    assert str(result).startswith("note  battery clock ")


@pytest.mark.parametrize("ahead_s", [0, 60, -60])
def test_a_battery_clock_that_is_right_passes(tmp_path: Path, ahead_s: int) -> None:
    result = found(post_with(tmp_path), "battery clock", battery_clock(tmp_path, str(EPOCH_MS // 1000 + ahead_s)))
    assert (result.passed, result.advised) == (True, False)
    assert result.why.endswith(f"rtc0: right within {abs(ahead_s) + 1} s")


@pytest.mark.parametrize(("ahead_s", "told"), [(61, "61 s ahead;"), (-3_600, "3600 s behind;")])
def test_one_that_is_wrong_fails_with_its_mend(tmp_path: Path, ahead_s: int, told: str) -> None:
    result = found(post_with(tmp_path), "battery clock", battery_clock(tmp_path, str(EPOCH_MS // 1000 + ahead_s)))
    assert not result.passed
    assert f"rtc0: {told} set it with hwclock --systohc" in result.why


@pytest.mark.parametrize("since_epoch", [None, "", "?"])
def test_one_that_tells_no_time_has_lost_its_power(tmp_path: Path, since_epoch: str | None) -> None:
    result = found(post_with(tmp_path), "battery clock", battery_clock(tmp_path, since_epoch))
    assert not result.passed
    assert "tells no time" in result.why
    assert "change the battery" in result.why


def test_while_the_system_is_not_synchronised_nobody_knows_which_of_the_two_is_right(tmp_path: Path) -> None:
    rtc = battery_clock(tmp_path, str(EPOCH_MS // 1000 + 86_400))
    result = found(post_with(tmp_path), "battery clock", rtc, "unsynced")
    assert (result.passed, result.advised) == (True, True)
    assert result.why.startswith("86400 s ahead of the system, which is not synchronised")


def test_no_time_server_is_advice_and_no_failure(tmp_path: Path) -> None:
    result = found(post_with(tmp_path), "time server")
    assert (result.passed, result.advised) == (True, True)
    assert "none named in [time]" in result.why


def test_a_time_server_that_agrees_passes(tmp_path: Path) -> None:
    with time_server(lambda request: [answer(request, EPOCH_MS + 40)]) as (port, _):
        result = found(post_with(tmp_path, f"127.0.0.1:{port}"), "time server")
    assert (result.passed, result.advised) == (True, False)
    assert re.fullmatch(rf"127\.0\.0\.1:{port}: agrees within (40|41|42) ms, stratum 2", result.why)


@pytest.mark.parametrize(
    ("ahead_ms", "told"),
    [(3_500, "our clock is 3.5 s behind it"), (-7_200_000, "our clock is 7200.0 s ahead of it")],
)
def test_one_that_differs_fails_and_says_by_how_much(tmp_path: Path, ahead_ms: int, told: str) -> None:
    with time_server(lambda request: [answer(request, EPOCH_MS + ahead_ms)]) as (port, _):
        result = found(post_with(tmp_path, f"127.0.0.1:{port}"), "time server")
    assert not result.passed
    assert result.why.startswith(f"127.0.0.1:{port}: {told}; name it to the system too")


def test_one_that_knows_no_time_itself_fails_with_its_own_words(tmp_path: Path) -> None:
    with time_server(lambda request: [answer(request, EPOCH_MS, stratum=0, reference=b"RATE")]) as (port, _):
        result = found(post_with(tmp_path, f"127.0.0.1:{port}"), "time server")
    assert not result.passed
    assert "it refuses (kiss-o'-death 'RATE')" in result.why


def recorded(config: Config, count: int, done: int = 0) -> Path:
    """The journal's file, after a life in which so many events were recorded and ``done`` acknowledged."""
    with closing(open_record(config.post.state_dir, config.source, BOOT)) as record:
        turn = Turn([], record.chain)
        turn.begin([*record.began, *[blind("x" * 290)] * (count - 1)], at())
        record.journal.append(turn.sealed, {}, Sent({DONE: done}))
        record.journal.keep(Sent({}), remove_to=1)
    return config.post.state_dir / JOURNAL


def test_a_journal_tells_how_much_it_holds_and_what_waits(tmp_path: Path) -> None:
    config = post_with(tmp_path)
    assert found(config, "journal").why == "none yet: begins with the first start"
    recorded(config, 1_500, done=1_400)
    result = found(config, "journal")
    assert (result.passed, result.advised) == (True, False)
    assert re.fullmatch(
        r"1499 events, about 100 of them not yet acknowledged by a broker; 1 MiB of at most 1024 MiB", result.why
    )


def test_a_full_journal_fails_with_its_mend(tmp_path: Path) -> None:
    config = post_with(tmp_path, most_bytes="4MiB")
    recorded(config, 4_000)
    result = found(config, "journal")
    assert not result.passed
    assert result.why.endswith(
        "MiB are its limit, so check-ins are red; "
        "run a recorder, whose receipts let old events go, or raise journal.most_bytes"
    )


def test_a_limit_larger_than_its_disk_is_advice(tmp_path: Path) -> None:
    config = post_with(tmp_path, most_bytes="999999999GiB")
    recorded(config, 2)
    result = found(config, "journal")
    assert (result.passed, result.advised) == (True, True)
    assert result.why.endswith("; lower journal.most_bytes, or give it a larger disk")


@pytest.mark.parametrize("content", [b"", b"no journal at all", bytes(8192)])
def test_a_damaged_journal_fails_and_says_what_will_become_of_it(tmp_path: Path, content: bytes) -> None:
    config = post_with(tmp_path)
    recorded(config, 2).write_bytes(content)
    result = found(config, "journal")
    assert not result.passed
    assert result.why.startswith(f"{config.post.state_dir / JOURNAL}: ")
    assert "damaged (" in result.why or "journal version 0" in result.why


def test_a_journal_whose_pages_are_damaged_fails_too(tmp_path: Path) -> None:
    config = post_with(tmp_path)
    file = recorded(config, 200)
    with file.open("r+b") as journal:
        journal.seek(4096)
        journal.write(b"\xa5" * (file.stat().st_size - 4096))
    result = found(config, "journal")
    assert not result.passed
    assert "saves what can be saved" in result.why


def test_a_full_disk_fails(tmp_path: Path) -> None:
    if (why := unusable()) is not None:
        pytest.skip(why)
    with volatile_disk(tmp_path / "rig") as disk:
        config = post_with(disk.mount)
        assert found(config, "state folder").passed
        disk.fill(4 << 20)
        assert found(config, "state folder").passed
        disk.fill(1 << 20)
        result = found(config, "state folder")
        assert not result.passed
        assert result.why == f"{disk.mount}: 1048576 bytes free on its disk, which is full to a post; make room"


def test_the_command_prints_a_line_for_each_part_and_asks_the_time_server(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        time_server(lambda request: [answer(request, time.time_ns() // 1_000_000)]) as (port, requests),
    ):
        gate = SimPost(tmp_path / "post", [broker.url])
        gate.config.write_text(gate.config.read_text() + f'[time]\nserver = "127.0.0.1:{port}"\n')
        done = gate.command("check")
    told = {line[6:20].strip(): line for line in done.stdout.splitlines()}
    assert list(told) == [
        "configuration", "roster", "state folder", "journal", "clock", "battery clock", "time server",
        "reader gate", "broker",
    ]  # fmt: skip
    assert told["time server"].startswith(f"pass  time server     127.0.0.1:{port}: agrees within ")
    assert told["broker"].startswith("pass  ")
    assert len(requests) == 1
    assert done.returncode == int("FAIL" in done.stdout)

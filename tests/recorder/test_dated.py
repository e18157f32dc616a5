"""``patrols --dated``: taps of a post whose clock knew the time late, or not at all."""

import csv
import io
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from far_ends import Desk, Post

from device.events import Checkin, ClockChanged, Data, Draft, wall_ms_of
from device.readings import ClockState, Instant
from device.record.chain import Chain
from recorder.__main__ import main
from recorder.intake import Message

SYNCED_MS = wall_ms_of("2026-11-23T18:00:00.000Z")
"""When the time server answered, at uptime 3600 s."""


def tap(officer: str) -> Checkin:
    return Checkin(method="badge", officer=officer, badge=None, verdict="accepted", assurance="uid", reader="gate")


def sealed(post: Post, data: Data, uptime_s: int, wall_ms: int, clock: ClockState) -> Message:
    draft = Draft.model_validate({"subject": "gate", "data": data})
    post.chain, event = post.chain.seal(draft, Instant(uptime_s * 1_000, wall_ms, clock))
    post.sealed.append(event)
    return post.message(event)


def boot(post: Post) -> None:
    """The machine starts again; its chain goes on."""
    post.chain = Chain(post.source, str(uuid4()), post.key, post.chain.head)


def table(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    assert main([str(word) for word in ("patrols", "--json", *words)]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


@pytest.fixture(name="night")
def _night(desk: Desk, post: Post) -> Path:
    """A tap in 1970, the time an hour later, a tap by it; a boot that never learns the time; one that knows it."""
    messages = [post.identity()]
    boot(post)
    messages.append(sealed(post, tap("early"), 1_800, 1_800_000, "unsynced"))
    at = ClockChanged(state="synced", error_ms=40, step_ms=SYNCED_MS - 3_600_000)
    messages.append(sealed(post, at, 3_600, SYNCED_MS, "synced"))
    messages.append(sealed(post, tap("sure"), 4_200, SYNCED_MS + 600_000, "synced"))
    boot(post)
    messages.append(sealed(post, tap("dark"), 600, 600_000, "unsynced"))
    boot(post)
    messages.append(sealed(post, tap("late"), 60, SYNCED_MS + 7_200_000, "synced"))
    desk.take(post.message(post.sealed[0]), *messages)
    return desk.path


def test_each_tap_gets_its_best_time_and_its_bounds_in_the_order_of_those(
    night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = table(capsys, "--dated", "--store", night)
    assert [
        (row["officer"], row["clock"], row["dated"], row["earliest"], row["latest"]) for row in told
    ] == [
        # half an hour of uptime before the clock event of 40 ms: 40 + 900 ms
        ("early", "unsynced", "2026-11-23T17:30:00.000Z", "2026-11-23T17:29:59.060Z", "2026-11-23T17:30:00.940Z"),
        # ten minutes after it: 40 + 300 ms
        ("sure", "synced", "2026-11-23T18:10:00.000Z", "2026-11-23T18:09:59.660Z", "2026-11-23T18:10:00.340Z"),
        # ten minutes of a boot that began after 18:10 and ended a minute before 20:00
        ("dark", "unsynced", "", "2026-11-23T18:19:59.360Z", "2026-11-23T19:59:02.030Z"),
        ("late", "synced", "2026-11-23T20:00:00.000Z", "2026-11-23T19:59:58.000Z", "2026-11-23T20:00:02.000Z"),
    ]  # fmt: skip


def test_without_it_the_times_are_those_of_the_events_and_the_columns_are_not_there(
    night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = table(capsys, "--store", night)
    assert [(row["officer"], row["time"]) for row in told] == [
        ("dark", "1970-01-01T00:10:00.000Z"),
        ("early", "1970-01-01T00:30:00.000Z"),
        ("sure", "2026-11-23T18:10:00.000Z"),
        ("late", "2026-11-23T20:00:00.000Z"),
    ]
    assert not {"dated", "earliest", "latest"} & set(told[0])


@pytest.mark.parametrize(
    ("since", "until", "officers"),
    [
        ("2026-11-23T17:00Z", "2026-11-23T18:00Z", ["early"]),
        ("2026-11-23T18:05Z", "2026-11-23T18:15Z", ["sure"]),
        ("2026-11-23T18:05Z", "2026-11-23T18:20Z", ["sure", "dark"]),
        ("2026-11-23T19:00Z", None, ["dark", "late"]),
        (None, "1980-01-01", []),
        ("2026-11-23T17:30:00.940Z", "2026-11-23T17:31Z", ["early"]),
        ("2026-11-23T17:30:00.941Z", "2026-11-23T17:31Z", []),
        ("2026-11-23T17:00Z", "2026-11-23T17:29:59.060Z", []),
        ("2026-11-23T17:00Z", "2026-11-23T17:29:59.061Z", ["early"]),
    ],
)
def test_a_time_asked_for_brings_every_tap_that_can_have_been_in_it(
    night: Path, capsys: pytest.CaptureFixture[str], since: str | None, until: str | None, officers: list[str]
) -> None:
    asked = [*(("--since", since) if since else ()), *(("--until", until) if until else ())]
    told = table(capsys, "--dated", "--store", night, *asked)
    assert [row["officer"] for row in told] == officers


def test_times_and_bounds_are_shown_in_the_zone_that_is_asked_for(
    night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = table(capsys, "--dated", "--store", night, "--officer", "early", "--timezone", "Asia/Jakarta")
    assert (row["dated"], row["latest"]) == ("2026-11-24T00:30:00.000+07:00", "2026-11-24T00:30:00.940+07:00")
    asked = ("--since", "2026-11-24T00:30", "--until", "2026-11-24T00:31", "--timezone", "Asia/Jakarta")
    assert [row["officer"] for row in table(capsys, "--dated", "--store", night, *asked)] == ["early"]


def test_a_table_and_a_spreadsheet_have_the_columns_too(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    headings = ["time", "clock", "dated", "earliest", "latest", "post"]
    assert main(["patrols", "--dated", "--csv", "--store", str(night)]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0][:6] == headings
    assert rows[3][2] == ""
    assert main(["patrols", "--dated", "--store", str(night)]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:6] == headings
    assert lines[1][2] == "2026-11-23T17:30:00.000Z"


def test_an_event_that_is_not_verified_is_shown_undated_and_dates_nothing(
    desk: Desk, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody's key that nobody trusts says what time it was."""
    boot(post)
    messages = [sealed(post, tap("early"), 10, 10_000, "unsynced")]
    trusted = post.identity()
    post.rotate(announced=False)
    messages.append(sealed(post, ClockChanged(state="synced", error_ms=1, step_ms=0), 20, SYNCED_MS, "synced"))
    messages.append(sealed(post, tap("stranger"), 30, SYNCED_MS, "synced"))
    desk.take(trusted, post.message(post.sealed[0]), *messages)
    told = table(capsys, "--dated", "--store", desk.path)
    assert {row["officer"]: (row["verified"], row["dated"]) for row in told} == {
        "early": (True, ""),
        "stranger": (False, ""),
    }


def test_a_date_that_is_none_signed_all_the_same_dates_nothing_and_stops_nobody(
    desk: Desk, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    """A year that no calendar of ours holds: shown as it was signed."""
    far_ms = wall_ms_of("9999-12-31T23:59:59.000Z")
    messages = [
        sealed(post, tap("far"), 10, far_ms, "synced"),
        sealed(post, tap("beyond"), 3_600, far_ms, "unsynced"),
    ]
    desk.take(post.identity(), post.message(post.sealed[0]), *messages)
    told = {row["officer"]: row for row in table(capsys, "--dated", "--store", desk.path)}
    assert told["far"]["dated"] == "9999-12-31T23:59:59.000Z"
    assert (told["beyond"]["time"], told["beyond"]["dated"]) == ("9999-12-31T23:59:59.000Z", "")


def test_each_post_is_dated_by_its_own_events(desk: Desk, post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    other = Post(source="/guardpost/jember/warehouse")
    boot(post)
    boot(other)
    mine = [sealed(post, tap("mine"), 10, 10_000, "unsynced")]
    theirs = [
        sealed(other, tap("theirs"), 10, 10_000, "unsynced"),
        sealed(other, ClockChanged(state="synced", error_ms=3, step_ms=0), 20, SYNCED_MS, "synced"),
    ]
    for one, messages in ((post, mine), (other, theirs)):
        desk.take(one.identity(), one.message(one.sealed[0]), *messages)
    told = {row["officer"]: row["dated"] for row in table(capsys, "--dated", "--store", desk.path)}
    assert told == {"mine": "", "theirs": "2026-11-23T17:59:50.000Z"}

"""How the demonstration names events and shows rows, on a terminal and off it."""

import io
from typing import Any

import pytest
from rich.console import Console

from device.events import Envelope
from simulator.evidence import Recorded, spans
from simulator.screen import Counts, LiveScreen, PlainScreen, Row

CHAIN = "00000000-0000-4000-8000-000000000000"


def event(seq: int, kind: str = "checkin", **data: Any) -> Recorded:
    envelope = Envelope(
        specversion="1.0",
        id=f"{CHAIN}/{seq}",
        source="/guardpost/demo/gate",
        type=f"guardpost.{kind}.v1",
        subject="gate",
        time="2026-11-23T01:15:00.123Z",
        datacontenttype="application/json",
        data=data,
        chain=CHAIN,
        seq=seq,
        prev="0" * 64,
        bootid=CHAIN,
        uptime="1.000",
        clock="synced",
        keyid="0" * 16,
        signature="A" * 86,
    )
    return Recorded(envelope, "0" * 64)


@pytest.mark.parametrize(
    ("seqs", "words"), [([], ""), ([4], "4"), ([1, 2, 3], "1-3"), ([9, 1, 3, 2, 7, 8], "1-3, 7-9")]
)
def test_missing_numbers_are_named_as_people_write_them(seqs: list[int], words: str) -> None:
    assert spans(event(seq) for seq in seqs) == words


def test_an_event_says_its_number_and_what_it_tells() -> None:
    assert str(event(7, verdict="accepted")) == "#7 checkin accepted"
    assert str(event(8, "door", door="front", change="held")) == "#8 door held"


def test_off_a_terminal_each_thing_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    screen = PlainScreen()
    tapped = Row("01:02:03", 0.0, "officer-1 taps", "gate", "accepted (green, one short beep)", [event(1)])
    screen.show([tapped], Counts(False, 1, 0, 0))
    screen.show([tapped], Counts(False, 1, 0, 0))
    tapped.events[0].arrived = tapped.events[0].verified = True
    later = Row("01:02:04", 1.0, "opens the front door", "front")
    screen.show([tapped, later], Counts(True, 1, 1, 1))
    screen.show([later], Counts(True, 1, 1, 1))  # the oldest rows are let go
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "01:02:03  officer-1 taps  accepted (green, one short beep)",
        "recorded #1 checkin",
        "01:02:04  opens the front door",
        "headquarters verified #1   (line up   recorded 1   arrived 1   verified 1)",
    ]


def test_on_a_terminal_the_newest_rows_fit() -> None:
    out = io.StringIO()
    screen = LiveScreen(Console(file=out, force_terminal=True, width=100, height=20))
    rows = [Row(f"01:02:{n:02d}", n, f"act {n}", "gate", "", [event(n)]) for n in range(1, 40)]
    screen.show(rows, Counts(False, 39, 39, 39))
    screen.close()
    shown = out.getvalue()
    assert "line CUT" in shown
    assert "act 39" in shown
    assert "act 20" not in shown
    assert "waiting…" in shown

"""Readers as they are at a wall: five kinds at one post, each fails and comes back, and headquarters knows when."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime_ns
from typing import Any

from brokers import mosquitto
from posts import SimPost, recorder, recording, stored
from waiting import until

from device.events import uptime_ms_of

NOBODY = "mqtt://127.0.0.1:1"
READERS = """
[checkin]
repeat_after = "1h"
[[reader]]
name = "yard"
driver = "pn532"
port = "yard.tty"
[[reader]]
name = "desk"
driver = "hid"
device = "/dev/input/by-id/usb-desk-event-kbd"
[[reader]]
name = "store"
driver = "wiegand"
data0_pin = 20
data1_pin = 21
bits = 34
[[reader]]
name = "vault"
driver = "osdp"
port = "{folder}/vault.tty"
baud = 115200
"""
"""Besides the RC522, which every simulated post has."""
OFFICERS = 16
ACCEPTED = "accepted (green, one short beep)"
REPEATED = "repeated (green, two short beeps)"


@dataclass(frozen=True)
class Trouble:
    """What happens to a reader, what ends it, and a piece of what the post says of it."""

    reader: str
    fails: str
    mends: str
    why: str


TROUBLES = (
    Trouble("gate", "freeze", "thaw", "RC522 on SPI 0.0: "),
    Trouble("yard", "unplug", "plug", "yard.tty: its serial port failed"),
    Trouble("desk", "unplug", "plug", "was unplugged or failed (No such device): check its cable"),
    Trouble("store", "short", "mend", "Wiegand DATA0 (GPIO20) is stuck low"),
    Trouble("vault", "cut", "mend", "OSDP reader vault: "),
)


def card(number: int) -> str:
    """The badge of officer ``number``: of 4 bytes, which each of the five can read."""
    return f"A1B200{number:02X}"


@contextmanager
def post(folder: Path, *brokers: str) -> Iterator[SimPost]:
    """A post with all five readers, and officers whose badges all of them can read."""
    made = SimPost(folder, brokers, link=READERS.format(folder=folder))
    officers = (f'[[officer]]\nid = "officer-{n}"\nbadges = ["{card(n)}"]\n' for n in range(OFFICERS))
    (folder / "roster.toml").write_text("".join(officers))
    made.start()
    try:
        yield made
    finally:
        assert made.end() == 0


def tap(made: SimPost, number: int, reader: str) -> str:
    """What officer ``number`` was answered."""
    return made.do(f"tap {card(number)} {reader}").split(": ", 1)[1]


def answered(made: SimPost) -> bool:
    """Whether the newest check-in's green light burned to its end: nothing cut it short, so none is to come."""
    checkin = [event for event in made.events() if event["type"].endswith("checkin.v1")][-1]
    whole, _, _ = (made.state / "pins.log").read_text().rpartition("\n")  # a line may be half written
    lines = [line.split() for line in whole.splitlines()]
    green = [(float(at_s), level) for at_s, _, name, level in lines if name == "green"]
    (on_s, _), (off_s, level) = green[-2:] if len(green) > 1 else ((0.0, "1"), (0.0, "1"))
    return on_s * 1000 >= uptime_ms_of(checkin["uptime"]) and level == "0" and off_s - on_s > 1


def changes(events: list[dict[str, Any]], reader: str) -> list[dict[str, Any]]:
    """The events in which a reader went blind and saw again."""
    told = [event for event in events if event["data"].get("what") == f"reader {reader}"]
    return [event for event in told if event["data"]["change"] in ("blind", "sighted")]


def until_told(made: SimPost, reader: str, change: str, store: Path | None = None) -> int:
    """Wait until the newest event about a reader says so, and the recorder has it in ``store``; the uptime then."""

    def told() -> bool:
        newest = changes(made.events(), reader)[-1:]
        return [event["data"]["change"] for event in newest] == [change]

    until(told, what=f"{reader} is {change}")
    if store is not None:
        until(lambda: stored(store) == len(made.events()), what="the recorder has it")
    return uptime_ms()


def uptime_ms() -> int:
    return clock_gettime_ns(CLOCK_BOOTTIME) // 1_000_000


def test_each_reader_fails_and_comes_back_and_the_recorder_tells_when_the_post_was_blind(tmp_path: Path) -> None:
    store, officers = tmp_path / "recorder.db", count()
    waited: dict[str, tuple[int, ...]] = {}
    with (
        mosquitto(tmp_path / "mosquitto") as broker,
        recording(store, broker.url),
        post(tmp_path / "post", broker.url) as made,
    ):
        for trouble, neighbour in zip(TROUBLES, (*TROUBLES[1:], TROUBLES[0]), strict=True):
            reader = trouble.reader
            assert tap(made, next(officers), reader) == ACCEPTED
            fails = uptime_ms()
            made.do(f"reader {reader} {trouble.fails}")
            known = until_told(made, reader, "blind", store)
            assert tap(made, next(officers), neighbour.reader) == ACCEPTED  # the others go on
            mends = uptime_ms()
            made.do(f"reader {reader} {trouble.mends}")
            waited[reader] = fails, known, mends, until_told(made, reader, "sighted", store)
            assert tap(made, next(officers), reader) == ACCEPTED
        until(lambda: stored(store) == len(made.events()))

    events = [json.loads(line) for line in recorder("export", "--store", str(store)).stdout.splitlines()]
    assert [event["data"]["verdict"] for event in events if "verdict" in event["data"]] == ["accepted"] * 15
    for trouble in TROUBLES:
        went, came = changes(events, trouble.reader)[-2:]
        fails, known, mends, back = waited[trouble.reader]
        blind, sighted = (uptime_ms_of(event["uptime"]) for event in (went, came))
        assert fails <= blind <= known <= mends <= sighted <= back, trouble
        assert came["data"]["since"] == went["time"]
        assert trouble.why in went["data"]["why"]


def test_two_badges_at_once_are_two_check_ins_and_one_badge_at_two_readers_is_one(tmp_path: Path) -> None:
    with post(tmp_path / "post", NOBODY) as made:
        made.do(f"lay {card(1)} gate")
        made.do(f"lay {card(2)} gate")
        until(lambda: made.told().count("checkin accepted") == 2, what="both badges")
        until(lambda: answered(made), what="the answers")  # else one of them would pass for the next tap's
        assert tap(made, 3, "gate") == ACCEPTED  # beside those that lie there
        assert tap(made, 1, "vault") == REPEATED  # its double, at another reader
        assert tap(made, 3, "yard") == REPEATED  # the same card, taken there
        for number in (1, 2):
            made.do(f"take {card(number)} gate")
        checkins = [event for event in made.events() if event["type"].endswith("checkin.v1")]
        assert [(event["data"]["officer"], event["data"]["verdict"], event["subject"]) for event in checkins] == [
            ("officer-1", "accepted", "gate"),
            ("officer-2", "accepted", "gate"),
            ("officer-3", "accepted", "gate"),
            ("officer-1", "repeated", "vault"),
            ("officer-3", "repeated", "yard"),
        ]


def test_an_rc522_that_froze_is_brought_back_by_its_reset_line_while_the_post_goes_on(tmp_path: Path) -> None:
    with post(tmp_path / "post", NOBODY) as made:
        assert tap(made, 1, "gate") == ACCEPTED
        made.do("reader gate lock")
        until_told(made, "gate", "sighted")  # nobody mended it
        assert tap(made, 2, "gate") == ACCEPTED
        assert [event["data"]["change"] for event in changes(made.events(), "gate")] == ["blind", "sighted"]
        assert made.told().count("system boot") == 1

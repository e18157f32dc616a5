"""docs/signals.md: its table, its drawings and its night are those of the patterns."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from device.config_wired import IndicatorSection
from device.effects import Answer
from device.hardware.patterns import (
    NO_LINE,
    NO_LINE_EVERY_MS,
    PATTERNS,
    SHORTEST_BEEP_MS,
    Moment,
    shortened,
)

FILE = Path(__file__).parents[2] / "docs" / "signals.md"
PAGE = FILE.read_text(encoding="utf-8")
ROWS = {
    sign: (light, sound)
    for sign, light, sound in re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| [^|]+ \| [^|]+ \|$", PAGE, re.MULTILINE
    )
}
DRAWINGS = dict(re.findall(r"^### ([a-z -]+)\n.*?```text\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL))
NIGHTS = dict(re.findall(r"^\| ([a-z -]+) \| (\d+ ms \| \d+ ms) \|$", PAGE, re.MULTILINE))
COUNTS = {1: "one", 2: "two", 8: "eight"}
LONG_BEEP_MS = 500
OUTPUTS = ("green", "red", "buzzer")


def drawn(moments: Sequence[Moment], column_ms: int) -> str:
    """A line for the seconds and one for each output; a column shows what is on in its middle."""
    columns = sum(moment.ms for moment in moments) // column_ms
    a_second = 1_000 // column_ms
    seconds = "".join(f"{n} s".ljust(a_second) for n in range(-(-columns // a_second)))
    middles = [column * column_ms + column_ms // 2 for column in range(columns)]
    lines = [f"{'':8}{seconds}".rstrip()]
    for name in OUTPUTS:
        lines.append(f"{name:8}" + "".join("█" if is_on(moments, name, at_ms) else "·" for at_ms in middles))
    return "\n".join(lines)


def is_on(moments: Sequence[Moment], name: str, at_ms: int) -> bool:
    for moment in moments:
        if at_ms < moment.ms:
            return bool(getattr(moment, name))
        at_ms -= moment.ms
    return False


def test_every_sign_has_a_row_and_a_drawing() -> None:
    signs = [answer.value for answer in Answer] + ["no line"]
    assert [*DRAWINGS] == signs
    assert [sign for sign in ROWS if sign not in ("sign", "---")] == [*signs, "dark"]


@pytest.mark.parametrize("answer", Answer)
def test_the_drawing_of_an_answer_is_its_pattern(answer: Answer) -> None:
    assert DRAWINGS[answer.value] == drawn(PATTERNS[answer], 50)


def test_the_drawing_of_a_dead_line_is_one_flash_and_the_dark_after_it() -> None:
    assert DRAWINGS["no line"] == drawn([NO_LINE, Moment(NO_LINE_EVERY_MS - NO_LINE.ms + 400)], 100)
    assert ROWS["no line"] == (f"a red flash every {NO_LINE_EVERY_MS // 1_000} s", "none")


@pytest.mark.parametrize("answer", Answer)
def test_a_row_tells_light_and_sound_of_its_pattern(answer: Answer) -> None:
    pattern = PATTERNS[answer]
    light, sound = ROWS[answer.value]
    begins = [now for before, now in pairwise((Moment(0), *pattern)) if now.buzzer and not before.buzzer]
    if answer is Answer.SELFTEST:
        assert light == "green for 1 s, then red for 1 s"
    else:
        seconds = sum(moment.ms for moment in pattern) / 1_000
        assert light == f"{'green' if pattern[0].green else 'red'} for {seconds:g} s"
    assert sound.startswith(f"{COUNTS[len(begins)]} ")
    assert ("at once" in sound) == (len(begins) == 1 and pattern[0].buzzer)
    assert ("long" in sound) == any(beep.ms >= LONG_BEEP_MS for beep in begins)


def test_the_beeps_by_night_are_those_of_an_active_buzzer() -> None:
    percent = IndicatorSection.model_fields["night_volume"].default
    assert f"a beep at {percent} percent" in PAGE
    assert f"never below {SHORTEST_BEEP_MS} ms" in PAGE
    for answer in Answer:
        day, night = (
            max(moment.ms for moment in play if moment.buzzer)
            for play in (PATTERNS[answer], shortened(PATTERNS[answer], percent))
        )
        assert NIGHTS[answer.value] == f"{day} ms | {night} ms"


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (FILE.parent / target).exists(), target

"""The card that hangs at the post says what the lights really do, in both languages, on one page."""

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from device.effects import Answer
from device.hardware.patterns import NO_LINE, NO_LINE_EVERY_MS, PATTERNS, Moment

CARD = Path(__file__).parents[2] / "docs" / "card.html"
ROWS = dict(re.findall(r'<tr data-answer="([a-z -]+)">(.*?)</tr>', CARD.read_text(encoding="utf-8"), re.DOTALL))
WORDS = {"green": ("hijau", "green"), "red": ("merah", "red")}
BEEPS = {1: {"1 bunyi", "one"}, 2: {"2 bunyi", "two"}, 8: {"8 bunyi", "eight"}}


def beeps(pattern: tuple[Moment, ...]) -> int:
    """How often the buzzer begins."""
    sounds = [False, *(moment.buzzer for moment in pattern)]
    return sum(now and not before for before, now in itertools.pairwise(sounds))


def test_every_answer_has_its_row_and_there_is_one_for_a_dead_line() -> None:
    assert ROWS.keys() == {answer.value for answer in Answer} | {"no line"}


@pytest.mark.parametrize("answer", Answer)
def test_a_row_tells_the_colour_and_the_beeps_of_its_pattern_in_both_languages(answer: Answer) -> None:
    row, pattern = ROWS[answer.value], PATTERNS[answer]
    for colour, words in WORDS.items():
        if any(getattr(moment, colour) for moment in pattern):
            assert all(word in row for word in words)
        else:
            assert not any(word in row for word in words)
    assert all(word in row for word in BEEPS[beeps(pattern)])


def test_the_row_of_a_dead_line_tells_how_often_the_light_flashes() -> None:
    assert NO_LINE.red and not NO_LINE.buzzer
    assert f"tiap {NO_LINE_EVERY_MS // 1000} detik" in ROWS["no line"]
    assert f"every {NO_LINE_EVERY_MS // 1000} s" in ROWS["no line"]


def test_it_is_one_page(tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "needs chromium; make test installs it"
    page = tmp_path / "card.pdf"
    words = [
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--disable-quic", "--no-pdf-header-footer",
        f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={page}",
    ]  # fmt: skip
    subprocess.run([chromium, *words, CARD.as_uri()], check=True, capture_output=True, timeout=100)
    assert len(re.findall(rb"/Type\s*/Page\b", page.read_bytes())) == 1

"""The README: its tables, files, commands and links are those of the code."""

import importlib
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from device.config import load
from device.effects import Answer
from device.hardware.patterns import NO_LINE, NO_LINE_EVERY_MS, PATTERNS, Moment
from device.roster_file import read_roster

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", "docs/contract.md", "docs/architecture.md", "docs/operation.md", "docs/readers.md")
HEADER = {2: 3, 3: 5, 4: 7, 5: 29, 6: 31, 7: 26, 8: 24, 9: 21, 10: 19, 11: 23, 12: 32, 13: 33, 14: 8,
          15: 10, 16: 36, 17: 11, 18: 12, 19: 35, 20: 38, 21: 40, 22: 15, 23: 16, 24: 18, 25: 22, 26: 37,
          27: 13}  # fmt: skip
"""The 40-pin header of the Raspberry Pi: BCM number to pin."""
GROUNDS = {6, 9, 14, 20, 25, 30, 34, 39}
COMMANDS = {
    "guardpost": "device",
    "guardpost-recorder": "recorder",
    "guardpost-sim": "simulator",
    "guardpost-provision": "provisioning",
}


def wired() -> dict[str, tuple[int, str]]:
    """Row of the wiring table by part and pin: BCM number, header pins."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (\d+) \| ([\d and]+) \|$", README, re.MULTILINE)
    return {f"{part}: {pin}": (int(bcm), header) for part, pin, bcm, header in rows}


def test_the_wiring_is_that_of_the_example_configuration() -> None:
    example = tomllib.loads((ROOT / "device" / "post.example.toml").read_text(encoding="utf-8"))
    (reader,), (door,), (button,), lights = (example[key] for key in ("reader", "door", "button", "indicator"))
    told = [bcm for bcm, _ in wired().values()]
    spi = [8, 11, 10, 9, reader["reset_pin"]]
    assert reader["chip_select"] == 0
    assert told == [*spi, door["pin"], button["pin"], lights["green"], lights["red"], lights["buzzer"]]


@pytest.mark.parametrize("row", wired())
def test_each_gpio_is_at_its_place_on_the_header(row: str) -> None:
    bcm, header = wired()[row]
    pin, *ground = map(int, header.split(" and "))
    assert HEADER[bcm] == pin
    assert set(ground) <= GROUNDS


def test_the_lights_are_those_of_the_patterns() -> None:
    section = README.partition("## What the lights mean")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)
    told = {meaning: (light, sound) for light, sound, meaning in rows}
    words = {
        Answer.ACCEPTED: "accepted, and recorded",
        Answer.REPEATED: "the same badge again within 10 s; recorded",
        Answer.REFUSED: "refused: badge unknown, expired or revoked; recorded",
        Answer.NOT_RECORDED: "**not recorded**: the disk is full or takes nothing. Tap again, tell headquarters",
    }
    sounds = {1: "one", 2: "two", 8: "eight"}
    for answer, meaning in words.items():
        pattern, (light, sound) = PATTERNS[answer], told[meaning]
        colour = "green" if any(moment.green for moment in pattern) else "red"
        seconds = sum(moment.ms for moment in pattern) / 1000
        beeps = sum(now.buzzer and not before.buzzer for before, now in pairwise((Moment(0), *pattern)))
        assert light == f"{colour} for {seconds:g} s"
        assert sound.startswith(sounds[beeps])
    assert NO_LINE.red
    assert f"a red flash every {NO_LINE_EVERY_MS // 1000} s" in README


def test_the_excerpt_of_the_demonstration_is_of_this_one() -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "simulator").glob("*.py"))
    told = re.findall(r"^  \d\d:\d\d:\d\d   (.+?)(?:  |$)", README, re.MULTILINE)
    assert len(told) > 5
    for text in (*told, "every recorded event arrived at headquarters and verified"):
        assert f'"{text}"' in source, text


def test_the_example_files_can_be_used() -> None:
    config = load(ROOT / "docs" / "example" / "post.toml")
    _, roster = read_roster(config.roster.file)
    assert {badge for officer in roster.officer for badge in officer.badges} >= {"04A1B2C3D4E5F6"}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_file_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), target
    for heading in re.findall(r"\]\(#([^)]+)\)", text):
        assert heading in {
            re.sub(r"[^\w -]", "", line).replace(" ", "-").lower()
            for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        }
    for file in re.findall(r"(?<![/\w])(?:docs|device|systemd|tests|requirements)/[\w./-]*\.\w+", text):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize(
    ("program", "command"), sorted(set(re.findall(r"^(?:.*/)?(guardpost[\w-]*) (\w+)", README, re.MULTILINE)))
)
def test_every_command_is_one(program: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    entry = importlib.import_module(f"{COMMANDS[program]}.__main__").main
    with pytest.raises(SystemExit) as ended:
        entry([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+)\b", README))))
def test_every_make_target_is_one(target: str) -> None:
    if target != "and":
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)

"""Explaining a refused file: places in a tree are named as its owner wrote them."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field

from device.errors import ConfigError
from device.problems import parse_toml, validated

FILE = Path("fleet.toml")


class Lamp(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: str
    from_: int = Field(default=0, alias="from")


class Wall(BaseModel):
    model_config = ConfigDict(extra="forbid")

    lamp: Annotated[tuple[Lamp, ...], Field(min_length=1)]
    spare: Lamp | None = None


def told(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        validated(Wall, parse_toml(text.encode(), FILE), FILE)
    return str(refused.value).splitlines()


def test_a_good_file_becomes_its_model() -> None:
    wall = validated(Wall, parse_toml(b'[[lamp]]\ncolour = "red"\nfrom = 3\n', FILE), FILE)
    assert wall.lamp == (Lamp(colour="red", **{"from": 3}),)


def test_the_second_of_a_list_is_named_by_its_index() -> None:
    assert told('[[lamp]]\ncolour = "red"\n[[lamp]]\ncolour = 1\n') == [
        "fleet.toml: lamp[1].colour: must be text in quotes"
    ]


def test_a_suggestion_is_the_key_as_people_write_it_not_as_python_does() -> None:
    assert told('[[lamp]]\ncolour = "red"\nform = 1\n') == [
        "fleet.toml: lamp[0].form: unknown key; did you mean from?"
    ]


def test_keys_within_an_optional_section_are_known() -> None:
    assert told('[[lamp]]\ncolour = "red"\n[spare]\ncolour = "red"\nzzz = 1\n') == [
        "fleet.toml: spare.zzz: unknown key; known here: colour, from"
    ]


def test_a_misspelt_key_is_not_also_missing_but_another_missing_one_is() -> None:
    assert told('[[lamp]]\ncolor = "red"\n[spare]\n') == [
        "fleet.toml: lamp[0].color: unknown key; did you mean colour?",
        "fleet.toml: spare.colour: missing; add it",
    ]


def test_a_bad_item_is_not_also_too_few_items() -> None:
    assert told("[[lamp]]\ncolour = 1\n") == ["fleet.toml: lamp[0].colour: must be text in quotes"]
    assert told("lamp = []\n") == ["fleet.toml: lamp: is empty; write at least one"]


@pytest.mark.parametrize(
    "text", ["a = 1\na = 2\n", "a = 2026-13-45\n", 'a = "\x00"\n', "a = 1e\n", "\ufeffa = 1\n"]
)
def test_what_is_not_toml_is_one_line_that_says_where(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_toml(text.encode(), FILE)
    (line,) = str(refused.value).splitlines()
    assert line.startswith("fleet.toml: not TOML: ")
    assert line.endswith("; correct that line")
    assert "line 1" in line or "line 2" in line

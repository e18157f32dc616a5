"""docs/readers.md: its pins, keys, texts and words are those of drivers, drawings and simulator."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from device.config import ReaderSection, parse
from device.drivers import reader_driver, reader_names
from device.hardware.readers.hid_keys import NumberFormat
from device.hardware.readers.reader import CardReader
from device.hardware.readers.serial_port import HEADER_PORTS
from simulator.factory import SimFactory
from simulator.far_ends import Site, far_end

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "readers.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "device" / "post.example.toml").read_text(encoding="utf-8")
WIRING = ROOT / "docs" / "wiring"
HEADINGS = {"rc522": "RC522", "pn532": "PN532", "hid": "USB reader (hid)", "wiegand": "Wiegand", "osdp": "OSDP"}
HEADER = {2: 3, 3: 5, 4: 7, 5: 29, 6: 31, 7: 26, 8: 24, 9: 21, 10: 19, 11: 23, 12: 32, 13: 33, 14: 8,
          15: 10, 16: 36, 17: 11, 18: 12, 19: 35, 20: 38, 21: 40, 22: 15, 23: 16, 24: 18, 25: 22, 26: 37,
          27: 13}  # fmt: skip
"""The 40-pin header of the Raspberry Pi: BCM number to pin."""
POWER = {"3.3 V": {1, 17}, "5 V": {2, 4}, "ground": {6, 9, 14, 20, 25, 30, 34, 39}}
DRIVERS = sorted(HEADINGS)


def section(heading: str) -> str:
    """What stands below a heading of the second level."""
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(text: str, *heading: str) -> Iterator[list[str]]:
    """The cells of each row of the table with this heading, wherever in ``text``."""
    head = f"| {' | '.join(heading)} |\n"
    assert head in text, heading
    for line in text.partition(head)[2].splitlines()[1:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def example(driver: str) -> Any:
    """The ``[[reader]]`` of a section, as a post reads it."""
    (toml,) = re.findall(r"```toml\n(.*?)```", section(HEADINGS[driver]), re.DOTALL)
    content = {"post": {"site": "a", "name": "b"}, "link": {"brokers": ["mqtt://127.0.0.1"]}} | tomllib.loads(toml)
    (made,) = parse(content, Path("/etc/guardpost/post.toml")).reader
    return made


def own_keys(driver: str) -> set[str]:
    model: type[ReaderSection] = reader_driver(driver).section
    return set(model.model_fields) - {"name", "driver"}


def test_every_driver_has_its_section() -> None:
    assert set(reader_names()) == set(DRIVERS)
    assert all(section(heading) for heading in HEADINGS.values())
    assert [cells[0] for cells in rows(PAGE, "`driver`", "it is", "wires", "badges", "when it dies")] == [
        f"`{driver}`" for driver in HEADINGS
    ]


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_example_of_a_section_has_every_key_and_names_defaults_rightly(driver: str) -> None:
    made = example(driver)
    assert made.model_fields_set == own_keys(driver) | {"name", "driver"}
    (toml,) = re.findall(r"```toml\n(.*?)```", section(HEADINGS[driver]), re.DOTALL)
    for key in re.findall(r"^(\w+) = .*# .*\bdefault\b", toml, re.MULTILINE):
        default = type(made).model_fields[key].default
        assert getattr(made, key) == default or (driver, key, default) == ("hid", "bytes", None), key


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_example_configuration_explains_every_key_of_a_driver(driver: str) -> None:
    block = EXAMPLE.partition(f'driver = "{driver}"')[2].partition("\n\n")[0]
    assert {key for key in own_keys(driver) if re.search(rf"^(# )?{key} = .*# ", block, re.MULTILINE)} == own_keys(
        driver
    )


def test_the_readers_of_the_example_configuration_may_be_used_as_they_stand() -> None:
    text = EXAMPLE.partition("\n[[reader]]")[2].partition("\n[[door]]")[0]
    content = {
        "post": {"site": "a", "name": "b"},
        "link": {"brokers": ["mqtt://127.0.0.1"]},
        **tomllib.loads("[[reader]]" + re.sub("^# ", "", text, flags=re.MULTILINE)),
    }
    for reader in content["reader"]:  # two of them are on one port
        parse(content | {"reader": [reader]}, Path("post.toml"))
    assert [reader["driver"] for reader in content["reader"]] == list(HEADINGS)


def wired(driver: str) -> dict[int, int]:
    """BCM number and header pin, from the table of a section; what is no GPIO is looked at here."""
    found: dict[int, int] = {}
    for line in section(HEADINGS[driver]).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or not cells[-1].isdigit():
            continue
        *_, pi, bcm, pin = cells
        if bcm:
            found[int(bcm)] = int(pin)
        else:
            assert int(pin) in POWER[pi.partition(",")[0]], line
    return found


@pytest.mark.parametrize("driver", sorted(set(DRIVERS) - {"hid"}))
def test_each_wire_is_at_its_place_and_is_one_of_the_example(driver: str) -> None:
    made = example(driver)
    assert wired(driver) == {bcm: HEADER[bcm] for bcm in wired(driver)}
    assert set(wired(driver)) == {pin for pin, _ in (*made.pins(), *made.shared())}


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_drawing_shows_the_pins_of_the_table(driver: str) -> None:
    root = ElementTree.parse(WIRING / f"{driver}.svg").getroot()
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    told = [re.fullmatch(r"(?:GPIO (\d+)(?:, \w+)?|([\w. ]+)) \((\d+)\)", text) for text in texts]
    drawn = {int(found[1]): int(found[3]) for found in told if found and found[1]}
    assert drawn == (wired(driver) if driver != "hid" else {})
    for found in told:
        if found and found[2]:
            assert int(found[3]) in POWER[found[2].replace("GND", "ground")], found
    assert f"](wiring/{driver}.svg)" in section(HEADINGS[driver])


def test_every_drawing_is_shown_and_has_a_title() -> None:
    for file in WIRING.iterdir():
        root = ElementTree.parse(file).getroot()
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        assert f"](wiring/{file.name})" in PAGE


def literals(file: Path) -> Iterator[str]:
    """Every text of a module; what is filled in as ``…``."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{\w*\}", "…", node.value)
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_it_says_of_a_wrong_wire_is_what_the_driver_says(driver: str) -> None:
    folder = ROOT / "device" / "hardware" / "readers"
    files = [
        *folder.glob(f"{driver}*.py"),
        folder / "reader.py",
        folder / "serial_port.py",
        ROOT / "device/parts.py",
    ]
    told = [text for file in files for text in literals(file)]
    for says, _ in rows(section(HEADINGS[driver]), "it says", "look for"):
        quoted = re.findall(r"`([^`]+)`", says)
        assert quoted, says
        for text in quoted:
            start = re.sub(r" 0x\w+$", "", text)
            assert any(start in literal for literal in told), text


def test_libraries_and_what_must_be_switched_on_are_those_of_the_drivers() -> None:
    told = {
        (driver.strip("`"), library.strip("`"), mend.split("`")[1])
        for driver, library, mend in rows(PAGE, "driver", "library", "comes with")
    }
    assert told == {(driver, *library) for driver in DRIVERS for library in example(driver).libraries()}
    assert "dtparam=spi=on" in dict(example("rc522").devices()).popitem()[1]
    ports = {
        Path(port) for *_, cell in rows(PAGE, "Pi", "lines", "`port`") for port in re.findall(r"/dev/\w+", cell)
    }
    assert ports <= HEADER_PORTS


@pytest.mark.parametrize(
    ("typed", "keys", "roster"),
    [tuple(re.sub("`", "", cell) for cell in cells) for cells in rows(PAGE, "it types", "keys", "in the roster")],
)
def test_what_a_usb_reader_types_is_that_number(typed: str, keys: str, roster: str) -> None:
    told = tomllib.loads(keys.replace(", ", "\n"))
    number = NumberFormat(told["number"], told.get("bytes"), told.get("reversed", False))
    assert number.read(typed).hex().upper() == roster


def test_the_commands_that_make_a_roster_s_number_make_it() -> None:
    heading = "printed on the badge, or as the reader is set", "in the roster", "made by"
    commands = [(made.strip("`"), number.strip("`")) for _, number, made in rows(PAGE, *heading) if made]
    assert len(commands) == 3
    for command, number in commands:
        assert (
            subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
            == f"{number}\n"
        )


def test_the_words_that_break_a_simulated_reader_are_those_of_its_model(tmp_path: Path) -> None:
    ports = {"pn532": {"port": tmp_path / "a.tty"}, "osdp": {"port": tmp_path / "b.tty"}}
    for driver, words in rows(PAGE, "driver", "words"):
        name = driver.strip("`")
        far = far_end(example(name).model_copy(update=ports.get(name, {})), Site(SimFactory(), state_dir=tmp_path))
        far.close()
        assert set(re.findall(r"`(\w+)`", words)) == set(far.faults), driver


def test_the_latencies_are_those_that_the_bench_measures() -> None:
    source = (ROOT / "tests" / "bench" / "test_bench.py").read_text(encoding="utf-8")
    measured = re.findall(r'"([\w ]+)"', re.findall(r"^READERS = (.*)$", source, re.MULTILINE)[0])
    told = [
        cells[0].replace("`", "")
        for cells in rows(PAGE, "reader", "half of all", "95 of 100", "the protocol alone", "what else there is")
    ]
    assert told == measured


def test_the_steps_to_a_driver_of_one_s_own_name_what_is_there() -> None:
    text = section("Add a reader of your own")
    driver = (ROOT / "docs" / "example" / "rdm6300" / "guardpost_rdm6300.py").read_text(encoding="utf-8")
    assert f"in {len(driver.splitlines())} lines" in text
    members = {name for name in vars(CardReader) if not name.startswith("_")}
    assert members <= set(re.findall(r"`(\w+)(?:\(\))?`", text))
    sections = {"pins", "ports", "devices", "libraries"}
    assert sections <= set(dir(ReaderSection)) and sections <= set(re.findall(r"`(\w+)`", text))


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md", "docs/readers.md"])
def test_links_into_a_page_find_their_heading(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for file, anchor in re.findall(r"\]\(([^)#:]*\.md)#([^)]+)\)", text):
        there = ((ROOT / page).parent / file).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", there, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", line).replace(" ", "-").lower() for line in headings}, anchor

"""The page for whoever runs posts: it names every event and exit code, and its figures are those of the code."""

import re
from pathlib import Path
from typing import get_args

import pytest
from postkit import new_key, sealed_all, tapped

from device import __main__, post
from device.config import JournalSection
from device.config_link import LinkSection
from device.events import ChainBegan, System, SystemData
from device.post import KEPT_READINGS
from device.readings import Trouble
from device.record.journal import Journal, Sent
from device.record.reserve import RESERVE_BYTES
from device.record.upkeep import REMOVED_AT_ONCE
from device.support import LAST_EVENTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    found = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert found, heading
    return found


def first_cells(text: str) -> list[str]:
    """What stands in back-quotes, or as a number, in the first column of its tables."""
    return re.findall(r"^\| `?([\w .]+?)`? \|", text, re.MULTILINE)


def changes() -> list[type[System]]:
    (union, *_) = get_args(SystemData)
    return list(get_args(union))


@pytest.mark.parametrize("change", [kind.model_fields["change"].default for kind in changes()])
def test_every_event_that_a_post_says_of_itself_has_a_row(change: str) -> None:
    assert change in first_cells(section("What the post says of itself").partition("What was `refused`")[0])


@pytest.mark.parametrize("why", get_args(ChainBegan.model_fields["why"].annotation))
def test_every_reason_for_a_new_chain_is_told(why: str) -> None:
    assert why == "replaced" or f"`{why}`: " in section("What the post says of itself")


@pytest.mark.parametrize("trouble", Trouble)
def test_everything_that_can_be_refused_has_a_row(trouble: Trouble) -> None:
    assert trouble.value in first_cells(section("What the post says of itself").partition("What was `refused`")[2])


def test_every_exit_code_has_a_row_and_no_other() -> None:
    codes = {
        value for module in (__main__, post) for name, value in vars(module).items() if name.startswith("EXIT_")
    }
    assert first_cells(section("The service and its exit codes"))[1:] == [str(code) for code in sorted(codes)]


def test_the_keys_and_their_defaults_are_those_of_the_configuration() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \| `?([^|`]+)`? \|", section("The life of an event"), re.MULTILINE))
    sizes = {1 << 30: '"1GiB"'}
    assert rows == {
        "journal.keep_days": str(JournalSection().keep_days),
        "journal.most_bytes": sizes[JournalSection().most_bytes],
        "link.keep_until": f'"{LinkSection.model_fields["keep_until"].default}"',
    }


def test_its_figures_are_those_of_the_code(tmp_path: Path) -> None:
    assert RESERVE_BYTES == 1 << 20 and "less than 1 MiB below" in PAGE and "1 MiB is kept back" in PAGE
    assert REMOVED_AT_ONCE == 1_000 and "A thousand events go in a minute" in PAGE
    assert f"up to {KEPT_READINGS}," in PAGE
    assert f"the last {LAST_EVENTS} events" in PAGE
    journal = Journal.open(tmp_path / "journal")
    journal.append(sealed_all([tapped()] * 2_000, new_key())[1], {}, Sent({}))
    kib = journal.used_bytes() / 2_000 / 1024
    journal.close()
    assert f"about {kib:.1f} KiB" in PAGE
    assert f"{(1 << 30) / (0.8 * 1024) / 1e6:.1f} million" in PAGE

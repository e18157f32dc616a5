"""The roster file: a mistyped one never empties the roster, the last good one stays in force."""

import hashlib
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from device.errors import ConfigError
from device.readings import Instant
from device.roster_file import LAST_GOOD, LoadedRoster, load_roster, read_roster

SITE_KEY = bytes(32)
UID = bytes.fromhex("DEADBEEF")
GOOD = '[[officer]]\nid = "officer-1"\nbadges = ["DEADBEEF"]\n'


def loaded(folder: Path) -> LoadedRoster:
    return load_roster(folder / "roster.toml", folder, SITE_KEY, ZoneInfo("UTC"))


def verdict(roster: LoadedRoster) -> str:
    return roster.roster.judge(roster.roster.hidden(UID), Instant(1, 1))[1]


def test_a_missing_file_is_an_empty_roster_without_a_hash(tmp_path: Path) -> None:
    roster = loaded(tmp_path)
    assert (roster.sha256, roster.officers, roster.refused) == ("", 0, None)
    assert verdict(roster) == "unknown"


def test_the_roster_in_force_is_named_by_the_hash_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "roster.toml").write_text(GOOD)
    roster = loaded(tmp_path)
    assert (roster.sha256, roster.officers) == (hashlib.sha256(GOOD.encode()).hexdigest(), 1)
    assert verdict(roster) == "accepted"


@pytest.mark.parametrize("broken", ["[[officer]\n", GOOD + GOOD, "officer = 5\n"])
def test_a_broken_file_leaves_the_last_good_roster_in_force_and_says_so_in_one_line(
    tmp_path: Path, broken: str
) -> None:
    file = tmp_path / "roster.toml"
    file.write_text(GOOD)
    loaded(tmp_path)
    file.write_text(broken)
    for _restart in range(2):
        roster = loaded(tmp_path)
        assert verdict(roster) == "accepted"
        assert roster.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
        assert roster.refused is not None
        assert roster.refused.startswith(f"{file}: ")
        assert roster.refused.endswith("; the last good roster stays in force")
        assert len(roster.refused.splitlines()) == 1


def test_a_mended_file_is_in_force_again(tmp_path: Path) -> None:
    file = tmp_path / "roster.toml"
    for text in (GOOD, "nonsense", GOOD + "revoked = true\n"):
        file.write_text(text)
        roster = loaded(tmp_path)
    assert verdict(roster) == "revoked"
    assert roster.refused is None


def test_a_broken_first_file_is_an_empty_roster_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "roster.toml").write_text("nonsense")
    roster = loaded(tmp_path)
    assert (roster.sha256, roster.officers) == ("", 0)
    assert roster.refused is not None


def test_a_folder_in_the_files_place_leaves_the_last_good_roster_in_force(tmp_path: Path) -> None:
    file = tmp_path / "roster.toml"
    file.write_text(GOOD)
    loaded(tmp_path)
    file.unlink()
    file.mkdir()
    roster = loaded(tmp_path)
    assert verdict(roster) == "accepted"
    assert roster.refused == (
        f"{file}: cannot be read (Is a directory); see who may read it; the last good roster stays in force"
    )


def test_a_damaged_last_good_copy_is_written_anew_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "roster.toml").write_text(GOOD)
    (tmp_path / LAST_GOOD).write_bytes(b"\xff\xfe")
    assert verdict(loaded(tmp_path)) == "accepted"
    assert (tmp_path / LAST_GOOD).read_text().startswith(GOOD)
    assert (tmp_path / LAST_GOOD).stat().st_mode & 0o777 == 0o600


def test_a_damaged_last_good_copy_of_a_broken_file_is_an_empty_roster(tmp_path: Path) -> None:
    (tmp_path / "roster.toml").write_text("nonsense")
    (tmp_path / LAST_GOOD).write_bytes(b"\xff\xfe")
    roster = loaded(tmp_path)
    assert (roster.officers, verdict(roster)) == (0, "unknown")
    assert roster.refused is not None
    assert roster.refused.endswith("; set aside as roster.last-good.toml.damaged-1): nobody may tap")
    assert len(roster.refused.splitlines()) == 1
    assert (tmp_path / f"{LAST_GOOD}.damaged-1").read_bytes() == b"\xff\xfe"
    assert loaded(tmp_path).officers == 0


def test_a_flipped_bit_in_the_last_good_copy_makes_no_other_badge_good(tmp_path: Path) -> None:
    file = tmp_path / "roster.toml"
    file.write_text(GOOD)
    loaded(tmp_path)
    copy = tmp_path / LAST_GOOD
    copy.write_bytes(copy.read_bytes().replace(b"DEADBEEF", b"DEADBEEE"))
    file.write_text("nonsense")
    roster = loaded(tmp_path)
    assert (roster.officers, roster.sha256) == (0, "")
    assert roster.refused is not None
    assert "not what was written" in roster.refused


def test_a_last_good_copy_of_an_earlier_version_has_no_sum_and_is_taken(tmp_path: Path) -> None:
    (tmp_path / "roster.toml").write_text("nonsense")
    (tmp_path / LAST_GOOD).write_text(GOOD)
    roster = loaded(tmp_path)
    assert (verdict(roster), roster.sha256) == ("accepted", hashlib.sha256(GOOD.encode()).hexdigest())


def test_a_folder_in_the_place_of_the_last_good_copy_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "roster.toml").write_text(GOOD)
    (tmp_path / LAST_GOOD / "inner").mkdir(parents=True)
    assert verdict(loaded(tmp_path)) == "accepted"
    assert (tmp_path / f"{LAST_GOOD}.damaged-1" / "inner").is_dir()
    assert (tmp_path / LAST_GOOD).is_file()


def test_the_check_command_hears_every_mistake_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "roster.toml"
    file.write_text('[[officer]]\nid = "a b"\nbadges = ["x"]\n')
    with pytest.raises(ConfigError) as refused:
        read_roster(file)
    assert len(str(refused.value).splitlines()) == 2

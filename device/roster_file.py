"""The roster file: read, checked, and the last good one kept for the night somebody mistypes it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from device.errors import ConfigError
from device.problems import parse_toml, validated
from device.record.keys import set_aside, write_durably
from device.rules.roster import Roster, RosterFile

LAST_GOOD = "roster.last-good.toml"
_SUM = b"\n# sha256 "


@dataclass(frozen=True, slots=True)
class LoadedRoster:
    """``sha256``: of the file in force, empty for none. ``refused``: why the file itself could not be used."""

    roster: Roster
    sha256: str
    officers: int
    refused: str | None = None


def read_roster(file: Path) -> tuple[bytes, RosterFile]:
    """The roster file's bytes and content; a missing file is an empty roster. Raises ConfigError."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return b"", RosterFile()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); see who may read it") from None
    return content, validated(RosterFile, parse_toml(content, file), file)


def load_roster(file: Path, state_dir: Path, site_key: bytes, zone: ZoneInfo) -> LoadedRoster:
    """The roster to work with: the file, or the last good one where the file cannot be used. Raises StateError."""
    kept = state_dir / LAST_GOOD
    try:
        content, parsed = read_roster(file)
    except ConfigError as error:
        why = str(error).splitlines()[0]
        try:
            content, parsed = _last_good(kept)
            why = f"{why}; the last good roster stays in force"
        except ConfigError as second:
            content, parsed = b"", RosterFile()
            why = f"{why}; the last good one cannot be used either ({second}): nobody may tap"
        return _loaded(content, parsed, site_key, zone, why)
    if content:
        _keep(kept, content)
    return _loaded(content, parsed, site_key, zone, None)


def _keep(kept: Path, content: bytes) -> None:
    """Write the copy unless it is there. Raises StateError."""
    try:
        there = kept.read_bytes()
    except FileNotFoundError:
        there = None
    except OSError:
        set_aside(kept)
        there = None
    if there != _summed(content):
        write_durably(kept, _summed(content))


def _last_good(kept: Path) -> tuple[bytes, RosterFile]:
    """The copy, without the sum at its end; a damaged one is set aside. Raises ConfigError, StateError."""
    try:
        content = kept.read_bytes()
    except FileNotFoundError:
        return b"", RosterFile()
    except OSError as error:
        raise ConfigError(f"{kept}: {error.strerror}") from None
    roster, mark, _ = content.rpartition(_SUM)
    try:
        if mark and content != _summed(roster):
            raise ConfigError(f"{kept}: not what was written")
        return (roster if mark else content), validated(RosterFile, parse_toml(content, kept), kept)
    except ConfigError as error:
        raise ConfigError(f"{str(error).splitlines()[0]}; set aside as {set_aside(kept).name}") from None


def _summed(content: bytes) -> bytes:
    """With its SHA-256 as a comment at the end: a flipped bit may make another badge of one."""
    return content + _SUM + hashlib.sha256(content).hexdigest().encode() + b"\n"


def _loaded(
    content: bytes, parsed: RosterFile, site_key: bytes, zone: ZoneInfo, refused: str | None
) -> LoadedRoster:
    sha256 = hashlib.sha256(content).hexdigest() if content else ""
    return LoadedRoster(Roster.of(parsed.officer, site_key, zone), sha256, len(parsed.officer), refused)

"""The roster file: read, checked, and the last good one kept for the night somebody mistypes it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from device.errors import ConfigError
from device.problems import parse_toml, validated
from device.record.keys import write_durably
from device.rules.roster import Roster, RosterFile

LAST_GOOD = "roster.last-good.toml"


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
        content, parsed = _last_good(kept)
        refused = f"{str(error).splitlines()[0]}; the last good roster stays in force"
        return _loaded(content, parsed, site_key, zone, refused)
    if content and not (kept.exists() and kept.read_bytes() == content):
        write_durably(kept, content)
    return _loaded(content, parsed, site_key, zone, None)


def _last_good(kept: Path) -> tuple[bytes, RosterFile]:
    try:
        return read_roster(kept)
    except ConfigError:
        return b"", RosterFile()


def _loaded(
    content: bytes, parsed: RosterFile, site_key: bytes, zone: ZoneInfo, refused: str | None
) -> LoadedRoster:
    sha256 = hashlib.sha256(content).hexdigest() if content else ""
    return LoadedRoster(Roster.of(parsed.officer, site_key, zone), sha256, len(parsed.officer), refused)

"""A roster file looked at before a post gets it."""

from datetime import date, datetime
from pathlib import Path

from device.roster_file import read_roster
from device.rules.roster import Officer
from provisioning.errors import UsageError


def roster_summary(file: Path, today: date) -> str:
    """One line: officers and badges, and who of them cannot check in. Raises ConfigError, UsageError."""
    if not file.exists():
        raise UsageError(f"{file}: not there; a post would take it for an empty roster")
    _, roster = read_roster(file)
    officers = roster.officer
    notes = (
        ("revoked", sum(officer.revoked for officer in officers)),
        ("past their last day", sum(_is_past(officer, today) for officer in officers)),
        ("without a badge", sum(not officer.badges for officer in officers)),
    )
    badges = sum(len(officer.badges) for officer in officers)
    told = "".join(f"; {count} {what}" for what, count in notes if count)
    return f"{file}: {_count(len(officers), 'officer')}, {_count(badges, 'badge')}{told}"


def _is_past(officer: Officer, today: date) -> bool:
    """By the day alone: the post's time zone is not known here."""
    if officer.until is None:
        return False
    last = officer.until.date() if isinstance(officer.until, datetime) else officer.until
    return last < today


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

"""The roster: who may tap, judged in the post's own time zone, and never by an unsure clock."""

import hashlib
import hmac
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from device.errors import ConfigError
from device.problems import parse_toml, validated
from device.readings import ClockState, Instant
from device.rules.roster import Roster, RosterFile

SITE_KEY = bytes(range(32))
JAKARTA = ZoneInfo("Asia/Jakarta")
UID = bytes.fromhex("04A1B2C3D4E5F6")
OFFICER = '[[officer]]\nid = "officer-1"\nbadges = ["04A1B2C3D4E5F6"]\n'


def roster_of(text: str, zone: ZoneInfo = JAKARTA) -> Roster:
    file = Path("roster.toml")
    return Roster.of(validated(RosterFile, parse_toml(text.encode(), file), file).officer, SITE_KEY, zone)


def told(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        roster_of(text)
    return str(refused.value).splitlines()


def verdict(roster: Roster, when: str, clock: ClockState = "synced", uid: bytes = UID) -> str:
    """The verdict on a tap at a local time of Jakarta."""
    moment = datetime.fromisoformat(when)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=JAKARTA)
    milliseconds = round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    return roster.judge(roster.hidden(uid), Instant(1, milliseconds, clock))[1]


NOW = "2026-11-24T08:15:00"


def test_a_badge_is_hidden_as_the_contract_says() -> None:
    expected = hmac.new(SITE_KEY, b"04A1B2C3D4E5F6", hashlib.sha256).hexdigest()
    assert roster_of(OFFICER).hidden(UID) == expected
    assert roster_of(OFFICER).judge(expected, Instant(1, 0)) == ("officer-1", "accepted")


def test_the_site_key_and_the_badges_are_not_in_what_a_log_would_print() -> None:
    roster = roster_of(OFFICER)
    assert "04A1" not in repr(roster)
    assert repr(SITE_KEY) not in repr(roster)


@pytest.mark.parametrize("length", [3, 4, 5, 7, 10])
def test_a_badge_has_as_many_bytes_as_its_reader_gives(length: int) -> None:
    uid = bytes(range(1, length + 1))
    roster = roster_of(OFFICER.replace("04A1B2C3D4E5F6", uid.hex().upper()))
    assert verdict(roster, NOW, uid=uid) == "accepted"
    assert verdict(roster, NOW, uid=bytes(1) + uid) == "unknown"


def test_a_badge_nobody_has_is_unknown() -> None:
    assert verdict(roster_of(OFFICER), NOW, uid=bytes.fromhex("DEADBEEF")) == "unknown"
    assert verdict(roster_of(""), NOW) == "unknown"


def test_two_badges_of_one_officer_are_one_officer() -> None:
    roster = roster_of('[[officer]]\nid = "officer-1"\nbadges = ["04A1B2C3D4E5F6", "DEADBEEF"]\n')
    for uid in (UID, bytes.fromhex("DEADBEEF")):
        assert roster.judge(roster.hidden(uid), Instant(1, 0)) == ("officer-1", "accepted")


def test_until_lasts_to_the_last_moment_of_that_day_in_the_posts_own_zone() -> None:
    roster = roster_of(OFFICER + "until = 2026-12-31\n")
    assert verdict(roster, "2026-12-31T23:59:59.999") == "accepted"
    assert verdict(roster, "2027-01-01T00:00:00") == "expired"
    assert verdict(roster, "2026-12-31T16:59:59.999+00:00") == "accepted"
    assert verdict(roster, "2026-12-31T17:00:00+00:00") == "expired"


def test_from_begins_with_the_first_moment_of_that_day_in_the_posts_own_zone() -> None:
    roster = roster_of(OFFICER + "from = 2026-12-31\n")
    assert verdict(roster, "2026-12-30T23:59:59.999") == "expired"
    assert verdict(roster, "2026-12-31T00:00:00") == "accepted"


def test_until_is_the_end_of_a_day_that_summer_time_made_an_hour_longer() -> None:
    roster = roster_of(OFFICER + "until = 2026-10-25\n", ZoneInfo("Europe/Berlin"))
    assert verdict(roster, "2026-10-25T22:59:59.999+00:00") == "accepted"
    assert verdict(roster, "2026-10-25T23:00:00+00:00") == "expired"


def test_a_time_without_an_offset_is_the_posts_local_time() -> None:
    roster = roster_of(OFFICER + "until = 2026-12-31T18:00:00\n")
    assert verdict(roster, "2026-12-31T17:59:59.999") == "accepted"
    assert verdict(roster, "2026-12-31T18:00:00") == "expired"


def test_a_time_with_an_offset_is_that_moment_anywhere() -> None:
    roster = roster_of(OFFICER + "from = 2026-12-31T18:00:00+09:00\n")
    assert verdict(roster, "2026-12-31T15:59:59.999") == "expired"
    assert verdict(roster, "2026-12-31T16:00:00") == "accepted"


def test_the_last_day_that_can_be_written_is_for_ever() -> None:
    roster = roster_of(OFFICER + "until = 9999-12-31\n")
    assert verdict(roster, "2126-01-01T00:00:00") == "accepted"


@pytest.mark.parametrize("dates", ["until = 2025-12-31\n", "from = 2027-01-01\n"])
def test_an_unsure_clock_never_refuses_by_dates(dates: str) -> None:
    roster = roster_of(OFFICER + dates)
    assert verdict(roster, NOW, "unsynced") == "accepted"
    assert verdict(roster, NOW, "synced") == "expired"
    assert verdict(roster, NOW, "holdover") == "expired"


def test_a_revoked_badge_is_revoked_whatever_the_dates_and_the_clock() -> None:
    roster = roster_of(OFFICER + "until = 2025-12-31\nrevoked = true\n")
    assert verdict(roster, NOW, "unsynced") == "revoked"
    assert verdict(roster, NOW) == "revoked"
    assert roster.judge(roster.hidden(UID), Instant(1, 0))[0] == "officer-1"


BADGE_MEND = "write 6, 8, 10, 14 or 20 upper-case hex digits, no separators"

MISTAKES = {
    "a badge of two officers": (
        OFFICER + OFFICER.replace("officer-1", "officer-2"),
        "badge 1 of officer-1 and badge 1 of officer-2 are the same; "
        "take it out where it is wrong, a badge tells one person",
    ),
    "an officer twice": (
        OFFICER + '[[officer]]\nid = "officer-1"\n',
        "officer officer-1 is there twice; put all badges of a person into one [[officer]]",
    ),
    "lower-case hex": (
        OFFICER.replace("04A1B2C3D4E5F6", "04a1b2c3d4e5f6"),
        f"officer[0].badges[0]: no badge number; {BADGE_MEND}",
    ),
    "separators": (
        OFFICER.replace("04A1B2C3D4E5F6", "DE:AD:BE:EF"),
        f"officer[0].badges[0]: no badge number; {BADGE_MEND}",
    ),
    "six bytes": (
        OFFICER.replace("04A1B2C3D4E5F6", "04A1B2C3D4E5"),
        f"officer[0].badges[0]: no badge number; {BADGE_MEND}",
    ),
    "no digits": (
        OFFICER.replace("04A1B2C3D4E5F6", ""),
        f"officer[0].badges[0]: no badge number; {BADGE_MEND}",
    ),
    "one badge for a list": (
        OFFICER.replace('["04A1B2C3D4E5F6"]', '"04A1B2C3D4E5F6"'),
        "officer[0].badges: must be a list: values in [ ], or sections with [[ ]] around the name",
    ),
    "a badge as a number": (
        OFFICER.replace('"04A1B2C3D4E5F6"', "12345678"),
        "officer[0].badges[0]: must be text in quotes",
    ),
    "an id with a blank": (
        OFFICER.replace("officer-1", "officer 1"),
        "officer[0].id: 'officer 1' cannot be used; write letters, digits, . _ and -, at most 64 characters",
    ),
    "no id": ('[[officer]]\nbadges = ["DEADBEEF"]\n', "officer[0].id: missing; add it"),
    "revoked in words": (OFFICER + 'revoked = "yes"\n', "officer[0].revoked: must be true or false"),
    "revoked as a number": (OFFICER + "revoked = 1\n", "officer[0].revoked: must be true or false"),
    "a misspelt key": (OFFICER + "untill = 2026-12-31\n", "officer[0].untill: unknown key; did you mean until?"),
    **{
        f"until = {bad}": (
            OFFICER + f"until = {bad}\n",
            f"officer[0].until: {said} is no date; write it like 2026-12-31, without quotes",
        )
        for bad, said in {
            '"2026-12-31"': "'2026-12-31'",
            "20261231": "'20261231'",
            "18:00:00": "'18:00:00'",
            "true": "'True'",
        }.items()
    },
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_mistake_is_one_line_with_its_mend(mistake: str) -> None:
    text, line = MISTAKES[mistake]
    assert told(text) == [f"roster.toml: {line}"]

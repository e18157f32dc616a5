"""Who tapped where and when."""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, tzinfo
from sqlite3 import Row
from typing import Any
from zoneinfo import ZoneInfo

from device.events import MAX_SAFE_INTEGER, rfc3339, wall_ms_of
from recorder.dated import Dates
from recorder.dating import Dated
from recorder.errors import UsageError
from recorder.notes import Note, as_json, in_words, notes_of
from recorder.store import Store
from recorder.tables import show_table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins so; such a cell gets an apostrophe before it."""


_DATING = ("dated", "earliest", "latest")
"""Shown with ``--dated`` alone."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One check-in. Absent or odd members of a version we do not know are empty.

    ``dated``: its best time; ``earliest`` and ``latest``: between which it happened; empty where nobody knows.
    """

    time: str
    clock: str
    dated: str
    earliest: str
    latest: str
    post: str
    reader: str
    officer: str
    verdict: str
    assurance: str
    event: str
    verified: bool
    notes: list[Note]


def patrols(args: argparse.Namespace) -> int:
    """A table, JSON or CSV, in order of time; with ``--dated``, of the best time that can be told."""
    since, until = _bound(args.since, args.timezone), _bound(args.until, args.timezone)
    headings = [field.name for field in fields(Tap) if args.dated or field.name not in _DATING]
    with Store.read(args.store) as store, store.snapshot():
        if args.dated:
            rows = _dated_rows(store, args.source, since, until, args.officer)
        else:
            rows = ((row, Dated()) for row in _rows(store, args.source, since, until, args.officer))
        taps = (_tap(store, row, dated, args.timezone) for row, dated in rows)
        if args.json:
            _show_json(headings, taps)
        elif args.csv:
            _show_csv(headings, taps)
        else:
            show_table(headings, (_cells(headings, tap) for tap in taps))
    return 0


def zone(text: str) -> tzinfo:
    """An IANA time zone, for argparse."""
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise argparse.ArgumentTypeError(f"{text}: no time zone; write Asia/Jakarta or UTC") from None


def _dated_rows(
    store: Store, source: str | None, since: str | None, until: str | None, officer: str | None
) -> Iterator[tuple[Row, Dated]]:
    """Taps that can have happened from ``since`` on and before ``until``, whatever their own clock said."""
    dates = Dates(store)
    since_ms = None if since is None else wall_ms_of(since)
    until_ms = None if until is None else wall_ms_of(until)
    found = []
    for row in _rows(store, source, None, None, officer):
        dated = dates.of(row["source"], row["id"], row["seq"])
        too_early = since_ms is not None and dated.latest_ms is not None and dated.latest_ms < since_ms
        too_late = until_ms is not None and dated.earliest_ms is not None and dated.earliest_ms >= until_ms
        if not too_early and not too_late:
            found.append((row, dated))
    yield from sorted(found, key=_moment)


def _moment(dated_row: tuple[Row, Dated]) -> int:
    """What to sort by; a tap of which nothing is known comes first."""
    _, dated = dated_row
    return next(
        (ms for ms in (dated.at_ms, dated.earliest_ms, dated.latest_ms) if ms is not None), -MAX_SAFE_INTEGER
    )


def _rows(store: Store, source: str | None, since: str | None, until: str | None, officer: str | None) -> list[Row]:
    """``since`` inclusive, ``until`` exclusive, as the contract writes times: they sort as text."""
    sql = (
        "SELECT id, source, uuid, seq, verified, json_extract(body, '$.time') AS time, body FROM "
        "(SELECT chain, seq, verified, CAST(payload AS TEXT) AS body FROM event WHERE kind = 'checkin') "
        "JOIN chain ON id = chain WHERE (?1 IS NULL OR source = ?1) AND (?2 IS NULL OR time >= ?2) "
        "AND (?3 IS NULL OR time < ?3) AND (?4 IS NULL OR json_extract(body, '$.data.officer') = ?4) "
        "ORDER BY time, source, id, seq"
    )
    return list(store.rows(sql, source, since, until, officer))


def _tap(store: Store, row: Row, dated: Dated, shown_in: tzinfo) -> Tap:
    event: dict[str, Any] = json.loads(row["body"])
    data = event["data"]
    return Tap(
        time=_local(event["time"], shown_in),
        clock=event["clock"],
        dated=_moment_in(dated.at_ms, shown_in),
        earliest=_moment_in(dated.earliest_ms, shown_in),
        latest=_moment_in(dated.latest_ms, shown_in),
        post=row["source"].split("/", 2)[2],
        reader=_word(data, "reader"),
        officer=_word(data, "officer"),
        verdict=_word(data, "verdict"),
        assurance=_word(data, "assurance"),
        event=f"{row['uuid']}/{row['seq']}",
        verified=bool(row["verified"]),
        notes=notes_of(store, row["id"], row["seq"]),
    )


def _word(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _local(time: str, shown_in: tzinfo) -> str:
    """The event's time in another zone; a time that is no date stays as it was signed."""
    try:
        moment = datetime.fromisoformat(time).astimezone(shown_in)
    except (ValueError, OverflowError):
        return time
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment_in(at_ms: int | None, shown_in: tzinfo) -> str:
    """Empty for none, and for one that no calendar holds."""
    try:
        return "" if at_ms is None else _local(rfc3339(at_ms), shown_in)
    except (ValueError, OverflowError):
        return ""


def _bound(text: str | None, zone_of_text: tzinfo) -> str | None:
    """A date or a time; without an offset it is of the zone in which times are shown."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone_of_text)
        return rfc3339(round(moment.astimezone(UTC).timestamp() * 1000))
    except (ValueError, OverflowError):
        raise UsageError(f"time {text}: write 2026-11-23, 2026-11-23T18:00 or 2026-11-23T18:00Z") from None


def _cells(headings: Sequence[str], tap: Tap) -> list[str]:
    shown = {**_members(tap), "verified": "yes" if tap.verified else "no", "notes": in_words(tap.notes)}
    return [str(shown[heading]) for heading in headings]


def _members(tap: Tap) -> dict[str, Any]:
    return {field.name: getattr(tap, field.name) for field in fields(Tap)}


def _show_json(headings: Sequence[str], taps: Iterator[Tap]) -> None:
    members = ({**_members(tap), "notes": as_json(tap.notes)} for tap in taps)
    rows = [{heading: tap[heading] for heading in headings} for tap in members]
    print(json.dumps(rows, ensure_ascii=False, separators=(",", ":")))


def _show_csv(headings: Sequence[str], taps: Iterator[Tap]) -> None:
    """RFC 4180."""
    writer = csv.writer(sys.stdout)
    writer.writerow(headings)
    for tap in taps:
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in _cells(headings, tap)])

"""Who tapped where and when."""

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime, tzinfo
from sqlite3 import Row
from typing import Any
from zoneinfo import ZoneInfo

from device.events import rfc3339
from recorder.errors import UsageError
from recorder.notes import Note, as_json, in_words, notes_of
from recorder.store import Store
from recorder.tables import show_table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins so; such a cell gets an apostrophe before it."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One check-in. Absent or odd members of a version we do not know are empty."""

    time: str
    clock: str
    post: str
    reader: str
    officer: str
    verdict: str
    assurance: str
    event: str
    verified: bool
    notes: list[Note]


def patrols(args: argparse.Namespace) -> int:
    """A table, JSON or CSV, in order of time."""
    since, until = _bound(args.since, args.timezone), _bound(args.until, args.timezone)
    with Store.read(args.store) as store, store.snapshot():
        taps = _taps(store, args.source, since, until, args.officer, args.timezone)
        if args.json:
            _show_json(taps)
        elif args.csv:
            _show_csv(taps)
        else:
            show_table(_HEADINGS, (_cells(tap) for tap in taps))
    return 0


def zone(text: str) -> tzinfo:
    """An IANA time zone, for argparse."""
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise argparse.ArgumentTypeError(f"{text}: no time zone; write Asia/Jakarta or UTC") from None


_HEADINGS = tuple(field.name for field in fields(Tap))


def _taps(
    store: Store, source: str | None, since: str | None, until: str | None, officer: str | None, shown_in: tzinfo
) -> Iterator[Tap]:
    """``since`` inclusive, ``until`` exclusive, as the contract writes times: they sort as text."""
    sql = (
        "SELECT chain, source, uuid, seq, verified, json_extract(body, '$.time') AS time, body FROM "
        "(SELECT chain, seq, verified, CAST(payload AS TEXT) AS body FROM event WHERE kind = 'checkin') "
        "JOIN chain ON id = chain WHERE (?1 IS NULL OR source = ?1) AND (?2 IS NULL OR time >= ?2) "
        "AND (?3 IS NULL OR time < ?3) AND (?4 IS NULL OR json_extract(body, '$.data.officer') = ?4) "
        "ORDER BY time, source, id, seq"
    )
    for row in list(store.rows(sql, source, since, until, officer)):
        yield _tap(store, row, shown_in)


def _tap(store: Store, row: Row, shown_in: tzinfo) -> Tap:
    event: dict[str, Any] = json.loads(row["body"])
    data = event["data"]
    return Tap(
        time=_local(event["time"], shown_in),
        clock=event["clock"],
        post=row["source"].split("/", 2)[2],
        reader=_word(data, "reader"),
        officer=_word(data, "officer"),
        verdict=_word(data, "verdict"),
        assurance=_word(data, "assurance"),
        event=f"{row['uuid']}/{row['seq']}",
        verified=bool(row["verified"]),
        notes=notes_of(store, row["chain"], row["seq"]),
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


def _cells(tap: Tap) -> tuple[str, ...]:
    shown = {True: "yes", False: "no"}[tap.verified]
    return (*astuple(tap)[:-2], shown, in_words(tap.notes))


def _show_json(taps: Iterator[Tap]) -> None:
    rows = [{**dict(zip(_HEADINGS, astuple(tap), strict=True)), "notes": as_json(tap.notes)} for tap in taps]
    print(json.dumps(rows, ensure_ascii=False, separators=(",", ":")))


def _show_csv(taps: Iterator[Tap]) -> None:
    """RFC 4180."""
    writer = csv.writer(sys.stdout)
    writer.writerow(_HEADINGS)
    for tap in taps:
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in _cells(tap)])

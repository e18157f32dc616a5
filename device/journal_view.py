"""What ``guardpost journal`` prints: the newest events for people, and whether all of them verify."""

import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from device.errors import ChainError, StateError
from device.record.chain import read
from device.record.journal import Journal, Row
from device.record.opening import JOURNAL
from device.record.verification import public_keys, verified

_SHOWN = (
    "verdict",
    "officer",
    "method",
    "change",
    "what",
    "state",
    "ok",
    "why",
    "error",
    "unrecorded",
    "step_ms",
    "officers",
)


def show(state_dir: Path, zone: ZoneInfo, last: int, as_json: bool) -> int:
    """Print the newest events, oldest first; times in the post's time zone."""
    with _journal(state_dir) as journal:
        for row in journal.rows(journal.newest() - last, last):
            if as_json:
                sys.stdout.buffer.write(row.event + b"\n")
            else:
                print(_line(row, zone))
        sys.stdout.flush()
    return 0


def verify(state_dir: Path) -> int:
    """Verify every event from the first; print the result, the first bad row, how many are missing. 0 or 1."""
    count = missing = 0
    with _journal(state_dir) as journal:
        before = None
        try:
            for row, _ in verified(journal.all_rows(), public_keys(journal.public_jwks())):
                missing += 0 if before is None else row.position - before - 1
                before = row.position
                count += 1
        except (ChainError, ValueError, sqlite3.DatabaseError) as error:
            print(f"{count} events verified, then: {error}; save a copy of {state_dir} and tell headquarters")
            return 1
        chains = len(journal.chains())
    lost = f", {missing} between them are missing; tell headquarters" if missing else ""
    print(f"{count} events in {chains} {'chain' if chains == 1 else 'chains'} verified{lost}")
    return int(missing > 0)


@contextmanager
def _journal(state_dir: Path) -> Iterator[Journal]:
    """The journal beside its writer. Raises StateError, also where it turns out to be damaged."""
    file = state_dir / JOURNAL
    with closing(Journal.read_only(file)) as journal:
        try:
            yield journal
        except sqlite3.DatabaseError as error:
            raise StateError(f"{file}: damaged ({error}); its next start saves what can be saved") from None


def _line(row: Row, zone: ZoneInfo) -> str:
    try:
        read(row.event)
    except ChainError as error:
        return f"{'?':>8}  row {row.position}: {error}"
    event: Mapping[str, Any] = json.loads(row.event)
    at = datetime.fromisoformat(event["time"]).astimezone(zone)
    unsure = "" if event["clock"] == "synced" else f" ({event['clock']} clock)"
    data = event["data"]
    told = ", ".join(f"{name} {data[name]}" for name in _SHOWN if data.get(name) is not None)
    kind = event["type"].split(".")[1]
    return f"{event['seq']:>8}  {at:%Y-%m-%d %H:%M:%S %Z}{unsure}  {kind:<8} {event['subject']:<12} {told}"

"""What ``guardpost journal`` prints: the newest events for people, and whether all of them verify."""

import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from device.errors import ChainError, JournalDamaged, StateError
from device.events import SelfTested
from device.record.chain import read
from device.record.journal_reader import JournalReader, Row
from device.record.opening import JOURNAL
from device.record.places import Places
from device.record.raw_log import Counted, beside, frames_counted, log_broke_off
from device.record.salvage import salvage
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
        for row in journal.rows(journal.newest() - last, last, as_written=False):
            if as_json:
                sys.stdout.buffer.write(row.event + b"\n")
            else:
                print(_line(row, zone))
        sys.stdout.flush()
    return 0


def verify(state_dir: Path) -> int:
    """Verify every event from the first; print the result, or the first bad row and what is wrong. 0 or 1."""
    file = state_dir / JOURNAL
    count = 0
    counted = frames_counted(beside(file, "-shm"))
    try:
        with closing(JournalReader.open(file)) as journal:
            oldest, newest = journal.bounds()
            places, at = Places(journal), oldest - 1
            rows = places.in_order(journal.all_rows(), at)
            for row, _ in verified(rows, public_keys(journal.public_jwks())):
                count, at = count + 1, row.position
            places.check_missing(at, newest + 1)
            places.check_beside()
            chains, lost = len(journal.chains()), sum(hole.last - hole.first + 1 for hole in journal.holes())
            if log_broke_off(file, counted):
                raise JournalDamaged("its log is damaged")
    except (ValueError, JournalDamaged) as error:
        bad = str(error) if str(error).startswith("row ") else _first_lost(file, str(error), counted)
        print(f"{count} events verified, then: {bad}; save a copy of {state_dir} and tell headquarters")
        return 1
    known = f", {lost} are known to be lost" if lost else ""
    print(f"{count} events in {chains} {'chain' if chains == 1 else 'chains'} verified{known}")
    return 0


def _first_lost(file: Path, why: str, counted: Counted | None) -> str:
    """The first row that the next start will not find, of a file in which SQLite does not find its way."""
    try:
        with TemporaryDirectory() as folder:
            new = Path(folder) / JOURNAL
            salvage(file, new, None, str, counted)
            with closing(JournalReader.open(new)) as journal:
                before = dict(journal.chains())
                for chain, first, _ in journal.holes():
                    position = f"row {before[chain] + first} " if chain in before else ""
                    return f"{position}({chain}/{first}): {why}"
                return f"{why}, but every row can be read"
    except (sqlite3.Error, OSError) as error:
        return f"{why} (and no row can be named: {error})"


@contextmanager
def _journal(state_dir: Path) -> Iterator[JournalReader]:
    """The journal beside its writer. Raises StateError, also where it turns out to be damaged."""
    file = state_dir / JOURNAL
    with closing(JournalReader.open(file)) as journal:
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
    kind = event["type"].split(".")[1]
    shown = _picture(kind, data) | {name: data[name] for name in _SHOWN if data.get(name) is not None}
    told = _selftest(data) or ", ".join(f"{name} {value}" for name, value in shown.items())
    return f"{event['seq']:>8}  {at:%Y-%m-%d %H:%M:%S %Z}{unsure}  {kind:<8} {event['subject']:<12} {told}"


def _picture(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The beginning of a picture's SHA-256, by which headquarters finds it, and its offset; also of a lost one."""
    sha256 = data.get("sha256") if kind == "picture" else data.get("picture")
    found = {"picture": sha256[:8]} if isinstance(sha256, str) else {}
    return found | {name: data[name] for name in ("offset",) if kind == "picture" and name in data}


def _selftest(data: Mapping[str, Any]) -> str | None:
    """What a self-test found, shortly: of each part only what failed."""
    try:
        tested = SelfTested.model_validate(data)
    except ValidationError:
        return None
    failed = "".join(f", {part.what}: {part.why}" for part in tested.parts if part.ok is False)
    look = sum(part.ok is None for part in tested.parts)
    open_ = f", {look} to look at" if look else ""
    verdict = "passed" if tested.passed else "FAILED"
    return f"selftest {verdict} ({tested.why}): {len(tested.parts)} parts{open_}{failed}"

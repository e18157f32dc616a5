"""What ``guardpost journal`` prints: the newest events for people, and whether all of them verify."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from device.errors import ChainError
from device.record.journal import Journal
from device.record.opening import JOURNAL
from device.record.verification import public_keys, verified

_SHOWN = ("verdict", "officer", "method", "change", "what", "why", "unrecorded", "step_ms", "officers")


def show(state_dir: Path, zone: ZoneInfo, last: int, as_json: bool) -> int:
    """Print the newest events, oldest first; times in the post's time zone."""
    journal = Journal.read_only(state_dir / JOURNAL)
    for row in journal.rows(journal.newest() - last, last):
        if as_json:
            sys.stdout.buffer.write(row.event + b"\n")
        else:
            print(_line(json.loads(row.event), zone))
    sys.stdout.flush()
    journal.close()
    return 0


def verify(state_dir: Path) -> int:
    """Verify every event from the first; print the result, or the first bad row. 0 or 1."""
    journal = Journal.read_only(state_dir / JOURNAL)
    count = 0
    try:
        for _ in verified(journal.all_rows(), public_keys(journal.public_jwks())):
            count += 1
    except (ChainError, ValueError) as error:
        print(f"{count} events verified, then: {error}; save a copy of {state_dir} and tell headquarters")
        return 1
    finally:
        chains = len(journal.chains())
        journal.close()
    print(f"{count} events in {chains} {'chain' if chains == 1 else 'chains'} verified")
    return 0


def _line(event: Mapping[str, Any], zone: ZoneInfo) -> str:
    at = datetime.fromisoformat(event["time"]).astimezone(zone)
    unsure = "" if event["clock"] == "synced" else f" ({event['clock']} clock)"
    data = event["data"]
    told = ", ".join(f"{name} {data[name]}" for name in _SHOWN if data.get(name) is not None)
    kind = event["type"].split(".")[1]
    return f"{event['seq']:>8}  {at:%Y-%m-%d %H:%M:%S %Z}{unsure}  {kind:<8} {event['subject']:<12} {told}"

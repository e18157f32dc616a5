"""The alarms that came ahead of the stream, and whether the stream has brought them since."""

import argparse
import json
from typing import Any

from device.events import rfc3339
from recorder.store import Store
from recorder.tables import show_json, show_table


def alarms(args: argparse.Namespace) -> int:
    """In order of arrival."""
    sql = (
        "SELECT source, uuid, seq, claim.hash, how, verified, received_ms, payload, "
        "EXISTS (SELECT 1 FROM event AS e WHERE e.chain = claim.chain AND e.seq = claim.seq "
        "AND e.hash = claim.hash AND e.verified) AS streamed "
        "FROM claim JOIN chain ON id = claim.chain WHERE how LIKE 'alarm/%' AND (?1 IS NULL OR source = ?1) "
        "ORDER BY received_ms, source, uuid, seq"
    )
    with Store.read(args.store) as store, store.snapshot():
        rows = [_row(dict(row)) for row in store.rows(sql, args.source)]
    if args.json:
        show_json(rows)
    else:
        shown = ("arrived", "time", "source", "kind", "what", "event", "verified", "streamed")
        show_table(shown, [[_cell(row[name]) for name in shown] for row in rows])
    return 0


def _row(row: dict[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(bytes(row["payload"]))
    return {
        "arrived": rfc3339(row["received_ms"]),
        "time": event["time"],
        "source": row["source"],
        "kind": row["how"].removeprefix("alarm/"),
        "what": event["subject"],
        "data": event["data"],
        "event": f"{row['uuid']}/{row['seq']}",
        "verified": bool(row["verified"]),
        "streamed": bool(row["streamed"]),
    }


def _cell(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)

"""The questions one can ask a store, and the one thing a person can tell it: that a key is the post's."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from recorder.ledger import Ledger
from recorder.notes import as_json, notes_of
from recorder.store import Store
from recorder.summary import summary
from recorder.tables import show_json, show_table, when
from recorder.verifying import verify_store

OK, WRONG = 0, 1


def verify(args: argparse.Namespace) -> int:
    """Every stored byte from scratch."""
    with Store.read(args.store) as store:
        verdicts = verify_store(store)
    chains = [verdict.summary for verdict in verdicts]
    if args.json:
        rows = zip(verdicts, chains, strict=True)
        show_json([{**asdict(c), "flaws": v.flaws, "good": v.good, "verdict": v.words} for v, c in rows])
    else:
        show_table(
            ("source", "chain", "numbers", "events", "whole up to", "key", "verdict"),
            [
                (c.source, c.chain, f"{c.first}-{c.last}", c.count, c.whole, c.keyid or "-", v.words)
                for v, c in zip(verdicts, chains, strict=True)
            ],
        )
    return OK if all(verdict.good for verdict in verdicts) else WRONG


def gaps(args: argparse.Namespace) -> int:
    """What is missing, by number."""
    with Store.read(args.store) as store, store.snapshot():
        chains = summary(store).chains
    found = [(chain, gap) for chain in chains for gap in chain.gaps]
    if args.json:
        show_json([{"source": c.source, "chain": c.chain, **asdict(gap)} for c, gap in found])
    else:
        show_table(
            ("source", "chain", "from", "to", "why"),
            [(c.source, c.chain, gap.first, gap.last, gap.why) for c, gap in found],
        )
    return WRONG if any(chain.missing for chain in chains) else OK


def findings(args: argparse.Namespace) -> int:
    """What was found wrong; the bytes of refused messages only with --json, as hex."""
    sql = "SELECT * FROM finding WHERE settled_ms IS NULL OR ? ORDER BY first_ms, id"
    with Store.read(args.store) as store, store.snapshot():
        rows = [dict(row) for row in store.rows(sql, args.all)]
    for row in rows:
        row["payload"] = None if row["payload"] is None else bytes(row["payload"]).hex()
    if args.json:
        show_json(rows)
    else:
        show_table(
            ("first", "last", "times", "source", "flaw", "detail"),
            [
                (when(r["first_ms"]), when(r["last_ms"]), r["times"], r["source"] or "-", r["flaw"], r["detail"])
                for r in rows
            ],
        )
    return WRONG if rows else OK


def export(args: argparse.Namespace) -> int:
    """Verified events, one a line, each exactly the bytes that were published; with notes, beside them."""
    sql = (
        "SELECT id, seq, payload FROM event JOIN chain ON id = chain WHERE verified "
        "AND (?1 IS NULL OR source = ?1) AND (?2 IS NULL OR uuid = ?2) ORDER BY source, id, seq, hash"
    )
    with Store.read(args.store) as store, store.snapshot():
        for row in store.rows(sql, args.source, args.chain):
            line = bytes(row["payload"])
            if args.notes:
                notes = json.dumps(as_json(notes_of(store, row["id"], row["seq"])), ensure_ascii=False)
                line = b'{"event":%b,"notes":%b}' % (line, notes.encode())
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
    return OK


def trust(args: argparse.Namespace) -> int:
    """A person's word for a key; also beside a running recorder."""
    path: Path = args.store
    Store.read(path).close()
    with Store.open(path) as store:
        root = args.source.split("/")[1] if args.source.count("/") == 3 else ""
        with store.transaction():
            released = Ledger(store, root).trust(args.source, args.kid, time.time_ns() // 1_000_000)
    if args.json:
        show_json({"source": args.source, "kid": args.kid, "released": released})
    else:
        print(f"key {args.kid} is trusted for {args.source}; {released} held events verified")
    return OK

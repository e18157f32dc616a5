"""``absent``: which posts are silent now, from the store alone."""

import argparse
import time

from device.events import rfc3339
from recorder.absence import absent
from recorder.store import Store
from recorder.tables import show_json, show_table


def list_absent(args: argparse.Namespace) -> int:
    """The longest silent first; 1 if there is any."""
    with Store.read(args.store) as store, store.snapshot():
        found = absent(store, args.after, time.time_ns() // 1_000_000)
    rows = [(post.source, rfc3339(post.since_ms)) for post in found]
    if args.json:
        show_json([{"source": source, "since": since} for source, since in rows])
    else:
        show_table(("source", "silent since"), rows)
    return 1 if found else 0

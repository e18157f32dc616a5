"""What the journal says of pictures, read beside its writer, in whatever thread."""

import json
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

from device.record.journal_reader import JournalReader

LOOK_BACK = 2_000
"""Far more events than are recorded before a disk writes by itself that a picture moved to another folder."""
_AT_ONCE = 250


def announcing(journal: Path, pictures: Collection[str]) -> dict[str, str]:
    """Which of these pictures (sha256) the newest events announce: these events' ids.

    Raises StateError, JournalDamaged, NotReadable.
    """
    found: dict[str, str] = {}
    if pictures:
        with closing(JournalReader.open(journal)) as opened:
            newest = opened.newest()
            for after in range(max(0, newest - LOOK_BACK), newest, _AT_ONCE):
                for row in opened.rows(after, _AT_ONCE):
                    if b'"guardpost.picture.v1"' in row.event:
                        event = json.loads(row.event)
                        found[event["data"]["sha256"]] = event["id"]
    return {sha256: event for sha256, event in found.items() if sha256 in pictures}


def recorded(journal: Path, event: str) -> dict[str, Any] | None:
    """The members of an event by its id; None for one that is not kept any more.

    Raises StateError, JournalDamaged, NotReadable.
    """
    chain, _, seq = event.partition("/")
    with closing(JournalReader.open(journal)) as opened:
        before = dict(opened.chains()).get(chain)
        rows = [] if before is None else opened.rows(before + int(seq) - 1, 1)
    members = json.loads(rows[0].event) if rows else {}
    return members if members.get("id") == event else None

"""The journal written without the rest of a post: the real opening, turn and commit, a thousand times a second."""

from collections.abc import Sequence
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from posts import BASE

from device.events import Checkin, Draft
from device.hardware.clock import KernelClock, boot_id
from device.record.journal import Sent
from device.record.opening import open_record
from device.turn import Turn

Synchronous = Literal["FULL", "NORMAL"]


def write(state_dir: Path, batches: Sequence[int], first: int, synchronous: Synchronous, said: Connection) -> None:
    """One commit for each of ``batches``, as many taps in it; its last officer is said once it is durable.

    ``synchronous``: NORMAL breaks what the journal set when it was opened, and is there to lose.
    """
    clock = KernelClock()
    with closing(open_record(state_dir, f"/{BASE}", boot_id())) as record:
        if synchronous != "FULL":
            record.journal._database.execute(f"PRAGMA synchronous = {synchronous}")
        turn = Turn([], record.chain)
        turn.begin(record.began, clock.now())
        for size in batches:
            turn.begin((_tapped(first + n) for n in range(size)), clock.now())
            record.journal.append(turn.sealed, {}, Sent({}))
            first += size
            said.send(first - 1)
            turn = Turn([], turn.chain)
            record.journal.checkpoint(idle=True)


def _tapped(officer: int) -> Draft:
    data = Checkin(
        method="badge",
        officer=f"officer-{officer}",
        badge="ab" * 32,
        verdict="accepted",
        assurance="uid",
        reader="gate",
    )
    return Draft(subject="gate", data=data)

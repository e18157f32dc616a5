"""The wiring: one post from its opening to its end, and who gets whose queue; signals; threads that die."""

import logging
import queue
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager

from device import BUILT, __version__
from device.config import Config
from device.errors import JournalDamaged
from device.events import uptime_ms_of, wall_ms_of
from device.hardware.clock import boot_id, floored, latest_passed_ms
from device.hardware.readers.driver import Copper
from device.hardware.worker import Workers
from device.link.budget import Budget
from device.outgoing import pictures, uplink
from device.parts import Ends, Inbox, inputs, panels, readers
from device.post import Post
from device.readings import (
    BadgeRead,
    ButtonPressed,
    Clock,
    CommitFailed,
    Crashed,
    Reading,
    Refused,
    RosterLoaded,
    Started,
    StopRequested,
    Trouble,
)
from device.record.opening import Record, open_record
from device.record.upkeep import Upkeep
from device.roster_file import LoadedRoster, load_roster
from device.seats import rule_seats
from device.service import Notifier

log = logging.getLogger(__name__)


def run(config: Config, *, copper: Copper, clock: Clock, environment: Mapping[str, str]) -> int:
    """Run one post until it is asked to stop; the process's exit code. Raises StateError, ConfigError.

    ``environment``: where systemd says how to reach it.
    """
    clock = floored(clock, BUILT, [config.written_ms])
    ends = Ends(clock, queue.SimpleQueue())
    damaged = None
    with closing(Notifier(environment)) as notifier, _watched(ends):
        while True:
            try:
                return _live(config, copper, ends, notifier, damaged)
            except JournalDamaged as error:
                log.error("%s; what verifies of it is saved, and the post goes on", error)
                damaged = error


def _live(config: Config, copper: Copper, ends: Ends, notifier: Notifier, damaged: JournalDamaged | None) -> int:
    """One life of the post: from opening its journal to the end, or until that is ``damaged``."""
    clock, inbox = ends
    bootid = boot_id()
    heard = _still_heard(inbox)
    workers = Workers()
    with ExitStack() as stack:
        record = open_record(
            config.post.state_dir,
            config.source,
            bootid,
            config.journal.most_bytes,
            None if damaged is None else str(damaged),
        )
        stack.callback(record.close)
        clock.rise(latest_passed_ms(BUILT, passed_ms(record, clock)))
        roster = load_roster(config.roster.file, config.post.state_dir, record.site_key, config.timezone)
        seats, unusable = rule_seats(config, roster.roster, record.journal.snapshots())
        budget = Budget()
        panel = panels(config, copper, ends, workers, stack)
        post = Post(
            inbox=inbox,
            clock=clock,
            journal=record.journal,
            chain=record.chain,
            jwk=record.key.jwk(),
            began=record.began,
            seats=seats,
            panel=panel,
            link=uplink(config, record, bootid, budget, ends),
            upkeep=Upkeep(record.journal, config.journal.keep_days),
            newest=record.journal.newest(),
            watchers=(notifier, workers),
            pictures=pictures(config, copper, ends, record, budget, workers, stack),
        )
        _first_readings(inbox, clock, record, roster, unusable)
        if damaged is not None and damaged.unrecorded:
            inbox.put(CommitFailed(clock.now(), str(damaged), damaged.unrecorded, 0))
        for reading in heard:
            inbox.put(reading)
        inputs(config, copper, ends, workers, stack)
        panel.at.update(readers(config, copper, ends, workers, stack))
        return post.run()


def _still_heard(inbox: Inbox) -> list[Reading]:
    """What the life before had not come to: who tapped, and who asked it to end. The rest is read anew."""
    waiting = [inbox.get_nowait() for _ in range(inbox.qsize())]
    kept = BadgeRead | ButtonPressed | StopRequested | Crashed
    return [reading for reading in waiting if isinstance(reading, kept)]


def passed_ms(record: Record, clock: Clock) -> Iterator[int]:
    """The newest event was recorded; what has passed since is known within the same boot."""
    if (newest := record.newest) is not None:
        since_ms = clock.now().uptime_ms - uptime_ms_of(newest.uptime) if record.same_boot else 0
        yield wall_ms_of(newest.time) + since_ms


def _first_readings(
    inbox: Inbox, clock: Clock, record: Record, roster: LoadedRoster, unusable: Sequence[str]
) -> None:
    """What the post has to say of its own start, before anything it hears."""
    now = clock.now()
    inbox.put(Started(now, record.same_boot, __version__))
    for what, why in (*record.troubles, *((Trouble.SNAPSHOT, line) for line in unusable)):
        log.error("%s", why)
        inbox.put(Refused(now, what, why))
    if not roster.sha256:
        log.warning("there is no roster, so every badge is unknown; write the file that [roster] names")
    if roster.refused is not None:
        log.error("%s", roster.refused)
        inbox.put(Refused(now, Trouble.ROSTER, roster.refused))
    inbox.put(RosterLoaded(now, roster.sha256, roster.officers))


@contextmanager
def _watched(ends: Ends) -> Iterator[None]:
    """Signals ask the loop to stop; a thread that dies of an exception ends the process, never only itself."""
    clock, inbox = ends

    def stop(number: int, _frame: object) -> None:
        inbox.put(StopRequested(clock.now(), signal.Signals(number).name))

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with crashes_told(ends):
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def crashes_told(ends: Ends) -> Iterator[None]:
    """A thread that dies of an exception is a reading."""
    clock, inbox = ends

    def crashed(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread is not None else "a thread"
        log.critical("thread %s", name, exc_info=args.exc_value)
        inbox.put(Crashed(clock.now(), name, f"{args.exc_type.__name__}: {args.exc_value}"))

    hook = threading.excepthook
    threading.excepthook = crashed
    try:
        yield
    finally:
        threading.excepthook = hook

"""The wiring: which parts a post has, and who gets whose queue. Nothing else creates threads' owners."""

import logging
import queue
import random
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from gpiozero.exc import GPIOZeroError

from device import BUILT, __version__
from device.config import CameraSection, Config, ContactSection, IndicatorSection
from device.drivers import reader_driver
from device.effects import Answer
from device.errors import JournalDamaged, StateError
from device.events import uptime_ms_of, wall_ms_of
from device.hardware.buzzer import Sound
from device.hardware.clock import FlooredClock, boot_id, floored, latest_passed_ms
from device.hardware.contacts import Contacts
from device.hardware.indicator import Indicator
from device.hardware.loudness import Loudness
from device.hardware.readers.driver import Bench, Copper, Driver
from device.hardware.readers.reader import Answering, ReaderWorker
from device.hardware.switched import Button, DoorContact, Input, MainsLine
from device.hardware.vitals import VitalsWorker
from device.hardware.worker import Worker, Workers
from device.link.budget import Budget
from device.link.hints import Hints
from device.link.line import Access, Line, MqttVersion, Will
from device.link.topics import Topics
from device.link.uplink import Uplink
from device.post import JOURNAL, Post
from device.readings import (
    BadgeRead,
    ButtonPressed,
    Clock,
    CommitFailed,
    Crashed,
    Photo,
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
from device.rules.checkin import CheckinRule
from device.rules.doors import DoorLimits, DoorsRule
from device.rules.health import HealthRule
from device.rules.orders import OrdersRule
from device.rules.pictures import PicturesRule
from device.rules.power import PowerRule
from device.rules.removed import RemovedRule
from device.rules.roster import Roster
from device.rules.rule import Rule, Seat
from device.rules.selftest import SelftestRule
from device.rules.timekeeping import TimekeepingRule
from device.seams import Panel, Pictures
from device.service import Notifier

Inbox = queue.SimpleQueue[Reading]

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


def _live(config: Config, copper: Copper, ends: "Ends", notifier: Notifier, damaged: JournalDamaged | None) -> int:
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
        seats, unusable = _seats(config, roster.roster, record.journal.snapshots())
        budget = Budget()
        panel = _Panels(_panel(config, copper, ends, workers, stack))
        post = Post(
            inbox=inbox,
            clock=clock,
            journal=record.journal,
            chain=record.chain,
            jwk=record.key.jwk(),
            began=record.began,
            seats=seats,
            panel=panel,
            link=_link(config, record, bootid, budget, ends),
            upkeep=Upkeep(record.journal, config.journal.keep_days),
            newest=record.journal.newest(),
            watchers=(notifier, workers),
            pictures=_pictures(config, copper, ends, record, budget, workers, stack),
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


def _seats(config: Config, roster: Roster, snapshots: dict[str, str]) -> tuple[list[Seat[Any]], list[str]]:
    """Every rule with its state as the journal kept it, and a line about each state that was unusable."""
    doors = [
        DoorLimits(
            name=door.name,
            held_after_ms=_ms(door.held_after),
            checkin_within_ms=_ms_or_none(door.forced_without_checkin),
        )
        for door in config.door
    ]
    rules: tuple[Rule[Any], ...] = (
        HealthRule([*_parts(config)]),
        TimekeepingRule(),
        PowerRule(_ms_or_none(None if config.ups is None else config.ups.stop_after)),
        CheckinRule(roster, _ms(config.checkin.repeat_after)),
        DoorsRule(doors, [tamper.name for tamper in config.tamper]),
        OrdersRule(no_pictures=_no_pictures(config.camera)),
        RemovedRule(),
        SelftestRule(
            readers=[reader.name for reader in config.reader],
            inputs=[what.name for what in _switched(config) if not isinstance(what, MainsLine)],
            others=_own_parts(config),
            times=config.selftest.at,
            zone=config.timezone,
            lights=config.indicator is not None,
        ),
        *([] if config.camera is None else [_picture_rule(config.camera)]),
    )
    seats, unusable = [], []
    for rule in rules:
        try:
            seats.append(Seat.restored(rule, snapshots.get(rule.name)))
        except ValueError as error:
            unusable.append(f"{error}; it starts afresh")
            seats.append(Seat(rule, rule.initial))
    return seats, unusable


def _picture_rule(camera: CameraSection) -> PicturesRule:
    return PicturesRule(camera.on, _ms(camera.before), _ms(camera.after), camera.most_a_minute)


def _no_pictures(camera: CameraSection | None) -> str | None:
    """Why an order to take a picture is refused."""
    if camera is None:
        return "this post has no camera"
    return None if "order" in camera.on else 'camera.on of this post does not name "order"'


def _parts(config: Config) -> Iterator[str]:
    """What can go blind."""
    yield from _own_parts(config)
    yield from (f"reader {reader.name}" for reader in config.reader)
    yield from (f"input {what.name}" for what in _switched(config))


def _own_parts(config: Config) -> list[str]:
    """Those that are neither a reader nor an input."""
    indicator = [] if config.indicator is None else ["indicator"]
    camera = [] if config.camera is None else ["camera", "pictures"]
    return [JOURNAL, "vitals", "contacts", *indicator, *camera]


def _link(config: Config, record: Record, bootid: str, budget: Budget, ends: "Ends") -> Uplink:
    clock, inbox = ends
    topics = Topics.of(config.source)
    hints = Hints(topics, bootid, record.key.jwk())
    will = Will(topics.status, hints.offline())

    def dial(generation: int, version: MqttVersion) -> Line:
        return Line(generation, version, access(config), will, inbox, clock)

    return Uplink(
        config.link, hints, record.journal, record.journal.cursors(), dial, inbox.put, random.Random(), budget
    )


def access(config: Config, suffix: str = "") -> Access:
    """How the post shows who it is; ``suffix`` makes a client id that does not push the running post away."""
    user = f"{config.post.site}/{config.post.name}"
    return Access(
        user=user,
        client_id=user.replace("/", ".") + suffix,  # some brokers refuse a slash in it
        password_file=config.link.password_file,
        ca_file=config.link.ca_file,
        certificate_file=config.link.certificate_file,
        key_file=config.link.key_file,
    )


def _pictures(
    config: Config,
    copper: Copper,
    ends: "Ends",
    record: Record,
    budget: Budget,
    workers: Workers,
    stack: ExitStack,
) -> Pictures | None:
    """Start to look, and to keep what was seen."""
    if config.camera is None:
        return None
    from device.hardware.camera.worker import CameraWorker
    from device.pictures.camera import Camera
    from device.pictures.worker import PicturesWorker

    def shrunk(jpeg: bytes, most_bytes: int) -> tuple[bytes, int, int] | None:
        from device.hardware.camera.shrink import shrunk  # needs a library that few posts ever do

        return shrunk(jpeg, most_bytes)

    def deliver(photo: Photo) -> None:
        keeps.store(photo)

    takes = CameraWorker(copper.camera, config.camera, config.source, *ends, deliver)
    keeps = PicturesWorker(
        config.camera,
        config.link.picture_rate,
        config.post.state_dir,
        record.journal.newest(),
        Topics.of(config.source),
        access(config, "-pictures"),
        *ends,
        takes.fit,
        shrunk,
        budget,
    )
    _begin(keeps, workers, stack)
    _begin(takes, workers, stack)
    return Camera(takes, keeps)


class Ends(NamedTuple):
    """What every worker gets."""

    clock: FlooredClock
    inbox: Inbox


class _Panels:
    """The post's lights and buzzer, and those of the reader where a badge was held. ``at``: these by reader."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self.at: dict[str, Answering] = {}

    def show(self, answer: Answer, reader: str | None = None) -> None:
        """At both."""
        self._panel.show(answer, reader)
        if reader is not None and reader in self.at:
            self.at[reader].show(answer)

    def line(self, up: bool) -> None:
        """At the post's own."""
        self._panel.line(up)


class _NoPanel:
    """A post without lights."""

    def show(self, answer: Answer, reader: str | None = None) -> None:
        """Nothing to show it with."""

    def line(self, up: bool) -> None:
        """Nothing to show it with."""


def _panel(config: Config, copper: Copper, ends: Ends, workers: Workers, stack: ExitStack) -> Panel:
    if config.indicator is None:
        return _NoPanel()
    wired = config.indicator
    with pins_named("indicator", copper):
        indicator = Indicator(
            wired.green,
            wired.red,
            wired.buzzer,
            copper.factory,
            *ends,
            lit_by_low=wired.lit_by == "low",
            sound=sound(wired, config.timezone),
        )
    _begin(indicator, workers, stack)
    return indicator


def sound(wired: IndicatorSection, timezone: ZoneInfo) -> Sound:
    """What buzzer there is."""
    return Sound(
        tone_hz=wired.tone_hz if wired.buzzer_kind == "passive" else None,
        by_low=wired.buzzer_by == "low",
        loudness=Loudness(wired.volume, wired.night_volume, wired.night, timezone),
    )


def inputs(config: Config, copper: Copper, ends: Ends, workers: Workers, stack: ExitStack) -> None:
    """Start to look at every contact, and at the machine. Raises StateError."""
    with pins_named("door, button, tamper and UPS", copper):
        contacts = Contacts(_switched(config), copper.factory, *ends)
    _begin(contacts, workers, stack)
    _begin(VitalsWorker(config.post.state_dir, *ends), workers, stack)


def _switched(config: Config) -> list[Input]:
    """Every contact to ground."""
    contacts: tuple[ContactSection, ...] = (*config.door, *config.tamper)
    return [
        *(DoorContact(each.name, each.pin, open_when_low=each.normally == "open") for each in contacts),
        *(Button(button.name, button.pin) for button in config.button),
        *([] if config.ups is None else [MainsLine(config.ups.pin, on_when_low=config.ups.mains_when == "low")]),
    ]


def readers(config: Config, copper: Copper, ends: Ends, workers: Workers, stack: ExitStack) -> dict[str, Answering]:
    """Start every reader; those that can answer an officer themselves, by name. Raises StateError."""
    answering: dict[str, Answering] = {}
    bench = Bench(copper, ends.clock, config.post.state_dir, stack)
    for section in config.reader:
        driver: Driver = reader_driver(section.driver)
        with pins_named(f"reader {section.name}", copper):
            reader = driver.open(section, bench)
        _begin(
            ReaderWorker(section.name, reader, *ends, bus_errors=(*copper.bus_errors, GPIOZeroError)),
            workers,
            stack,
        )
        if isinstance(reader, Answering):
            answering[section.name] = reader
    return answering


class _Part(Protocol):
    """A part with a thread of its own."""

    worker: Worker

    def start(self) -> None: ...

    def stop(self) -> None: ...


def _begin(part: _Part, workers: Workers, stack: ExitStack) -> None:
    """Start a part, look at its thread from now on, and end it with the others."""
    part.start()
    workers.watch(part.worker)
    stack.callback(part.stop)


@contextmanager
def pins_named(whose: str, copper: Copper) -> Iterator[None]:
    """Raises StateError for pins that cannot be used."""
    try:
        yield
    except (*copper.bus_errors, GPIOZeroError) as error:
        why = str(error) or type(error).__name__
        raise StateError(f"the {whose} pins cannot be used ({why}); is another program holding them?") from error


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


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _ms_or_none(duration: timedelta | None) -> int | None:
    return None if duration is None else _ms(duration)

"""The wiring: which parts a post has, and who gets whose queue. Nothing else creates threads' owners."""

import logging
import queue
import random
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from gpiozero import DigitalOutputDevice
from gpiozero.exc import GPIOZeroError
from gpiozero.pins import Factory

from device import __version__
from device.config import Config, ReaderSection
from device.effects import Answer
from device.errors import StateError
from device.hardware.clock import boot_id
from device.hardware.contacts import Button, Contacts, DoorContact
from device.hardware.indicator import Indicator
from device.hardware.readers.rc522 import SPI_RATE_HZ, Rc522, pulse
from device.hardware.readers.reader import ReaderWorker
from device.link.hints import Hints
from device.link.line import Access, Line, MqttVersion, Will
from device.link.topics import Topics
from device.link.uplink import Uplink
from device.post import Post
from device.readings import (
    Clock,
    Crashed,
    PartBlind,
    Reading,
    Refused,
    RosterLoaded,
    Started,
    StopRequested,
    Trouble,
)
from device.record.opening import Record, open_record
from device.roster_file import LoadedRoster, load_roster
from device.rules.checkin import CheckinRule
from device.rules.doors import DoorLimits, DoorsRule
from device.rules.health import HealthRule
from device.rules.orders import OrdersRule
from device.rules.roster import Roster
from device.rules.rule import Rule, Seat
from device.rules.timekeeping import TimekeepingRule
from device.seams import Panel

Inbox = queue.SimpleQueue[Reading]

log = logging.getLogger(__name__)


BusErrors = tuple[type[Exception], ...]


def run(config: Config, *, pin_factory: Factory, clock: Clock, bus_errors: BusErrors = (OSError,)) -> int:
    """Run one post until it is asked to stop; the process's exit code. Raises StateError, ConfigError.

    ``bus_errors``: what the pin factory's library raises where a transfer fails.
    """
    inbox: Inbox = queue.SimpleQueue()
    copper = _Copper(pin_factory, bus_errors)
    bootid = boot_id()
    with ExitStack() as stack:
        record = open_record(config.post.state_dir, config.source, bootid)
        stack.callback(record.close)
        roster = load_roster(config.roster.file, config.post.state_dir, record.site_key, config.timezone)
        seats, unusable = _seats(config, roster.roster, record.journal.snapshots())
        stack.enter_context(_watched(inbox, clock))
        panel = _panel(config, copper.factory, stack)
        post = Post(
            inbox=inbox,
            clock=clock,
            journal=record.journal,
            chain=record.chain,
            jwk=record.key.jwk(),
            began=record.began,
            seats=seats,
            panel=panel,
            link=_link(config, record, bootid, inbox, clock),
            newest=record.journal.newest(),
        )
        _first_readings(inbox, clock, record, roster, unusable)
        _inputs(config, copper, clock, inbox, stack)
        return post.run()


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
            checkin_within_ms=None if door.forced_without_checkin is None else _ms(door.forced_without_checkin),
        )
        for door in config.door
    ]
    rules: tuple[Rule[Any], ...] = (
        HealthRule([f"reader {reader.name}" for reader in config.reader]),
        TimekeepingRule(),
        CheckinRule(roster, _ms(config.checkin.repeat_after)),
        DoorsRule(doors),
        OrdersRule(),
    )
    seats, unusable = [], []
    for rule in rules:
        try:
            seats.append(Seat.restored(rule, snapshots.get(rule.name)))
        except ValueError as error:
            unusable.append(f"{error}; it starts afresh")
            seats.append(Seat(rule, rule.initial))
    return seats, unusable


def _link(config: Config, record: Record, bootid: str, inbox: Inbox, clock: Clock) -> Uplink:
    topics = Topics.of(config.source)
    hints = Hints(topics, bootid, record.key.jwk())
    will = Will(topics.status, hints.offline())

    def dial(generation: int, version: MqttVersion) -> Line:
        return Line(generation, version, access(config), will, inbox, clock)

    return Uplink(config.link, hints, record.journal, record.journal.cursors(), dial, inbox.put, random.Random())


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


class _Copper(NamedTuple):
    factory: Factory
    bus_errors: BusErrors


class _NoPanel:
    """A post without lights."""

    def show(self, answer: Answer) -> None:
        """Nothing to show it with."""

    def line(self, up: bool) -> None:
        """Nothing to show it with."""


def _panel(config: Config, factory: Factory, stack: ExitStack) -> Panel:
    if config.indicator is None:
        return _NoPanel()
    with _pins_named("indicator"):
        indicator = Indicator(config.indicator.green, config.indicator.red, config.indicator.buzzer, factory)
    indicator.start()
    stack.callback(indicator.stop)
    return indicator


def _inputs(config: Config, copper: _Copper, clock: Clock, inbox: Inbox, stack: ExitStack) -> None:
    with _pins_named("door and button"):
        contacts = Contacts(
            [
                *(DoorContact(d.name, d.pin, open_when_low=d.normally == "open") for d in config.door),
                *(Button(b.name, b.pin) for b in config.button),
            ],
            copper.factory,
            clock,
            inbox,
        )
    contacts.start()
    stack.callback(contacts.stop)
    for section in config.reader:
        _reader(section, copper, clock, inbox, stack)


def _reader(section: ReaderSection, copper: _Copper, clock: Clock, inbox: Inbox, stack: ExitStack) -> None:
    """Start one reader; one whose bus cannot be opened is blind, and the rest of the post goes on."""
    where = f"SPI 0.{section.chip_select}"
    try:
        spi = copper.factory.spi(port=0, device=section.chip_select)
        spi.rate = SPI_RATE_HZ
    except (*copper.bus_errors, GPIOZeroError) as error:
        why = f"{where} cannot be opened ({error}): turn it on with dtparam=spi=on, and start again"
        inbox.put(PartBlind(clock.now(), f"reader {section.name}", why))
        return
    reset = None
    if section.reset_pin is not None:
        with _pins_named(f"reader {section.name}"):
            line = DigitalOutputDevice(section.reset_pin, initial_value=True, pin_factory=copper.factory)
        stack.callback(line.close)
        reset = partial(pulse, line)
    worker = ReaderWorker(section.name, Rc522(spi, where, reset), clock, inbox, bus_errors=copper.bus_errors)
    worker.start()
    stack.callback(worker.stop)


@contextmanager
def _pins_named(whose: str) -> Iterator[None]:
    try:
        yield
    except GPIOZeroError as error:
        raise StateError(f"the {whose} pins cannot be used ({error}); is another program holding them?") from error


@contextmanager
def _watched(inbox: Inbox, clock: Clock) -> Iterator[None]:
    """Signals ask the loop to stop; a thread that dies of an exception ends the process, never only itself."""

    def stop(number: int, _frame: object) -> None:
        inbox.put(StopRequested(clock.now(), signal.Signals(number).name))

    def crashed(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread is not None else "a thread"
        log.critical("thread %s", name, exc_info=args.exc_value)
        inbox.put(Crashed(clock.now(), name, f"{args.exc_type.__name__}: {args.exc_value}"))

    hook = threading.excepthook
    handlers = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    threading.excepthook = crashed
    try:
        yield
    finally:
        threading.excepthook = hook
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)

"""The parts at a post's pins and ports, each with a thread that is started here: lights, contacts, readers."""

import queue
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from gpiozero.exc import GPIOZeroError

from device.config import Config
from device.config_wired import ContactSection, IndicatorSection
from device.drivers import reader_driver
from device.effects import Answer
from device.errors import StateError
from device.hardware.buzzer import Sound
from device.hardware.clock import FlooredClock
from device.hardware.contacts import Contacts
from device.hardware.indicator import Indicator
from device.hardware.loudness import Loudness
from device.hardware.readers.driver import Bench, Copper, Driver
from device.hardware.readers.reader import Answering, ReaderWorker
from device.hardware.switched import Button, DoorContact, Input, MainsLine
from device.hardware.vitals import VitalsWorker
from device.hardware.worker import Worker, Workers
from device.readings import Reading
from device.seams import Panel

Inbox = queue.SimpleQueue[Reading]


class Ends(NamedTuple):
    """What every worker gets."""

    clock: FlooredClock
    inbox: Inbox


class _Part(Protocol):
    """A part with a thread of its own."""

    worker: Worker

    def start(self) -> None: ...

    def stop(self) -> None: ...


def begin(part: _Part, workers: Workers, stack: ExitStack) -> None:
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


class Panels:
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


def panels(config: Config, copper: Copper, ends: Ends, workers: Workers, stack: ExitStack) -> Panels:
    """Start the post's own lights and buzzer, if it has some. Raises StateError."""
    return Panels(_panel(config, copper, ends, workers, stack))


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
    begin(indicator, workers, stack)
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
        contacts = Contacts(switched(config), copper.factory, *ends)
    begin(contacts, workers, stack)
    begin(VitalsWorker(config.post.state_dir, *ends), workers, stack)


def switched(config: Config) -> list[Input]:
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
        begin(
            ReaderWorker(section.name, reader, *ends, bus_errors=(*copper.bus_errors, GPIOZeroError)),
            workers,
            stack,
        )
        if isinstance(reader, Answering):
            answering[section.name] = reader
    return answering

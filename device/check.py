"""``guardpost check``: every part that can be tried without an officer, with pass or fail, why, and the mend."""

import os
import queue
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from device.config import Broker, Config, load
from device.errors import ConfigError, GuardpostError
from device.hardware.clock import KernelClock
from device.link.line import Line, MqttVersion
from device.readings import Clock, Connected, Disconnected, Reading
from device.record.journal import DONE, Journal
from device.record.opening import JOURNAL
from device.roster_file import read_roster
from device.wiring import access

BROKER_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Result:
    """``why``: what was found, and the mend where it failed."""

    part: str
    passed: bool
    why: str


def check(file: Path) -> int:
    """Try every part and print a line each; 0 if all passed, else 1. Raises ConfigError for the file itself."""
    config = load(file)
    print(f"pass  {'configuration':<14}  {file}: {config.source.removeprefix('/')}")
    failed = 0
    for result in results(config, KernelClock()):
        print(f"{'pass' if result.passed else 'FAIL'}  {result.part:<14}  {result.why}", flush=True)
        failed += not result.passed
    return int(failed > 0)


def results(config: Config, clock: Clock) -> Iterator[Result]:
    """Every part but the configuration itself."""
    yield _roster(config)
    yield _state_folder(config.post.state_dir)
    yield _journal(config.post.state_dir)
    yield _clock(clock)
    for broker in config.link.brokers:
        yield _broker(config, broker, clock)


def _roster(config: Config) -> Result:
    try:
        content, roster = read_roster(config.roster.file)
    except ConfigError as error:
        return Result("roster", False, str(error).replace("\n", " | "))
    if not content:
        mend = "write it, or name it in [roster]"
        return Result(
            "roster", not config.reader, f"{config.roster.file}: not there, so every badge is unknown; {mend}"
        )
    return Result("roster", True, f"{config.roster.file}: {len(roster.officer)} officers")


def _state_folder(folder: Path) -> Result:
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Result("state folder", False, f"{existing}: not a folder this user may write; see who owns it")
    return Result("state folder", True, f"{folder}: {'there' if folder == existing else 'made at the first start'}")


def _journal(state_dir: Path) -> Result:
    if not (state_dir / JOURNAL).exists():
        return Result("journal", True, "none yet: begins with the first start")
    try:
        journal = Journal.read_only(state_dir / JOURNAL)
    except GuardpostError as error:
        return Result("journal", False, str(error))
    newest, done = journal.newest(), journal.cursors().get(DONE, 0)
    journal.close()
    return Result(
        "journal", True, f"{newest} events, about {newest - done} of them not yet acknowledged by a broker"
    )


def _clock(clock: Clock) -> Result:
    now = clock.now()
    if now.clock == "unsynced":
        mend = "give it a time server or a clock with a battery; until then dates refuse no badge"
        return Result("clock", False, f"not synchronised; {mend}")
    return Result("clock", True, f"{now.clock}, right within {now.error_ms} ms")


def _broker(config: Config, broker: Broker, clock: Clock) -> Result:
    versions: tuple[MqttVersion, ...] = (
        ("5", "3.1.1") if config.link.protocol == "auto" else (config.link.protocol,)
    )
    why = ""
    for version in versions:
        inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        line = Line(1, version, access(config, "-check"), None, inbox, clock)
        line.dial(broker, keepalive_s=30)
        try:
            answer = inbox.get(timeout=BROKER_WITHIN_S)
        except queue.Empty:
            answer = Disconnected(clock.now(), 1, f"{broker}: no answer within {BROKER_WITHIN_S:.0f} s")
        line.close()
        if isinstance(answer, Connected):
            return Result("broker", True, f"{broker} answers (MQTT {version})")
        if isinstance(answer, Disconnected):
            why = answer.why if str(broker) in answer.why else f"{broker}: {answer.why}"
            if not (answer.mute or answer.speaks_other):
                break
    return Result("broker", False, f"{why}; see link.brokers and whether the broker runs")

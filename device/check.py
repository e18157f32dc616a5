"""``guardpost check``: every part that can be tried without an officer, with pass or fail, why, and the mend."""

import os
import queue
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from device.addresses import Broker, TimeServer
from device.config import Config, load
from device.errors import ConfigError, GuardpostError, JournalDamaged
from device.hardware.clock import KernelClock
from device.hardware.readers.driver import Copper
from device.hardware.sntp import NoTime, ask
from device.link.line import Line, MqttVersion
from device.look import certificates, readers
from device.outgoing import access
from device.readings import Clock, Connected, Disconnected, Instant, Reading
from device.record.journal_reader import DONE, JournalReader
from device.record.opening import JOURNAL
from device.record.reserve import RESERVE_BYTES, ROOM_AT_LEAST
from device.result import Result
from device.roster_file import read_roster
from device.viewfinder import camera

BROKER_WITHIN_S = 20.0
RTC = Path("/sys/class/rtc/rtc0")
RTC_WITHIN_S = 60
"""A battery clock tells whole seconds, and drifts some in a month without a time server."""
SERVER_WITHIN_MS = 2_000
"""As far as a clock may be off that calls itself synced."""


def check(file: Path) -> int:
    """Try every part and print a line each; 0 if all passed, else 1. Raises ConfigError for the file itself."""
    config = load(file)
    print(Result("configuration", True, f"{file}: {config.source.removeprefix('/')}"))
    failed = 0
    for result in results(config, KernelClock()):
        print(result, flush=True)
        failed += not result.passed
    return int(failed > 0)


def results(
    config: Config, clock: Clock, rtc: Path = RTC, child: Sequence[str] = Copper.camera
) -> Iterator[Result]:
    """Every part but the configuration itself.

    ``rtc``: the battery clock as sysfs shows it. ``child``: the command of the camera's.
    """
    yield _roster(config)
    yield _state_folder(config.post.state_dir)
    yield _journal(config)
    yield _clock(clock)
    yield _battery_clock(rtc, clock.now())
    yield _time_server(config.time.server, clock)
    yield from readers(config)
    yield from camera(config, clock, child)
    yield from certificates(config.link, clock.now())
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
    part = "state folder"
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Result(part, False, f"{existing}: not a folder this user may write; see who owns it")
    free = _free_bytes(existing)
    if free < ROOM_AT_LEAST:
        return Result(part, False, f"{existing}: {free} bytes free on its disk, which is full to a post; make room")
    there = "there" if folder == existing else "made at the first start"
    return Result(part, True, f"{folder}: {there}, {free >> 20} MiB free")


def _journal(config: Config) -> Result:
    part, file, most = "journal", config.post.state_dir / JOURNAL, config.journal.most_bytes
    try:
        if not file.exists():
            return Result(part, True, "none yet: begins with the first start")
        with closing(JournalReader.open(file)) as journal:
            newest, done, used = journal.newest(), journal.cursors().get(DONE, 0), journal.used_bytes()
            events = newest - journal.oldest() + 1 if newest else 0
    except JournalDamaged as error:
        return Result(part, False, f"{file}: damaged ({error}); the post's next start saves what can be saved")
    except GuardpostError as error:
        return Result(part, False, str(error))
    except OSError as error:
        return Result(part, False, f"{file}: cannot be read ({error.strerror}); see who owns it")
    why = f"{events} events, about {newest - done} of them not yet acknowledged by a broker; {used >> 20} MiB"
    if used >= most - RESERVE_BYTES:
        mend = "run a recorder, whose receipts let old events go, or raise journal.most_bytes"
        return Result(part, False, f"{why} are its limit, so check-ins are red; {mend}")
    if (possible := used + _free_bytes(file.parent)) < most:
        why = f"{why} of {most >> 20} MiB, and its disk takes {possible >> 20} MiB"
        return Result(part, True, f"{why}; lower journal.most_bytes, or give it a larger disk", advised=True)
    return Result(part, True, f"{why} of at most {most >> 20} MiB")


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _clock(clock: Clock) -> Result:
    now = clock.now()
    if now.clock == "unsynced":
        mend = "give it a time server or a clock with a battery; until then dates refuse no badge"
        return Result("clock", False, f"not synchronised; {mend}")
    return Result("clock", True, f"{now.clock}, right within {now.error_ms} ms")


def _battery_clock(rtc: Path, now: Instant) -> Result:
    """sysfs, "since_epoch": the RTC's time in seconds since 1970, taken as UTC."""
    part = "battery clock"
    if not rtc.exists():
        why = "none, so after a power cut the time stands at the last event until a time server answers"
        mend = "fit a DS3231 module (dtoverlay=i2c-rtc,ds3231), or on a Pi 5 the battery for its own clock"
        return Result(part, True, f"{why}; {mend}", advised=True)
    try:
        ahead_s = int((rtc / "since_epoch").read_text()) - now.wall_ms // 1000
    except (OSError, ValueError) as error:
        why = f"{rtc}: tells no time ({getattr(error, 'strerror', None) or error})"
        return Result(part, False, f"{why}; it has lost its power: change the battery, then hwclock --systohc")
    if now.clock == "unsynced":
        why = f"{abs(ahead_s)} s {'ahead of' if ahead_s > 0 else 'behind'} the system, which is not synchronised"
        return Result(part, True, f"{why}; check again once it is", advised=True)
    if abs(ahead_s) > RTC_WITHIN_S:
        why = f"{rtc}: {abs(ahead_s)} s {'ahead' if ahead_s > 0 else 'behind'}"
        return Result(part, False, f"{why}; set it with hwclock --systohc, and change its battery if that recurs")
    return Result(part, True, f"{rtc}: right within {abs(ahead_s) + 1} s")


def _time_server(server: TimeServer | None, clock: Clock) -> Result:
    part = "time server"
    if server is None:
        why = "none named in [time]; one on the post's own network keeps its clock right while the line is cut"
        return Result(part, True, why, advised=True)
    try:
        told = ask(server.host, server.port, clock)
    except NoTime as error:
        return Result(part, False, f"{server}: {error}; see time.server and whether it runs there")
    off_ms = abs(told.ahead_ms)
    if off_ms > SERVER_WITHIN_MS + told.error_ms:
        why = f"{server}: our clock is {off_ms / 1000:.1f} s {'behind' if told.ahead_ms > 0 else 'ahead of'} it"
        return Result(part, False, f"{why}; name it to the system too: NTP= in /etc/systemd/timesyncd.conf")
    return Result(part, True, f"{server}: agrees within {off_ms + told.error_ms} ms, stratum {told.stratum}")


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

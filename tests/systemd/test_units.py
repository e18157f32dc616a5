"""The unit and its companions, as systemd itself reads them, and the post under the unit's system call filter."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from unit_filter import UNIT, allowed, analyze, traced
from waiting import until

from device.errors import JournalDamaged, StateError
from device.post import EXIT_CRASHED, EXIT_OK, EXIT_POWER
from device.record.journal_reader import JournalReader
from device.record.opening import JOURNAL

FOLDER = Path(__file__).parents[2] / "systemd"
SERIAL = FOLDER / "serial-readers.conf"
EXPOSURE_TENTHS = 16
"""1.6, of which pins, network and /proc cost 1.0, and that the clock's state may be read 0.6."""

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd's tools")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there: systemd looks for it."""
    file = tmp_path / "guardpost.service"
    program = tmp_path / "guardpost"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    file.write_text(UNIT.replace("/opt/guardpost/bin/guardpost", str(program)))
    return file


def test_systemd_finds_nothing_to_say_about_the_unit(unit: Path) -> None:
    done = analyze("verify", unit)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_as_closed_as_it_was(unit: Path, record_property: Callable[[str, object], None]) -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_TENTHS}", unit)
    exposure = done.stdout.strip().splitlines()[-1]
    record_property("exposure", exposure)
    assert done.returncode == 0, exposure


def with_drop_in(unit: Path, content: str) -> Path:
    folder = unit.with_name(f"{unit.name}.d")
    folder.mkdir()
    (folder / SERIAL.name).write_text(content)
    return unit


def test_a_post_with_serial_readers_has_their_ports_and_no_console(unit: Path) -> None:
    """The drop-in of docs/readers.md."""
    done = analyze("verify", with_drop_in(unit, SERIAL.read_text()))
    assert (done.returncode, done.stderr) == (0, "")
    allowed = re.findall(r"^DeviceAllow=char-(tty\w+) rw$", SERIAL.read_text(), re.MULTILINE)
    assert allowed == ["ttyAMA", "ttyUSB", "ttyACM"]
    assert "char-tty" not in UNIT


def test_a_slip_in_the_drop_in_would_be_seen(unit: Path) -> None:
    slipped = SERIAL.read_text().replace("DeviceAllow=", "DeviceAllowed=")
    assert "DeviceAllowed" in analyze("verify", with_drop_in(unit, slipped)).stderr


def test_what_the_post_has_in_memory_is_written_nowhere() -> None:
    """Frames of the last seconds, before they are masked and sealed."""
    assert {"LimitCORE=0", "MemorySwapMax=0"} <= set(UNIT.splitlines())


def test_the_unit_tries_again_for_ever() -> None:
    assert {"Restart=always", "StartLimitIntervalSec=0"} <= set(UNIT.splitlines())


@pytest.mark.parametrize(
    ("code", "status", "off"),
    [
        ("exited", str(EXIT_POWER), True),
        ("exited", str(EXIT_OK), False),
        ("exited", str(EXIT_CRASHED), False),
        ("exited", "3", False),
        ("killed", "KILL", False),
        ("dumped", "ABRT", False),
        ("killed", str(EXIT_POWER), False),
    ],
)
def test_the_machine_is_switched_off_after_a_stop_for_want_of_power_and_no_other(
    tmp_path: Path, code: str, status: str, off: bool
) -> None:
    (line,) = re.findall(r"^ExecStopPost=\+(.*)$", UNIT, re.MULTILINE)
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    systemctl.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "EXIT_CODE": code, "EXIT_STATUS": status}
    subprocess.run(shlex.split(line.replace("$$", "$")), env=environment, check=True)
    asked = tmp_path / "asked"
    assert (asked.read_text().split() if asked.exists() else None) == (["--no-block", "poweroff"] if off else None)


def test_a_post_that_stops_for_want_of_power_is_not_started_again() -> None:
    assert f"RestartPreventExitStatus={EXIT_POWER}" in UNIT.splitlines()


@pytest.mark.skipif(os.geteuid() != 0, reason="owners can only be set by root")
def test_user_and_folders_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc" / "guardpost").mkdir(parents=True)
    password = tmp_path / "etc" / "guardpost" / "mqtt-password"
    password.touch(0o644)
    for words in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"]):
        conf = FOLDER / f"guardpost.{words[0].removeprefix('systemd-')}.conf"
        done = subprocess.run([*words, f"--root={tmp_path}", conf], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    groups = dict(re.findall(r"^(\w+):x:(\d+):", (tmp_path / "etc" / "group").read_text(), re.MULTILINE))
    assert groups.keys() == {"guardpost", "gpio", "spi", "i2c", "input", "dialout", "video"}
    state = (tmp_path / "var" / "lib" / "guardpost").stat()
    assert (state.st_gid, state.st_mode & 0o777) == (int(groups["guardpost"]), 0o700)
    found = password.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, int(groups["guardpost"]), 0o640)


_POST = """\
import os, sys
from pathlib import Path
from gpiozero.pins.mock import MockFactory
from device.config import load
from device.hardware.clock import KernelClock
from device.hardware.readers.driver import Copper
from device.wiring import run
print(os.getpid(), flush=True)
sys.exit(run(load(Path(sys.argv[1])), copper=Copper(MockFactory()), clock=KernelClock(), environment=os.environ))
"""

_CONFIG = """\
[post]
site = "jember"
name = "kpu-gate"
state_dir = "state"
[link]
brokers = ["mqtt://127.0.0.1:1"]
[indicator]
green = 5
red = 6
[[door]]
name = "front"
pin = 17
"""


def test_a_post_makes_no_system_call_that_the_unit_refuses(tmp_path: Path) -> None:
    """Else it would see an error that no test without systemd shows. The pins' library is not in this one."""
    (tmp_path / "post.toml").write_text(_CONFIG)
    trace = tmp_path / "trace"
    with subprocess.Popen(
        ["strace", "-f", "-qq", "-o", trace, sys.executable, "-c", _POST, tmp_path / "post.toml"],
        stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL,
    ) as post:  # fmt: skip
        assert post.stdout is not None
        number = int(post.stdout.readline())
        until(lambda: recorded(tmp_path / "state") > 0, what="the first commit")
        os.kill(number, signal.SIGTERM)
        assert post.wait(20) == 0
    used = traced(trace)
    assert "fdatasync" in used
    assert used & {"adjtimex", "clock_adjtime"}, "the post did not read the clock's state"
    if os.geteuid() == 0:
        used.discard("fchown")  # SQLite gives its log the database's owner, only where it runs as root
    assert used <= allowed(), used - allowed()


def recorded(state_dir: Path) -> int:
    """How many events are on disk."""
    try:
        journal = JournalReader.open(state_dir / JOURNAL)
    except (StateError, JournalDamaged):  # it is still being made
        return 0
    newest = journal.newest()
    journal.close()
    return newest

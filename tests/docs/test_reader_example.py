"""The driver of docs/example/rdm6300, installed as its owner would: one file, one entry point, and a tap comes."""

import os
import pty
import queue
import shutil
import subprocess
import sys
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory
from postkit import RunningClock

from device.config import load
from device.drivers import reader_driver
from device.errors import ConfigError
from device.hardware.readers.driver import Bench, Copper
from device.hardware.readers.reader import ReaderWorker
from device.readings import BadgeRead, Garbled, PartBlind, PartSighted, Reading

EXAMPLE = Path(__file__).parents[2] / "docs" / "example" / "rdm6300"
WITHIN_S = 20.0
TAG = "0B00A1B2C3"
CONFIG = """
[post]
site = "jember"
name = "kpu-gate"
[link]
brokers = ["mqtt://127.0.0.1"]
[[reader]]
name = "gate"
driver = "rdm6300"
port = "{port}"
{more}
"""


def frame(tag: str) -> bytes:
    check = 0
    for byte in bytes.fromhex(tag):
        check ^= byte
    return b"\x02" + tag.encode() + f"{check:02X}".encode() + b"\x03"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``pip install ./docs/example/rdm6300`` puts in place."""
    folder = tmp_path_factory.mktemp("site")
    source = shutil.copytree(EXAMPLE, folder / "source")
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", folder / "site"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words), str(source)], check=True
    )
    return folder / "site"


@pytest.fixture
def reader_at(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[int, "queue.SimpleQueue[Reading]"]]:
    """A post's reader, running, and the far end of its line."""
    monkeypatch.syspath_prepend(str(installed))
    far, near = pty.openpty()
    tty.setraw(near)
    file = tmp_path / "post.toml"
    file.write_text(CONFIG.format(port=os.ttyname(near), more=""))
    (section,) = load(file).reader
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    with ExitStack() as closing:
        bench = Bench(Copper(MockFactory()), RunningClock(), tmp_path, closing)
        reader = reader_driver(section.driver).open(section, bench)
        worker = ReaderWorker(section.name, reader, RunningClock(), inbox)
        worker.start()
        try:
            yield far, inbox
        finally:
            worker.stop()
            os.close(far)
            os.close(near)


def next_of(inbox: "queue.SimpleQueue[Reading]", kind: type[Any]) -> Any:
    while not isinstance(found := inbox.get(timeout=WITHIN_S), kind):
        pass
    return found


def test_a_driver_from_another_package_reads_tags(reader_at: tuple[int, "queue.SimpleQueue[Reading]"]) -> None:
    far, inbox = reader_at
    next_of(inbox, PartSighted)
    for _ in range(3):  # a tag that stays is sent again and again: one tap
        os.write(far, frame(TAG))
    read = next_of(inbox, BadgeRead)
    assert (read.reader, read.uid.hex().upper(), read.assurance) == ("gate", TAG, "uid")
    os.write(far, frame("0102030405"))
    assert next_of(inbox, BadgeRead).uid == bytes.fromhex("0102030405")


def test_what_is_no_tag_is_refused_and_told(reader_at: tuple[int, "queue.SimpleQueue[Reading]"]) -> None:
    far, inbox = reader_at
    next_of(inbox, PartSighted)
    os.write(far, frame(TAG).replace(b"A", b"B"))
    told = next_of(inbox, Garbled)
    assert (told.part, told.count) == ("reader gate", 1)
    assert told.why.startswith("12 bytes that are no tag")


@contextmanager
def _config(tmp_path: Path, more: str) -> Iterator[Path]:
    file = tmp_path / "post.toml"
    file.write_text(CONFIG.format(port=tmp_path / "nothing", more=more))
    yield file


def test_a_line_that_is_not_there_makes_it_blind_and_is_tried_again(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    with _config(tmp_path, "") as file:
        (section,) = load(file).reader
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    with ExitStack() as closing:
        bench = Bench(Copper(MockFactory()), RunningClock(), tmp_path, closing)
        worker = ReaderWorker(
            "gate", reader_driver("rdm6300").open(section, bench), RunningClock(), inbox, retry_s=0.001
        )
        worker.start()
        blind = next_of(inbox, PartBlind)
        far, near = pty.openpty()
        tty.setraw(near)
        (tmp_path / "nothing").symlink_to(os.ttyname(near))
        next_of(inbox, PartSighted)
        worker.stop()
        os.close(far)
        os.close(near)
    assert "check its name and who else uses it" in blind.why


def test_its_keys_are_checked_like_any_other(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    with _config(tmp_path, "antenna = 3") as file, pytest.raises(ConfigError, match=r"reader\[0\]\.antenna"):
        load(file)


def test_without_the_package_the_configuration_says_which_drivers_there_are(tmp_path: Path) -> None:
    with (
        _config(tmp_path, "") as file,
        pytest.raises(ConfigError, match="driver 'rdm6300' is not known"),
    ):
        load(file)

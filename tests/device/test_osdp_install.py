"""``guardpost osdp install``: a reader is given its key once, and no accident locks it up."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from osdp_bench import BAUD, KEY, PDCAP, a_section, asked, driver, far_ends, frame, why_silent
from waiting import until

from device.__main__ import main
from device.hardware.readers.osdp_frames import Reply, read_frame
from device.hardware.readers.osdp_key import DEFAULT_KEY, key_file, read_key, written
from device.record.opening import lock_folder
from device.secrecy import STRUCK, Secrets
from simulator.far_ends.osdp import WiredOsdp
from simulator.osdp import Peripheral

BADGE = bytes.fromhex("01020304")
OLD_KEY = bytes(range(16))


class Desk:
    """A reader as it comes from the factory, on the line of a stopped post whose state is in ``folder``."""

    def __init__(self, folder: Path, far: WiredOsdp) -> None:
        self.folder, self.far = folder, far
        self.config = folder / "post.toml"
        self.config.write_text(
            '[post]\nsite = "jember"\nname = "kpu-gate"\n'
            f'state_dir = "{folder}"\n[link]\nbrokers = ["mqtt://127.0.0.1:1"]\n'
            f'[[reader]]\nname = "gate"\ndriver = "osdp"\nport = "{folder}/rs485.tty"\n'
            f"baud = {BAUD}\naddress = 3\n",
            encoding="utf-8",
        )
        self.key_file = key_file(folder, "gate")
        self.next = folder / f"{self.key_file.name}.new-key"
        self.key_file.unlink()
        far.device.reboot(None)

    def install(self, reader: str = "gate") -> int:
        return main(["osdp", "install", "--reader", reader, "--config", str(self.config)])

    def key(self) -> bytes:
        return read_key(self.key_file, "gate")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with far_ends(tmp_path, a_section(tmp_path)) as far:
        yield Desk(tmp_path, far["gate"])


def test_a_new_reader_gets_a_key_of_its_own_and_works(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.install() == 0
    said = capsys.readouterr().out
    assert f"reader gate has a key of its own now, kept in {desk.key_file}; default keys are refused" in said
    assert "under the key that everybody knows" in said
    assert desk.far.device.key == desk.key() != DEFAULT_KEY
    assert stat.S_IMODE(desk.key_file.stat().st_mode) == 0o600
    assert not desk.next.exists()
    section = a_section(desk.folder)
    with asked(desk.folder, section, far={"gate": desk.far}) as post:
        post.until_sees()
        desk.far.place(BADGE)
        post.until_badges(BADGE)


def test_a_reader_that_has_its_key_keeps_it(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.install()
    key = desk.key()
    assert desk.install() == 0
    assert capsys.readouterr().out.endswith("reader gate has its key already; nothing was changed\n")
    assert desk.far.device.key == desk.key() == key


def test_a_power_cut_after_the_reader_took_its_key_is_mended_by_running_it_again(desk: Desk) -> None:
    desk.next.write_bytes(written(KEY))
    desk.far.device.reboot(KEY)
    assert desk.install() == 0
    assert desk.key() == KEY
    assert not desk.next.exists()


def test_a_power_cut_before_the_reader_took_its_key_leaves_it_to_be_installed(desk: Desk) -> None:
    desk.next.write_bytes(written(OLD_KEY))
    assert desk.install() == 0
    assert desk.far.device.key == desk.key() != OLD_KEY


def test_a_reader_in_the_place_of_a_stolen_one_gets_another_key(desk: Desk) -> None:
    desk.key_file.write_bytes(written(OLD_KEY))
    assert desk.install() == 0
    assert desk.far.device.key == desk.key() != OLD_KEY


def test_a_reader_with_the_key_of_another_post_is_told_and_our_own_key_stays(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.key_file.write_bytes(written(OLD_KEY))
    desk.far.device.reboot(KEY)
    assert desk.install() == 3
    error = capsys.readouterr().err
    assert "it has another key, and takes none under the default key: reset it into install mode" in error
    assert desk.key() == OLD_KEY
    assert desk.far.device.key == KEY


def test_a_reader_that_does_not_answer_changes_nothing(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device.hardware.readers.osdp_proof.WITHIN_S", 0.3)
    desk.key_file.write_bytes(written(OLD_KEY))
    desk.next.write_bytes(written(KEY))
    desk.far.faults["cut"].do()
    assert desk.install() == 3
    assert "no answer at address 3 and 115200 baud" in capsys.readouterr().err
    assert (desk.key(), read_key(desk.next, "gate")) == (OLD_KEY, KEY)


def test_a_reader_without_a_secure_channel_is_told(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:

    def without(reader: Peripheral, command: bytes) -> bytes:
        said = reader.hear(command)
        answer = read_frame(said.removeprefix(b"\xff")) if said else None
        if answer is None or answer.code != Reply.CAPABILITIES:
            return said
        return frame(PDCAP, bytes([9, 0, 0]), sequence=answer.sequence)

    desk.far.line.answer = without
    assert desk.install() == 3
    assert "it offers no secure channel" in capsys.readouterr().err
    assert not desk.key_file.exists()


def test_a_post_that_runs_keeps_its_line(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    lock = lock_folder(desk.folder)
    assert desk.install() == 3
    os.close(lock)
    assert "another guardpost is running on it; stop that one first" in capsys.readouterr().err
    assert desk.far.device.key is None


def test_a_name_that_is_no_osdp_reader_is_told(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.install("yard") == 2
    assert capsys.readouterr().err == ("no OSDP reader 'yard' in this post's configuration; there is: gate\n")


def test_an_installed_reader_takes_no_other_key_under_the_default_one(desk: Desk) -> None:
    desk.install()
    key = desk.key()
    desk.key_file.unlink()
    assert desk.install() == 3
    assert desk.far.device.key == key
    with driver(desk.folder, a_section(desk.folder)) as reader:
        until(lambda: "has been given no key" in why_silent(reader))


def test_no_support_archive_shows_the_key(desk: Desk) -> None:
    desk.install()
    secrets = Secrets.known(None, desk.folder)
    for spelt in (desk.key().hex(), desk.key().hex().upper()):
        assert secrets.strike(spelt.encode()) == STRUCK.encode()

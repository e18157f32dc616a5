"""``guardpost support``: an archive in every plight of a post, and no secret of it in any."""

import base64
import gzip
import json
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from brokers import free_port
from postkit import BOOT, SOURCE
from posts import SimPost, badge, post
from volatile_disk import unusable, volatile_disk

from device import machine
from device.__main__ import main
from device.events import Draft, Unusable
from device.hardware.clock import KernelClock
from device.record.journal import Journal, Sent
from device.record.journal_reader import JournalReader
from device.record.opening import JOURNAL, LOCK, open_record
from device.secrecy import STRUCK, Secrets
from device.support import LAST_EVENTS
from device.turn import Turn

MEMBERS = [
    "README.txt", "versions.txt", "configuration.json", "check.txt", "service.txt", "state-folder.txt",
    "health.json", "events.jsonl", "log.txt",
]  # fmt: skip
PASSWORD = "correct horse battery"


@pytest.fixture(name="gate")
def _gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimPost:
    """A post that does not run, with a password, a roster of 60 and five events."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mqtt-password").write_text(f"{PASSWORD}\n")
    gate = SimPost(
        tmp_path / "post", [f"mqtt://127.0.0.1:{free_port()}"], link='password_file = "../mqtt-password"'
    )
    recorded(gate, 5)
    return gate


def recorded(gate: SimPost, count: int, why: str = "dead") -> None:
    """Events of a life before."""
    with closing(open_record(gate.state, SOURCE, BOOT)) as record:
        turn = Turn([], record.chain)
        turn.begin(record.began, KernelClock().now())
        drafts = [Draft(subject="post", data=Unusable(what="roster", why=why))] * count
        turn.begin(drafts[: count - len(turn.sealed)], KernelClock().now())
        record.journal.append(turn.sealed, {"health": '{"blind":{}}'}, Sent({"done": 3}))


def made(gate: SimPost, archive: Path) -> dict[str, bytes]:
    """Make an archive in this process; its files by name."""
    assert main(["support", "--config", str(gate.config), "--out", str(archive)]) == 0
    return unpacked(archive)


def unpacked(archive: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            folder, name = member.name.split("/")
            assert folder.startswith("guardpost-support-")
            content = tar.extractfile(member)
            assert content is not None
            found[name] = content.read()
    return found


def test_it_is_one_archive_for_its_owner_alone_and_one_line_says_where_it_is(
    gate: SimPost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "for-headquarters.tar.gz"
    found = made(gate, archive)
    size = archive.stat().st_size
    line = f"{archive}: {size} bytes, with no keys, passwords or badge numbers in it\n"
    assert capsys.readouterr() == (line, "")
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert list(found) == MEMBERS
    with tarfile.open(archive) as tar:
        assert {(file.uid, file.gid, file.uname, file.mode) for file in tar} == {(0, 0, "", 0o600)}
    readme = found["README.txt"].decode()
    assert [line.split()[0] for line in readme.split("\n\n")[1].splitlines()] == MEMBERS[1:]


def test_without_a_name_it_is_in_the_current_folder_and_called_after_the_post(
    gate: SimPost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["support", "--config", str(gate.config)]) == 0
    (archive,) = tmp_path.glob("*.tar.gz")
    assert archive.name.startswith("guardpost-support-jember-kpu-gate-20")
    assert capsys.readouterr().out.startswith(f"{archive}: ")


def test_it_tells_versions_configuration_check_files_health_and_the_last_events(
    gate: SimPost, tmp_path: Path
) -> None:
    (gate.state / "pictures" / "sent").mkdir(parents=True)
    (gate.state / "pictures" / "sent" / "one").write_bytes(b"\xff\xd8 not for others")
    found = made(gate, tmp_path / "a.tar.gz")
    assert not any(b"not for others" in content for content in found.values())
    versions = found["versions.txt"].decode()
    for told in (
        "guardpost      0.1.0 (",
        "python         3.",
        "paho-mqtt      2.",
        "sqlite         3.",
        "kernel  ",
    ):
        assert f"\n{told}" in f"\n{versions}"
    config = json.loads(found["configuration.json"])
    assert config["post"]["name"] == "kpu-gate"
    assert config["link"]["password_file"] == str(gate.config.parent / "../mqtt-password")
    parts = {line[:20].rstrip() for line in found["check.txt"].decode().splitlines()}
    assert {"pass  journal", "FAIL  broker"} <= parts
    folder = found["state-folder.txt"].decode()
    assert folder.startswith(f"{gate.state}: no process holds it\ndrwx------ ")
    assert "\n-rw------- " in folder and " signing.key\n" in folder
    assert "\npictures: 0 files, 0 bytes\npictures/sent: 1 files, 17 bytes\n" in folder
    assert f"\n{gate.state}: " in folder and " bytes free, " in folder
    health = json.loads(found["health.json"])
    assert (health["oldest"], health["newest"], health["cursors"]) == (1, 5, {"done": 3})
    assert health["rules"] == {"health": {"blind": {}}}
    with closing(JournalReader.open(gate.state / JOURNAL)) as journal:
        rows = [row.event for row in journal.all_rows()]
    assert found["events.jsonl"].splitlines() == rows


def test_of_many_events_the_newest_are_there(gate: SimPost, tmp_path: Path) -> None:
    recorded(gate, LAST_EVENTS + 100)
    lines = made(gate, tmp_path / "a.tar.gz")["events.jsonl"].splitlines()
    assert len(lines) == LAST_EVENTS
    assert json.loads(lines[-1])["seq"] == LAST_EVENTS + 105


def test_beside_a_running_post_it_changes_nothing_of_it(tmp_path: Path) -> None:
    with post(tmp_path / "post", f"mqtt://127.0.0.1:{free_port()}") as gate:
        gate.tap(1)
        found = made(gate, tmp_path / "a.tar.gz")
        assert f"{gate.state}: process {gate.pid} holds it\n" in found["state-folder.txt"].decode()
        assert [json.loads(line)["data"].get("officer") for line in found["events.jsonl"].splitlines()][
            -1
        ] == "officer-1"
        assert gate.tap(2).startswith("accepted")
        assert gate.end() == 0


def test_a_post_starts_as_before_after_somebody_asked_while_it_was_down(tmp_path: Path) -> None:
    with post(tmp_path / "post", f"mqtt://127.0.0.1:{free_port()}") as gate:
        gate.tap(1)
        gate.end()
        before = {file.name: file.read_bytes() for file in gate.state.iterdir()}
        made(gate, tmp_path / "a.tar.gz")
        after = {file.name: file.read_bytes() for file in gate.state.iterdir()}
        assert before.items() <= after.items()
        gate.start()
        assert gate.tap(2).startswith("accepted")
        assert "system refused" not in gate.told()


# Plights


def test_a_configuration_that_is_refused_is_said_and_the_rest_is_found_by_what_it_says_all_the_same(
    gate: SimPost, tmp_path: Path
) -> None:
    config = gate.config.read_text()
    gate.config.write_text(config.replace("[link]", '[link]\npasword = "hunter2222"\n'))
    found = made(gate, tmp_path / "a.tar.gz")
    line = "link.pasword: unknown key; did you mean password_file?"
    assert line in found["configuration.json"].decode()
    assert line in found["check.txt"].decode()
    assert len(found["events.jsonl"].splitlines()) == 5
    assert b"hunter2222" not in b"".join(found.values())


def test_a_user_and_password_in_an_address_are_struck_out_of_what_is_said_of_it(
    gate: SimPost, tmp_path: Path
) -> None:
    config = gate.config.read_text()
    address = "mqtt://wati:hunter2222@broker.example:99999999"
    gate.config.write_text(config.replace(gate.brokers[0], address))
    found = made(gate, tmp_path / "a.tar.gz")
    assert f"mqtt://{STRUCK}@broker.example:99999999" in found["configuration.json"].decode()
    assert b"hunter2222" not in b"".join(found.values())


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"[post", b"post = 7", b"[post]\nstate_dir = 7\n"])
def test_with_no_configuration_at_all_there_is_an_archive_still(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "post.toml"
    if content is not None:
        config.write_bytes(content)
    assert main(["support", "--config", str(config), "--out", str(tmp_path / "a.tar.gz")]) == 0
    found = unpacked(tmp_path / "a.tar.gz")
    assert list(found) == MEMBERS
    assert found["configuration.json"].startswith(f"cannot be used:\n{config}: ".encode())
    assert found["events.jsonl"].startswith(b"cannot be told: ")


def test_a_damaged_journal_is_said_and_what_can_be_read_of_its_events_is_there(
    gate: SimPost, tmp_path: Path
) -> None:
    recorded(gate, 500, "x" * 290)
    with closing(Journal.open(gate.state / JOURNAL)) as journal:
        journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = journal._database.execute(
            "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' ORDER BY pageno LIMIT 1 OFFSET 9"
        ).fetchone()
    with (gate.state / JOURNAL).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
    found = made(gate, tmp_path / "a.tar.gz")
    seqs = [json.loads(line)["seq"] for line in found["events.jsonl"].splitlines()]
    assert 480 < len(seqs) < 505
    assert (seqs[0], seqs[-1]) == (1, 505)
    assert json.loads(found["health.json"])["newest"] == 505


@pytest.mark.parametrize("content", [b"no journal", bytes(100_000), b""])
def test_a_journal_that_is_none_is_said(gate: SimPost, tmp_path: Path, content: bytes) -> None:
    (gate.state / JOURNAL).write_bytes(content)
    found = made(gate, tmp_path / "a.tar.gz")
    assert list(found) == MEMBERS
    assert b"cannot be told" in found["health.json"]
    assert b"cannot be told" in found["events.jsonl"]
    assert b"FAIL  journal " in found["check.txt"]


def test_an_event_whose_bytes_are_no_line_any_more_is_told_in_hex(gate: SimPost, tmp_path: Path) -> None:
    with closing(Journal.open(gate.state / JOURNAL)) as journal:
        journal._database.execute("UPDATE events SET event = x'0a80ff' WHERE position = 5")
    lines = made(gate, tmp_path / "a.tar.gz")["events.jsonl"].splitlines()
    assert json.loads(lines[4]) == {"position": 5, "hex": "0a80ff"}


def test_on_a_full_disk_it_is_made_where_there_is_room(gate: SimPost, tmp_path: Path) -> None:
    if (why := unusable()) is not None:
        pytest.skip(why)
    with volatile_disk(tmp_path / "rig") as disk:
        gate.config.write_text(gate.config.read_text().replace('"state"', f'"{disk.mount}/state"'))
        gate.state = disk.mount / "state"
        recorded(gate, 5)
        disk.fill(0)
        refused = gate.command("support", "--out", str(disk.mount / "a.tar.gz"))
        assert refused.returncode == 3
        assert refused.stderr == (
            f"{disk.mount}/a.tar.gz: cannot be written (No space left on device); name another with --out\n"
        )
        assert not (disk.mount / "a.tar.gz").exists()
        found = made(gate, tmp_path / "a.tar.gz")
        assert f"{disk.mount}/state: 0 of " in found["state-folder.txt"].decode()
        assert len(found["events.jsonl"].splitlines()) == 5


@pytest.mark.parametrize(
    ("name", "why"),
    [("there", "is there already"), ("nowhere/a.tar.gz", "cannot be written (No such file or directory)")],
)
def test_an_archive_that_cannot_be_made_is_one_line(
    gate: SimPost, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    (tmp_path / "there").write_text("somebody's")
    assert main(["support", "--config", str(gate.config), "--out", str(tmp_path / name)]) == 3
    assert capsys.readouterr().err == f"{tmp_path / name}: {why}; name another with --out\n"
    assert (tmp_path / "there").read_text() == "somebody's"


@contextmanager
def rights_of_nobody(*files: Path) -> Iterator[None]:
    """Root becomes somebody else for a while; anybody else loses what is his."""
    if os.geteuid() == 0:
        os.seteuid(65_534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        for file in files:
            file.chmod(0)
        try:
            yield
        finally:
            for file in files:
                file.chmod(0o700)


def test_a_user_who_may_read_nothing_gets_an_archive_that_says_so(gate: SimPost) -> None:
    """Neither configuration nor state folder: what the machine tells is there all the same."""
    gate.config.chmod(0o600)
    with TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        archive = Path(place) / "a.tar.gz"
        with rights_of_nobody(gate.config, gate.state):
            assert main(["support", "--config", str(gate.config), "--out", str(archive)]) == 0
        found = unpacked(archive)
    assert b"Permission denied" in found["configuration.json"]
    assert b"python         3." in found["versions.txt"]


# Secrets


def secrets_of(gate: SimPost) -> list[bytes]:
    """Everything that must not be there, in every spelling."""
    signing = (gate.state / "signing.key").read_bytes()
    pem = base64.b64decode(b"".join(signing.splitlines()[1:-1]))
    site = bytes.fromhex((gate.state / "site.key").read_text())
    keys = [pem[-32:], site]
    badges = [badge(number) for number in range(1, 61)]
    return [
        PASSWORD.encode(),
        *(line for line in signing.splitlines() if not line.startswith(b"-----")),
        *keys,
        *(key.hex().encode() for key in keys),
        *(key.hex().upper().encode() for key in keys),
        *(base64.b64encode(key).rstrip(b"=") for key in keys),
        *(base64.urlsafe_b64encode(key).rstrip(b"=") for key in keys),
        *(spelt.encode() for number in badges for spelt in (number, number.lower())),
        *(bytes.fromhex(number) for number in badges),
    ]


@pytest.fixture(name="indiscreet")
def _indiscreet(gate: SimPost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimPost:
    """Its log and its newest event say all that they should not."""
    secrets = (gate.state / "site.key").read_text().strip(), (gate.state / "signing.key").read_text(), PASSWORD
    said = "\n".join((*secrets, badge(7), badge(8).lower(), "key mqtts://me:hunter2222@broker"))
    (tmp_path / "said").write_text(said)
    recorded(gate, 1, f"badge {badge(9)} has two owners")
    journalctl = tmp_path / "bin" / "journalctl"
    journalctl.parent.mkdir()
    journalctl.write_text(f'#!/bin/sh\necho asked for "$@"\ncat {tmp_path / "said"}\n')
    journalctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{journalctl.parent}:{os.environ['PATH']}")
    return gate


def test_no_secret_is_in_it_even_where_the_log_or_an_event_says_one(indiscreet: SimPost, tmp_path: Path) -> None:
    (indiscreet.state / "roster.last-good.toml").write_bytes((indiscreet.folder / "roster.toml").read_bytes())
    found = made(indiscreet, tmp_path / "a.tar.gz")
    for secret in secrets_of(indiscreet):
        for name, content in found.items():
            assert secret not in content, f"{name}: {secret!r}"
    log = found["log.txt"].decode().splitlines()
    assert log[0] == "asked for --no-pager --output short-iso-precise --lines 2000 --unit guardpost"
    assert log.count(STRUCK) >= 4
    assert f"key mqtts://{STRUCK}@broker" in log
    assert f"badge {STRUCK} has two owners" in found["events.jsonl"].decode()
    assert "hunter2222" not in found["log.txt"].decode()


def test_the_archive_itself_holds_no_secret_in_its_bytes_or_names(indiscreet: SimPost, tmp_path: Path) -> None:
    made(indiscreet, tmp_path / "a.tar.gz")
    plain = gzip.decompress((tmp_path / "a.tar.gz").read_bytes())
    for secret in secrets_of(indiscreet):
        assert secret not in plain


@pytest.mark.parametrize(
    "roster",
    [
        '[[officer]]\nid = "officer-1"\nbadges = ["04a1b2c3d4e5fg"]\n',
        '[[officer]]\nid = "officer-1"\nbadges = "04a1b2c3d4e5fg"\n',
        '[[officer]]\nid = "officer-1"\nbadge = "04a1b2c3d4e5fg"\n',
        '[officer]\nid = "officer-1"\nbadges = ["04a1b2c3d4e5fg"]\n',
        'badges = [["04a1b2c3d4e5fg"], {x = 1}]\n',
        '[[officer]\nid = "officer-1"\nbadges = ["04a1b2c3d4e5fg"]\n',
        "[[officer]]\nid = officer-1\nbadges = ['04a1b2c3d4e5fg']\n",
    ],
)
def test_a_mistyped_roster_gives_no_number_away(tmp_path: Path, roster: str) -> None:
    (tmp_path / "roster.last-good.toml").write_text(roster)
    secrets = Secrets.known(None, tmp_path)
    assert secrets.strike(b"badge 04A1B2C3D4E5FG, 04a1b2c3d4e5fg of officer-2") == (
        f"badge {STRUCK}, {STRUCK} of officer-2".encode()
    )


def test_a_key_that_was_set_aside_is_a_secret_still(tmp_path: Path) -> None:
    (tmp_path / "site.key.damaged-1").write_text("5c" * 32)
    assert Secrets.known(None, tmp_path).strike(b"it was " + b"5c" * 32) == f"it was {STRUCK}".encode()


def test_without_any_secret_nothing_is_struck_out(tmp_path: Path) -> None:
    assert Secrets.known(None, tmp_path).strike(b"all of it") == b"all of it"


@pytest.mark.parametrize("password", ["", "1234", "a\n"])
def test_a_password_as_short_as_that_would_strike_out_half_the_text(password: str) -> None:
    assert Secrets([password]).strike(b"a 1234 a") == b"a 1234 a"


# The machine


def test_who_holds_a_lock_is_told_without_touching_it(tmp_path: Path) -> None:
    assert machine.holder(tmp_path / LOCK) is None
    with closing(open_record(tmp_path / "state", SOURCE, BOOT)):
        assert machine.holder(tmp_path / "state" / LOCK) == os.getpid()
    assert machine.holder(tmp_path / "state" / LOCK) is None


def test_programs_that_are_not_there_are_told_in_their_place(
    gate: SimPost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = made(gate, tmp_path / "a.tar.gz")
    assert found["log.txt"] == b"cannot be told: [Errno 2] No such file or directory: 'journalctl'\n"
    assert found["service.txt"] == b"cannot be told: [Errno 2] No such file or directory: 'systemctl'\n"

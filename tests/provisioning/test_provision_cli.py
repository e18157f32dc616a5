"""The command line: what it writes, what it refuses, one line each."""

from pathlib import Path

import pytest

from provisioning.__main__ import main

ROSTER = """\
[[officer]]
id = "officer-1"
badges = ["04A1B2C3D4E5F6", "DEADBEEF"]

[[officer]]
id = "officer-2"
badges = ["04112233445566"]
revoked = true

[[officer]]
id = "officer-3"
until = 2020-12-31

[[officer]]
id = "officer-4"
badges = ["0455AA55AA55AA"]
until = 2999-12-31T18:00:00
"""


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def test_broker_writes_two_files_and_writes_them_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["broker", "--out", str(tmp_path / "conf.d"), "--root", "guards"]
    assert main(words) == main(words) == 0
    configuration = (tmp_path / "conf.d" / "guardpost.conf").read_text()
    rules = (tmp_path / "conf.d" / "guardpost.acl").read_text()
    assert "listener 1883 127.0.0.1\n" in configuration
    assert "max_queued_messages 100000\n" in configuration
    assert "max_queued_bytes 200000000\n" in configuration
    assert f"acl_file {tmp_path}/conf.d/guardpost.acl\n" in configuration
    assert "pattern write guards/%u/event/#\n" in rules
    recorder = rules.partition("user recorder\n")[2].partition("\n\n")[0].splitlines()
    assert recorder == ["topic read guards/#", "topic write guards/+/+/receipt", "topic write guards/+/+/order/#"]
    assert capsys.readouterr().err == ""


def test_broker_leaves_a_file_alone_that_somebody_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["broker", "--out", str(tmp_path)]
    assert main(words) == 0
    configuration = tmp_path / "guardpost.conf"
    changed = configuration.read_text().replace("#certfile", "certfile")
    configuration.write_text(changed)
    assert main(words) == 2
    assert str(configuration) in said(capsys)
    assert configuration.read_text() == changed


def test_broker_warns_where_others_can_reach_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["broker", "--out", str(tmp_path), "--listen", "[::]:8883"]) == 0
    assert "TLS" in said(capsys)
    assert "listener 8883 ::\n" in (tmp_path / "guardpost.conf").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ["--listen", "1883"],
        ["--listen", "127.0.0.1:"],
        ["--listen", "127.0.0.1:99999"],
        ["--listen", "broker.example:1883"],
        ["--root", "guard/post"],
        ["--root", ""],
        ["--out", "/dev/null/x"],
        ["--out", "/tmp/with space"],
    ],
)
def test_broker_refuses_bad_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["broker", "--out", str(tmp_path / "new"), *words]) == 2
    said(capsys)
    assert not (tmp_path / "new").exists()


def test_roster_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "roster.toml"
    file.write_text(ROSTER)
    assert main(["roster", str(file)]) == 0
    told = "4 officers, 4 badges; 1 revoked; 1 past their last day; 1 without a badge"
    assert capsys.readouterr().out == f"{file}: {told}\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (ROSTER.replace("04112233445566", "DEADBEEF"), "badge 2 of officer-1"),
        (ROSTER.replace("officer-2", "officer-1"), "officer-1"),
        (ROSTER.replace("DEADBEEF", "dead"), "officer[0].badges[1]: no badge number"),
        (ROSTER.replace("revoked", "revokd"), "revoked"),
        ("[[officer]\n", "TOML"),
    ],
)
def test_roster_names_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, named: str) -> None:
    file = tmp_path / "roster.toml"
    file.write_text(content)
    assert main(["roster", str(file)]) == 1
    line = said(capsys)
    assert line.startswith(f"{file}: ")
    assert named in line


def test_a_roster_that_is_not_there_is_not_taken_for_an_empty_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["roster", str(tmp_path / "roster.toml")]) == 2
    said(capsys)


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "exit codes:" in capsys.readouterr().out

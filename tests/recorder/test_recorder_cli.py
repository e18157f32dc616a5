"""The command line: what people and cron see."""

import json
import sqlite3
from pathlib import Path

import pytest
from far_ends import SOURCE, Desk, Key, Post

from recorder.__main__ import main


@pytest.fixture
def night(desk: Desk, post: Post) -> Path:
    """A whole chain, then one after a lost key that waits for a person."""
    desk.take(post.identity(), post.message(post.sealed[0]), *post.checkins(4))
    old, post.key = post.here, Key()
    desk.take(post.begin("damaged", old), *post.checkins(2))
    return desk.path


def test_verify_tells_a_held_chain_until_a_person_trusts_its_key(
    night: Path, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--store", str(night)]) == 1
    assert "3 held: key not trusted" in capsys.readouterr().out
    assert main(["findings", "--store", str(night)]) == 1
    assert f"trust {SOURCE} {post.key.kid}" in capsys.readouterr().out
    assert main(["trust", SOURCE, post.key.kid, "--store", str(night)]) == 0
    assert "3 held events verified" in capsys.readouterr().out
    assert main(["verify", "--json", "--store", str(night)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(row["count"], row["whole"], row["verdict"]) for row in told] == [(5, 5, "whole"), (3, 3, "whole")]
    assert main(["findings", "--store", str(night)]) == 0
    assert main(["findings", "--all", "--json", "--store", str(night)]) == 1


@pytest.mark.parametrize("size", ["10", "0GB", "10GiB", "-1GB", "1,5GB"])
def test_a_share_that_is_no_size_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], size: str) -> None:
    words = [
        "run",
        "--broker",
        "mqtt://127.0.0.1",
        "--store",
        str(tmp_path / "r.db"),
        f"--pictures-per-post={size}",
    ]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "--pictures-per-post: write it as 500MB, 10GB or 1TB" in capsys.readouterr().err


def test_gaps_are_told_as_a_table_and_as_json(desk: Desk, post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    desk.take(post.identity(), post.message(post.sealed[0]), *post.checkins(5)[3:])
    assert main(["gaps", "--store", str(desk.path)]) == 1
    assert f"{SOURCE}\t{post.here.chain}\t2\t4\tsent, not here" in capsys.readouterr().out
    assert main(["gaps", "--json", "--store", str(desk.path)]) == 1
    assert json.loads(capsys.readouterr().out)[0]["last"] == 4


def test_export_gives_the_exact_bytes(night: Path, post: Post, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["export", "--store", str(night)]) == 0
    assert capfdbinary.readouterr().out == b"".join(sealed.event + b"\n" for sealed in post.sealed[:5])
    assert main(["export", "--source", "/guardpost/other/post", "--store", str(night)]) == 0
    assert capfdbinary.readouterr().out == b""


@pytest.mark.parametrize("command", ["verify", "gaps", "findings", "export"])
@pytest.mark.parametrize("spoil", ["missing", "text", "foreign", "future"])
def test_an_unusable_store_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, spoil: str
) -> None:
    path = tmp_path / "x.db"
    if spoil == "text":
        path.write_text("no database at all, but long enough to look at " * 10)
    if spoil == "foreign":
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE guests (name)")
        db.close()
    if spoil == "future":
        Desk(path).store.close()
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 99")
        db.close()
    assert main([command, "--store", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"guardpost-recorder: {path}: ")
    assert said.count("\n") == 1


def test_run_refuses_a_foreign_file_and_leaves_it_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("dear headquarters, " * 20)
    assert main(["run", "--broker", "mqtt://127.0.0.1:1", "--store", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert path.read_text().startswith("dear headquarters")


@pytest.mark.parametrize(
    "words",
    [
        ["--broker", "http://x"],
        ["--broker", "mqtt://x:99999"],
        ["--broker", "mqtt://u:secret@x"],
        ["--broker", "mqtt://x", "--password-file", "/does/not/exist"],
        ["--broker", "mqtt://x", "--ca", "/does/not/exist"],
        ["--broker", "mqtts://x", "--ca", "/does/not/exist"],
    ],
)
def test_bad_words_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["run", *words, "--store", str(tmp_path / "x.db")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "secret" not in said
    assert not (tmp_path / "x.db").exists()


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "exit codes:" in capsys.readouterr().out

"""The command line as its user meets it: help, exit codes, one-line errors, a fast ``do``."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.control import ControlServer


def sim(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulator", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", [["--help"], ["post", "--help"], ["do", "--help"], ["demo", "--help"]])
def test_help_is_there(words: list[str]) -> None:
    done = sim(*words)
    assert done.returncode == 0
    assert "usage: guardpost-sim" in done.stdout


def test_do_answers_and_exits_by_the_answers(tmp_path: Path) -> None:
    with ControlServer(tmp_path / "control", lambda line: "error: no" if "bad" in line else f"did {line}"):
        control = ("do", "--control", str(tmp_path / "control"))
        one = sim(*control, "open", "front")
        assert (one.returncode, one.stdout, one.stderr) == (0, "did open front\n", "")
        bad = sim(*control, "bad")
        assert (bad.returncode, bad.stdout, bad.stderr) == (1, "error: no\n", "")
        many = sim(*control, "-", stdin="open front\nlights\n")
        assert (many.returncode, many.stdout, many.stderr) == (0, "did open front\ndid lights\n", "")
        some = sim(*control, "-", stdin="open front\nbad\nlights\n")
        assert (some.returncode, some.stdout) == (1, "did open front\nerror: no\ndid lights\n")


def test_do_without_a_simulator_is_one_line(tmp_path: Path) -> None:
    for words, stdin in ((["lights"], ""), (["-"], "lights\n")):
        done = sim("do", "--control", str(tmp_path / "control"), *words, stdin=stdin)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"error: .*no simulator answers there.*start it with.*\n", done.stderr)


def test_do_imports_nothing_that_is_slow() -> None:
    code = (
        "import sys; from simulator.__main__ import main; import simulator.client; "
        "print([name for name in ('pydantic', 'gpiozero', 'rich', 'paho', 'iotcore') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "words", [[], ["do", "lights"], ["post"], ["demo", "--seconds", "0"], ["demo", "--seconds", "soon"], ["dance"]]
)
def test_wrong_usage_exits_with_2(words: list[str]) -> None:
    done = sim(*words)
    assert done.returncode == 2
    assert "usage: guardpost-sim" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broker_that_is_none_is_one_line() -> None:
    done = sim("demo", "--seconds", "1", "--broker", "broker.example")
    assert done.returncode == 2
    assert "write it as mqtt://host:port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_configuration_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = sim("post", "--config", str(tmp_path / "post.toml"), "--control", str(tmp_path / "control"))
    assert done.returncode == 2
    assert re.fullmatch(r".*post\.toml: cannot be read.*\n", done.stderr)

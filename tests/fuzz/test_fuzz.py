"""A short run of every fuzz target, by hypothesis and by seed; ``make fuzz`` makes the long one."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import at

from device.errors import ChainError
from device.link.orders import read_order
from device.link.receipts import Rollback, Stored, Stray, judge, read_receipt
from device.readings import Arrived, Asked
from device.record.chain import verify
from fuzz.__main__ import main
from fuzz.seeds import EVENTS, KEY, MESSAGES, ORDERS, RECEIPTS, ROWS
from fuzz.targets import TARGETS, Target
from recorder.intake import Message as Heard
from recorder.intake import Refused, sort

ATHERIS = importlib.util.find_spec("atheris") is not None


def short_run(target: Target) -> None:
    @settings(max_examples=400, deadline=None)
    @given(st.sampled_from(target.seeds), st.integers(0, 2**64), st.binary(max_size=200), st.integers(0, 3))
    def run(seed: bytes, number: int, raw: bytes, what: int) -> None:
        if what == 0:
            target.run(raw)
        else:
            target.run(target.bend(seed, random.Random(number)))

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_raises_nothing_but_what_it_names(name: str) -> None:
    short_run(TARGETS[name])


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_taken(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


def test_the_seeds_are_valid() -> None:
    """A fuzzer that starts from rubbish looks at the first check only."""
    for event in EVENTS:
        verify(event, KEY.public)
    asked = [read_order("replay", Arrived(at(), 1, 1, "", order, False)) for order in ORDERS]
    assert [isinstance(order, Asked) for order in asked] == [True, True, False]
    judged = [type(judge(read_receipt(receipt), ROWS)) for receipt in RECEIPTS]
    assert judged == [Stored, Stored, Stored, Rollback]
    assert isinstance(judge(read_receipt(RECEIPTS[0].replace(b'"seq": 1', b'"seq": 2')), ROWS), Stray)
    for topic, payload in MESSAGES:
        assert not isinstance(sort(Heard(topic, payload, 1), "guardpost"), Refused), topic


def test_mutation_goes_deep() -> None:
    """Of a thousand mutated events some still verify, and some only fail at the signature."""
    chance, fates = random.Random(7), set()
    for _ in range(1000):
        try:
            verify(TARGETS["chain"].bend(chance.choice(EVENTS), chance), KEY.public)
        except ChainError as error:
            fates.add(type(error).__name__)
        else:
            fates.add("verified")
    assert fates == {"verified", "BadSignature", "Unreadable"}


def test_a_run_is_the_same_for_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["receipt", "order", "--plain", "--inputs", "200", "--seed", "3"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "200 inputs for each parser, seed 3"
    assert [line.split()[:3] for line in said[1:]] == [[name, "nothing", "found,"] for name in ("receipt", "order")]


@pytest.mark.parametrize("plain", [True, False] if ATHERIS else [True])
def test_a_find_is_shown_with_its_input(
    plain: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A parser that divides by what it reads is found out, in this process and in libFuzzer's."""
    if plain:

        def broken(data: bytes) -> None:
            raise ZeroDivisionError("of a test")

        monkeypatch.setitem(TARGETS, "receipt", Target("receipt", broken, RECEIPTS))
    else:
        (tmp_path / "sitecustomize.py").write_text("import device.link.receipts as r\nr.judge = lambda *_: 1 / 0\n")
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert main(["receipt", "--inputs", "1000", "--seed", "3", *(["--plain"] if plain else [])]) == 1
    said = capsys.readouterr().out
    assert "FAILED" in said
    assert "ZeroDivisionError" in said


def test_without_atheris_it_says_so_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main(["receipt", "--inputs", "10", "--seed", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("atheris is not installed")

"""What is kept between runs: made once, made anew when its definition changes, and never taken while half-made."""

import os
import time
from pathlib import Path

import pytest

from pi.kept import UNUSED_AFTER_S, cache, kept


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache()


class Maker:
    """Fills a folder, and counts how often."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, folder: Path) -> None:
        self.made += 1
        (folder / "whole").touch()


def test_what_is_defined_alike_is_made_once() -> None:
    maker = Maker()
    first, second = kept("tree", ["a", "b"], maker), kept("tree", ["a", "b"], maker)
    assert first == second and maker.made == 1 and (first / "whole").exists()


def test_another_definition_is_made_anew_beside_the_old_one() -> None:
    maker = Maker()
    folders = {kept("tree", definition, maker) for definition in (["ab"], ["a", "b"], ["b", "a"])}
    assert len(folders) == 3 and maker.made == 3


def test_one_that_failed_half_way_is_made_from_the_start() -> None:
    def cut_short(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        kept("tree", ["a"], cut_short)
    folder = kept("tree", ["a"], Maker())
    assert [file.name for file in folder.iterdir()] == ["whole"]


def test_one_that_no_checkout_has_used_for_long_goes_when_another_is_made() -> None:
    old, used = kept("tree", ["old"], Maker()), kept("tree", ["used"], Maker())
    long_ago = time.time() - UNUSED_AFTER_S - 1
    os.utime(old, (long_ago, long_ago))
    new = kept("tree", ["new"], Maker())
    assert not old.exists() and used.exists() and new.exists()

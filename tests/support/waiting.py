"""Waiting on a condition, never on a guess."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T], within_s: float = 20.0, what: str = "the condition", every_s: float = 0.01
) -> T:
    """The first true result of ``condition``, asked ``every_s``; fails the test after ``within_s``."""
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {within_s} s"
        time.sleep(every_s)
    return result

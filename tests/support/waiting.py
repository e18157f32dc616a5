"""Waiting on a condition, never on a guess."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], within_s: float = 20.0, what: str = "the condition") -> T:
    """The first true result of ``condition``; fails the test after ``within_s``."""
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {within_s} s"
        time.sleep(0.01)
    return result

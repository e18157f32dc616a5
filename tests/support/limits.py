"""Limits of this process that play a machine that has run out."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """This process may open so many more."""
    free = [os.open(os.devnull, os.O_RDONLY) for _ in range(count + 1)]
    for each in free:
        os.close(each)
    with _limited(resource.RLIMIT_NOFILE, free[-1]):
        yield


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """A disk that is full for every file of this process that would grow beyond ``size`` bytes."""
    with _limited(resource.RLIMIT_FSIZE, size):
        yield


@contextmanager
def _limited(what: int, most: int) -> Iterator[None]:
    before = resource.getrlimit(what)
    resource.setrlimit(what, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)

"""Drivers of badge readers by name: those of this firmware, and those that other packages bring."""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

GROUP = "guardpost.readers"
"""The entry points that a package with a driver of its own declares: its name, and its ``Driver``."""

_READERS = {
    "rc522": "device.hardware.readers.rc522",
    "pn532": "device.hardware.readers.pn532",
    "hid": "device.hardware.readers.hid",
    "wiegand": "device.hardware.readers.wiegand",
    "osdp": "device.hardware.readers.osdp",
}
"""Imported only where one is configured: a post that starts fast is a post that is soon watching again."""


def reader_driver(name: str) -> Any:  # noqa: ANN401
    """A ``hardware.readers.driver.Driver``. Raises LookupError where nobody brings one of this name."""
    if name in _READERS:
        return import_module(_READERS[name]).DRIVER
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()
    raise LookupError(name)


def reader_names() -> Iterator[str]:
    """Every driver there is."""
    yield from _READERS
    yield from (entry.name for entry in entry_points(group=GROUP))

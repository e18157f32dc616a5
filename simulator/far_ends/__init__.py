"""What stands at the far end of a reader's wires: a model for each driver, found by the driver's name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from device.config import ReaderSection
from simulator.errors import SimulatorError
from simulator.factory import SimFactory

_MODELS = {
    "rc522": "simulator.far_ends.rc522",
    "pn532": "simulator.far_ends.pn532",
    "hid": "simulator.far_ends.hid",
    "wiegand": "simulator.far_ends.wiegand",
    "osdp": "simulator.far_ends.osdp",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that can be done to a reader. ``done``: what to say of it then."""

    do: Callable[[], None]
    done: str


class FarEnd(Protocol):
    """A reader as a person meets it. Any thread may call."""

    @property
    def faults(self) -> Mapping[str, Fault]:
        """What can be done to it, and the end of it, by the word of the command ``reader READER WORD``."""
        ...

    def place(self, uid: bytes) -> None:
        """Hold a card to it; one that is there already stays."""
        ...

    def remove(self, uid: bytes) -> None:
        """Take a card away; one that is not there is no error."""
        ...

    def wait_read(self, uid: bytes, timeout_s: float) -> bool:
        """Wait until the reader has read a placed card (and sent it, if it speaks by itself)."""
        ...

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until the device program has opened its end."""
        ...

    def close(self) -> None:
        """Free what it holds; the device program has ended."""
        ...


@dataclass(frozen=True)
class Site:
    """What a model may use.

    ``inputs``: how the device program opens an input event device, by its path. ``state_dir``: the post's, for a
    key that it shares with a reader. ``shared``: what several readers are at the end of, by its port.
    """

    factory: SimFactory
    inputs: dict[str, Callable[[], Any]] = field(default_factory=dict)
    state_dir: Path = Path()
    shared: dict[str, Any] = field(default_factory=dict)

    def open_input(self, path: str) -> Any:  # noqa: ANN401
        """For ``Copper.open_input``. Raises FileNotFoundError."""
        if path not in self.inputs:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.inputs[path]()


def far_end(section: ReaderSection, site: Site) -> FarEnd:
    """The model of a configured reader, wired up. Raises SimulatorError for a driver that there is no model of."""
    if section.driver not in _MODELS:
        raise SimulatorError(f"reader {section.name}: the simulator has no model of a {section.driver}")
    connected: FarEnd = import_module(_MODELS[section.driver]).connect(section, site)
    return connected

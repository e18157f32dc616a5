"""What a reader's driver is: the keys of its ``[[reader]]``, and how it is opened."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.config import ReaderSection
from device.hardware.readers.reader import CardReader
from device.readings import Clock

if TYPE_CHECKING:
    from gpiozero.pins import Factory


@dataclass(frozen=True)
class Copper:
    """Where the post's wires end: on a Pi, or in the simulator.

    ``bus_errors``: what the pin factory's library raises where a transfer fails. ``open_input``: opens an input
    event device by its path (``hid.open_evdev`` on a Pi). ``camera``: the command of the camera's child process. It
    looks for no module in its working directory, which is the post's state folder, where the post may write.
    """

    factory: "Factory"
    bus_errors: tuple[type[Exception], ...] = (OSError,)
    open_input: Callable[[str], Any] | None = None
    camera: tuple[str, ...] = (sys.executable, "-P", "-m", "device.hardware.camera.child")


@dataclass(frozen=True)
class Bench:
    """What a driver may use.

    ``state_dir``: for a key that reader and post share. ``closing``: closed when the post ends, last in first out.
    ``shared``: what several readers of a driver use together, as a line, by a name that begins with the driver's.
    """

    copper: Copper
    clock: Clock
    state_dir: Path
    closing: ExitStack
    shared: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Driver:
    """``section``: the keys, a ReaderSection. ``open``: makes the reader of a section.

    It takes its pins, but opens no bus: that is for the reader's ``start``, which is tried again. Raises gpiozero's
    errors for pins that are taken.
    """

    section: type[ReaderSection]
    open: Callable[[Any, Bench], CardReader]

"""A PN532 at the end of a serial line: its plug, and what can be done to it."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from device.hardware.readers.pn532 import Pn532Section
from device.hardware.readers.pn532_hsu import BAUD
from simulator.far_ends import Fault, Site
from simulator.pn532 import Pn532
from simulator.pty_line import PtyLine


class PluggedPn532:
    """A ``far_ends.FarEnd``. ``chip``: for faults of other kinds."""

    def __init__(self, section: Pn532Section) -> None:
        """Behind the section's port, which becomes a link to a pty. Raises SimulatorError."""
        self.chip = Pn532()
        self._line = PtyLine(section.port, BAUD, self.chip.hear, self.chip.told)

    @property
    def faults(self) -> Mapping[str, Fault]:
        """A chip that stops answering, a cable that garbles, a plug that is pulled."""
        return {
            "freeze": Fault(partial(self._change, dead=True), "frozen"),
            "thaw": Fault(partial(self._change, dead=False), "thawed"),
            "garble": Fault(partial(self._change, bad_dcs=math.inf), "its answers garbled"),
            "clear": Fault(partial(self._change, bad_dcs=0), "its answers clear"),
            "unplug": Fault(self._line.unplug, "unplugged"),
            "plug": Fault(self._plug, "plugged in"),
        }

    def place(self, uid: bytes) -> None:
        """Bring a card into the field. Raises ValueError for no UID."""
        self.chip.place(uid)

    def remove(self, uid: bytes) -> None:
        """Take it away."""
        self.chip.remove(uid)

    def wait_read(self, uid: bytes, timeout_s: float) -> bool:
        """Until the device program was told of the card."""
        return self.chip.wait_read(uid, timeout_s)

    def wait_ready(self, timeout_s: float) -> bool:
        """Until the device program has set the chip up."""
        return self.chip.wait_set_up(timeout_s)

    def close(self) -> None:
        """Take the port away."""
        self._line.unplug()

    def _plug(self) -> None:
        self.chip.reset()
        self._line.plug()

    def _change(self, **faults: Any) -> None:  # noqa: ANN401
        self.chip.faults = replace(self.chip.faults, **faults)


def connect(section: Pn532Section, site: Site) -> PluggedPn532:  # noqa: ARG001
    """Plug one in."""
    return PluggedPn532(section)

"""An RC522 on the board: its chip select, its RST line, and what can be done to it."""

import threading
from collections.abc import Mapping
from functools import partial

from device.hardware.readers.rc522 import Rc522Section
from simulator.factory import Change, chip_select
from simulator.far_ends import Fault, Site
from simulator.rc522 import Rc522


class WiredRc522:
    """A ``far_ends.FarEnd``. ``chip``: for faults of other kinds."""

    def __init__(self, section: Rc522Section, site: Site) -> None:
        """Behind the section's chip select; a pulse on its RST pin resets it."""
        irq_pin = section.irq_pin
        self.chip = Rc522(irq=None if irq_pin is None else partial(site.factory.hold, irq_pin))
        self._irq = None
        if irq_pin is not None:
            site.factory.hold(irq_pin, True)
            self._irq = threading.Thread(target=self.chip.run_irq, name=f"irq {section.name}")
            self._irq.start()
        self._factory = site.factory
        self._ready = {chip_select(section.chip_select)}
        site.factory.connect(section.chip_select, self.chip)
        if (reset_pin := section.reset_pin) is not None:

            def changed(change: Change) -> None:
                if change.pin == reset_pin and not change.level:
                    self.chip.reset()

            site.factory.listen(changed)

    @property
    def faults(self) -> Mapping[str, Fault]:
        """A chip that stops answering; a bus that blocks; the end of both."""
        return {
            "freeze": Fault(self.chip.freeze, "frozen"),
            "lock": Fault(self.chip.lock, "frozen until its RST line is pulsed"),
            "block": Fault(self.chip.block, "blocked"),
            "thaw": Fault(self.chip.thaw, "thawed"),
        }

    def place(self, uid: bytes) -> None:
        """Bring a card into the field. Raises ValueError for no UID."""
        self.chip.place(uid)

    def remove(self, uid: bytes) -> None:
        """Take it away."""
        self.chip.remove(uid)

    def wait_read(self, uid: bytes, timeout_s: float) -> bool:
        """Until the card was read whole."""
        return self.chip.wait_read(uid, timeout_s)

    def wait_ready(self, timeout_s: float) -> bool:
        """Until the chip select was opened."""
        return self._factory.wait_taken(self._ready, timeout_s)

    def close(self) -> None:
        """End what drives its IRQ pin."""
        self.chip.end_irq()
        if self._irq is not None:
            self._irq.join()


def connect(section: Rc522Section, site: Site) -> WiredRc522:
    """Wire one up."""
    return WiredRc522(section, site)

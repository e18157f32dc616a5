"""OSDP readers on one RS-485 line: its adapter's plug, their wires, and what can be done to each."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from device.hardware.readers.osdp import OsdpSection
from device.hardware.readers.osdp_key import KEY_BYTES, key_file, read_key, written
from device.record.keys import write_durably
from simulator.far_ends import Fault, Site
from simulator.far_ends.again import Again
from simulator.osdp import Peripheral
from simulator.pty_line import PtyLine

DELAY_S = 0.003
"""From a command's end to the answer's begin."""
REPEAT_S = 0.3


@dataclass(frozen=True, slots=True)
class Said:
    """A ``pty_line.Said``."""

    data: bytes
    after_s: float = DELAY_S


class SimLine:
    """What all readers of a port share. ``answer``: what comes back for a command, by whoever is on the line."""

    def __init__(self, section: OsdpSection) -> None:
        """Raises SimulatorError where the port cannot be ours."""
        self.readers: dict[int, Peripheral] = {}
        self.cut: set[int] = set()
        self.answer: Callable[[Peripheral, bytes], bytes] = Peripheral.hear
        self.adapter = PtyLine(section.port, section.baud, self._hear, self._left)

    def _hear(self, data: bytes) -> Iterator[Said]:
        """Every reader hears every command, and the one that it is for answers."""
        for address, reader in self.readers.items():
            if address not in self.cut and (said := self.answer(reader, data)):
                yield Said(said)

    def _left(self) -> None:
        for reader in self.readers.values():
            reader.left()


class WiredOsdp:
    """A ``far_ends.FarEnd``. ``device``, ``line``: for what else can happen."""

    def __init__(self, section: OsdpSection, site: Site) -> None:
        """It was given its key on the desk, if the state folder has none yet."""
        self._key = _key(site, section.name)
        self.device = Peripheral(section.address, self._key)
        self.line: SimLine = site.shared.get(str(section.port)) or SimLine(section)
        site.shared[str(section.port)] = self.line
        self.line.readers[section.address] = self.device
        self._address = section.address
        self._again = Again()

    @property
    def faults(self) -> Mapping[str, Fault]:
        """Its wires, its power, its key, its housing; the adapter's plug; a card that stays."""
        return {
            "cut": Fault(partial(self.line.cut.add, self._address), "its wires are cut"),
            "mend": Fault(partial(self.line.cut.discard, self._address), "its wires are mended"),
            "reboot": Fault(partial(self._reboot, self._key), "rebooted"),
            "swap": Fault(partial(self._reboot, secrets.token_bytes(KEY_BYTES)), "swapped for a stranger"),
            "reset": Fault(partial(self._reboot, None), "reset to its default key"),
            "open": Fault(partial(self.device.tamper, True), "its housing is open"),
            "shut": Fault(partial(self.device.tamper, False), "its housing is shut"),
            "repeat": Fault(self._repeat, "sends one number for ever"),
            "rest": Fault(self._again.stop, "sends no number by itself"),
            "garble": Fault(partial(self._answers, _garbled), "the answers on its line are garbled"),
            "clear": Fault(partial(self._answers, Peripheral.hear), "the answers on its line are clear"),
            "unplug": Fault(self.line.adapter.unplug, "its line's adapter is unplugged"),
            "plug": Fault(self.line.adapter.plug, "its line's adapter is plugged in"),
        }

    def place(self, uid: bytes) -> None:
        """Hold a card to it. Raises ValueError for no UID."""
        if not 3 <= len(uid) <= 10:
            raise ValueError(f"{uid.hex().upper()}; a badge has 3 to 10 bytes")
        self.device.present(uid)

    def remove(self, uid: bytes) -> None:
        """Take it away."""
        self.device.take_away(uid)

    def wait_read(self, uid: bytes, timeout_s: float) -> bool:
        """Until its number was sent."""
        return self.device.wait_sent(uid, timeout_s)

    def wait_ready(self, timeout_s: float) -> bool:
        """Until the post asked it."""
        return self.device.wait_spoken(timeout_s)

    def close(self) -> None:
        """Take the port away."""
        self._again.stop()
        self.line.adapter.unplug()

    def _reboot(self, key: bytes | None) -> None:
        self.device.reboot(key)

    def _repeat(self) -> None:
        self._again.start(partial(self.device.send_bits, 32, bytes(range(4))), REPEAT_S)

    def _answers(self, answer: Callable[[Peripheral, bytes], bytes]) -> None:
        self.line.answer = answer


def _garbled(reader: Peripheral, command: bytes) -> bytes:
    said = reader.hear(command)
    return said[:-3] + bytes(byte ^ 0x10 for byte in said[-3:-2]) + said[-2:]


def _key(site: Site, name: str) -> bytes:
    file = key_file(site.state_dir, name)
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(file, written(secrets.token_bytes(KEY_BYTES)))
    return read_key(file, name)


def connect(section: OsdpSection, site: Site) -> WiredOsdp:
    """Wire one up."""
    return WiredOsdp(section, site)

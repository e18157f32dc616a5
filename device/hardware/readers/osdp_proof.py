"""A short talk with one OSDP reader, for whether it has a key, and for giving it one."""

import time

from device.hardware.readers.osdp import OsdpSection
from device.hardware.readers.osdp_bus import TICK_S, load_panel
from device.hardware.readers.osdp_channel import Channel, Heard
from device.hardware.readers.osdp_station import STUCK_S
from device.hardware.readers.reader import ReaderSilent

WITHIN_S = 15.0
"""A handshake, the key and a handshake with it take 1 s at 9600 baud; a reader may restart in between."""


class OtherKey(ReaderSilent):
    """The reader answers, and proves that it does not have this key."""


def prove(section: OsdpSection, key: bytes, *, installing: bool = False) -> None:
    """Returns once the reader has proved that it has the key (SCBK). Raises OtherKey, ReaderSilent.

    ``installing``: it is given the key, under the default key, if it does not have it.
    """
    panel_type = load_panel()
    channel = Channel(section.port, section.baud, installing=installing)
    heard = channel.heard.setdefault(section.address, Heard())
    channel.open()
    try:
        panel = panel_type(channel, [(section.address, key)], installing=installing)
        deadline_s = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline_s and channel.failed is None:
            panel.turn()
            if panel.secure(0):
                return
            stuck = heard.answered is not None and time.monotonic() - heard.at_s > STUCK_S
            if stuck or panel.online(0):  # online in the clear, which is of no use to us
                raise _other_key(section) if panel.offers_secure(0) else _silent(section, _NO_CHANNEL)
            channel.wait(TICK_S)
    finally:
        channel.close()
    if channel.failed is not None:
        raise ReaderSilent(f"OSDP on {section.port}: the port failed ({channel.failed}): check the adapter")
    raise _silent(section, _NOBODY.format(address=section.address, baud=section.baud))


def _other_key(section: OsdpSection) -> OtherKey:
    why = "it has another key, and takes none under the default key: reset it into install mode, as its manual says"
    return OtherKey(f"OSDP reader {section.name}: {why}")


def _silent(section: OsdpSection, why: str) -> ReaderSilent:
    return ReaderSilent(f"OSDP reader {section.name}: {why}")


_NO_CHANNEL = "it offers no secure channel: take a reader that does"
_NOBODY = "no answer at address {address} and {baud} baud: check its 12 V, A and B, its address and its speed"

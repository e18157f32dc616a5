"""libosdp's control panel for the readers of one line, and the ways round what its wheel 3.2.9 does not do well.

Besides what ``osdp_frames.judge`` and ``osdp_challenge`` say: it never tries a reader again that it holds for gone
before 300 s are over, keeps commands for it until then, and loses a dictionary with every event.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import osdp
import osdp_sys

from device.effects import Answer
from device.hardware.readers import osdp_challenge
from device.hardware.readers.osdp_cards import CardRead, LocalStatus
from device.hardware.readers.osdp_channel import Channel
from device.hardware.readers.osdp_frames import Command
from device.hardware.readers.osdp_signs import reader_sign

_STEPS = 3
"""Calls of libosdp from the end of one exchange to the begin of the next one."""
_TEMPORARY, _DEFAULT_TONE = 2, 2


Event = CardRead | LocalStatus


class Panel:
    """Owns a libosdp context; one thread's. Readers go by their place in ``readers``."""

    def __init__(self, channel: Channel, readers: Sequence[tuple[int, bytes]], *, installing: bool = False) -> None:
        """``readers``: address and key (SCBK) of each; ``osdp_challenge.take_over`` was called.

        ``installing``: a reader that does not know its key is given it, under the default key.
        """
        osdp_sys.set_loglevel(osdp.LogLevel.Emergency)  # what there is to say is said by us
        flags = [osdp.LibFlag.AllowEmptyEncryptedDataBlock, osdp.LibFlag.IgnoreUnsolicited]
        if not installing:
            flags.append(osdp.LibFlag.EnforceSecure)
        infos = [osdp.PDInfo(address, channel, scbk=key, flags=flags).get() for address, key in readers]
        self._context = osdp_sys.ControlPanel(infos)
        self._heard: deque[tuple[int, Event]] = deque()
        self._open_commands = [0] * len(infos)
        # Closures without this object: libosdp's types are none of the garbage collector's.
        heard, open_commands = self._heard, self._open_commands

        def on_event(reader: int, event: dict[str, Any]) -> int:
            if (known := _event(event)) is not None:
                heard.append((reader, known))
            event.clear()  # of what is lost with every event only the shell
            return 0

        def on_completion(reader: int, _command: dict[str, Any], _status: int) -> None:
            open_commands[reader] -= 1

        self._context.set_event_callback(on_event)
        self._context.set_command_completion_callback(on_completion)

    def turn(self) -> list[tuple[int, Event]]:
        """Go on as far as it goes without waiting; what secured readers told."""
        osdp_challenge.renew()
        for _ in range(_STEPS):
            self._context.refresh()
        heard = [(reader, event) for reader, event in self._heard if self.secure(reader)]
        self._heard.clear()
        return heard

    def secure(self, reader: int) -> bool:
        """Whether it is online on a secure channel with its own key."""
        return bool(self._context.status() & self._context.sc_status() & 1 << reader)

    def online(self, reader: int) -> bool:
        """Whether it is online at all; on no other channel than a secure one unless ``installing``."""
        return bool(self._context.status() & 1 << reader)

    def offers_secure(self, reader: int) -> bool:
        """Whether it says that it can do a secure channel, once it is asked."""
        return self._has(reader, osdp.Capability.CommunicationSecurity)

    def restart(self, reader: int) -> None:
        """Forget a reader, so that ``revive`` begins with it anew."""
        self._context.flush_commands(reader)  # or a green light of long ago would be shown
        self._context.disable_pd(reader)

    def revive(self, reader: int) -> None:
        """Begin anew with one that was forgotten by now."""
        if not self._context.is_pd_enabled(reader):
            self._context.enable_pd(reader)

    def ask_status(self, reader: int) -> None:
        """Have it tell its LocalStatus."""
        self._submit(reader, {"command": osdp.Command.Status, "type": osdp.StatusReportType.Local})

    def idle(self, reader: int) -> bool:
        """Whether it has been sent everything."""
        return self._open_commands[reader] == 0

    def show(self, reader: int, answer: Answer, declined: set[int]) -> None:
        """By its light and buzzer, as far as it has them and did not decline."""
        sign = reader_sign(answer)
        if self._has(reader, osdp.Capability.LEDControl) and Command.LED not in declined:
            colour = osdp.CommandLEDColor.Green if sign.green else osdp.CommandLEDColor.Red
            self._submit(
                reader,
                {
                    "command": osdp.Command.LED,
                    "reader": 0,
                    "led_number": 0,
                    "temporary": True,
                    "control_code": _TEMPORARY,
                    "on_color": colour,
                    "off_color": osdp.CommandLEDColor.Black,
                    "on_count": sign.light,
                    "off_count": 0,
                    "timer_count": sign.light,
                },
            )
        if self._has(reader, osdp.Capability.AudibleControl) and Command.BUZZER not in declined:
            self._submit(
                reader,
                {
                    "command": osdp.Command.Buzzer,
                    "reader": 0,
                    "control_code": _DEFAULT_TONE,
                    "on_count": sign.beep,
                    "off_count": sign.pause,
                    "rep_count": sign.beeps,
                },
            )

    def _has(self, reader: int, capability: int) -> bool:
        compliance, _ = self._context.check_capability(reader, capability)
        return bool(compliance)

    def _submit(self, reader: int, command: dict[str, Any]) -> None:
        if self._context.submit_command(reader, command):
            self._open_commands[reader] += 1


def _event(event: dict[str, Any]) -> Event | None:
    if event["event"] == osdp.Event.CardRead:
        data = event["data"]
        return CardRead(event["format"], event.get("length", 8 * len(data)), data)
    if event["event"] == osdp.Event.Status and event["type"] == osdp.StatusReportType.Local:
        tamper, power = event["report"][:2]
        return LocalStatus(bool(tamper), bool(power))
    return None

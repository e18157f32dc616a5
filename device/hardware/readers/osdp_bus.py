"""One OSDP line: a thread that runs the control panel of all readers on it."""

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from device.hardware.readers.osdp_challenge import take_over
from device.hardware.readers.osdp_channel import Channel, Heard
from device.hardware.readers.osdp_frames import Command
from device.hardware.readers.osdp_station import Station
from device.hardware.readers.reader import ReaderSilent

if TYPE_CHECKING:
    from device.hardware.readers.osdp_panel import Panel

TICK_S = 0.01
"""How long the thread waits for an answer until it looks at the time again."""
RESTART_S = 1.5
"""A reader without a secure channel that has said nothing for so long is begun with anew."""
MOST_READERS = 32
"""The unit loads of an RS-485 line, and the bits of libosdp's masks: with more it writes beyond them."""
HANGS_S = 3.0
END_WITHIN_S = 0.5


class Line:
    """What readers with the same ``port`` share: it, a thread ``osdp-<port>``, and one control panel in that."""

    def __init__(self, port: Path, baud: int) -> None:
        """Opens nothing yet."""
        self._port = port
        self._channel = Channel(port, baud)
        self._lock = threading.Lock()
        self._stations: tuple[Station, ...] = ()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._turned_s = 0.0

    def join(self, station: Station) -> None:
        """Ask this reader too. Raises ReaderSilent if the port or a library is of no use."""
        with self._lock:
            if station not in self._stations:
                if len(self._stations) == MOST_READERS:
                    raise ReaderSilent(f"OSDP on {self._port}: more than {MOST_READERS} readers: use another port")
                self._stations = (*self._stations, station)
            if self._thread is not None and self._thread.is_alive():
                return
            panel = load_panel()
            self._channel.open()
            self._turned_s = time.monotonic()
            self._stopping = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(panel, self._stopping), name=f"osdp-{self._port.name}", daemon=True
            )
            self._thread.start()

    def leave(self, station: Station) -> None:
        """Ask it no more; the last one frees the port."""
        with self._lock:
            self._stations = tuple(other for other in self._stations if other is not station)
            if not self._stations and self._thread is not None:
                self._stopping.set()
                self._thread.join(END_WITHIN_S)

    def check(self) -> None:
        """Raises ReaderSilent if the line as a whole is of no use."""
        if (failed := self._channel.failed) is not None:
            raise ReaderSilent(f"OSDP on {self._port}: the port failed ({failed}): check the adapter, its plug")
        if time.monotonic() - self._turned_s > HANGS_S:
            raise ReaderSilent(f"OSDP on {self._port}: its thread hangs: check the adapter, then restart the post")

    def _run(self, panel_type: "type[Panel]", stopping: threading.Event) -> None:
        panel: Panel | None = None
        served: tuple[Station, ...] = ()
        try:
            while not stopping.is_set() and self._channel.failed is None:
                self._turned_s = time.monotonic()
                if panel is not None and set(self._stations) <= set(served):
                    self._turn(panel, served)
                elif self._channel.busy:  # an answer on its way would collide with the new panel's first command
                    self._channel.listen()
                else:
                    served = self._stations
                    panel = panel_type(self._channel, [(station.address, station.key) for station in served])
                self._channel.wait(TICK_S)
        finally:
            self._channel.close()
            for station in served:
                station.lost()

    def _turn(self, panel: "Panel", stations: tuple[Station, ...]) -> None:
        for place, event in panel.turn():
            stations[place].take(event)
        now_s = time.monotonic()
        for place, station in enumerate(stations):
            heard = self._channel.heard.setdefault(station.address, Heard())
            (_serve if panel.secure(place) else _woo)(panel, place, station, heard, now_s)
        while self._channel.refused:
            address, why = self._channel.refused.popleft()
            for station in stations:
                if station.address == address:
                    station.tell(why)


def _serve(panel: "Panel", place: int, station: Station, heard: Heard, now_s: float) -> None:
    """A reader on a secure channel."""
    if not station.secure:
        station.greeted()
        if Command.LOCAL_STATUS not in heard.declined:
            panel.ask_status(place)
    station.looked_at(heard, now_s, status_known=panel.idle(place))
    if station.answers and panel.idle(place):
        panel.show(place, station.answers.pop(), heard.declined)


def _woo(panel: "Panel", place: int, station: Station, heard: Heard, now_s: float) -> None:
    """A reader that is not on a secure channel; libosdp by itself would not try again for minutes."""
    if lost := station.secure:
        station.lost()
    else:
        station.missed(heard, now_s)
    if lost or now_s - max(heard.at_s, station.restarted_s) > RESTART_S:
        station.restarted_s, heard.answered = now_s, None
        panel.restart(place)
    panel.revive(place)


def load_panel() -> "type[Panel]":
    """Raises ReaderSilent without libosdp, or with a C library that it cannot be used with."""
    try:
        from device.hardware.readers.osdp_panel import Panel  # here: a post without such a reader needs no libosdp
    except ImportError:
        raise ReaderSilent("OSDP needs libosdp: pip install libosdp") from None
    take_over()
    return Panel

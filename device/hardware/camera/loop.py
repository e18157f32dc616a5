"""The loop of the camera's process: frames in, pictures out, and word of what it sees.

It keeps ``ring.places(before_ms, rate)`` frames as they come, 3.1 MB each at 1920 x 1080 and at most a quarter of
the memory, and makes a JPEG only of those that are asked for. Nothing here waits for ever, but a call into
libcamera may: that ends the words of life too, and the post kills it.
"""

import contextlib
import os
import queue
import time
from typing import BinaryIO

from device.hardware.camera.camera import Camera, NoFrames, Stuck
from device.hardware.camera.shots import Shots
from device.hardware.camera.sight import Sight
from device.hardware.camera.wire import ALIVE_EVERY_MS, Alive, Fit, Inbox, Missed, Settings, Shot, Take, Told, up

AGAIN_MS = 2_000
"""From a camera that failed twice to its next opening."""
MOST_FRUITLESS = 5
"""Openings in a row without a frame, after which the process ends, for a new one to try."""
STEADY_MS = 2_000
"""For how long frames have to come again until the camera is not blind any more."""
STANDS_MS = 5_000
"""How old the newest frame may become while others come that are no newer."""
HEAR_MS = 200
"""A crowd of wishes keeps the next frame waiting no longer than that."""


class Loop:
    """The words of life come from it alone, so that they end when it hangs."""

    def __init__(self, settings: Settings, inbox: Inbox, out: BinaryIO) -> None:
        """``inbox``: what the post asks. ``out``: where the answers go."""
        self._settings = settings
        self._inbox = inbox
        self._out = out
        self._shots = Shots(settings, _memory_bytes() // 4, self._say)
        self._sight = Sight()
        self._camera: Camera | None = None
        self._newest_ms: int | None = None
        self._unsteady_until_ms = 0
        self._none = ""
        self._opening = False
        self._unseeing = ""
        self._told: set[str] = set()
        self._fruitless = 0
        self._alive_ms = self._look_ms = 0

    def run(self) -> None:
        """Until the camera has failed so often that a new process should try; the last word says why."""
        if not self._shots.all_kept:
            seconds = self._shots.places / self._settings.rate
            self._tell(
                f"a quarter of the memory holds the frames of {seconds:.0f} s only: see before, rate and size"
            )
        while self._fruitless < MOST_FRUITLESS:
            self._hear(min(self._alive_ms, self._look_ms, self._wanted_ms()))
            now = uptime_ms()
            if now >= self._alive_ms:
                self._alive()
                self._shots.pass_time(now, self._none)
            if now >= min(self._look_ms, self._wanted_ms()):
                self._look(now)

    def _wanted_ms(self) -> int:
        """When a picture needs a frame before the next one is due; a closed camera gives it none."""
        wanted_ms = self._shots.wanted_ms
        return self._look_ms if self._camera is None or wanted_ms is None else wanted_ms

    def _hear(self, until_ms: int) -> None:
        """Wait until then for something that the post asks; do that, and what else waits, for a short while."""
        wait_ms = max(0, until_ms - uptime_ms())
        with contextlib.suppress(queue.Empty):
            message = self._inbox.get(timeout=wait_ms / 1000)
            enough_ms = uptime_ms() + HEAR_MS
            self._heard(message)
            while uptime_ms() < enough_ms:
                self._heard(self._inbox.get_nowait())

    def _heard(self, message: Take | Fit) -> None:
        match message:
            case Take():
                self._shots.ask(message, self._none)
            case Fit():
                self._shots.fit(message.most_bytes)

    def _look(self, now: int) -> None:
        """A frame from the camera, which is opened for it where it is not open."""
        keep = now >= self._look_ms
        try:
            if self._camera is None:
                self._camera = Camera(self._settings)
                for why in self._camera.told:
                    self._tell(why)
            frame = self._camera.frame()
            now = uptime_ms()
            if self._newest_ms is not None and frame.taken_ms <= self._newest_ms:
                if now - self._newest_ms > STANDS_MS:
                    raise NoFrames("the camera gives one old frame again and again")
                return
        except NoFrames as error:
            self._lost(error)
            return
        self._newest_ms, self._fruitless, self._opening = frame.taken_ms, 0, False
        if self._none and now >= self._unsteady_until_ms:
            self._none = ""
        if keep:
            every_ms = 1000 // self._settings.rate
            self._look_ms = max(self._look_ms + every_ms, now)
            self._unseeing = self._sight.look(frame.small, frame.taken_ms)
        self._shots.see(frame, keep)

    def _lost(self, error: NoFrames) -> None:
        """The camera is closed, and opened again: the first time at once."""
        self._none = str(error)
        self._fruitless += 1
        self._opening = self._camera is not None and self._fruitless == 1
        # Said before the closing, which may hang.
        self._alive()
        camera, self._camera = self._camera, None
        try:
            if isinstance(error, Stuck):
                raise error
            if camera is not None:
                camera.close()
        except Stuck as stuck:
            self._none, self._fruitless, self._opening = str(stuck), MOST_FRUITLESS, False
            self._alive()
        self._look_ms = uptime_ms() + (AGAIN_MS if self._fruitless > 1 else 0)
        self._unsteady_until_ms = self._look_ms + STEADY_MS

    def _alive(self) -> None:
        self._alive_ms = uptime_ms() + ALIVE_EVERY_MS
        since_ms = None if self._none else self._sight.since_ms
        blind = self._none or self._unseeing
        self._say(Alive(frame_ms=self._newest_ms, blind=blind, blind_ms=since_ms, opening=self._opening))

    def _tell(self, why: str) -> None:
        if why not in self._told:
            self._told.add(why)
            self._say(Told(why=why))

    def _say(self, message: Alive | Told | Shot | Missed, body: bytes = b"") -> None:
        self._out.write(up(message))
        self._out.write(body)
        self._out.flush()


def uptime_ms() -> int:
    """CLOCK_BOOTTIME."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

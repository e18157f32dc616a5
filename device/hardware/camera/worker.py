"""The post's side of the camera: its child started, watched, killed and started again; every picture answered."""

import logging
import queue
import select
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from device.config_camera import CameraSection
from device.effects import TakePicture
from device.hardware.camera import wire
from device.hardware.camera.asked import MOST_ASKED, TOO_MANY, Asked
from device.hardware.camera.life import Broken, Life
from device.hardware.camera.process import Process
from device.hardware.camera.wire import Alive, Fit, Missed, Shot, Told
from device.hardware.worker import Worker
from device.readings import Clock, Instant, PartBlind, Photo, PictureFailed, Reading, Refused, Trouble

ROUND_MS = 500
SLEPT_MS = 2_000
"""A round that took so long: we did not run, so nobody may be blamed for not having been heard."""
AGAIN_MS, AGAIN_AT_MOST_MS = 1_000, 30_000
"""Until a child that ended is started again; twice as long after each that was not well for the longest of it."""
MOST_TOLD = 32
ENDS_WITHIN_S = 0.3
_UNDYING = "the camera's program hangs in the kernel and cannot be ended: switch the post off and on"

log = logging.getLogger(__name__)


class CameraWorker:
    """Looks after the camera's child in the thread ``camera``. Nothing that the child does holds it up."""

    def __init__(
        self,
        command: Sequence[str],
        settings: CameraSection,
        source: str,
        clock: Clock,
        inbox: "queue.SimpleQueue[Reading]",
        deliver: Callable[[Photo], None],
    ) -> None:
        """``command``: of the child. ``source``: the post's. ``deliver``: called in the thread, returns at once."""
        self._command = tuple(command)
        self._settings = _settings(settings, source)
        self._clock = clock
        self._inbox = inbox
        self._deliver = deliver
        self._stopping = threading.Event()
        self._woken, self._wakes = socket.socketpair()
        for end in (self._woken, self._wakes):
            end.setblocking(False)
        self._orders: queue.SimpleQueue[TakePicture] = queue.SimpleQueue()
        self._most_bytes: int | None = None
        self.worker = Worker("camera", clock, inbox)
        # What follows is the thread's own.
        self._running: tuple[Process, Life] | None = None
        self._ending: Process | None = None
        self._fits: int | None = None
        self._asked = Asked(self._fail)
        self._again_ms, self._back_off_ms = 0, AGAIN_MS
        self._good_ms = self._turned_ms = self._resumed_ms = clock.now().uptime_ms
        self._why = ""
        self._blind: bool | None = None
        self._told: set[str] = set()
        self._logged: set[str] = set()

    def start(self) -> None:
        """Start the child; that it cannot be is told as a reading, not raised."""
        self.worker.start(self._run)

    def stop(self) -> None:
        """End the thread and the child. What was asked for and not answered is dropped."""
        self._stopping.set()
        self._wake()
        if self.worker.ended():
            self._woken.close()
            self._wakes.close()

    def take(self, wanted: TakePicture) -> None:
        """Take pictures: each is delivered, or put as PictureFailed. Any thread; returns at once."""
        if self._orders.qsize() >= MOST_ASKED:
            for _ in wanted.offsets_ms:
                self._fail(wanted.why, TOO_MANY)
            return
        self._orders.put(wanted)
        self._wake()

    def fit(self, most_bytes: int) -> None:
        """From now on no JPEG is larger. Any thread; returns at once."""
        self._most_bytes = most_bytes
        self._wake()

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is awake already; closed: it has ended
            self._wakes.send(b"\0")

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self.worker.beat():
                self._blind = None
            now = self._clock.now()
            if now.uptime_ms - self._turned_ms > SLEPT_MS:
                self._resumed_ms = now.uptime_ms
            self._turned_ms = now.uptime_ms
            self._turn(now)
            self._asked.late(now)
            self._say_how_it_stands(now)
            self._wait()
        # There is one at most: none is started beside one that ends. Both waits go into Worker.END_WITHIN_S.
        if process := self._running[0] if self._running else self._ending:
            process.end(ENDS_WITHIN_S)

    def _turn(self, now: Instant) -> None:
        if self._ending is not None:
            self._bury(self._ending, now)
        if self._running is None and self._ending is None and now.uptime_ms >= self._again_ms:
            self._begin(now)
        if self._running is None:
            self._decline()
            return
        process, life = self._running
        try:
            for message, body in process.hear():
                life.hear(now.uptime_ms)
                self._take_in(life, message, body, now)
            life.judge(now.uptime_ms, self._resumed_ms)
            self._hand_on(process, now)
        except Broken as broken:
            self._end(process, life, str(broken), now)

    def _begin(self, now: Instant) -> None:
        try:
            process = Process(self._command, self._settings)
        except OSError as error:
            self._failed(f"the camera's program cannot be started ({error.strerror}): {self._command[0]}", now)
            return
        self._running, self._fits = (process, Life(now.uptime_ms)), None

    def _end(self, process: Process, life: Life, why: str, now: Instant) -> None:
        """Kill the child, and try another one later. Its own last word says more than how it ended."""
        process.kill()
        self._running, self._ending = None, process
        if life.good_since_ms is not None and now.uptime_ms - life.good_since_ms > AGAIN_AT_MOST_MS:
            self._back_off_ms = AGAIN_MS
        self._failed(life.blind or why, now)

    def _failed(self, why: str, now: Instant) -> None:
        self._why = why
        log.warning("%s; another is started in %g s", why, self._back_off_ms / 1000)
        self._again_ms = now.uptime_ms + self._back_off_ms
        self._back_off_ms = min(2 * self._back_off_ms, AGAIN_AT_MOST_MS)
        self._asked.lost(why)

    def _bury(self, killed: Process, now: Instant) -> None:
        """One that waits in the kernel for the camera survives SIGKILL; another could not have the camera."""
        if killed.gone():
            self._ending = None
        elif now.uptime_ms > self._again_ms and self._why != _UNDYING:
            self._why = _UNDYING
            log.error("%s (process %d)", _UNDYING, killed.pid)

    def _take_in(self, life: Life, message: Alive | Told | Shot | Missed, body: bytes, now: Instant) -> None:
        """What the child says. Raises Broken."""
        match message:
            case Alive():
                if (good_ms := life.alive(message, now.uptime_ms)) is not None:
                    self._good_ms = good_ms
                elif self._blind is not True and message.blind_ms is not None:
                    self._good_ms = min(self._good_ms, message.blind_ms)  # what it took to be sure was no sight
            case Told(why=why):
                if why not in self._told and len(self._told) < MOST_TOLD:
                    self._told.add(why)
                    self._inbox.put(Refused(now, Trouble.CAMERA, why))
            case Shot():
                if (photo := self._asked.shot(message, body, now)) is not None:
                    self._deliver(photo)
            case Missed(number=number, why=why):
                self._asked.missed(number, why)

    def _hand_on(self, process: Process, now: Instant) -> None:
        """Tell the child what was asked for meanwhile. Raises Broken."""
        for _ in range(self._orders.qsize()):
            wanted = self._orders.get()
            for offset_ms in wanted.offsets_ms:
                if (take := self._asked.ask(wanted, offset_ms, now)) is not None:
                    process.say(take)
        if self._most_bytes is not None and self._most_bytes != self._fits:
            self._fits = self._most_bytes
            process.say(Fit(most_bytes=self._fits))
        process.write()

    def _decline(self) -> None:
        """There is no child that could be asked."""
        for _ in range(self._orders.qsize()):
            wanted = self._orders.get()
            for _ in wanted.offsets_ms:
                self._fail(wanted.why, self._why)

    def _say_how_it_stands(self, now: Instant) -> None:
        why = self._running[1].why_blind(now.uptime_ms) if self._running else self._why
        if why == "":
            self._logged.clear()
        elif why and self._running and why not in self._logged and len(self._logged) < MOST_TOLD:
            # The event tells the first one only; that of a child that ended is logged where another is promised.
            self._logged.add(why)
            log.info("the camera is blind: %s", why)
        if why == "" and self._blind is not False:
            self._blind = False
            self.worker.sighted()
        elif why and self._blind is not True:
            self._blind = True
            self._inbox.put(PartBlind(now.earlier(now.uptime_ms - self._good_ms), self.worker.part, why))

    def _wait(self) -> None:
        """Until somebody has something to say, or a round is over."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if self._running is not None:
            process, _ = self._running
            poll.register(process.hears, select.POLLIN)
            if process.says is not None:
                poll.register(process.says, select.POLLOUT)
        poll.poll(ROUND_MS)
        with suppress(BlockingIOError):
            self._woken.recv(4096)

    def _fail(self, event: str, why: str) -> None:
        self._inbox.put(PictureFailed(self._clock.now(), event, why))


def _settings(section: CameraSection, source: str) -> wire.Settings:
    return wire.Settings(
        camera=section.number,
        size=section.size,
        rate=section.rate,
        before_ms=section.before // timedelta(milliseconds=1),
        masks=section.masks,
        controls=section.controls,
        quality=section.quality,
        source=source,
    )

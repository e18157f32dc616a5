"""Plays one history with real processes: a post, Mosquitto, a recorder, a foreign listener, a bad line."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from backlog import fill, rows_of
from brokers import Listener, Mosquitto, free_port
from posts import BASE, SimPost
from proxy import Proxy
from waiting import until

from faults.checker import Evidence
from faults.history import (
    MOST_TAPS,
    BrokerKind,
    Force,
    Heal,
    History,
    Kill,
    Revive,
    Spoil,
    Step,
    Tap,
    Walk,
    Who,
)
from recorder.errors import StoreError
from recorder.store import Store
from recorder.verifying import verify_store
from simulator.errors import ControlError

HEALED_WITHIN_S = 120.0
_LOOK_EVERY_S = 0.2
_BROKERS: dict[BrokerKind, tuple[bool, tuple[str, ...]]] = {
    "forgetful": (False, ()),
    "persistent": (True, ()),
    "saving": (True, ("autosave_interval 1",)),
}
_LINK = 'keepalive = "5s"\nreceipt_timeout = "1s"\nstate_every = "5s"\nprotocol = "{protocol}"'
_DOORS = 'forced_without_checkin = "1ms"\n[[door]]\nname = "side"\npin = 18'


@dataclass
class House:
    """Everything of one round, on loopback, in one folder."""

    folder: Path
    history: History
    healed_within_s: float = HEALED_WITHIN_S
    answers: dict[int, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        persistent, lines = _BROKERS[self.history.broker]
        self.broker = Mosquitto(
            self.folder / "mosquitto",
            free_port(),
            ("allow_anonymous true", *lines, f"max_queued_messages {self.history.queue}"),
            persistent,
        )
        self.store = self.folder / "recorder.db"
        self.listeners: list[Listener] = []
        self.recorder: subprocess.Popen[bytes] | None = None
        self._found: tuple[list[bytes], list[bytes]] = [], []
        self.kills: dict[Who, threading.Thread] = {}
        self.proxy = Proxy(self.broker.port)
        self.post = SimPost(
            self.folder / "post",
            [self.proxy.url],
            link=_LINK.format(protocol=self.history.protocol),
            door=_DOORS,
            officers=MOST_TAPS,
        )

    @property
    def recorded_from(self) -> str:
        """Where the recorder listens."""
        return self.broker.url

    def open(self) -> None:
        self._start_broker()
        self._start_recorder()
        fill(self.post.state, f"/{BASE}", self.history.backlog)
        self.post.start()

    def play(self, step: Step) -> None:
        match step:
            case Tap(officer=officer):
                self.answers[officer] = self._do(lambda: self.post.tap(officer))
            case Force():
                self._do(lambda: self.post.do("open front") + self.post.do("close front"))
            case Walk():
                self._do(lambda: self.post.do("open side") + self.post.do("close side"))
            case Kill(who=who, after_ms=after_ms):
                if who in self.kills:
                    return  # it is dead already
                self.kills[who] = threading.Timer(after_ms / 1000, self._kill, [who])
                self.kills[who].start()
            case Revive(who=who) if who in self.kills:
                self._revive(who)
            case Spoil(fault=fault, amount=amount):
                self._spoil(fault, amount)
            case Heal():
                self.proxy.heal()

    def heal(self) -> None:
        """Everything runs, and the line is good; the post stands idle until the recorder has its journal."""
        for who in list(self.kills):
            self._revive(who)
        self.proxy.heal()

    def evidence(self) -> Evidence:
        """Once the recorder has all, or has not got it in time."""
        with contextlib.suppress(AssertionError):  # what is missing then is the checker's to say
            until(self._all_there, self.healed_within_s, every_s=_LOOK_EVERY_S)
        return self._evidence(*self._found)

    def evidence_now(self) -> Evidence:
        """What is there at this moment."""
        return self._evidence(rows_of(self.post.state), self._stored())

    def _all_there(self) -> bool:
        journal, stored = self._found = rows_of(self.post.state), self._stored()
        forced = {row for row in journal if b'"change":"forced"' in row}
        return set(journal) <= set(stored) and forced <= self._alarms()

    def _evidence(self, journal: list[bytes], stored: list[bytes]) -> Evidence:
        return Evidence(self.answers, journal, stored, rows_of(self.post.state), self._alarms(), self._flaws())

    def close(self) -> None:
        with ExitStack() as stack:
            stack.callback(self.proxy.stop)
            for listener in self.listeners:
                stack.callback(listener.close)
            stack.callback(self.broker.stop)
            stack.callback(self._end, self.recorder)
            stack.callback(self._end, self.post.process)
            for kill in self.kills.values():
                kill.join()

    # The parts

    def _do(self, what: Callable[[], str]) -> str | None:
        try:
            return what()
        except ControlError:
            return None  # the post died meanwhile

    def _kill(self, who: Who) -> None:
        if who == "broker":
            self.broker.stop(signal.SIGKILL)
            return
        process = self.post.process if who == "post" else self.recorder
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)

    def _revive(self, who: Who) -> None:
        self.kills.pop(who).join()
        if who == "broker":
            self._start_broker()
        elif who == "recorder":
            self._start_recorder()
        else:
            self.post.start()

    def _start_broker(self) -> None:
        """The foreign listener is the first that comes, so that no alarm passes it by."""
        with self.proxy.shut():
            self.broker.start()
            topics = [f"{BASE}/alarm/#", *(["guardpost/#"] if self.history.all_heard else [])]
            self.listeners += [Listener(self.broker.port, topic) for topic in topics]

    def _start_recorder(self) -> None:
        command = [
            sys.executable,
            "-m",
            "recorder",
            "run",
            "--broker",
            self.recorded_from,
            "--store",
            str(self.store),
        ]
        with (self.folder / "recorder.log").open("ab") as log:
            self.recorder = subprocess.Popen(command, stdout=log, stderr=log)

    def _spoil(self, fault: str, amount: int) -> None:
        match fault:
            case "slow":
                self.proxy.be(rate=float(amount))
            case "cut fin" | "cut rst":
                self.proxy.cut("fin" if fault == "cut fin" else "rst")
            case "refuse" | "hang up":
                self.proxy.be(calls=fault)
                self.proxy.cut()
            case "half-open":
                self.proxy.be(deaf=True)
            case "mid-packet":
                self.proxy.be(close_after=amount)
            case "delayed pubacks":
                self.proxy.be(puback_s=amount / 1000)
            case "swallowed pubacks":
                self.proxy.be(swallow=True)
            case "doubled pubacks":
                self.proxy.be(twice=True)
            case "unknown puback":
                self.proxy.say(b"\x40\x02\xfe\xfe")
            case _:
                raise ValueError(fault)

    def _end(self, process: subprocess.Popen[bytes] | None) -> None:
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(10)

    # What is there

    def _stored(self) -> list[bytes]:
        try:
            with Store.read(self.store) as store, store.snapshot():
                return [
                    bytes(row["payload"]) for row in store.rows("SELECT payload FROM event ORDER BY chain, seq")
                ]
        except StoreError:
            return []  # the recorder has not made it yet

    def _flaws(self) -> list[str]:
        if not self.store.exists():
            return []
        with Store.read(self.store) as store:
            return [verdict.words for verdict in verify_store(store) if not verdict.good]

    def _alarms(self) -> set[bytes]:
        return {heard.payload for listener in self.listeners for heard in listener.of("alarm/")}

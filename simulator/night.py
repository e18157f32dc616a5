"""The demonstration's night as it passes: acts at their time, what comes of them, and the proof at its end."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from recorder.service import Recorder
from simulator.child import PostProcess
from simulator.errors import SimulatorError
from simulator.evidence import Evidence, Recorded, spans
from simulator.line import Line
from simulator.screen import Counts, Row, Screen
from simulator.script import ACTS, ROUND_S, Act

TICK_S = 0.1
ARRIVE_WITHIN_S = 30.0
"""After the line is restored: longer than the post's waits between attempts to connect."""
_BELONGS_S = 2.0
_ROWS_KEPT = 500
_ITSELF = "(the post by itself)"


@dataclass(eq=False)
class Night:
    """What happens, and how far it has arrived."""

    post: PostProcess
    line: Line
    evidence: Evidence
    recorder: Recorder
    screen: Screen
    stop: threading.Event

    def __post_init__(self) -> None:
        """Nothing has happened yet."""
        self._rows: deque[Row] = deque(maxlen=_ROWS_KEPT)

    def pass_by(self, seconds: float | None) -> None:
        """Rounds of acts, for ``seconds`` or until somebody stops us. Raises SimulatorError."""
        start_s = time.monotonic()
        until_s = None if seconds is None else start_s + seconds
        while True:
            for act in ACTS:
                if not self._wait(start_s + act.at_s, until_s):
                    return
                self._do(act)
            start_s += ROUND_S

    def end(self) -> bool:
        """Restore the line, stop the post, wait for the rest; True if all has arrived and verified."""
        self.line.restore()
        self.screen.say("the night ends: the line is restored, what waits is sent")
        self._settle()
        code = self.post.stop()
        self._settle()
        counts = self._show()
        self.screen.close()
        self.screen.say(f"recorded {counts.recorded}, arrived {counts.arrived}, verified {counts.verified}")
        if code != 0:
            self.screen.say(f"the post did not end cleanly (code {code})")
        if missing := self.evidence.missing:
            for what, arrived in (("not arrived", False), ("arrived and not verified", True)):
                if events := [event for event in missing if event.arrived is arrived]:
                    self.screen.say(f"{what}: #{spans(events)}")
        elif counts.recorded:
            self.screen.say("every recorded event arrived at headquarters and verified")
        return code == 0 and not missing and counts.recorded > 0

    def _wait(self, at_s: float, until_s: float | None) -> bool:
        """Watch until ``at_s``; False if the night is over before."""
        while True:
            self._show()
            self.post.check()
            now_s = time.monotonic()
            if self.stop.is_set() or (until_s is not None and now_s >= until_s):
                return False
            if now_s >= at_s:
                return True
            self.stop.wait(min(TICK_S, at_s - now_s))

    def _do(self, act: Act) -> None:
        row = _row(act.did, act.subject)
        self._rows.append(row)
        if act.command == "cut":
            self.line.cut()
        elif act.command == "restore":
            self.line.restore()
        else:
            answer = self.post.do(act.command)
            if act.subject != "front":
                row.saw = answer.partition(": ")[2]

    def _settle(self) -> None:
        """Watch until all has arrived and verified, or for ``ARRIVE_WITHIN_S``."""
        give_up_s = time.monotonic() + ARRIVE_WITHIN_S
        self._show()
        while self.evidence.missing and time.monotonic() < give_up_s:
            time.sleep(TICK_S)
            self._show()

    def _show(self) -> Counts:
        if self.recorder.failure:
            raise SimulatorError(f"the recorder ended: {self.recorder.failure}")
        for event in self.evidence.look():
            self._row_of(event).events.append(event)
        counts = Counts(self.line.up, self.evidence.recorded, self.evidence.arrived, self.evidence.verified)
        self.screen.show(list(self._rows), counts)
        return counts

    def _row_of(self, event: Recorded) -> Row:
        """The act that brought an event about; else the post did it by itself."""
        subject, why = event.envelope.subject, event.envelope.data.get("why")
        for row in reversed(self._rows):
            if event.envelope.kind == "picture" and why in [before.envelope.id for before in row.events]:
                return row
        young_s = time.monotonic() - _BELONGS_S
        recent = [row for row in self._rows if row.began_s >= young_s]
        for row in reversed(recent):
            if row.subject == subject and not row.events:
                return row
        if recent and recent[-1].did == _ITSELF:
            return recent[-1]
        self._rows.append(_row(_ITSELF))
        return self._rows[-1]


def _row(did: str, subject: str = "") -> Row:
    return Row(f"{datetime.now():%H:%M:%S}", time.monotonic(), did, subject)

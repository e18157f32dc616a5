"""What headquarters sends: receipts, and orders with their replays and replies. No connection of its own."""

import hashlib
import json
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from device.errors import Unreadable
from device.link.hints import Rows, spans
from device.link.receipts import Acknowledged, Rollback, Stored, judge, read_receipt
from device.link.sender import Sender
from device.readings import Arrived, Refused, Removed, ReplayRange, RolledBack, RuleReading, Trouble
from device.record.journal_reader import DONE

UNRECEIPTED_ROWS = 500
"""While receipts arrive, no more than this are sent beyond them, and so many go again for one receipt."""
LONGEST_STALL_TIMES = 120
"""Times ``receipt_timeout`` between re-sends for a receipt that does not move: an hour by default."""
REPLAY_ROWS = 1_000
REPLAYS_AT_ONCE = 4
STRAYS_TOLD = 10
STRAYS_WITHIN_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class _Stalled:
    """Rows went again at ``since_ms`` for a receipt up to ``position``; for the same one not before ``wait_ms``."""

    position: int
    since_ms: int
    wait_ms: int


@dataclass
class Receipts:
    """How far each chain is stored at headquarters, and what goes again because it is not.

    ``positions``: by chain id. ``arrived_ms``: uptime of the last one that was no retained copy.
    """

    rows: Rows
    sender: Sender
    timeout_ms: int
    positions: dict[str, int]
    arrived_ms: int | None = None
    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    _stalled: dict[str, _Stalled] = field(default_factory=dict)
    _rolled: set[str] = field(default_factory=set)
    _strays: "OrderedDict[str, None]" = field(default_factory=OrderedDict)
    _told_ms: deque[int] = field(default_factory=lambda: deque(maxlen=STRAYS_TOLD))

    def take(self, arrived: Arrived) -> list[RuleReading]:
        """One receipt; what the rules have to know of it."""
        now_ms = arrived.at.uptime_ms
        if not arrived.payload:
            return []  # somebody cleared the retained receipt
        try:
            receipt = read_receipt(arrived.payload)
        except Unreadable as error:
            return self._stray(arrived, f"receipt that cannot be read: {error}")
        judged = judge(receipt, self.rows)
        if isinstance(judged, Stored):
            self.positions[judged.chain] = judged.position
            if not arrived.retained:
                self.arrived_ms = now_ms
                self._send_again(judged, now_ms)
            self.bound(now_ms)
            # A retained one is a copy, perhaps older than what was removed since: nobody asks with it.
            return [] if arrived.retained else self._removed(judged, arrived)
        if isinstance(judged, Rollback) and receipt.chain not in self._rolled:
            self._rolled.add(receipt.chain)
            return [RolledBack(arrived.at, judged.why)]
        return self._stray(arrived, judged.why)

    def cursors(self) -> dict[str, int]:
        """What the next commit keeps."""
        held = {chain for chain, _ in self.rows.chains()} if self.positions else set()
        return {DONE: self.sender.done, **{chain: at for chain, at in self.positions.items() if chain in held}}

    def freed(self) -> int:
        """Headquarters has every row up to this position: whole chains, oldest first, then a part of one."""
        freed, oldest = 0, self.rows.oldest()
        kept = [span for span in spans(self.rows) if span.last >= oldest]
        for chain, before, last in reversed(kept):
            freed = self.positions.get(chain, before)
            if freed < last:
                break
        return min(freed, self.sender.done)

    def _removed(self, stored: Stored, arrived: Arrived) -> list[RuleReading]:
        """What a receipt asks for, and what is no longer kept here."""
        oldest = self.rows.oldest()
        for chain, before, last in spans(self.rows):
            gone_to = min(oldest - 1, last)
            if chain == stored.chain and gone_to > stored.position:
                return [Removed(arrived.at, chain, stored.position + 1 - before, gone_to - before)]
        return []

    def bound(self, now_ms: int) -> None:
        """Hold live rows back while receipts arrive and lag; let them go when none arrive."""
        recent = self.arrived_ms is not None and now_ms - self.arrived_ms < self.timeout_ms
        newest = self.rows.chains()[:1] if recent else []
        if not newest:
            self.sender.limit = None
            return
        chain, before = newest[0]
        self.sender.limit = max(before, self.positions.get(chain, before)) + UNRECEIPTED_ROWS

    def _send_again(self, stored: Stored, now_ms: int) -> None:
        """Rows that a broker took long ago and headquarters has not: at most ``UNRECEIPTED_ROWS`` of them."""
        self.acknowledged.forget(max(self.positions.values()))
        if self.sender.again_waiting:
            return
        last = self._last(stored.chain)
        lately = self.acknowledged.lately(now_ms - self.timeout_ms)
        rows = self.rows.rows(stored.position, UNRECEIPTED_ROWS)
        lacking = [row.position for row in rows if row.position <= last and row.position not in lately]
        if lacking and self._patient(stored, now_ms):
            self.sender.send_again(lacking)

    def _patient(self, stored: Stored, now_ms: int) -> bool:
        """Whether this receipt may make rows go again: one that never moves does so ever more seldom.

        A forked chain is receipted no further, and the line has better uses than the same rows for ever.
        """
        stalled = self._stalled.get(stored.chain)
        if stalled is None or stalled.position != stored.position:
            self._stalled[stored.chain] = _Stalled(stored.position, now_ms, self.timeout_ms)
            return True
        if now_ms - stalled.since_ms < stalled.wait_ms:
            return False
        longest_ms = LONGEST_STALL_TIMES * self.timeout_ms
        self._stalled[stored.chain] = _Stalled(stored.position, now_ms, min(2 * stalled.wait_ms, longest_ms))
        return True

    def _last(self, chain: str) -> int:
        """The chain's newest row that a broker has taken."""
        return next((min(span.last, self.sender.done) for span in spans(self.rows) if span.chain == chain), 0)

    def _stray(self, arrived: Arrived, why: str) -> list[RuleReading]:
        """Told once each, and only so many an hour: a flood of nonsense is no flood of events."""
        now_ms, digest = arrived.at.uptime_ms, hashlib.sha256(arrived.payload).hexdigest()
        full = len(self._told_ms) == STRAYS_TOLD and now_ms - self._told_ms[0] < STRAYS_WITHIN_MS
        if digest in self._strays or full:
            return []
        self._strays[digest] = None
        if len(self._strays) > 256:
            self._strays.popitem(last=False)
        self._told_ms.append(now_ms)
        return [Refused(arrived.at, Trouble.RECEIPT, why)]


@dataclass
class _Replay:
    order: str
    waiting: set[int]
    reply: Mapping[str, object]


@dataclass
class Replays:
    """Orders to send events again: one reply each, after the last PUBACK."""

    rows: Rows
    sender: Sender
    _open: list[_Replay] = field(default_factory=list)

    def begin(self, order: str, wanted: ReplayRange) -> Mapping[str, object] | None:
        """Queue a replay; a reply at once where there is nothing to wait for."""
        if any(replay.order == order for replay in self._open):
            return None  # the same order, delivered twice
        if len(self._open) >= REPLAYS_AT_ONCE:
            return {"ok": False, "error": f"{REPLAYS_AT_ONCE} replays are being worked on; try later"}
        bounds = self._bounds(wanted.chain)
        if bounds is None:
            return {"ok": False, "error": f"this journal holds no chain {wanted.chain}"}
        before, sent = bounds
        last = min(wanted.last, wanted.first + REPLAY_ROWS - 1, sent - before)
        held = self.rows.rows(before + wanted.first - 1, max(0, last - wanted.first + 1))
        positions = [row.position for row in held if row.position <= before + last]
        missing = _holes({position - before for position in positions}, wanted.first, last)
        after = last + 1 if wanted.last > last and last < sent - before else None
        reply = {"ok": True, "sent": len(positions), "missing": missing, "next": after}
        if not positions:
            return reply
        self.sender.send_again(positions)
        self._open.append(_Replay(order, set(positions), reply))
        return None

    def sent(self, position: int) -> list[tuple[str, Mapping[str, object]]]:
        """A row that went again was acknowledged; the orders that this completes, with their replies."""
        for replay in self._open:
            replay.waiting.discard(position)
        done = [replay for replay in self._open if not replay.waiting]
        self._open = [replay for replay in self._open if replay.waiting]
        return [(replay.order, replay.reply) for replay in done]

    def _bounds(self, chain: str) -> tuple[int, int] | None:
        """The position before a chain's first event, and the newest of it that a broker has taken."""
        for name, before, last in spans(self.rows):
            if name == chain:
                return before, min(last, max(before, self.sender.done))
        return None


def _holes(numbers: set[int], first: int, last: int) -> list[list[int]]:
    """Runs of numbers from ``first`` to ``last`` that are not there; bounded, since replays are."""
    runs: list[list[int]] = []
    for number in range(first, last + 1):
        if number in numbers:
            continue
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs


def reply_bytes(order: str, members: Mapping[str, Any]) -> bytes:
    """What ``reply/{id}`` carries."""
    return json.dumps({"id": order, **members}, separators=(",", ":")).encode()

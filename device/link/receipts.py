"""Receipts: how far headquarters has stored each chain, and what follows for this post. Pure but for the rows."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from device.errors import Unreadable
from device.events import MAX_SAFE_INTEGER, NO_HASH, Sha256, Uuid
from device.link.hints import Rows, spans
from device.record.chain import event_hash, parse_json

MAX_RECEIPT_BYTES = 1024


class Receipt(BaseModel):
    """The chain is stored whole up to ``seq``, whose event has ``hash``; 0 and zeros for nothing yet."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, defer_build=True)

    chain: Uuid
    seq: Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
    hash: Sha256


def read_receipt(payload: bytes) -> Receipt:
    """A receipt from its bytes. Raises Unreadable."""
    if len(payload) > MAX_RECEIPT_BYTES:
        raise Unreadable(f"{len(payload)} bytes; a receipt has at most {MAX_RECEIPT_BYTES}")
    try:
        return Receipt.model_validate(parse_json(payload))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Unreadable(f"member {'.'.join(map(str, first['loc']))[:40]}: {first['msg']}") from None


@dataclass(frozen=True, slots=True)
class Stored:
    """The receipt holds: headquarters has this chain's rows up to ``position``."""

    chain: str
    position: int


@dataclass(frozen=True, slots=True)
class Stray:
    """It does not fit this journal and is ignored."""

    why: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """Headquarters has what this journal does not hold any more."""

    why: str


def judge(receipt: Receipt, rows: Rows) -> Stored | Stray | Rollback:
    """What a receipt means for this journal (docs/contract.md, Receipts)."""
    for index, (chain, before, last) in enumerate(spans(rows)):
        if chain == receipt.chain:
            return _judge(receipt, before, last, current=index == 0, rows=rows)
    return Stray(f"receipt for chain {receipt.chain}, which this journal does not hold")


def _judge(receipt: Receipt, before: int, last: int, *, current: bool, rows: Rows) -> Stored | Stray | Rollback:
    position = before + receipt.seq
    name = f"{receipt.chain}/{receipt.seq}"
    if receipt.seq == 0:
        fits, why = receipt.hash == NO_HASH, f"receipt for {name} with a hash, where nothing can have one"
        return Stored(receipt.chain, before) if fits else Stray(why)
    if position > last:
        wrong = f"headquarters has event {name}, this journal ends at {last - before}"
        return Rollback(wrong) if current else Stray(wrong)
    held = rows.rows(position - 1, 1)
    if held and held[0].position == position and event_hash(held[0].event) != receipt.hash:
        wrong = f"headquarters has another event under number {name} than this journal"
        return Rollback(wrong) if current else Stray(wrong)
    return Stored(receipt.chain, position)


@dataclass
class Acknowledged:
    """When rows were PUBACKed, in runs of neighbours within a second: bounded by time, not by rows.

    A row of which nothing is known (before a restart) counts as acknowledged long ago.
    """

    runs: list["_Run"] = field(default_factory=list)

    def note(self, position: int, at_ms: int) -> None:
        """Row ``position`` was acknowledged at uptime ``at_ms``."""
        newest = self.runs[-1] if self.runs else None
        if newest and position == newest.last + 1 and at_ms - newest.at_ms < _RUN_MS:
            newest.last = position
        else:
            self.runs.append(_Run(position, position, at_ms))
            del self.runs[:-_MOST_RUNS]

    def forget(self, through: int) -> None:
        """Rows up to ``through`` are receipted."""
        self.runs = [run for run in self.runs if run.last > through]

    def lately(self, earliest_ms: int) -> "Lately":
        """The rows acknowledged at or after ``earliest_ms``."""
        return Lately(tuple((run.first, run.last) for run in self.runs if run.at_ms >= earliest_ms))


@dataclass(frozen=True, slots=True)
class Lately:
    """Runs of row positions."""

    runs: tuple[tuple[int, int], ...]

    def __contains__(self, position: int) -> bool:
        """Whether the row is one of them."""
        return any(first <= position <= last for first, last in self.runs)


_RUN_MS = 1_000
_MOST_RUNS = 4_000


@dataclass(slots=True)
class _Run:
    first: int
    last: int
    at_ms: int

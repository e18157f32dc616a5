"""When events happened, purely: a clock that was set later dates what its boot recorded before, within a bound."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from device.events import uptime_ms_of, wall_ms_of

SYNCED_WITHIN_MS = 2_000
"""What ``synced`` says of an event's own time (docs/contract.md, "Time")."""
_ONE_IN = 2_000
"""Uptime may run 500 ppm wrong: what the kernel lets its own bound grow by (adjtimex(2))."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What an event says of its moment. ``error_ms``: within which its wall time may be believed, None: not."""

    bootid: str
    uptime_ms: int
    wall_ms: int
    error_ms: int | None


@dataclass(frozen=True, slots=True)
class Dated:
    """When it happened: between ``earliest_ms`` and ``latest_ms``, ``at_ms`` being the best single time.

    Milliseconds since 1970-01-01 UTC. ``at_ms`` is None where the boot never knew the time; then the events before
    and after give the bounds, None where there is none.
    """

    at_ms: int | None = None
    earliest_ms: int | None = None
    latest_ms: int | None = None


def moment_of(event: Mapping[str, Any]) -> Moment:
    """A verified event's moment. Raises ValueError for a date that is none."""
    bound = SYNCED_WITHIN_MS if event["clock"] == "synced" else None
    data = event["data"]
    if event["type"].startswith("guardpost.system.") and data.get("change") == "clock":
        told = data.get("error_ms")
        sure = event["clock"] != "unsynced" and isinstance(told, int) and told >= 0
        bound = told if sure else bound
    return Moment(event["bootid"], uptime_ms_of(event["uptime"]), wall_ms_of(event["time"]), bound)


def date(chains: Sequence[Sequence[Moment]]) -> list[list[Dated]]:
    """Every moment of one post's chains dated; each chain in the order of its numbers."""
    boots: dict[str, list[Moment]] = {}
    for chain in chains:
        for moment in chain:
            boots.setdefault(moment.bootid, []).append(moment)
    known: dict[Moment, Dated] = {}
    for moments in boots.values():
        known.update(_within_boot(sorted(moments, key=attrgetter("uptime_ms"))))
    return [_between_neighbours(chain, known) for chain in chains]


def _within_boot(moments: Sequence[Moment]) -> Iterable[tuple[Moment, Dated]]:
    """Each moment by that sure one of its boot, before or after, that gives it the narrowest bound."""
    before = _surest(moments, 1)
    after = _surest(moments[::-1], -1)[::-1]
    for moment, *anchors in zip(moments, before, after, strict=True):
        sure = [(_reach(anchor, moment), anchor) for anchor in anchors if anchor is not None]
        if sure:
            reach, anchor = min(sure, key=lambda one: one[0])
            at_ms = anchor.wall_ms + moment.uptime_ms - anchor.uptime_ms
            yield moment, Dated(at_ms, at_ms - reach, at_ms + reach)


def _surest(moments: Iterable[Moment], direction: int) -> list[Moment | None]:
    """For each moment, which of those up to it bounds it best: the bound grows alike from all of them."""
    best: Moment | None = None
    least = float("inf")
    found: list[Moment | None] = []
    for moment in moments:
        if moment.error_ms is not None:
            weight = moment.error_ms - direction * moment.uptime_ms / _ONE_IN
            if weight <= least:
                best, least = moment, weight
        found.append(best)
    return found


def _reach(anchor: Moment, moment: Moment) -> int:
    """Within which ``anchor`` dates ``moment``, in milliseconds."""
    assert anchor.error_ms is not None
    return anchor.error_ms + -(-abs(moment.uptime_ms - anchor.uptime_ms) // _ONE_IN)


def _between_neighbours(chain: Sequence[Moment], known: Mapping[Moment, Dated]) -> list[Dated]:
    """A boot began after the last event before it, and ended before the next boot began."""
    boots = [list(moments) for _, moments in groupby(chain, key=attrgetter("bootid"))]
    earliest = _earliest(boots, known)
    latest = _latest(boots, known)
    return [
        known.get(moment) or Dated(None, low, high)
        for moment, low, high in zip(chain, earliest, latest, strict=True)
    ]


def _earliest(boots: Sequence[Sequence[Moment]], known: Mapping[Moment, Dated]) -> list[int | None]:
    found: list[int | None] = []
    began_ms: int | None = None
    for moments in boots:
        for moment in moments:
            sure = known.get(moment)
            passed_ms = None if began_ms is None else began_ms + _at_least(moment.uptime_ms)
            found.append(passed_ms if sure is None else sure.earliest_ms)
        began_ms = found[-1]
    return found


def _latest(boots: Sequence[Sequence[Moment]], known: Mapping[Moment, Dated]) -> list[int | None]:
    found: list[int | None] = []
    ended_ms: int | None = None
    for moments in reversed(boots):
        last = moments[-1]
        for moment in reversed(moments):
            sure = known.get(moment)
            left_ms = _at_least(last.uptime_ms - moment.uptime_ms)
            found.append((None if ended_ms is None else ended_ms - left_ms) if sure is None else sure.latest_ms)
        ended_ms = None if found[-1] is None else found[-1] - _at_least(moments[0].uptime_ms)
    return found[::-1]


def _at_least(uptime_ms: int) -> int:
    """The least true time in which the uptime can grow by so much."""
    return uptime_ms - -(-uptime_ms // _ONE_IN)

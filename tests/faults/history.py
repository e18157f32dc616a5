"""One round's history, drawn from its seed: what happens at the post, and what fails meanwhile."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

Who = Literal["post", "broker", "recorder"]
BrokerKind = Literal["forgetful", "persistent", "saving"]
"""Keeps nothing; Mosquitto's defaults (saved each 30 minutes); saved each second: a kill brings the past back."""

LINE_FAULTS = (
    "slow",
    "cut fin",
    "cut rst",
    "refuse",
    "hang up",
    "half-open",
    "mid-packet",
    "delayed pubacks",
    "swallowed pubacks",
    "doubled pubacks",
    "unknown puback",
)
MOST_TAPS = 40
_ACTS = (14, 30)
_DEATHS = (1, 5)
_BREAKS = (1, 4)
"""Line faults in a round. Each one that breaks the connection doubles the post's wait to dial."""
_BACKLOGS = (0, 0, 300, 800, 1_500)
_QUEUES = (100_000, 1_000, 50)


@dataclass(frozen=True, slots=True)
class Tap:
    """An officer holds up a badge; each officer does so once."""

    officer: int


@dataclass(frozen=True, slots=True)
class Force:
    """The guarded door is opened without a check-in, and shut."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The other door is opened and shut."""


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL, so many milliseconds after the next act begins."""

    who: Who
    after_ms: int


@dataclass(frozen=True, slots=True)
class Revive:
    """What was killed is started again."""

    who: Who


@dataclass(frozen=True, slots=True)
class Spoil:
    """The line gets a fault. ``amount``: bytes a second, bytes until the end, or milliseconds."""

    fault: str
    amount: int = 0


@dataclass(frozen=True, slots=True)
class Heal:
    """The line is good again."""


Step = Tap | Force | Walk | Kill | Revive | Spoil | Heal


@dataclass(frozen=True)
class History:
    """``all_heard``: a foreign subscriber listens to everything, so that the broker PUBACKs what the recorder
    does not get. ``backlog``: rows that wait in the journal before the first act. ``queue``: how many messages
    the broker keeps for a client that is away or slow; it drops the others silently.
    """

    seed: str
    broker: BrokerKind
    queue: int
    backlog: int
    protocol: str
    all_heard: bool
    steps: Sequence[Step] = field(repr=False)

    def faults(self) -> Iterator[str]:
        """Each fault made, by its kind."""
        for step in self.steps:
            match step:
                case Kill(who=who):
                    yield f"{who} killed"
                case Spoil(fault=fault):
                    yield f"line: {fault}"


def drawn(seed: str) -> History:
    """The history of a seed: always the same."""
    chance = random.Random(seed)
    acts = _acts(chance)
    spans = [_Span(chance, acts, kind) for kind in _kinds(chance)]
    steps: list[Step] = []
    for index, act in enumerate(acts):
        steps += [step for span in spans for step in span.at(index)]
        steps.append(act)
    steps += [step for span in spans for step in span.at(len(acts))]
    return History(
        seed,
        chance.choice(("forgetful", "persistent", "saving")),
        chance.choice(_QUEUES),
        chance.choice(_BACKLOGS),
        chance.choice(("auto", "auto", "3.1.1")),
        chance.random() < 0.7,
        steps,
    )


def _acts(chance: random.Random) -> list[Step]:
    count = chance.randint(*_ACTS)
    kinds = chance.choices(("tap", "force", "walk"), (6, 2, 1), k=count)
    officers = iter(range(1, MOST_TAPS + 1))
    made: dict[str, Step] = {"force": Force(), "walk": Walk()}
    return [Tap(next(officers)) if kind == "tap" else made[kind] for kind in kinds]


def _kinds(chance: random.Random) -> list[str]:
    """Who dies, each at most twice, and how the line breaks."""
    deaths = chance.sample(("post", "broker", "recorder") * 2, chance.randint(*_DEATHS))
    return [*deaths, *chance.choices(LINE_FAULTS, k=chance.randint(*_BREAKS))]


class _Span:
    """One fault, from its beginning before one act to its end before a later one."""

    def __init__(self, chance: random.Random, acts: Sequence[Step], kind: str) -> None:
        self._first = chance.randrange(len(acts))
        self._last = min(len(acts), self._first + chance.randint(1, 6))
        begin: Step
        end: Step
        if kind in ("post", "broker", "recorder"):
            who: Who = kind  # type: ignore[assignment]
            begin, end = Kill(who, chance.randrange(120)), Revive(who)
            self._last = self._first + 1 if who == "post" else self._last  # nobody can tap at a dead post
        else:
            begin, end = Spoil(kind, _amount(kind, chance)), Heal()
        self._begin, self._end = begin, end

    def at(self, index: int) -> Iterator[Step]:
        if index == self._last:
            yield self._end
        if index == self._first:
            yield self._begin


def _amount(fault: str, chance: random.Random) -> int:
    match fault:
        case "slow":
            return chance.randint(3_000, 20_000)
        case "mid-packet":
            return chance.randint(1, 3_000)
        case "delayed pubacks":
            return chance.randint(50, 1_500)
    return 0

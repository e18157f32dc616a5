"""Many rounds, several at a time, and their summary."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from faults.checker import Verdict, decide
from faults.history import History, drawn
from faults.played import House


@dataclass(frozen=True)
class Result:
    """One round. ``verdict`` is None where the round itself failed, ``why`` then says how."""

    seed: str
    folder: Path
    verdict: Verdict | None
    why: str
    faults: Sequence[str]
    seconds: float = field(compare=False)

    @property
    def good(self) -> bool:
        return self.verdict is not None and self.verdict.good


def play(seed: str, folder: Path, build: Callable[[Path, History], House] = House) -> Result:
    """One round in ``folder``, which is kept unless all is well."""
    history = drawn(seed)
    began_s = time.monotonic()
    verdict, why = None, ""
    try:
        with closing(build(folder, history)) as house:
            house.open()
            for step in history.steps:
                house.play(step)
            house.heal()
            verdict = decide(house.evidence())
    except (AssertionError, OSError) as error:
        why = f"{type(error).__name__}: {error}"
    result = Result(seed, folder, verdict, why, list(history.faults()), time.monotonic() - began_s)
    if result.good:
        shutil.rmtree(folder)
    return result


def play_all(seed: int, rounds: int, jobs: int, folder: Path) -> Iterator[Result]:
    """Rounds in the order in which they were asked for. A round's seed names it alone."""
    seeds = [f"{seed}.{number}" for number in range(1, rounds + 1)]
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(play, seeds, [folder / each for each in seeds])


def any_seed() -> int:
    """For whoever names none."""
    return random.SystemRandom().randrange(1_000_000)


def summary(results: Sequence[Result], seed: str) -> str:
    """Faults made by kind, taps, alarms, events lost, events twice."""
    made = Counter(fault for result in results for fault in result.faults)
    verdicts = [result.verdict for result in results if result.verdict is not None]
    failed = [result for result in results if not result.good]
    lines = [
        f"seed {seed}: {len(results)} rounds, {sum(made.values())} faults",
        *(f"  {count:5} {fault}" for fault, count in sorted(made.items())),
        f"taps {_sum(verdicts, 'taps')}, green {_sum(verdicts, 'green')}, events {_sum(verdicts, 'events')}",
        f"alarms {_sum(verdicts, 'alarms')}, not heard {_sum(verdicts, 'unheard')}",
        f"events lost {_sum(verdicts, 'lost')}, events twice {_sum(verdicts, 'twice')}, "
        f"events from nowhere {_sum(verdicts, 'foreign')}",
        f"rounds that failed: {', '.join(result.seed for result in failed) or 'none'}",
    ]
    return "\n".join(lines)


def told(result: Result) -> str:
    """A failed round in full, a good one in a line."""
    if result.good:
        assert result.verdict is not None
        events, faults = result.verdict.events, len(result.faults)
        return f"round {result.seed}: {events} events, {faults} faults, {result.seconds:.1f} s"
    problems = result.verdict.problems if result.verdict else [result.why]
    head = f"round {result.seed} FAILED after {result.seconds:.1f} s; kept in {result.folder}"
    return "\n  ".join([head, f"{drawn(result.seed)!r}: {', '.join(result.faults)}", *problems[:20]])


def _sum(verdicts: Sequence[Verdict], name: str) -> int:
    return sum(getattr(verdict, name) for verdict in verdicts)

"""Seeded rounds of power cuts, the controls that must lose, and their summary."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from volatile_disk_model import AT_REST

from device.errors import StateError
from device.record.opening import JOURNAL
from powercuts.house import House

CUTS_A_ROUND = 8
_OF_THE_PROGRAM = 6
"""Cuts of the whole program in each round; the others are of the writer alone, which is quicker."""
_LOG = f"{JOURNAL}-wal"
_IN_A_RENAME = 0.4
"""How often the power goes as a damaged journal is set aside: few operations, on which much hangs."""
_NAMES = (None, None, None, _LOG, JOURNAL)
_LONG, _SHORT = 500, 60
"""Commits of one writer: enough that the log is copied into the database meanwhile, or not."""


@dataclass(frozen=True)
class Result:
    """One round. ``lost``: how many of the ``green`` ones were not in the journal any more."""

    seed: str
    folder: Path
    cuts: Sequence[str]
    green: int
    lost: int
    problems: Sequence[str]
    seconds: float = field(compare=False)

    @property
    def good(self) -> bool:
        return not self.lost and not self.problems

    @property
    def inside(self) -> int:
        """Cuts that came in a change or a flush."""
        return sum(cut != AT_REST for cut in self.cuts)


def play(seed: str, folder: Path, cuts: int = CUTS_A_ROUND) -> Result:
    """One round in ``folder``, on an honest disk; kept with the disk's content unless all is well."""

    def lives(house: House, chance: random.Random) -> None:
        first = chance.random() < 0.5
        for number in range(cuts):
            _live(house, chance, first_start=number == 0 and first)
        house.closing()

    return _played(seed, folder, lives)


def play_replacing(seed: str, folder: Path, cuts: int = CUTS_A_ROUND) -> Result:
    """The journal is damaged again and again, and the power goes while a new one takes its place."""

    def lives(house: House, chance: random.Random) -> None:
        for _ in range(cuts):
            if chance.random() < _IN_A_RENAME:
                house.replacing(1, house.aside())
            else:
                house.replacing(chance.randint(1, 80))

    return _played(seed, folder, lives)


def play_normal(seed: str, folder: Path, cuts: int = CUTS_A_ROUND) -> Result:
    """The control: the journal of the real program with ``synchronous=NORMAL``."""

    def lives(house: House, chance: random.Random) -> None:
        for _ in range(cuts):
            house.written(_batches(chance, _SHORT), chance.randint(100, 400), synchronous="NORMAL")
            house.write([1])  # what is left of its log is found again, by a start
            house.lost |= house.green - house.still_there()

    return _played(seed, folder, lives, loses=True)


def play_lying(seed: str, folder: Path, cuts: int = CUTS_A_ROUND) -> Result:
    """The control: the real journal, on a disk that says that it has flushed. What it leaves may be damaged."""

    def lives(house: House, chance: random.Random) -> None:
        for _ in range(cuts):
            house.write([1])
            house.disk.lie()
            house.written(_batches(chance, _SHORT), chance.randint(100, 400))
            if (code := house.write([1])) != 0:
                house.problems.append(f"what the cut left cannot be opened: the writer ended with {code}")
            house.lost |= house.green - house.still_there()

    return _played(seed, folder, lives, loses=True)


def play_all(
    what: Callable[[str, Path, int], Result], seed: str, cuts: int, jobs: int, folder: Path
) -> Iterator[Result]:
    """As many rounds as ``cuts`` need, in the order of their numbers. A round's seed names it alone."""
    sizes = [CUTS_A_ROUND] * (cuts // CUTS_A_ROUND) + ([cuts % CUTS_A_ROUND] if cuts % CUTS_A_ROUND else [])
    seeds = [f"{seed}.{number}" for number in range(1, len(sizes) + 1)]
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(what, seeds, [folder / each for each in seeds], sizes)


def any_seed() -> int:
    """For whoever names none."""
    return random.SystemRandom().randrange(1_000_000)


def told(result: Result) -> str:
    """A round in a line, with its problems."""
    head = f"round {result.seed}: {len(result.cuts)} cuts, {result.green} green, {result.lost} lost"
    if result.good:
        return f"{head}, {result.seconds:.1f} s"
    return "\n  ".join([f"{head}; kept in {result.folder}", *result.problems[:20]])


def summary(results: Sequence[Result]) -> str:
    """Cuts by where they came, taps acknowledged, taps lost."""
    cuts = Counter(cut for result in results for cut in result.cuts)
    failed = [result.seed for result in results if not result.good]
    return "\n".join(
        [
            f"{cuts.total()} cuts, {sum(result.inside for result in results)} of them in a write or a flush",
            *(f"  {number:5} in {where}" for where, number in cuts.most_common()),
            f"taps acknowledged {sum(result.green for result in results)}, lost {_lost(results)}",
            f"rounds that failed: {', '.join(failed) or 'none'}",
        ]
    )


def summary_of_replacing(results: Sequence[Result]) -> str:
    """A line, and the rounds that failed."""
    cuts, green = sum(len(result.cuts) for result in results), sum(result.green for result in results)
    line = f"while a damaged journal was replaced: {cuts} cuts, taps acknowledged {green}, lost {_lost(results)}"
    return "\n".join([line, *(told(result) for result in results if not result.good)])


def summary_of_control(name: str, results: Sequence[Result]) -> str:
    """A line, and one more where the control shows that the rig is broken."""
    cuts, green = sum(len(result.cuts) for result in results), sum(result.green for result in results)
    line = f"control, {name}: {cuts} cuts, taps acknowledged {green}, lost {_lost(results)}"
    return "\n".join([line, *broken_by_control(results)])


def broken_by_control(results: Sequence[Result]) -> list[str]:
    """What is wrong with a control: it has to lose taps, and to do nothing else."""
    said = [told(result) for result in results if result.problems]
    if not _lost(results):
        said.append("  IT MUST LOSE TAPS AND LOST NONE: the rig is broken, and the 0 above proves nothing")
    return said


def _lost(results: Sequence[Result]) -> int:
    return sum(result.lost for result in results)


def _live(house: House, chance: random.Random, first_start: bool) -> None:
    """One life of the post, drawn."""
    if first_start:
        house.opening(chance.randint(1, 120))
    elif chance.random() * CUTS_A_ROUND >= _OF_THE_PROGRAM:
        commits = chance.choice((_SHORT, _LONG))
        house.written(_batches(chance, commits), chance.randint(1, commits * 12), chance.choice(_NAMES))
    else:
        match chance.choices(("burst", "opening", "stopping"), (5, 3, 2))[0]:
            case "burst":
                house.burst(chance.randint(1, 250))
            case "opening":
                house.opening(chance.randint(1, 50))
            case _:
                house.stopping(chance.randint(1, 6), JOURNAL)


def _batches(chance: random.Random, commits: int) -> list[int]:
    return [chance.choice((1, 1, 1, 2, 5)) for _ in range(commits)]


def _played(seed: str, folder: Path, lives: Callable[[House, random.Random], None], loses: bool = False) -> Result:
    """``loses``: lost taps are what is wanted, and nothing to be kept for."""
    house = House(folder, seed)
    began_s = time.monotonic()
    house.disk.start()
    try:
        lives(house, random.Random(seed))
    except (AssertionError, OSError, StateError, StopIteration) as error:
        house.problems.append(f"{type(error).__name__}: {error}")
    if house.post.process is not None:
        house.post.buried()
    result = Result(
        seed,
        folder,
        house.cuts,
        len(house.green),
        len(house.lost),
        house.problems,
        time.monotonic() - began_s,
    )
    well = not result.problems and (loses or not result.lost)
    if not well:
        shutil.copytree(house.disk.mount, folder / "found", dirs_exist_ok=True)
    house.disk.stop()
    if well:
        shutil.rmtree(folder)
    return result

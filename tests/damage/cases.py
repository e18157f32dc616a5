"""Cases of the suite drawn by hypothesis, and what came of all of them."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from damage.folders import Life, left_by
from damage.spoiling import Damage, damages
from damage.survival import survives


@dataclass
class Tally:
    """Over all cases. ``damaged``: cases in which the journal was found damaged. The others count rows."""

    cases: int = 0
    damaged: int = 0
    rows: int = 0
    lost: int = 0
    named: int = 0

    def __str__(self) -> str:
        return (
            f"{self.cases} cases, in {self.damaged} of them the journal was found damaged; of {self.rows} events "
            f"{self.lost} were on what was damaged, and {self.named} of those are named as lost"
        )


def play(lives: tuple[Life, ...], cases: int, number: int | None = None) -> Tally:
    """Play so many cases; the first that fails is raised.

    ``number``: the seed, and the case that fails is shrunk, which takes minutes; None for any, as it is found.
    """
    tally = Tally()
    folders = {life.__name__: left_by(life) for life in lives}

    @settings(
        max_examples=cases,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate] if number is None else [Phase.generate, Phase.shrink],
    )
    @given(
        st.sampled_from(list(folders)).flatmap(lambda name: st.tuples(st.just(name), damages(folders[name].files)))
    )
    def run(case: tuple[str, list[Damage]]) -> None:
        name, damage = case
        with TemporaryDirectory() as folder:
            outcome = survives(folders[name], damage, Path(folder) / "state")
        tally.cases += 1
        tally.damaged += outcome.told
        tally.rows += len(outcome.left.rows)
        tally.lost += len(outcome.lost)
        tally.named += len(outcome.lost) - len(outcome.unnamed)

    (run if number is None else seed(number)(run))()
    return tally

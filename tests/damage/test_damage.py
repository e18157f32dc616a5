"""A share of the damage suite; ``make damage`` plays thousands of cases."""

import pytest

from damage.cases import play
from damage.folders import SMALL, Life, large


@pytest.mark.parametrize("life", SMALL, ids=lambda life: life.__name__)
def test_whatever_is_damaged_the_post_goes_on_with_all_that_is_sound(life: Life) -> None:
    tally = play((life,), 30)
    assert tally.cases >= 30
    assert tally.damaged > 0


def test_megabytes_are_no_other_than_a_few_rows() -> None:
    assert play((large,), 2).cases >= 2

"""What headquarters lacks and no post has any more is said once for each range."""

import pytest
from postkit import CHAIN, at, tapped

from device.readings import Removed, Started
from device.rules.removed import CHAINS_REMEMBERED, RemovedRule, RemovedState
from device.rules.rule import Cause, Due, Numbered


class Post:
    """One post's rule over restarts; ``hears`` gives what was recorded."""

    def __init__(self) -> None:
        self.rule = RemovedRule()
        self.state = RemovedRule.initial

    def hears(self, cause: Cause) -> list[dict[str, object]]:
        step = self.rule.step(self.state, cause, at())
        self.state = RemovedState.model_validate_json(step.state.model_dump_json())
        assert all(draft.subject == "post" for draft in step.drafts)
        return [draft.data.model_dump(by_alias=True) for draft in step.drafts]

    def asked(self, first: int, last: int, chain: str = CHAIN) -> list[dict[str, object]]:
        return self.hears(Removed(at(), chain, first, last))


def lost(first: int, last: int, chain: str = CHAIN) -> list[dict[str, object]]:
    return [{"change": "lost", "chain": chain, "from": first, "to": last, "why": "removed"}]


def test_a_range_is_told_once_however_often_it_is_asked_for() -> None:
    post = Post()
    assert post.asked(5, 10) == lost(5, 10)
    assert post.asked(5, 10) == []
    assert post.asked(7, 9) == []


@pytest.mark.parametrize(("first", "last"), [(4, 10), (5, 11), (1, 20), (11, 12)])
def test_a_range_that_goes_beyond_what_was_told_is_told(first: int, last: int) -> None:
    post = Post()
    post.asked(5, 10)
    assert post.asked(first, last) == lost(first, last)
    assert post.asked(first, last) == []


def test_what_lies_between_two_told_ranges_was_not_told() -> None:
    post = Post()
    assert post.asked(5, 10) == lost(5, 10)
    assert post.asked(15, 20) == lost(15, 20)
    assert post.asked(11, 20) == lost(11, 20)


def test_each_chain_is_told_of_for_itself_and_the_newest_are_remembered() -> None:
    post = Post()
    chains = [f"{CHAIN[:-2]}{number:02x}" for number in range(CHAINS_REMEMBERED + 1)]
    for chain in chains:
        assert post.asked(1, 3, chain) == lost(1, 3, chain)
    for chain in chains[1:]:
        assert post.asked(1, 3, chain) == []
    assert post.asked(1, 3, chains[0]) == lost(1, 3, chains[0])
    assert len(post.state.told) == CHAINS_REMEMBERED


def test_nothing_else_concerns_it() -> None:
    post = Post()
    for cause in (Started(at(), False, "x"), Due(), Numbered(f"{CHAIN}/1", tapped())):
        assert post.hears(cause) == []
    assert post.rule.due(post.state) is None
    assert post.rule.holds(post.state) == {}

"""Headquarters asks for what was removed after it had receipted it: said once, as lost."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from device.events import Draft, Lost
from device.readings import Instant, Removed
from device.rules.rule import Cause, State, Step

CHAINS_REMEMBERED = 16


class RemovedState(State):
    """``told``: by chain, the numbers (first, last) that were said to be gone, each of them."""

    told: dict[str, tuple[int, int]] = Field(default_factory=dict)


class RemovedRule:
    """A recorder that was restored from an old copy goes on behind what no post has any more."""

    name = "removed"
    initial = RemovedState()

    def step(self, state: RemovedState, cause: Cause, now: Instant) -> Step[RemovedState]:  # noqa: ARG002
        """Decide one cause."""
        if not isinstance(cause, Removed):
            return Step(state)
        first, last = state.told.get(cause.chain, (cause.first, cause.first - 1))
        if first <= cause.first and cause.last <= last:
            return Step(state)
        touches = cause.first <= last + 1 and first <= cause.last + 1
        told = (min(first, cause.first), max(last, cause.last)) if touches else (cause.first, cause.last)
        kept = {chain: to for chain, to in state.told.items() if chain != cause.chain}
        newest = list(kept.items())[-CHAINS_REMEMBERED + 1 :]
        lost = Lost.model_validate({"chain": cause.chain, "from": cause.first, "to": cause.last, "why": "removed"})
        return Step(RemovedState(told={**dict(newest), cause.chain: told}), (Draft(subject="post", data=lost),))

    def due(self, state: RemovedState) -> int | None:  # noqa: ARG002
        """Nothing is ever due."""
        return None

    def holds(self, state: RemovedState) -> Mapping[str, Any]:  # noqa: ARG002
        """Nothing to tell."""
        return {}

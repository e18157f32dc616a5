"""One turn's copies of chain and rules: what they decide holds only once it is committed."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from device.effects import Effect
from device.events import ChainBegan, Draft, Jwk, Position
from device.readings import Instant
from device.record.chain import Chain, Sealed
from device.rules.rule import Cause, Due, Numbered, Seat

RESERVED_KINDS = frozenset({"system"})
"""What may still be recorded when the journal is all but full: that it is."""


@dataclass
class Turn:
    """Copies of the post's seats and chain, changed by each cause; a failed commit simply drops them."""

    seats: list[Seat[Any]]
    chain: Chain
    sealed: list[Sealed] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    def decide(self, first: Cause, at: Instant) -> None:
        """Show a cause to every rule, and every event that comes of it to every rule again."""
        causes = deque([first])
        while causes:
            cause = causes.popleft()
            for index, seat in enumerate(self.seats):
                self.seats[index], step = seat.decide(cause, at)
                causes.extend(self._seal(draft, at) for draft in step.drafts)
                self.effects.extend(step.effects)

    def mark(self) -> "Turn":
        """This moment of the turn, to go back to."""
        return Turn(list(self.seats), self.chain, list(self.sealed), list(self.effects))

    def fits_reserve(self, since: "Turn") -> bool:
        """Whether what was decided since a mark may use the last of the disk."""
        return all(sealed.kind in RESERVED_KINDS for sealed in self.sealed[len(since.sealed) :])

    def undo(self, to: "Turn") -> None:
        """Take back what was decided since a mark."""
        self.seats, self.chain, self.sealed, self.effects = to.seats, to.chain, to.sealed, to.effects

    def due(self, at: Instant) -> None:
        """Call the rules whose moment has come by ``at``."""
        if any(due <= at.uptime_ms for due in self._dues()):
            self.decide(Due(), at)

    def begin(self, drafts: Iterable[Draft], at: Instant) -> None:
        """Seal the first events of a new chain; no rule decides on them."""
        for draft in drafts:
            self._seal(draft, at)

    def roll(self, chain: str, jwk: Jwk, at: Instant) -> None:
        """Go on in a new chain, since headquarters holds what this journal has lost."""
        head = self.chain.head
        previous = Position(chain=head.chain, seq=head.seq, hash=head.hash)
        self.chain = self.chain.anew(chain)
        began = ChainBegan(why="rolled-back", previous=previous, jwk=jwk)
        self.begin([Draft(subject="post", data=began)], at)

    def _dues(self) -> Iterable[int]:
        return (due for seat in self.seats if (due := seat.due()) is not None)

    def _seal(self, draft: Draft, at: Instant) -> Numbered:
        self.chain, sealed = self.chain.seal(draft, at)
        self.sealed.append(sealed)
        return Numbered(sealed.id, draft)

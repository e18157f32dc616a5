"""What a rule is, and the seat that holds one rule together with its state."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from device.effects import Effect
from device.events import Draft
from device.readings import Instant, RuleReading


class State(BaseModel):
    """A rule's memory: frozen, bounded, and JSON in the journal. Unknown members are dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


S = TypeVar("S", bound=State)


@dataclass(frozen=True, slots=True)
class Numbered:
    """A draft that has its id: every one is shown to every rule before the commit."""

    id: str
    draft: Draft


@dataclass(frozen=True, slots=True)
class Due:
    """The moment a rule asked for has come."""


Cause = RuleReading | Numbered | Due


@dataclass(frozen=True, slots=True)
class Step(Generic[S]):
    """What a rule makes of one cause."""

    state: S
    drafts: tuple[Draft, ...] = ()
    effects: tuple[Effect, ...] = ()


class Rule(Protocol[S]):
    """Pure decisions over one state."""

    name: str
    initial: S

    def step(self, state: S, cause: Cause, now: Instant) -> Step[S]:
        """Decide one cause. ``now`` is the cause's own instant."""
        ...

    def due(self, state: S) -> int | None:
        """The uptime in milliseconds at which the rule wants to be called again."""
        ...

    def holds(self, state: S) -> Mapping[str, Any]:
        """Members for the retained ``state`` message: what is so now."""
        ...


@dataclass(frozen=True)
class Seat(Generic[S]):
    """One rule and its state. A value: deciding gives the next seat, so a failed commit is simply dropped."""

    rule: Rule[S]
    state: S

    @classmethod
    def restored(cls, rule: Rule[S], snapshot: str | None) -> "Seat[S]":
        """The seat as the journal kept it; the rule's initial state where it kept none. Raises ValueError."""
        if snapshot is None:
            return cls(rule, rule.initial)
        try:
            return cls(rule, type(rule.initial).model_validate_json(snapshot))
        except ValidationError as error:
            raise ValueError(f"the {rule.name} rule's snapshot: {error.error_count()} problems") from error

    def decide(self, cause: Cause, now: Instant) -> tuple["Seat[S]", Step[S]]:
        """The seat after one cause, and what the rule asks for."""
        step = self.rule.step(self.state, cause, now)
        return (self if step.state is self.state else replace(self, state=step.state)), step

    def due(self) -> int | None:
        """The uptime in milliseconds at which the rule wants to be called again."""
        return self.rule.due(self.state)

    def snapshot(self) -> str:
        """The state as JSON."""
        return self.state.model_dump_json()

    def holds(self) -> Mapping[str, Any]:
        """Members for the retained ``state`` message."""
        return self.rule.holds(self.state)

"""A turn: every cause to every rule, every event to every rule again, numbered in the order of deciding."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from postkit import BOOT, CHAIN, LATER_BOOT, SOURCE, at, began, blind, new_key, tapped

from device.effects import Answer, Show
from device.events import NO_HASH, Door, Draft, KeyChanged
from device.readings import ButtonPressed
from device.record.chain import Chain, Head, Signer, verify
from device.rules.rule import Cause, Due, Numbered, Seat, State, Step
from device.turn import Turn


class Heard(State):
    causes: tuple[str, ...] = ()


@dataclass
class ListeningRule:
    """Remembers every cause; answers some with drafts."""

    name: str
    answers: Mapping[type, tuple[Draft, ...]] = field(default_factory=dict)
    due_ms: int | None = None
    initial: Heard = field(default_factory=Heard)

    def step(self, state: Heard, cause: Cause, now: object) -> Step[Heard]:
        said = f"{cause.id} {cause.draft.kind}" if isinstance(cause, Numbered) else type(cause).__name__
        after = Heard(causes=(*state.causes, said))
        drafts = self.answers.get(type(cause), ())
        return Step(after, drafts, (Show(Answer.ACCEPTED),) if drafts else ())

    def due(self, state: Heard) -> int | None:
        return self.due_ms

    def holds(self, state: Heard) -> Mapping[str, Any]:
        return {}


KEY = new_key()


def turn_of(*rules: ListeningRule, key: Signer = KEY) -> Turn:
    return Turn([Seat(rule, rule.initial) for rule in rules], Chain(SOURCE, BOOT, key, Head(CHAIN)))


def test_every_rule_hears_the_cause_and_then_every_event_that_came_of_it() -> None:
    first = ListeningRule("first", {ButtonPressed: (tapped(), blind("one"))})
    second = ListeningRule("second", {ButtonPressed: (blind("two"),)})
    turn = turn_of(first, second)
    turn.decide(ButtonPressed(at(), "checkin"), at())
    heard = ("ButtonPressed", f"{CHAIN}/1 checkin", f"{CHAIN}/2 system", f"{CHAIN}/3 system")
    assert [seat.state.causes for seat in turn.seats] == [heard, heard]
    assert turn.effects == [Show(Answer.ACCEPTED), Show(Answer.ACCEPTED)]
    assert [json.loads(sealed.event)["seq"] for sealed in turn.sealed] == [1, 2, 3]


def test_the_events_of_a_turn_are_sealed_at_the_causes_instant_and_chained() -> None:
    turn = turn_of(ListeningRule("first", {ButtonPressed: (tapped(), tapped())}))
    turn.decide(ButtonPressed(at(5_000), "checkin"), at(5_000))
    one, two = (verify(sealed.event, KEY.public) for sealed in turn.sealed)
    assert (one.uptime, two.uptime) == ("5.000", "5.000")
    assert two.prev == turn.sealed[0].head.hash
    assert turn.chain.head == turn.sealed[1].head


def test_a_dropped_turn_leaves_the_posts_own_seats_and_chain_as_they_were() -> None:
    rule = ListeningRule("first", {ButtonPressed: (tapped(),)})
    seats, chain = [Seat(rule, rule.initial)], Chain(SOURCE, BOOT, KEY, Head(CHAIN))
    Turn(list(seats), chain).decide(ButtonPressed(at(), "checkin"), at())
    assert seats[0].state == Heard()
    assert chain.head.seq == 0


def test_rules_are_called_when_the_first_deadline_has_come_and_not_before() -> None:
    turn = turn_of(ListeningRule("early", due_ms=5_000), ListeningRule("late", due_ms=9_000), ListeningRule("none"))
    turn.due(at(4_999))
    assert [seat.state.causes for seat in turn.seats] == [(), (), ()]
    turn.due(at(5_000))
    assert [seat.state.causes for seat in turn.seats] == [("Due",), ("Due",), ("Due",)]


def test_what_a_deadline_brings_about_is_shown_to_all() -> None:
    turn = turn_of(ListeningRule("listens"), ListeningRule("speaks", {Due: (tapped(),)}, due_ms=1))
    turn.due(at())
    assert turn.seats[0].state.causes == ("Due", f"{CHAIN}/1 checkin")


def test_a_chains_first_event_and_a_key_change_bring_their_keys_to_the_journal() -> None:
    other = new_key()
    rule = ListeningRule("first", {ButtonPressed: (Draft(subject="post", data=KeyChanged(jwk=other.jwk())),)})
    turn = turn_of(rule)
    turn.begin([began(KEY), tapped()], at())
    assert turn.seats[0].state.causes == ()
    turn.decide(ButtonPressed(at(), "checkin"), at())
    assert [sealed.jwk for sealed in turn.sealed] == [KEY.jwk(), None, other.jwk()]


def test_a_rolled_back_post_goes_on_in_a_new_chain_that_names_the_old_head() -> None:
    turn = turn_of(ListeningRule("first", {ButtonPressed: (tapped(),)}))
    turn.decide(ButtonPressed(at(), "checkin"), at())
    old = turn.chain.head
    turn.roll(LATER_BOOT, KEY.jwk(), at())
    turn.decide(ButtonPressed(at(), "checkin"), at())
    _, first, second = (verify(sealed.event, KEY.public) for sealed in turn.sealed)
    assert (first.chain, first.seq, first.prev, second.seq) == (LATER_BOOT, 1, NO_HASH, 2)
    assert first.data["why"] == "rolled-back"
    assert first.data["previous"] == {"chain": old.chain, "seq": 1, "hash": old.hash}


def test_only_a_forced_door_is_sent_ahead() -> None:
    changes = ("opened", "forced", "held", "tampered", "closed")
    data = [Door.model_validate({"door": "front", "change": change, "since": None}) for change in changes]
    doors = tuple(Draft(subject="front", data=door) for door in data)
    turn = turn_of(ListeningRule("first", {ButtonPressed: (tapped(), *doors)}))
    turn.decide(ButtonPressed(at(), "checkin"), at())
    assert [sealed.alarm for sealed in turn.sealed] == [False, False, True, False, True, False]

"""Decides a round: what was green, journalled, stored and heard must be one and the same. Pure."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ALARMS = {("door", "forced"), ("door", "tampered")}


@dataclass(frozen=True)
class Evidence:
    """What is there when all is healed.

    ``answers``: what each officer's only tap was answered, None where the post died meanwhile.
    ``journal``: the post's rows in order; ``stored``: the recorder's, in order of their numbers, held ones too.
    ``journal`` was read before ``stored``, ``journal_after`` behind it. ``alarms``: payloads heard on ``alarm/``.
    ``flaws``: what verifying the recorder's store from scratch said.
    """

    answers: Mapping[int, str | None]
    journal: Sequence[bytes]
    stored: Sequence[bytes]
    journal_after: Sequence[bytes]
    alarms: Collection[bytes]
    flaws: Sequence[str] = ()


@dataclass(frozen=True)
class Verdict:
    """Numbers for the summary, and one line for each thing that is wrong."""

    taps: int
    green: int
    events: int
    alarms: int
    lost: int
    twice: int
    foreign: int
    unheard: int
    problems: Sequence[str] = field(repr=False)

    @property
    def good(self) -> bool:
        return not self.problems


def decide(evidence: Evidence) -> Verdict:
    """What the evidence says."""
    problems: list[str] = []
    lost = _lost(evidence, problems)
    twice = _twice(evidence, problems)
    foreign = _foreign(evidence, problems)
    due, unheard = _alarms(evidence, problems)
    _order(evidence, problems)
    problems += [f"recorder verify: {flaw}" for flaw in evidence.flaws]
    green = sum(answer is not None and answer.startswith("accepted") for answer in evidence.answers.values())
    return Verdict(
        len(evidence.answers), green, len(evidence.journal), due, lost, twice, foreign, unheard, problems
    )


def _lost(evidence: Evidence, problems: list[str]) -> int:
    stored = set(evidence.stored)
    missing = [row for row in evidence.journal if row not in stored]
    problems += [f"lost: {_name(row)}" for row in missing]
    recorded = _accepted(evidence.stored)
    for officer, answer in evidence.answers.items():
        if answer is not None and answer.startswith("accepted") and not recorded[f"officer-{officer}"]:
            problems.append(f"lost: officer-{officer} saw green, and is not in the store")
            missing.append(b"")
    return len(missing)


def _twice(evidence: Evidence, problems: list[str]) -> int:
    places = Counter(_place(row) for row in evidence.stored)
    again = [f"twice: {chain}/{seq}" for (chain, seq), count in places.items() if count > 1]
    taps = _accepted(evidence.stored)
    again += [f"twice: the one tap of {officer}" for officer, count in taps.items() if count > 1]
    problems += again
    return len(again)


def _foreign(evidence: Evidence, problems: list[str]) -> int:
    """Nothing else is in the store, and nothing is an alarm that the post did not record."""
    held = set(evidence.journal_after)
    foreign = [f"foreign: {_name(row)}" for row in evidence.stored if row not in held]
    foreign += [f"foreign alarm: {_name(row)}" for row in evidence.alarms if row not in held]
    tapped = {f"officer-{officer}" for officer in evidence.answers}
    foreign += [f"foreign: a tap of {who}, who never came" for who in _accepted(evidence.stored).keys() - tapped]
    problems += foreign
    return len(foreign)


def _alarms(evidence: Evidence, problems: list[str]) -> tuple[int, int]:
    due = [row for row in evidence.journal if _is_alarm(json.loads(row))]
    heard = set(evidence.alarms)
    unheard = [row for row in due if row not in heard]
    problems += [f"no alarm was heard: {_name(row)}" for row in unheard]
    return len(due), len(unheard)


def _order(evidence: Evidence, problems: list[str]) -> None:
    """A SIGKILL is no power cut: the chain goes on, in the journal and in the store, byte for byte."""
    chains = {_place(row)[0] for row in evidence.journal}
    if len(chains) != 1:
        problems.append(f"{len(chains)} chains, where one goes on")
    if list(evidence.stored[: len(evidence.journal)]) != list(evidence.journal):
        problems.append("the store is not the journal byte for byte, in its order")


def _accepted(rows: Sequence[bytes]) -> Counter[str]:
    events: list[dict[str, Any]] = [json.loads(row) for row in rows]
    return Counter(
        event["data"]["officer"]
        for event in events
        if event["type"] == "guardpost.checkin.v1" and event["data"]["verdict"] == "accepted"
    )


def _is_alarm(event: dict[str, Any]) -> bool:
    return (event["type"].split(".")[1], event["data"].get("change")) in ALARMS


def _place(row: bytes) -> tuple[str, int]:
    event = json.loads(row)
    return event["chain"], event["seq"]


def _name(row: bytes) -> str:
    event = json.loads(row)
    return f"{event['seq']} {event['type'].split('.')[1]} {event['data'].get('change') or ''}".rstrip()

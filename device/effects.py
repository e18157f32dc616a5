"""What the rules ask for: effects happen only after the commit that justifies them."""

from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """What an officer is told by lights and buzzer."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    REFUSED = "refused"
    NOT_RECORDED = "not recorded"


@dataclass(frozen=True, slots=True)
class Show:
    """Answer the officer who stands there."""

    answer: Answer


Effect = Show

"""The roster: who may tap, by badge, from when until when."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from device.events import StaffId, Verdict
from device.problems import problem
from device.readings import Instant

_DIGITS = (6, 8, 10, 14, 20)
"""4, 7 and 10 bytes are a card's UID; 3 and 5 what some readers make of one, or of a number of their own."""


def _badge(value: str) -> str:
    # No message names a number: it is logged, and sent to every subscriber in a "refused" event.
    if len(value) not in _DIGITS or any(c not in "0123456789ABCDEF" for c in value):
        raise problem("no badge number; write 6, 8, 10, 14 or 20 upper-case hex digits, no separators")
    return value


Badge = Annotated[str, AfterValidator(_badge)]


class Officer(BaseModel):
    """``[[officer]]``: one person. A plain date counts in the post's time zone, ``until`` to its last moment."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    id: StaffId
    badges: tuple[Badge, ...] = ()
    from_: datetime | date | None = Field(default=None, alias="from")
    until: datetime | date | None = None
    revoked: Annotated[bool, Field(strict=True)] = False

    @field_validator("from_", "until", mode="before")
    @classmethod
    def _date(cls, value: object) -> object:
        # A text or number would be understood too, but as midnight or as seconds since 1970.
        if value is not None and not isinstance(value, date):
            raise problem(f"{str(value)!r} is no date; write it like 2026-12-31, without quotes")
        return value


class RosterFile(BaseModel):
    """The whole roster file."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    officer: tuple[Officer, ...] = ()

    @model_validator(mode="after")
    def _one_owner_each(self) -> "RosterFile":
        ids: set[str] = set()
        owners: dict[str, str] = {}
        for officer in self.officer:
            if officer.id in ids:
                raise problem(
                    f"officer {officer.id} is there twice; put all badges of a person into one [[officer]]"
                )
            ids.add(officer.id)
            for place, badge in enumerate(officer.badges, 1):
                owner = f"badge {place} of {officer.id}"
                if badge in owners:
                    raise problem(
                        f"{owners[badge]} and {owner} are the same; "
                        "take it out where it is wrong, a badge tells one person"
                    )
                owners[badge] = owner
        return self


@dataclass(frozen=True, slots=True)
class _Pass:
    officer: str
    from_ms: int | None
    until_ms: int | None
    revoked: bool


@dataclass(frozen=True)
class Roster:
    """Officers by badge, and the site key that hides badge numbers from whoever reads the events."""

    site_key: bytes = field(repr=False)
    passes: Mapping[str, _Pass] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, officers: Sequence[Officer], site_key: bytes, zone: ZoneInfo) -> "Roster":
        """Index a roster file's officers; dates become instants of ``zone``."""
        passes: dict[str, _Pass] = {}
        for officer in officers:
            entry = _Pass(
                officer.id,
                _milliseconds(officer.from_, zone, end=False),
                _milliseconds(officer.until, zone, end=True),
                officer.revoked,
            )
            passes.update({_hidden(site_key, badge): entry for badge in officer.badges})
        return cls(site_key, passes)

    def hidden(self, uid: bytes) -> str:
        """What an event says of a badge number: HMAC-SHA256 over its upper-case hex, as lower-case hex."""
        return _hidden(self.site_key, uid.hex().upper())

    def judge(self, badge: str, now: Instant) -> tuple[str | None, Verdict]:
        """Officer and verdict for a hidden badge number.

        An unsure clock never refuses by dates: the event's ``clock`` says that it could not.
        """
        entry = self.passes.get(badge)
        if entry is None:
            return None, "unknown"
        if entry.revoked:
            return entry.officer, "revoked"
        early = entry.from_ms is not None and now.wall_ms < entry.from_ms
        late = entry.until_ms is not None and now.wall_ms >= entry.until_ms
        if (early or late) and now.clock != "unsynced":
            return entry.officer, "expired"
        return entry.officer, "accepted"


def _hidden(site_key: bytes, badge: str) -> str:
    return hmac.new(site_key, badge.encode("ascii"), hashlib.sha256).hexdigest()


def _milliseconds(moment: datetime | date | None, zone: ZoneInfo, *, end: bool) -> int | None:
    """A roster date as milliseconds since 1970 UTC; a plain ``until`` date lasts to the end of that day."""
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        if end and moment == date.max:
            return None  # 9999-12-31, as people write "for ever"
        moment = datetime.combine(moment + timedelta(days=1 if end else 0), time(), zone)
    elif moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))

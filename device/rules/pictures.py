"""Which events have pictures taken, how many at most, and what is recorded of each."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import Field

from device.config_camera import CameraEvent
from device.effects import RefusePicture, SendPicture, TakePicture
from device.events import (
    MAX_TEXT,
    Draft,
    OrderTaken,
    Picture,
    PictureLost,
    Unusable,
    cut,
    decimal_seconds,
    is_alarm,
    rfc3339,
)
from device.readings import Instant, PictureFailed, PictureGone, PictureTaken, Started
from device.rules.rule import Cause, Due, Numbered, State, Step

TOLD_EVERY_MS = 60_000
KEPT_FOR_ALARMS = 3
"""One part in so many of the pictures of a minute is for alarms, duress and missed watches alone."""

REASONS, OTHERS = 5, "others"
"""So many reasons why pictures were not taken are told apart."""
REASON_CHARS = 200
"""So much of a reason is remembered."""

CAMERA = "camera"
_MINUTE_MS = 60_000

# By kind and change; a kind whose events have no change stands with None.
_TRIGGERS: Mapping[tuple[str, str | None], CameraEvent] = {
    ("checkin", None): "checkin",
    ("door", "opened"): "door",
    ("door", "forced"): "door",
    ("door", "tampered"): "door",
    ("duress", None): "duress",
    ("watch", "missed"): "missed",
    ("system", "order"): "order",
}
_SERIES = frozenset({"door", "duress"})
"""What has a before and an after."""
_ORDINARY = frozenset({"checkin", "order"})
"""However many there are of these, they push no other picture out of the store."""


class PicturesState(State):
    """``spent``: pictures of the last minute, thousandths; at ``spent_ms`` (uptime), it shrinks from there.

    ``awaited``: pictures that were asked for and not answered yet. ``missing``: how many were not taken, by the
    reason, since ``missing_ms`` (uptime).
    """

    spent: int = 0
    spent_ms: int = 0
    awaited: int = 0
    missing: dict[str, int] = Field(default_factory=dict)
    missing_ms: int | None = None


class PicturesRule:
    """Asks for pictures, and announces those that were taken."""

    name = "pictures"
    initial = PicturesState()

    def __init__(self, on: Collection[CameraEvent], before_ms: int, after_ms: int, most_a_minute: int) -> None:
        """``before_ms``, ``after_ms``: of a series, how far its first and its last picture are from the event."""
        self._on = frozenset(on)
        self._series = tuple(dict.fromkeys((-before_ms, 0, after_ms)))
        self._most = most_a_minute

    def step(self, state: PicturesState, cause: Cause, now: Instant) -> Step[PicturesState]:
        """Decide one cause."""
        match cause:
            case Numbered(id=event, draft=Draft(data=Picture(sha256=sha256))):
                return Step(state, (), (SendPicture(sha256, event),))
            case Numbered(id=event, draft=draft) if (trigger := _trigger(draft)) in self._on:
                offsets = self._series if trigger in _SERIES else (0,)
                wanted = TakePicture(event, now, offsets, urgent=trigger not in _ORDINARY)
                return self._taken(state, wanted, trigger, draft)
            case PictureTaken():
                answered = _answered(state) if cause.replaces is None else state
                return Step(answered, (Draft(subject=CAMERA, data=_announced(cause)),))
            case PictureFailed(why=why):
                return Step(_missed(_answered(state), 1, why, now))
            case PictureGone(sha256=sha256, why=why):
                return Step(state, (Draft(subject="post", data=PictureLost(picture=sha256, why=why)),))
            case Due() if state.missing_ms is not None and now.uptime_ms >= state.missing_ms + TOLD_EVERY_MS:
                return _told(state)
            case Started():
                return _told(_started(state, now))
            case _:
                return Step(state)

    def due(self, state: PicturesState) -> int | None:
        """When it is told how many were refused."""
        return None if state.missing_ms is None else state.missing_ms + TOLD_EVERY_MS

    def holds(self, state: PicturesState) -> Mapping[str, Any]:  # noqa: ARG002
        """Nothing: a camera that sees nothing is among the blind parts."""
        return {}

    def _taken(self, state: PicturesState, wanted: TakePicture, trigger: str, draft: Draft) -> Step[PicturesState]:
        """Take them, as far as the minute allows."""
        count = len(wanted.offsets_ms)
        asked = state.model_copy(update={"awaited": state.awaited + count})
        now_ms, most = wanted.at.uptime_ms, self._most * 1000
        passed_ms = max(0, now_ms - state.spent_ms)  # workers see things in their own order
        spent = max(0, state.spent - passed_ms * most // _MINUTE_MS)
        room = most if is_alarm(draft.data) or trigger in ("duress", "missed") else most - most // KEPT_FOR_ALARMS
        if spent + count * 1000 > room:
            why = f"more were asked for than camera.most_a_minute allows, {self._most}"
            if trigger == "order":  # whoever asked is answered
                return Step(asked, (), (RefusePicture(wanted.why, why),))
            return Step(_missed(state, count, why, wanted.at))
        after = asked.model_copy(update={"spent": spent + count * 1000, "spent_ms": now_ms})
        return Step(after, (), (wanted,))


def _answered(state: PicturesState) -> PicturesState:
    return state.model_copy(update={"awaited": max(0, state.awaited - 1)})


def _missed(state: PicturesState, count: int, why: str, now: Instant) -> PicturesState:
    since_ms = now.uptime_ms if state.missing_ms is None else state.missing_ms
    reason = cut(why, REASON_CHARS)
    if reason not in state.missing and len(state.missing) >= REASONS:
        reason = OTHERS
    missing = {**state.missing, reason: state.missing.get(reason, 0) + count}
    return state.model_copy(update={"missing": missing, "missing_ms": since_ms})


def _started(state: PicturesState, now: Instant) -> PicturesState:
    """What was not answered by then never will be. Uptimes of an earlier boot mean nothing in this one."""
    since = state.model_copy(update={"awaited": 0, "spent_ms": min(state.spent_ms, now.uptime_ms)})
    return _missed(since, state.awaited, "the post ended before", now) if state.awaited else since


def _told(state: PicturesState) -> Step[PicturesState]:
    """How many are missing, if any are; of several reasons each has its number, and its share of the text."""
    if not state.missing:
        return Step(state)
    count = sum(state.missing.values())
    told = "1 picture was not taken: " if count == 1 else f"{count} pictures were not taken: "
    between = "; "
    if len(state.missing) == 1:
        told += next(iter(state.missing))
    else:
        most = (MAX_TEXT - len(told)) // len(state.missing) - len(between)
        told += between.join(cut(f"({times}) {why}", most) for why, times in state.missing.items())
    draft = Draft(subject="post", data=Unusable(what=CAMERA, why=told))
    return Step(state.model_copy(update={"missing": {}, "missing_ms": None}), (draft,))


def _trigger(draft: Draft) -> CameraEvent | None:
    data = draft.data
    if isinstance(data, OrderTaken) and not (data.what == "picture" and data.ok):
        return None
    return _TRIGGERS.get((draft.kind, getattr(data, "change", None)))


def _announced(taken: PictureTaken) -> Picture:
    width, height = taken.size
    return Picture(
        sha256=taken.sha256,
        bytes=taken.length,
        sealed=taken.plain_sha256 is not None,
        plain_sha256=taken.plain_sha256,
        width=width,
        height=height,
        taken=rfc3339(taken.taken.wall_ms),
        offset=decimal_seconds(taken.offset_ms),
        why=taken.why,
        replaces=taken.replaces,
    )

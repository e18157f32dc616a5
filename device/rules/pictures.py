"""Which events have pictures taken, how many at most, and what is recorded of each."""

from collections.abc import Collection, Mapping
from typing import Any

from device.config import CameraEvent
from device.effects import SendPicture, TakePicture
from device.events import Draft, OrderTaken, Picture, PictureLost, Unusable, decimal_seconds, is_alarm, rfc3339
from device.readings import Instant, PictureGone, PictureTaken, Started
from device.rules.rule import Cause, Due, Numbered, State, Step

TOLD_EVERY_MS = 60_000
KEPT_FOR_ALARMS = 3
"""One part in so many of the pictures of a minute is for alarms, duress and missed watches alone."""

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


class PicturesState(State):
    """``spent``: pictures of the last minute, thousandths; at ``spent_ms`` (uptime), it shrinks from there.

    ``refused``: pictures that were too many, since ``refused_ms`` (uptime).
    """

    spent: int = 0
    spent_ms: int = 0
    refused: int = 0
    refused_ms: int | None = None


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
                return self._taken(state, TakePicture(event, now, offsets), trigger, draft)
            case PictureTaken():
                return Step(state, (Draft(subject=CAMERA, data=_announced(cause)),))
            case PictureGone(sha256=sha256, why=why):
                return Step(state, (Draft(subject="post", data=PictureLost(picture=sha256, why=why)),))
            case Due() if state.refused_ms is not None and now.uptime_ms >= state.refused_ms + TOLD_EVERY_MS:
                return self._told(state)
            case Started(same_boot=False):
                return Step(PicturesState(spent=state.spent, spent_ms=now.uptime_ms))
            case _:
                return Step(state)

    def due(self, state: PicturesState) -> int | None:
        """When it is told how many were refused."""
        return None if state.refused_ms is None else state.refused_ms + TOLD_EVERY_MS

    def holds(self, state: PicturesState) -> Mapping[str, Any]:  # noqa: ARG002
        """Nothing: a camera that sees nothing is among the blind parts."""
        return {}

    def _taken(self, state: PicturesState, wanted: TakePicture, trigger: str, draft: Draft) -> Step[PicturesState]:
        """Take them, as far as the minute allows. Orders have a limit of their own."""
        if trigger == "order":
            return Step(state, (), (wanted,))
        now_ms, most = wanted.at.uptime_ms, self._most * 1000
        passed_ms = max(0, now_ms - state.spent_ms)  # workers see things in their own order
        spent = max(0, state.spent - passed_ms * most // _MINUTE_MS)
        room = most if is_alarm(draft.data) or trigger in ("duress", "missed") else most - most // KEPT_FOR_ALARMS
        count = min(len(wanted.offsets_ms), self._most)
        if spent + count * 1000 > room:
            since_ms = now_ms if state.refused_ms is None else state.refused_ms
            return Step(state.model_copy(update={"refused": state.refused + count, "refused_ms": since_ms}))
        after = state.model_copy(update={"spent": spent + count * 1000, "spent_ms": now_ms})
        return Step(after, (), (wanted,))

    def _told(self, state: PicturesState) -> Step[PicturesState]:
        why = (
            f"{state.refused} pictures were not taken: "
            f"more were asked for than camera.most_a_minute allows, {self._most}"
        )
        draft = Draft(subject="post", data=Unusable(what=CAMERA, why=why))
        return Step(state.model_copy(update={"refused": 0, "refused_ms": None}), (draft,))


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

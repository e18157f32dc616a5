"""Pictures: which events have some taken, how many a minute, and what is announced of each."""

from collections.abc import Sequence

import pytest
from postkit import at, tapped

from device.config_camera import CameraEvent, CameraSection
from device.effects import RefusePicture, SendPicture, TakePicture
from device.events import Door, Draft, OrderTaken, Picture, PictureLost, Unusable, rfc3339
from device.readings import PictureFailed, PictureGone, PictureTaken, Started
from device.rules.pictures import KEPT_FOR_ALARMS, REASONS, TOLD_EVERY_MS, PicturesRule, PicturesState
from device.rules.rule import Cause, Due, Numbered, Step

CHAIN = "6f1e0a52-8c35-4d3b-9a70-2f6d1c0b7e94"
EVENT = f"{CHAIN}/7"
ALL: Sequence[CameraEvent] = ("checkin", "door", "duress", "missed", "order")
FORCED = Draft(subject="front", data=Door(door="front", change="forced", since=None))
ORDER = Draft(subject="post", data=OrderTaken(what="picture", id=CHAIN, ok=True, error=None))


def moved(change: str) -> Draft:
    return Draft.model_validate({"subject": "front", "data": {"door": "front", "change": change, "since": None}})


class Lens:
    """The rule with its state."""

    def __init__(self, on: Sequence[CameraEvent] = ALL, most_a_minute: int = 30, before_ms: int = 3_000) -> None:
        self.rule = PicturesRule(on, before_ms, 1_000, most_a_minute)
        self.state = PicturesRule.initial

    def hears(self, cause: Cause, uptime_ms: int = 100_000) -> Step[PicturesState]:
        step = self.rule.step(self.state, cause, at(uptime_ms))
        self.state = step.state
        return step

    def sees(self, draft: Draft, uptime_ms: int = 100_000) -> tuple[int, ...]:
        """The offsets at which pictures are taken of it."""
        effects = self.hears(Numbered(EVENT, draft), uptime_ms).effects
        assert all(isinstance(effect, TakePicture) and effect.why == EVENT for effect in effects)
        return tuple(ms for effect in effects if isinstance(effect, TakePicture) for ms in effect.offsets_ms)

    def flood(self, draft: Draft, count: int, uptime_ms: int) -> int:
        """How many pictures are taken of so many in one moment."""
        return sum(len(self.sees(draft, uptime_ms)) for _ in range(count))

    def told(self, uptime_ms: int) -> list[str]:
        drafts = self.hears(Due(), uptime_ms).drafts
        return [draft.data.why for draft in drafts if isinstance(draft.data, Unusable)]


def test_a_door_has_a_picture_from_before_it_one_of_it_and_one_after_it() -> None:
    lens = Lens()
    for change in ("opened", "forced", "tampered"):
        assert lens.sees(moved(change)) == (-3_000, 0, 1_000)
    assert lens.sees(moved("closed")) == lens.sees(moved("held")) == ()


def test_a_tap_has_one_whatever_came_of_it_and_its_instant_is_the_event_s() -> None:
    lens = Lens()
    assert lens.sees(tapped("unknown")) == (0,)
    assert lens.hears(Numbered(EVENT, tapped()), 5_000).effects == (TakePicture(EVENT, at(5_000), (0,)),)


def test_nothing_from_before_is_asked_for_where_none_is_kept() -> None:
    assert Lens(before_ms=0).sees(FORCED) == (0, 1_000)


@pytest.mark.parametrize("on", [(), ("door",), ("checkin", "order")])
def test_only_what_is_configured_has_pictures(on: Sequence[CameraEvent]) -> None:
    lens = Lens(on)
    seen = {"checkin": lens.sees(tapped()), "door": lens.sees(FORCED), "order": lens.sees(ORDER)}
    assert {word for word, offsets in seen.items() if offsets} == set(on)


def test_an_order_for_a_picture_has_one_and_no_other_order_has() -> None:
    lens = Lens()
    assert lens.sees(ORDER) == (0,)
    for data in (
        OrderTaken(what="selftest", id=CHAIN, ok=True, error=None),
        OrderTaken(what="picture", id=CHAIN, ok=False, error="it has expired"),
    ):
        assert lens.sees(Draft(subject="post", data=data)) == ()


def test_what_was_taken_is_announced_and_then_handed_over() -> None:
    lens = Lens()
    taken = PictureTaken(at(9_000), EVENT, "ab" * 32, 5, "cd" * 32, (640, 480), at(2_040), -2_960)
    (draft,) = lens.hears(taken).drafts
    assert draft.subject == "camera"
    assert draft.data == Picture(
        sha256="ab" * 32,
        bytes=5,
        sealed=True,
        plain_sha256="cd" * 32,
        width=640,
        height=480,
        taken=rfc3339(at(2_040).wall_ms),
        offset="-2.960",
        why=EVENT,
        replaces=None,
    )
    assert lens.hears(Numbered(f"{CHAIN}/9", draft)).effects == (SendPicture("ab" * 32, f"{CHAIN}/9"),)


def test_one_that_failed_is_told_within_a_minute_with_why_and_many_as_one() -> None:
    lens = Lens()
    lens.sees(FORCED)
    lens.hears(PictureFailed(at(), EVENT, "no frame from before the event is kept"))
    assert lens.told(100_000 + TOLD_EVERY_MS) == ["1 picture was not taken: no frame from before the event is kept"]
    for _ in range(2):
        lens.hears(PictureFailed(at(200_000), EVENT, "no frame came within 5 s"), 200_000)
    assert lens.told(200_000 + TOLD_EVERY_MS) == ["2 pictures were not taken: no frame came within 5 s"]
    assert lens.rule.due(lens.state) is None


def test_each_reason_is_told_with_how_many_it_was() -> None:
    lens = Lens(most_a_minute=9)
    taken = lens.flood(tapped(), 30, 100_000)
    lens.hears(PictureFailed(at(100_500), EVENT, "no frame came within 5 s"), 100_500)
    assert lens.told(100_500 + TOLD_EVERY_MS) == [
        f"{31 - taken} pictures were not taken: "
        f"({30 - taken}) more were asked for than camera.most_a_minute allows, 9; (1) no frame came within 5 s"
    ]
    for number in range(20):
        lens.hears(PictureFailed(at(200_000), EVENT, f"trouble {number}"), 200_000)
    (why,) = lens.told(200_000 + TOLD_EVERY_MS)
    assert why.startswith("20 pictures were not taken: (1) trouble 0; ")
    assert why.endswith(f"; ({20 - REASONS}) others")


def test_however_many_and_long_the_reasons_are_each_has_its_number_and_its_beginning() -> None:
    reasons = (
        "more were asked for than camera.most_a_minute allows, 30",
        "/var/lib/guardpost/pictures: full of pictures that wait to be sent (camera.most_bytes)",
        "/var/lib/guardpost/pictures: what room the disk has is kept for events; make room",
        "the camera sees nothing: black: no light, or something on the lens",
        "no frame came within 5 s",
    )
    lens = Lens()
    for times, reason in enumerate(reasons, start=1):
        for _ in range(times):
            lens.hears(PictureFailed(at(), EVENT, reason))
    (why,) = lens.told(100_000 + TOLD_EVERY_MS)
    told = why.removeprefix("15 pictures were not taken: ").split("; (")
    assert [part.lstrip("(")[:36] for part in told] == [
        f"{times}) {reason}"[:36] for times, reason in enumerate(reasons, start=1)
    ]
    for number in range(5_000):
        lens.hears(PictureFailed(at(), EVENT, f"{number} {'long ' * 5_000}"))
    assert len(lens.state.model_dump_json()) < 2_000, "what the journal keeps of it is bounded"
    (why,) = lens.told(100_000 + TOLD_EVERY_MS)
    assert why.count("; (1) ") == REASONS - 1 and why.endswith(f"; ({5_000 - REASONS}) others")


def test_what_the_program_ended_over_is_told_at_the_next_start() -> None:
    lens = Lens()
    lens.sees(FORCED)
    lens.hears(PictureTaken(at(), EVENT, "ab" * 32, 5, None, (640, 480), at(), 0))
    lens.state = PicturesState.model_validate_json(lens.state.model_dump_json())
    (draft,) = lens.hears(Started(at(), True, "x")).drafts
    assert draft.data == Unusable(what="camera", why="2 pictures were not taken: the post ended before")
    assert lens.hears(Started(at(), True, "x")).drafts == ()


def test_what_is_gone_is_said() -> None:
    (draft,) = Lens().hears(PictureGone(at(), "ab" * 32, "its file was changed on the disk")).drafts
    assert draft.data == PictureLost(picture="ab" * 32, why="its file was changed on the disk")


def test_a_thousand_triggers_a_second_are_a_minute_s_pictures_and_one_event_that_counts_the_rest() -> None:
    lens = Lens(most_a_minute=30)
    taken = sum(lens.flood(tapped(), 1, 100_000 + ms) for ms in range(1_000))
    assert taken == 30 - 30 // KEPT_FOR_ALARMS
    assert lens.told(100_000 + TOLD_EVERY_MS) == []
    assert lens.rule.due(lens.state) == 100_000 + taken + TOLD_EVERY_MS
    (why,) = lens.told(100_000 + taken + TOLD_EVERY_MS)
    assert why.startswith(f"{1_000 - taken} pictures were not taken")
    assert lens.rule.due(lens.state) is None


def test_a_flood_of_taps_leaves_room_for_the_door_that_is_forced_meanwhile() -> None:
    lens = Lens(most_a_minute=30)
    lens.flood(tapped(), 1_000, 100_000)
    assert lens.sees(FORCED, 100_001) == (-3_000, 0, 1_000)
    assert lens.sees(moved("opened"), 100_002) == ()


def test_a_minute_later_there_is_room_again_and_no_more_than_a_minute_s() -> None:
    lens = Lens(most_a_minute=6)
    assert lens.flood(tapped(), 100, 100_000) == 4
    assert lens.flood(tapped(), 100, 110_000) == 1
    assert lens.flood(tapped(), 100, 170_000) == 4


def test_orders_count_too_and_whoever_gave_one_too_many_is_answered() -> None:
    lens = Lens(most_a_minute=6)
    assert lens.flood(ORDER, 4, 100_000) == 4
    why = "more were asked for than camera.most_a_minute allows, 6"
    assert lens.hears(Numbered(EVENT, ORDER)).effects == (RefusePicture(EVENT, why),)
    lens.hears(PictureFailed(at(), EVENT, why))
    assert lens.told(100_000 + TOLD_EVERY_MS) == [f"1 picture was not taken: {why}"]


def test_only_what_is_urgent_may_push_others_out_of_the_store() -> None:
    lens = Lens()
    urgent = {
        name: [
            effect.urgent
            for effect in lens.hears(Numbered(EVENT, draft)).effects
            if isinstance(effect, TakePicture)
        ]
        for name, draft in (("tap", tapped()), ("order", ORDER), ("forced", FORCED), ("opened", moved("opened")))
    }
    assert urgent == {"tap": [False], "order": [False], "forced": [True], "opened": [True]}


def test_uptimes_of_an_earlier_boot_mean_nothing() -> None:
    lens = Lens(most_a_minute=6)
    lens.flood(tapped(), 100, 5_000_000)
    lens.state = PicturesState.model_validate_json(lens.state.model_dump_json())
    lens.hears(Started(at(1_000), False, "x"), 1_000)
    assert lens.rule.due(lens.state) is None
    assert lens.flood(tapped(), 100, 61_000) == 4


def test_the_fewest_that_can_be_configured_are_enough_for_a_forced_door_however_many_tap() -> None:
    schema = CameraSection.model_json_schema()
    for seconds in range(60, 120):
        lens = Lens(most_a_minute=schema["properties"]["most_a_minute"]["minimum"])
        for second in range(seconds):
            lens.sees(tapped(), 100_000 + 1_000 * second)
        assert lens.sees(FORCED, 100_000 + 1_000 * seconds) == (-3_000, 0, 1_000)

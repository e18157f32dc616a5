"""The loop: nothing is shown before it is on disk, and what could not be recorded is said so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from loopkit import KNOWN, OTHER, STRANGER, Bench
from postkit import LATER_BOOT

from device.effects import Answer
from device.post import EXIT_CRASHED, EXIT_OK, KEPT_READINGS
from device.readings import BadgeRead, ButtonPressed, ContactChanged, Crashed, RosterLoaded, StopRequested


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "state")
    made.start()
    yield made
    made.stop()


def test_a_new_post_begins_its_chain_and_says_that_it_booted(bench: Bench) -> None:
    assert bench.told() == ["system chain", "system boot", "system clock"]
    assert [event["seq"] for event in bench.events()] == [1, 2, 3]
    assert bench.events()[0]["data"]["why"] == "first"


def test_green_comes_only_when_the_event_is_on_disk(bench: Bench) -> None:
    before = len(bench.events())
    assert bench.tap() is Answer.ACCEPTED
    assert bench.lamps.on_disk == [before + 1]
    assert bench.told()[-1] == "checkin accepted"


def test_several_taps_in_one_batch_are_all_on_disk_before_the_first_is_answered(bench: Bench) -> None:
    before = len(bench.events())
    now = bench.clock.now()
    bench.post.turn(
        [BadgeRead(now, "gate", KNOWN), BadgeRead(now, "gate", STRANGER), ButtonPressed(now, "checkin")]
    )
    assert bench.lamps.shown == [Answer.ACCEPTED, Answer.REFUSED, Answer.ACCEPTED]
    assert bench.lamps.on_disk == [before + 3] * 3


def test_a_tap_that_cannot_be_written_is_red_and_changes_nothing(bench: Bench) -> None:
    bench.tap(OTHER)
    before = bench.told()
    with bench.full_disk():
        assert bench.tap(KNOWN) is Answer.NOT_RECORDED
        assert bench.tap(KNOWN) is Answer.NOT_RECORDED
    assert bench.told() == before
    # Had the failed tap changed any state, this one would be "repeated".
    assert bench.tap(KNOWN) is Answer.ACCEPTED
    assert bench.told()[len(before) :] == ["system storage", "checkin accepted"]
    storage = bench.events()[-2]["data"]
    assert (storage["unrecorded"], storage["dropped"]) == (2, 0)
    assert "journal" in storage["why"]


def test_a_failed_tap_is_never_tried_again_behind_the_officers_back(bench: Bench) -> None:
    bench.tap(OTHER)
    before = len(bench.events())
    with bench.full_disk():
        bench.tap(KNOWN)
    bench.clock.pass_ms(1_500)
    bench.post.turn([])
    assert [event["type"] for event in bench.events()[before:]] == ["guardpost.system.v1"]
    assert bench.lamps.shown[-1] is Answer.NOT_RECORDED


def test_a_door_that_moves_while_the_disk_is_full_is_recorded_when_it_is_not(bench: Bench) -> None:
    bench.tap(OTHER)
    before = len(bench.events())
    with bench.full_disk():
        opened = bench.clock.now()
        bench.post.turn([ContactChanged(opened, "front", True)])
        bench.clock.pass_ms(5_000)
        bench.post.turn([ContactChanged(bench.clock.now(), "front", False)])
        assert len(bench.events()) == before
    bench.clock.pass_ms(1_000)
    bench.post.turn([])
    assert bench.told()[before:] == ["system storage", "door opened", "door closed"]
    closed = bench.events()[-1]
    assert closed["data"]["since"] == bench.events()[-2]["time"]
    assert bench.lamps.shown[-1] is Answer.ACCEPTED  # nobody stood there: nothing was shown


def test_what_does_not_fit_into_the_wait_for_the_disk_is_counted(bench: Bench) -> None:
    bench.tap(OTHER)
    before = len(bench.events())
    now = bench.clock.now()
    flapping = [ContactChanged(now, "front", bool(n % 2 == 0)) for n in range(KEPT_READINGS + 25)]
    with bench.full_disk():
        bench.post.turn(flapping)
    bench.clock.pass_ms(1_500)
    bench.post.turn([])
    assert len(bench.events()) == before + 1 + KEPT_READINGS
    assert bench.events()[before]["data"]["dropped"] == 25


def test_after_a_failure_only_a_tap_is_tried_at_once(bench: Bench) -> None:
    bench.tap(OTHER)
    before = len(bench.events())
    with bench.full_disk():
        bench.tap(KNOWN)
    bench.post.turn([ContactChanged(bench.clock.now(), "front", True)])
    assert len(bench.events()) == before
    assert bench.tap(KNOWN) is Answer.ACCEPTED
    assert bench.told()[before:] == ["system storage", "door opened", "checkin accepted"]


def test_a_post_whose_disk_is_full_from_the_start_begins_its_chain_later(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state")
    bench.stop()  # the schema is in the file; its log is empty now
    bench.open()
    with bench.full_disk():
        bench.start()
        assert bench.tap() is Answer.NOT_RECORDED
    assert bench.events() == []
    assert bench.tap() is Answer.ACCEPTED
    assert bench.told() == ["system chain", "system storage", "system boot", "system clock", "checkin accepted"]
    bench.stop()


def test_a_door_held_open_is_noticed_without_any_reading(bench: Bench) -> None:
    bench.post.turn([ContactChanged(bench.clock.now(), "front", True)])
    bench.clock.pass_ms(59_999)
    bench.post.turn([])
    assert bench.told()[-1] == "door opened"
    bench.clock.pass_ms(1)
    bench.post.turn([])
    assert bench.told()[-1] == "door held"


def test_a_door_closed_in_time_is_not_held_though_the_loop_hears_of_it_late(bench: Bench) -> None:
    bench.post.turn([ContactChanged(bench.clock.now(), "front", True)])
    closed = bench.clock.pass_ms(59_000)
    bench.clock.pass_ms(5_000)
    bench.post.turn([ContactChanged(closed, "front", False)])
    assert bench.told()[-2:] == ["door opened", "door closed"]


def test_a_restart_forgets_neither_the_open_door_nor_who_tapped(bench: Bench) -> None:
    bench.post.turn([ContactChanged(bench.clock.now(), "front", True)])
    bench.tap()
    bench.restart()
    bench.post.turn([ContactChanged(bench.clock.now(), "front", True)])
    assert bench.tap() is Answer.REPEATED
    assert bench.told()[3:] == ["door opened", "checkin accepted", "system boot", "checkin repeated"]
    bench.clock.pass_ms(60_000)
    bench.post.turn([])
    assert bench.told()[-1] == "door held"


def test_the_numbers_go_on_over_a_reboot(bench: Bench) -> None:
    bench.tap()
    bench.clock.uptime_ms = 3_000
    bench.restart(LATER_BOOT)
    bench.tap()
    events = bench.events()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["chain"] for event in events} == {events[0]["chain"]}
    assert [e["data"]["why"] for e in events if e["data"].get("change") == "boot"] == ["boot", "boot"]


def test_the_roster_in_force_is_recorded_once(bench: Bench) -> None:
    for _ in range(2):
        bench.post.turn([RosterLoaded(bench.clock.now(), "ab" * 32, 3)])
    bench.restart()
    bench.post.turn([RosterLoaded(bench.clock.now(), "ab" * 32, 3)])
    assert bench.told().count("system roster") == 1


def test_a_stop_is_the_last_thing_recorded(bench: Bench) -> None:
    now = bench.clock.now()
    bench.inbox.put(BadgeRead(now, "gate", KNOWN))
    bench.inbox.put(StopRequested(now, "SIGTERM"))
    assert bench.post.run() == EXIT_OK
    assert bench.told()[-2:] == ["checkin accepted", "system stop"]


def test_a_worker_that_dies_ends_the_program_and_is_named(bench: Bench) -> None:
    bench.inbox.put(Crashed(bench.clock.now(), "contacts", "ValueError: no"))
    assert bench.post.run() == EXIT_CRASHED
    assert bench.events()[-1]["data"]["why"] == "contacts died: ValueError: no"

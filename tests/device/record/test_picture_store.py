"""The picture store: what was stored is there, what cannot be handed over is told, and events keep their room."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from picture_bench import sha256_of
from postkit import CHAIN, at
from volatile_disk import VolatileDisk, unusable, volatile_disk

from device.errors import NotRecorded, StoreFull
from device.record.pictures import LEFT_TO_JOURNAL_BYTES, PictureStore
from device.record.reserve import ROOM_AT_LEAST

DAY_MS = 86_400_000
MANY_BYTES = 1 << 30
on_a_volatile_disk = pytest.mark.skipif(unusable() is not None, reason=str(unusable()))


class Opened:
    """A store that was opened. ``gone``: what it told as lost."""

    def __init__(self, folder: Path, announced: dict[str, str] | None, most_bytes: int, keep_days: int) -> None:
        self.folder = folder
        self.gone: list[tuple[str, str]] = []
        self.store = PictureStore(folder, most_bytes, keep_days, lambda *told: self.gone.append(told))
        self.store.open(announced)

    def taken(self, *contents: bytes) -> list[str]:
        """Stored and announced."""
        found = []
        for number, content in enumerate(contents, start=1):
            sha256 = self.store.store(content, at(number), urgent=True)
            self.store.announced(sha256, f"{CHAIN}/{number}", number)
            found.append(sha256)
        return found

    def sent(self, *contents: bytes, uptime_ms: int = 1_000) -> list[str]:
        """These went out, too."""
        found = self.taken(*contents)
        for sha256 in found:
            kept = self.store.of(sha256)
            assert kept is not None
            self.store.has_sent(kept, at(uptime_ms))
        return found

    def read(self, sha256: str) -> bytes | None:
        kept = self.store.of(sha256)
        assert kept is not None
        return self.store.read(kept)

    def names(self, folder: str) -> set[str]:
        return {file.name for file in (self.folder / folder).iterdir()}


def opened(
    tmp_path: Path, announced: dict[str, str] | None = None, *, most_bytes: int = MANY_BYTES, keep_days: int = 30
) -> Opened:
    return Opened(tmp_path / "pictures", {} if announced is None else announced, most_bytes, keep_days)


def test_a_picture_goes_from_new_to_waiting_to_sent_and_keeps_its_bytes_for_its_owner_alone(tmp_path: Path) -> None:
    post = opened(tmp_path)
    sha256 = post.store.store(b"picture", at(1), urgent=True)
    name = f"{sha256}.{CHAIN}.7"
    assert sha256 == sha256_of(b"picture")
    assert post.names("new") == {sha256}
    assert post.store.of(sha256) is None, "nobody was told of it yet"
    post.store.announced(sha256, f"{CHAIN}/7", 7)
    assert (post.names("new"), post.names("waiting")) == (set(), {name})
    kept = post.store.of(sha256)
    assert kept is not None
    post.store.has_sent(kept, at(2))
    assert (post.names("waiting"), post.names("sent")) == (set(), {name})
    assert post.read(sha256) == b"picture"
    assert {file.stat().st_mode & 0o777 for file in post.folder.rglob("*") if file.is_file()} == {0o600}
    assert {folder.stat().st_mode & 0o777 for folder in (post.folder, *post.folder.iterdir())} == {0o700}


def test_the_next_start_finds_all_of_it_oldest_first(tmp_path: Path) -> None:
    before = opened(tmp_path)
    [sent] = before.sent(b"sent")
    waiting = before.taken(b"first", b"second", b"third")
    after = opened(tmp_path)
    assert [kept.sha256 for kept in after.store.waiting.values()] == waiting
    assert [kept.event for kept in after.store.waiting.values()] == [f"{CHAIN}/{number}" for number in (1, 2, 3)]
    assert after.read(sent) == b"sent"


def test_what_was_stored_as_the_power_went_waits_if_its_event_was_recorded_and_else_goes(tmp_path: Path) -> None:
    before = opened(tmp_path)
    told, untold = (before.store.store(content, at(1), urgent=True) for content in (b"told", b"untold"))
    (before.folder / "new" / f"{'ab' * 32}.new").write_bytes(b"half")
    (before.folder / "new" / "probe").write_bytes(b"")
    after = opened(tmp_path, {told: f"{CHAIN}/9"})
    assert after.names("new") == set()
    assert after.names("waiting") == {f"{told}.{CHAIN}.9"}
    assert after.read(told) == b"told" and after.store.of(untold) is None
    assert after.gone == []


def test_while_the_journal_cannot_be_asked_what_is_new_stays(tmp_path: Path) -> None:
    before = opened(tmp_path)
    told = before.store.store(b"told", at(1), urgent=True)
    Opened(before.folder, None, MANY_BYTES, 30)
    after = opened(tmp_path, {told: f"{CHAIN}/9"})
    assert after.read(told) == b"told"


def test_what_others_put_there_is_left_alone(tmp_path: Path) -> None:
    before = opened(tmp_path)
    strange = [
        before.folder / "notes.txt",
        before.folder / "new" / "a.jpeg",
        before.folder / "waiting" / "ab",
        before.folder / "waiting" / f"{'ab' * 32}.{CHAIN}.0",
        before.folder / "sent" / f"{'ab' * 32}.{CHAIN}.1.damaged-1",
    ]
    for file in strange:
        file.write_bytes(b"mine")
    (before.folder / "waiting" / f"{'ab' * 32}.{CHAIN}.3").mkdir()
    after = opened(tmp_path, most_bytes=1)
    after.store.upkeep(at(100 * DAY_MS))
    assert not after.store.waiting and not after.store.sent
    assert all(file.read_bytes() == b"mine" for file in strange)


def test_a_picture_changed_on_the_disk_is_set_aside_and_told_once(tmp_path: Path) -> None:
    post = opened(tmp_path)
    changed, missing, whole = post.taken(b"changed", b"missing", b"whole")
    (post.folder / "waiting" / f"{changed}.{CHAIN}.1").write_bytes(b"changes")
    (post.folder / "waiting" / f"{missing}.{CHAIN}.2").unlink()
    assert post.read(changed) is post.read(missing) is None
    assert post.read(whole) == b"whole"
    assert [sha256 for sha256, _ in post.gone] == [changed, missing]
    assert "not what was stored" in post.gone[0][1] and "not there any more" in post.gone[1][1]
    assert (post.folder / "waiting" / f"{changed}.{CHAIN}.1.damaged-1").read_bytes() == b"changes"
    assert post.store.of(changed) is None and len(post.store.waiting) == 1


def test_what_was_sent_is_kept_for_some_days_and_what_waits_for_ever(tmp_path: Path) -> None:
    post = opened(tmp_path, keep_days=2)
    [old] = post.sent(b"old", uptime_ms=DAY_MS)
    [young] = post.sent(b"young", uptime_ms=2 * DAY_MS)
    [waits] = post.taken(b"waits")
    post.store.upkeep(at(10 * DAY_MS, clock="unsynced"))
    assert post.read(old) == b"old", "by a clock that nobody set, nothing is old"
    post.store.upkeep(at(3 * DAY_MS + 1))
    assert post.store.of(old) is None and post.read(young) == b"young"
    again = opened(tmp_path, keep_days=2)
    again.store.upkeep(at(4 * DAY_MS + 1))
    assert again.store.of(young) is None and again.read(waits) == b"waits"
    assert again.gone == post.gone == []


def test_what_was_sent_by_an_unsure_clock_is_not_old_once_somebody_sets_it(tmp_path: Path) -> None:
    """Without a battery, a clock goes on where the machine was switched off: weeks ago."""
    held = opened(tmp_path, keep_days=30)
    [sha256] = held.taken(b"a picture")
    kept = held.store.of(sha256)
    assert kept is not None
    weeks_ago = -60 * DAY_MS
    held.store.has_sent(kept, at(1_000, clock="unsynced", step_ms=weeks_ago))
    held = opened(tmp_path, keep_days=30)
    held.store.upkeep(at(2_000, clock="unsynced", step_ms=weeks_ago))
    held.store.upkeep(at(3_000))
    assert held.store.of(sha256) is not None
    held.store.upkeep(at(3_000 + 30 * DAY_MS))
    assert held.store.of(sha256) is not None
    held.store.upkeep(at(3_001 + 30 * DAY_MS))
    assert held.store.of(sha256) is None
    assert held.gone == []


def test_one_that_was_dated_late_keeps_no_older_one_beyond_its_days(tmp_path: Path) -> None:
    held = opened(tmp_path, keep_days=30)
    old, undated = held.taken(b"old", b"undated")
    for sha256, now in ((old, at(1_000)), (undated, at(1_000, clock="unsynced"))):
        kept = held.store.of(sha256)
        assert kept is not None
        held.store.has_sent(kept, now)
    held = opened(tmp_path, keep_days=30)
    held.store.upkeep(at(1_000 + 10 * DAY_MS))
    held.store.upkeep(at(2_000 + 30 * DAY_MS))
    assert held.store.of(old) is None
    assert held.store.of(undated) is not None


def test_a_full_store_gives_up_what_was_sent_and_then_what_has_waited_longest_and_says_so(tmp_path: Path) -> None:
    post = opened(tmp_path, most_bytes=1_000)
    first, second = post.sent(b"1" * 300, b"2" * 300)
    third, fourth = post.taken(b"3" * 300, b"4" * 300)
    assert [post.store.of(sha256) is None for sha256 in (first, second, third)] == [True, False, False]
    assert post.gone == []
    [fifth] = post.taken(b"5" * 500)
    assert [sha256 for sha256, _ in post.gone] == [third]
    assert "camera.most_bytes" in post.gone[0][1]
    assert post.read(fourth) is not None and post.read(fifth) is not None
    with pytest.raises(NotRecorded, match="1001 bytes is larger than"):
        post.store.store(b"6" * 1_001, at(1), urgent=True)
    assert post.read(fifth) is not None


def test_taps_and_orders_push_nothing_out_that_waits_and_a_door_does(tmp_path: Path) -> None:
    held = opened(tmp_path, most_bytes=20)
    first, second = held.taken(b"a" * 10, b"b" * 10)
    with pytest.raises(StoreFull, match="full of pictures that wait to be sent"):
        held.store.store(b"c" * 10, at(3), urgent=False)
    assert held.gone == []
    held.store.store(b"d" * 10, at(4), urgent=True)
    assert [sha256 for sha256, _ in held.gone] == [first]
    assert held.store.of(second) is not None


def test_a_smaller_one_has_room_beside_all_that_wait_and_the_larger_one_goes_before_any_of_them(
    tmp_path: Path,
) -> None:
    before = opened(tmp_path)
    large, *others = before.taken(b"1" * 300, b"2" * 300, b"3" * 300)
    held = opened(tmp_path, most_bytes=700)  # somebody has lowered it since
    replaced = held.store.of(large)
    assert replaced is not None
    smaller = held.store.store(b"4" * 50, at(2), urgent=False, instead=replaced)
    assert held.read(large) == b"1" * 300, "as long as nobody has recorded what replaces it"
    held.store.announced(smaller, f"{CHAIN}/4", 4)
    held.store.has_sent(replaced, at(2))
    held.store.upkeep(at(3))
    assert held.store.of(large) is None
    assert {kept.sha256 for kept in held.store.waiting.values()} == {*others, smaller}
    assert held.gone == []


def test_one_that_was_removed_while_it_went_out_is_not_there_as_sent(tmp_path: Path) -> None:
    post = opened(tmp_path, most_bytes=1_000)
    [going] = post.taken(b"1" * 800)
    kept = post.store.of(going)
    assert kept is not None
    post.taken(b"2" * 800)
    post.store.has_sent(kept, at(2))
    assert not post.store.sent and post.names("sent") == set()


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[VolatileDisk]:
    with volatile_disk(tmp_path / "rig") as disk:
        yield disk


@on_a_volatile_disk
def test_pictures_leave_a_disk_the_room_that_events_need(disk: VolatileDisk) -> None:
    post = opened(disk.mount)
    [sent] = post.sent(b"s" * 200_000)
    [waits] = post.taken(b"w" * 200_000)
    disk.fill(ROOM_AT_LEAST + LEFT_TO_JOURNAL_BYTES)
    with pytest.raises(NotRecorded, match="kept for events; make room"):
        post.store.store(b"n" * 300_000, at(1), urgent=True)
    assert post.store.of(sent) is None, "what was sent goes first"
    assert post.read(waits) is not None and post.names("new") == set()
    assert "kept for events" in str(post.store.refuses())
    disk.well()
    assert post.store.refuses() is None
    post.store.store(b"n" * 300_000, at(1), urgent=True)
    assert post.gone == []


@on_a_volatile_disk
@pytest.mark.parametrize("trouble", ["short of room", "failing"])
@pytest.mark.parametrize("was_sent", [False, True])
def test_one_that_is_to_be_replaced_stays_as_it_is_where_the_disk_does_not_take_the_smaller_one(
    disk: VolatileDisk, trouble: str, was_sent: bool
) -> None:
    post = opened(disk.mount)
    content = b"w" * 300_000
    [sha256] = post.sent(content) if was_sent else post.taken(content)
    kept = post.store.of(sha256)
    assert kept is not None
    dated_ns = kept.file.stat().st_mtime_ns
    if trouble == "failing":
        disk.fail("fsync")
    else:
        disk.fill(ROOM_AT_LEAST + LEFT_TO_JOURNAL_BYTES - 1)
    with pytest.raises(NotRecorded):
        post.store.store(b"n" * 50_000, at(1), urgent=False, instead=kept)
    assert post.store.of(sha256) is kept and post.read(sha256) == content
    assert kept.file.stat().st_mtime_ns == dated_ns, "it is no older than it was"
    assert (kept.name in post.names("sent"), kept.name in post.names("waiting")) == (was_sent, not was_sent)
    assert post.gone == [] and post.names("new") == set()


@on_a_volatile_disk
def test_a_disk_that_takes_nothing_refuses_in_words_and_moves_are_made_up_for(disk: VolatileDisk) -> None:
    post = opened(disk.mount)
    sha256 = post.store.store(b"picture", at(1), urgent=True)
    disk.read_only()
    with pytest.raises(NotRecorded, match="Read-only file system"):
        post.store.store(b"another", at(1), urgent=True)
    post.store.announced(sha256, f"{CHAIN}/1", 1)
    assert post.read(sha256) == b"picture"
    assert "Read-only" in str(post.store.refuses())
    disk.well()
    post.store.upkeep(at(2))
    assert post.names("waiting") == {f"{sha256}.{CHAIN}.1"}
    disk.fail("fsync")
    with pytest.raises(NotRecorded, match="Input/output error"):
        post.store.store(b"another", at(1), urgent=True)
    disk.well()
    assert post.store.refuses() is None and post.names("new") == set()


_STORING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from device.hardware.clock import KernelClock
from device.record.pictures import PictureStore
clock = KernelClock()
store = PictureStore(Path(sys.argv[1]), 1 << 30, 30, lambda sha256, why: None)
store.open({})
for number in range(1000):
    print(store.store(str(number).encode() * 20_000, clock.now(), urgent=True), flush=True)
"""


@on_a_volatile_disk
@pytest.mark.parametrize("operations", [61, 104, 147])
def test_power_cut_while_pictures_are_stored_every_one_that_was_told_is_there_and_no_half_one(
    disk: VolatileDisk, operations: int
) -> None:
    disk.cut_after(operations)
    root = Path(__file__).parents[3]
    folder = disk.mount / "pictures"
    writer = subprocess.run(
        [sys.executable, "-c", _STORING, str(folder), str(root)], stdout=subprocess.PIPE, check=False, text=True
    )
    told = writer.stdout.split()
    assert told and disk.was_cut is not None
    disk.power_on()
    post = opened(disk.mount, {sha256: f"{CHAIN}/{number}" for number, sha256 in enumerate(told, start=1)})
    assert all(sha256_of(post.read(sha256) or b"") == sha256 for sha256 in told)
    assert post.names("new") == set() and len(post.names("waiting")) == len(told)
    assert post.gone == []

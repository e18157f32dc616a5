"""What a power cut may leave, and what it never may: the disk's model."""

import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from volatile_disk_model import SECTOR_BYTES, Fate, File, Folder, any_share

_SHARES = st.sampled_from([0.0, 0.3, 0.7, 0.95, 1.0])
_WRITES = st.lists(st.tuples(st.integers(0, 6_000), st.binary(min_size=1, max_size=3_000)), max_size=8)
_SEEDS = range(300)


def _written(content: bytes) -> File:
    file = File(0o600)
    file.write(0, content)
    file.flush()
    return file


def _found(file: File, seed: int, kept: float = 0.5) -> bytes:
    return bytes(file.after_cut(random.Random(seed), kept).data)


@settings(deadline=None)
@given(_WRITES, _WRITES, st.integers(0), _SHARES)
def test_what_was_flushed_is_found_wherever_nothing_was_written_since(
    before: list[tuple[int, bytes]], after: list[tuple[int, bytes]], seed: int, kept: float
) -> None:
    file = File(0o600)
    for offset, content in before:
        file.write(offset, content)
    file.flush()
    flushed, touched = bytes(file.data), set[int]()
    for offset, content in after:
        touched.update(
            range(min(offset, len(file.data)) // SECTOR_BYTES, (offset + len(content)) // SECTOR_BYTES + 1)
        )
        file.write(offset, content)
    found = _found(file, seed, kept)
    assert len(found) >= len(flushed)
    for number in {*range(-(-len(flushed) // SECTOR_BYTES))} - touched:
        place = slice(number * SECTOR_BYTES, min((number + 1) * SECTOR_BYTES, len(flushed)))
        assert found[place] == flushed[place]


@settings(deadline=None)
@given(_WRITES, st.integers(0))
def test_a_drive_that_wrote_all_its_cache_lost_nothing_and_one_that_wrote_none_all_of_it(
    writes: list[tuple[int, bytes]], seed: int
) -> None:
    file = _written(b"before")
    for offset, content in writes:
        file.write(offset, content)
    assert _found(file, seed, kept=1.0) == bytes(file.data)
    assert _found(file, seed, kept=0.0) == b"before"


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(0), _SHARES)
def test_a_sector_is_found_as_it_was_before_or_as_it_was_after_and_never_half(
    sectors: int, seed: int, kept: float
) -> None:
    file = _written(b"o" * sectors * SECTOR_BYTES)
    file.write(0, b"n" * sectors * SECTOR_BYTES)
    found = _found(file, seed, kept)
    for start in range(0, len(found), SECTOR_BYTES):
        assert found[start : start + SECTOR_BYTES] in (b"o" * SECTOR_BYTES, b"n" * SECTOR_BYTES)


def test_a_write_may_be_torn_between_sectors() -> None:
    file = _written(b"o" * 2 * SECTOR_BYTES)
    file.write(0, b"n" * 2 * SECTOR_BYTES)
    found = {_found(file, seed) for seed in _SEEDS}
    o, n = b"o" * SECTOR_BYTES, b"n" * SECTOR_BYTES
    assert found == {o + o, n + n, o + n, n + o}


def test_a_later_write_may_be_found_without_an_earlier_one() -> None:
    file = _written(bytes(2 * SECTOR_BYTES))
    file.write(0, b"1")
    file.write(SECTOR_BYTES, b"2")
    found = {(content[0:1], content[SECTOR_BYTES : SECTOR_BYTES + 1]) for content in map(_of(file), _SEEDS)}
    assert (b"\0", b"2") in found and (b"1", b"\0") in found


def test_a_file_may_be_found_longer_than_what_was_written_into_it() -> None:
    file = File(0o600)
    file.write(0, b"content")
    assert bytes(len(b"content")) in set(map(_of(file), _SEEDS))


def test_a_name_may_be_gone_though_its_file_was_flushed_and_is_not_once_the_folder_was() -> None:
    file = _written(b"content")
    folder = Folder()
    folder.change({"name": file})
    assert {"name" in folder.after_cut(random.Random(seed), 0.5).names for seed in _SEEDS} == {True, False}
    folder.flush()
    found = folder.after_cut(random.Random(0), 0.0).names["name"]
    assert isinstance(found, File) and bytes(found.data) == b"content"


def test_a_file_without_content_may_be_found_under_a_name_that_is_durable() -> None:
    folder = Folder()
    file = File(0o600)
    file.write(0, b"content")
    folder.change({"name": file})
    folder.flush()
    found = folder.after_cut(random.Random(0), 0.0).names["name"]
    assert isinstance(found, File) and found.data == b""


def test_a_rename_holds_whole_or_not_at_all() -> None:
    old, new = _written(b"old"), _written(b"new")
    folder = Folder()
    folder.change({"name": old})
    folder.change({"name.new": new})
    folder.flush()
    folder.change({"name.new": None, "name": new})
    found = []
    for seed in _SEEDS:
        names = folder.after_cut(random.Random(seed), 0.5).names
        found.append({name: bytes(file.data) for name, file in names.items() if isinstance(file, File)})
    assert {"name": b"old", "name.new": b"new"} in found and {"name": b"new"} in found
    assert all(len(names) == 2 or names == {"name": b"new"} for names in found)


def test_a_move_to_another_folder_holds_in_both_or_in_neither_and_a_flush_of_either_is_one_of_it() -> None:
    root, one, other = Folder(), Folder(), Folder()
    root.change({"one": one})
    root.change({"other": other})
    one.change({"name": _written(b"content")})
    root.drain()
    fate = Fate()
    one.change({"name": None}, fate)
    other.change({"name": _written(b"content")}, fate)

    def places(seed: int, kept: float) -> list[str]:
        found = root.after_cut(random.Random(seed), kept).names
        return [name for name, folder in found.items() if isinstance(folder, Folder) and folder.names]

    assert {tuple(places(seed, 0.5)) for seed in _SEEDS} == {("one",), ("other",)}
    one.flush()
    assert places(0, 0.0) == ["other"]


def test_what_a_failed_flush_left_behind_is_read_back_and_no_later_flush_writes_it() -> None:
    file = _written(bytes(2 * SECTOR_BYTES))
    file.write(0, b"1")
    file.sink()
    file.flush()
    assert file.data[0:1] == b"1"
    assert _found(file, 0, kept=0.0)[0:1] == b"\0"


def test_what_is_written_again_after_a_failed_flush_is_flushed_and_stays() -> None:
    file = _written(bytes(2 * SECTOR_BYTES))
    file.write(0, b"1")
    file.write(SECTOR_BYTES, b"2")
    file.sink()
    file.write(0, b"3")
    file.write(2 * SECTOR_BYTES, b"longer")
    file.flush()
    for seed in _SEEDS:
        found = _found(file, seed)
        assert found[0:1] == b"3" and found[2 * SECTOR_BYTES :] == b"longer"


def test_a_cut_is_the_same_again_with_the_same_seed() -> None:
    shares = [any_share(random.Random(seed)) for seed in _SEEDS]
    assert shares == [any_share(random.Random(seed)) for seed in _SEEDS] and len(set(shares)) > 3


def _of(file: File) -> Callable[[int], bytes]:
    return lambda seed: _found(file, seed)

"""Links and holes, purely."""

import pytest

from device.events import NO_HASH
from recorder.places import REMOVED, Place, Stated, begins, follows, holes, name_hole

A, B = "a" * 16, "b" * 16


@pytest.mark.parametrize(
    ("first", "upto", "filled", "expected"),
    [
        (1, 0, [], []),
        (1, 5, [], [(1, 5)]),
        (1, 5, [(1, 5)], []),
        (1, 9, [(2, 3), (3, 4), (6, 6)], [(1, 1), (5, 5), (7, 9)]),
        (5, 9, [(1, 6), (2, 3)], [(7, 9)]),
        (1, 4, [(6, 9)], [(1, 4)]),
        (1, 2**53 - 1, [(2, 2**53 - 2)], [(1, 1), (2**53 - 1, 2**53 - 1)]),
    ],
)
def test_holes(first: int, upto: int, filled: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    assert list(holes(first, upto, filled)) == expected


@pytest.mark.parametrize(
    ("newest", "stated", "expected"),
    [
        (0, None, ["3-9 (exists, not here)"]),
        (20, None, ["3-9 (sent, not here)"]),
        (5, Stated(9, 1, 0), ["3-5 (sent, not here)", "6-9 (waiting at the post)"]),
        (0, Stated(9, 1, 9), ["3-9 (sent, not here)"]),
        (0, Stated(4, 1, 4), ["3-4 (sent, not here)", "5-9 (exists, not here)"]),
        (
            0,
            Stated(9, 5, 7),
            [f"3-4 ({REMOVED})", "5-7 (sent, not here)", "8-9 (waiting at the post)"],
        ),
        (0, Stated(9, 30, 9), ["3-9 (unseen, no longer kept at the post)"]),
    ],
)
def test_a_hole_is_cut_where_its_name_changes(newest: int, stated: Stated | None, expected: list[str]) -> None:
    assert [str(gap) for gap in name_hole(3, 9, newest, stated)] == expected


def test_a_key_changes_only_after_its_announcement() -> None:
    before = Place(4, "h4", "h3", A, None)
    assert follows(before, Place(5, "h5", "h4", A, None)) is None
    assert follows(before, Place(5, "h5", "h4", B, None))
    assert follows(Place(4, "h4", "h3", A, B), Place(5, "h5", "h4", B, None)) is None
    assert follows(before, Place(5, "h5", "xx", A, None))


def test_a_chain_begins_with_its_own_key_and_nothing_before() -> None:
    assert begins(Place(1, "h1", NO_HASH, A, A)) is None
    assert begins(Place(1, "h1", "h0", A, A))
    assert begins(Place(1, "h1", NO_HASH, A, None))
    assert begins(Place(1, "h1", NO_HASH, A, B))

"""Which pictures are asked for, and when: those that a post sends by itself are not."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from far_ends import Desk, Post

from recorder.intake import Message
from recorder.ledger import Ledger
from recorder.picture_asking import GRACE_BYTES, Asking
from recorder.picture_files import PictureFiles

GRACE_S = 120
START_MS = 1_795_000_000_000
SMALL, LARGE = 1_000, 4 * GRACE_BYTES


@dataclass
class Night:
    """A post that is online, and what headquarters asks it for. Times are seconds since all began."""

    desk: Desk
    post: Post
    per_post: int | None = None

    def __post_init__(self) -> None:
        self.asking = Asking(self.desk.store, PictureFiles(self.desk.path), GRACE_S, self.per_post)
        status = self.post.retained("status", {"online": True})
        self.comes(0, self.post.identity(), status, self.post.message(self.post.sealed[0]))

    def comes(self, at_s: float, *messages: Message) -> None:
        with self.desk.store.transaction():
            for message in messages:
                self.desk.ledger.take(replace(message, received_ms=START_MS + round(at_s * 1000)))
            settled = self.desk.ledger.settle()
        self.asking.heed(settled.unasked, at_s)

    def pictures(self, *lengths: int) -> list[Message]:
        """All announced at once when it begins; their bytes."""
        made = [self.post.picture(bytes([number]) * length) for number, length in enumerate(lengths)]
        self.comes(0, *(event for event, _ in made))
        return [picture for _, picture in made]

    def asked(self, at_s: float) -> list[str]:
        """The hashes that are asked for at this moment."""
        return [sha256 for _, sha256, _ in self.asking.orders(START_MS + round(at_s * 1000), at_s, 20)]

    def first_asked(self, from_s: int, until_s: int) -> Iterator[tuple[int, str]]:
        """Looked every five seconds, as ``run`` does."""
        for at_s in range(from_s, until_s, 5):
            for sha256 in self.asked(at_s):
                yield at_s, sha256


@pytest.fixture
def night(desk: Desk, post: Post) -> Night:
    return Night(desk, post)


def sha(picture: Message) -> str:
    return picture.topic[-64:]


def test_none_is_asked_for_while_they_come_one_after_the_other(night: Night) -> None:
    """Five pictures over 64 kbit/s: the last is here after 250 s, and nobody has asked for any."""
    for number, picture in enumerate(night.pictures(*[SMALL] * 5)):
        assert list(night.first_asked(50 * number, 50 * number + 50)) == []
        night.comes(50 * number + 50, picture)
    assert night.desk.summary().pictures.stored == 5


def test_when_they_stop_coming_the_next_is_asked_for(night: Night) -> None:
    first, second, _ = night.pictures(SMALL, SMALL, SMALL)
    night.comes(50, first)
    assert next(night.first_asked(50, 300)) == (50 + GRACE_S, sha(second))


def test_one_that_was_passed_over_is_asked_for_though_later_ones_come(night: Night) -> None:
    """Those that come every minute hide nothing."""
    first, second, third, fourth = night.pictures(SMALL, SMALL, SMALL, SMALL)
    night.comes(50, first)
    night.comes(100, third)
    night.comes(115, fourth)
    assert next(night.first_asked(0, 300)) == (GRACE_S, sha(second))


def test_one_that_was_swallowed_twice_is_asked_for_again_though_a_backlog_comes(night: Night) -> None:
    """Those of the backlog have waited longer, and are not what is asked for."""
    swallowed, *backlog = night.pictures(*[SMALL] * 12)
    asked = []
    for minute, picture in enumerate(backlog):
        asked += [(at_s, sha256) for at_s, sha256 in night.first_asked(60 * minute, 60 * minute + 60)]
        night.comes(60 * minute + 60, picture)
    assert asked == [(GRACE_S, sha(swallowed)), (3 * GRACE_S, sha(swallowed))]


def test_what_comes_because_it_was_asked_for_holds_up_no_other(night: Night) -> None:
    """A thousand that a broker swallowed are asked for in an hour or two, and not in days."""
    pictures = night.pictures(SMALL, SMALL, SMALL)
    for number, picture in enumerate(pictures):
        at_s = GRACE_S + 5 * number
        assert night.asked(at_s) == [sha(picture)]
        night.comes(at_s + 1, picture)


def test_a_large_one_has_more_time(night: Night) -> None:
    (picture,) = night.pictures(LARGE)
    assert next(night.first_asked(0, 1000)) == (4 * GRACE_S, sha(picture))


def test_a_post_whose_share_is_used_up_is_not_asked(desk: Desk, post: Post) -> None:
    """What it would send would be thrown away."""
    desk.ledger = Ledger(desk.store, "guardpost", SMALL)
    night = Night(desk, post, SMALL)
    first, second = night.pictures(SMALL, SMALL)
    night.comes(1, first, second)
    assert list(night.first_asked(0, 40_000)) == []
    assert desk.flaws() == {"no room for pictures": 1}
    night.asking = Asking(desk.store, PictureFiles(desk.path), GRACE_S, 2 * SMALL)
    assert night.asked(40_000) == [sha(second)]


def test_replies_that_nobody_heard_hold_up_no_further_orders(night: Night) -> None:
    """Four orders were under way when the recorder was killed; it is back after a minute."""
    pictures = night.pictures(*[SMALL] * 6)
    asked = [sha256 for _, sha256 in night.first_asked(GRACE_S, GRACE_S + 100)]
    assert asked == [sha(picture) for picture in pictures[:4]]
    night.asking = Asking(night.desk.store, PictureFiles(night.desk.path), GRACE_S, None)
    assert night.asked(GRACE_S + 100) == []
    night.asking.connected(START_MS + (GRACE_S + 60) * 1000)
    assert night.asked(GRACE_S + 100) == [sha(pictures[4])]

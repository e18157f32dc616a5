"""What a receipt may say, against a model that counts on its fingers."""

import itertools
import json
from collections import Counter
from dataclasses import dataclass, field

from far_ends import Desk, Key, Post
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.events import NO_HASH, Lost
from device.record.chain import Chain, Head, Sealed
from recorder.intake import Message
from recorder.receipting import receipt
from recorder.rows import chain_id
from recorder.wholeness import reach

KEY = Key()
MAX = 9
NUMBERS = itertools.count()


def said(desk: Desk, post: Post, chain: str | None = None) -> tuple[int, str]:
    """The receipt for a post's chain."""
    uuid = chain or post.here.chain
    row = chain_id(desk.store, post.source, uuid)
    at = (0, NO_HASH) if row is None else (reach(desk.store, row).seq, reach(desk.store, row).hash)
    return at


@dataclass
class Told:
    """One chain as a post made it, sound or not, and what the model knows of each message."""

    post: Post
    events: list[tuple[Message, Sealed]] = field(default_factory=list)
    spoilt: dict[bytes, int] = field(default_factory=dict)
    lost: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)


@st.composite
def chains(draw: st.DrawFn) -> Told:
    """Up to nine numbers; some say that earlier ones are lost, some follow other bytes, some are forked."""
    post = Post(f"/guardpost/jember/p{next(NUMBERS)}", KEY)
    told = Told(post)
    told.events.append((post.message(post.sealed[0]), post.sealed[0]))
    for seq in range(2, draw(st.integers(2, MAX)) + 1):
        before = post.chain
        if draw(st.integers(0, 7)) == 0:
            post.chain = Chain(post.source, before.bootid, KEY, Head(before.head.chain, seq - 1, "ab" * 32))
        if seq > 2 and draw(st.integers(0, 3)) == 0:
            low = draw(st.integers(1, seq - 1))
            high = draw(st.integers(low, seq - 1))
            message = post.lose(low, high)
            told.lost[message.payload] = (low, high)
        else:
            message = post.checkin()
        told.events.append((message, post.sealed[-1]))
        if draw(st.integers(0, 9)) == 0:
            after, post.chain = post.chain, before
            post.uptime_ms += 77
            told.events.append((post.checkin(), post.sealed[-1]))
            post.chain = after
    for message, sealed in told.events:
        if draw(st.integers(0, 3)) == 0:
            spoilt = message.payload.replace(b'"specversion":"1.0"', b'"specversion": "1.0"')
            told.spoilt[spoilt] = sealed.head.seq
    told.messages = [message for message, _ in told.events]
    told.messages += [Message(told.messages[0].topic, payload, 1) for payload in told.spoilt]
    return told


def model(told: Told, came: Counter[bytes], first: int) -> tuple[int, str]:
    """From number 1 on, one at a time. ``first``: the oldest number that the post says it keeps."""
    closed = {seq for payload, seq in told.spoilt.items() if came[payload] > 1}
    for payload, (low, high) in told.lost.items():
        if came[payload]:
            closed |= set(range(low, high + 1))
    held: dict[int, list[Sealed]] = {}
    for message, sealed in told.events:
        if came[message.payload]:
            held.setdefault(sealed.head.seq, []).append(sealed)
    whole: list[Sealed] = []
    for seq in range(1, MAX + 1):
        here = held.get(seq, [])
        if not here and seq not in closed and not (seq < first and held):
            break
        if len(here) > 1:
            break
        if here:
            left = whole[-1] if whole and whole[-1].head.seq == seq - 1 else None
            prev = json.loads(here[0].event)["prev"]
            if left and prev != left.head.hash:
                sides = (left, here[0])
                if not all(
                    came[side.event] > 1 or side.head.seq in closed or side.head.seq < first for side in sides
                ):
                    whole.pop()
                    break
            whole.append(here[0])
    return (whole[-1].head.seq, whole[-1].head.hash) if whole else (0, NO_HASH)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_in_any_order_a_receipt_is_what_the_model_says(desk: Desk, data: st.DataObject) -> None:
    """Duplicates, losses, forks, broken links, lost ranges, refused bytes, late joiners; batches of any size.

    One store for all: each example is another post.
    """
    desk.store.run("PRAGMA synchronous = OFF")
    told = data.draw(chains())
    missing = data.draw(st.sets(st.sampled_from(range(len(told.messages))), max_size=3))
    again = data.draw(st.lists(st.sampled_from(told.messages), max_size=12))
    came = [message for at, message in enumerate(told.messages) if at not in missing] + again
    first = data.draw(st.integers(1, told.post.here.seq))
    extra = [told.post.identity(), *([told.post.state(first, first=first)] if data.draw(st.booleans()) else [])]
    in_order = [*extra, *came]
    order = data.draw(st.one_of(st.just(in_order), st.permutations(in_order)))
    at = 0
    while at < len(order):
        size = data.draw(st.integers(1, 4))
        desk.take(*order[at : at + size])
        at += size
    stated = first if len(extra) > 1 else 1
    assert said(desk, told.post) == model(told, Counter(message.payload for message in came), stated)


def test_nothing_yet_is_number_zero(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), post.checkin())
    assert said(desk, post) == (0, NO_HASH)


def test_a_receipt_is_canonical_json(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), post.message(post.sealed[0]))
    chain = chain_id(desk.store, post.source, post.here.chain)
    assert chain is not None
    expected = f'{{"chain":"{post.here.chain}","hash":"{post.here.hash}","seq":1}}'
    assert receipt(post.here.chain, reach(desk.store, chain)) == expected.encode()


def test_held_events_are_not_receipted(desk: Desk, post: Post) -> None:
    desk.take(post.message(post.sealed[0]), *post.checkins(4))
    assert said(desk, post) == (0, NO_HASH)
    desk.take(post.identity())
    assert said(desk, post)[0] == 5


def test_a_number_refused_twice_with_the_same_bytes_is_passed(desk: Desk, post: Post) -> None:
    one, two, three = post.message(post.sealed[0]), *post.checkins(2)
    spaced = Message(two.topic, two.payload.replace(b'"seq":2', b'"seq": 2'), 1)
    other = Message(two.topic, two.payload.replace(b'"seq":2', b'"seq":  2'), 1)
    desk.take(post.identity(), one, three, spaced, other)
    assert said(desk, post)[0] == 1
    desk.take(spaced)
    assert said(desk, post)[0] == 3
    assert desk.chain().verdict == "whole, 2 refused"
    assert desk.flaws() == {"unreadable": 3}
    desk.take(two)
    assert desk.chain().verdict == "whole"


def test_bytes_that_name_no_number_leave_a_gap(desk: Desk, post: Post) -> None:
    one, two, three = post.message(post.sealed[0]), *post.checkins(2)
    garbled = Message(two.topic, two.payload[:-1], 1)
    desk.take(post.identity(), one, three, garbled, garbled, garbled)
    assert said(desk, post)[0] == 1


def test_refused_bytes_of_another_post_close_nothing_here(desk: Desk, post: Post) -> None:
    one, two, three = post.message(post.sealed[0]), *post.checkins(2)
    topic = "guardpost/jember/other/event/checkin"
    stranger = Message(topic, two.payload.replace(b'"seq":2', b'"seq": 2'), 1)
    desk.take(post.identity(), one, three, stranger, stranger)
    assert said(desk, post)[0] == 1


def test_a_forged_signature_twice_is_refused_bytes_too(desk: Desk, post: Post) -> None:
    one, two, three = post.message(post.sealed[0]), *post.checkins(2)
    forged = Message(two.topic, two.payload.replace(b'"officer":"o1"', b'"officer":"o9"'), 1)
    desk.take(post.identity(), one, three, forged)
    assert said(desk, post)[0] == 1
    desk.take(forged)
    assert said(desk, post)[0] == 3


def test_before_a_broken_link_both_sides_are_asked_for_again(desk: Desk, post: Post) -> None:
    """The receipt goes back by one, so that the post sends both; the same again, and it is passed."""
    one, two = post.message(post.sealed[0]), post.checkin()
    post.chain = Chain(post.source, post.chain.bootid, post.key, Head(post.here.chain, 2, "ab" * 32))
    three, four = post.checkins(2)
    desk.take(post.identity(), one, two)
    assert said(desk, post)[0] == 2
    desk.take(three, four)
    assert (said(desk, post)[0], desk.chain().whole, desk.chain().obstacle) == (1, 2, "broken link at 3")
    desk.take(two)
    assert said(desk, post)[0] == 1
    desk.take(three)
    assert said(desk, post) == (4, post.here.hash)
    assert desk.flaws() == {"broken link": 1}


def test_a_fork_is_never_passed(desk: Desk, post: Post) -> None:
    one, before = post.message(post.sealed[0]), post.chain
    two = post.checkin()
    after = post.checkins(3)
    post.chain = before
    post.uptime_ms += 77
    other = post.checkin()
    for _ in range(3):
        desk.take(post.identity(), one, two, other, *after)
    assert said(desk, post)[0] == 1


def test_lost_at_the_end_leaves_the_receipt_at_the_newest_held(desk: Desk, post: Post) -> None:
    """A later chain says that the end of the old one is gone: the receipt names what is held."""
    first = [post.message(post.sealed[0]), post.checkin()]
    held, old = post.here, post.here.chain
    post.checkins(3)
    desk.take(post.identity(), *first, post.begin("damaged", post.here), post.lose(3, 5, old))
    assert said(desk, post, old) == (2, held.hash)
    assert desk.chain(0).gaps == ()


def test_receipts_of_an_old_chain_end_at_what_the_post_remembers(desk: Desk, post: Post) -> None:
    """The card was turned back to number 3: behind it the post knows nothing, so 3 is what it can use."""
    old = post.here.chain
    messages = [post.message(post.sealed[0]), *post.checkins(2)]
    remembered = post.here
    desk.take(post.identity(), *messages, *post.checkins(4))
    assert said(desk, post, old)[0] == 7
    desk.take(post.begin("rolled-back", remembered))
    assert said(desk, post, old) == (3, remembered.hash)
    assert desk.chain(0).whole == 7


def test_past_a_fork_a_receipt_follows_the_branch_that_a_later_chain_names_once_all_of_it_is_here(
    desk: Desk, post: Post
) -> None:
    """The card was turned back to number 3, and the post wrote its start into the old chain before it knew."""
    one, old = post.message(post.sealed[0]), post.here.chain
    kept = post.checkins(2)
    before = post.chain
    gone = post.checkins(4)
    post.chain = before
    post.uptime_ms += 77
    start, tap = post.checkins(2)
    previous = post.here
    desk.take(post.identity(), one, *kept, *gone)
    assert said(desk, post, old)[0] == 7
    desk.take(post.begin("rolled-back", previous), tap)
    assert said(desk, post, old)[0] == 4
    desk.take(start)
    assert said(desk, post, old) == (5, previous.hash)
    assert desk.chain(0).whole == 3
    assert desk.chain(0).obstacle == "fork at 4"


def test_a_late_joiner_begins_at_what_the_post_still_keeps(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), *post.checkins(9)[4:])
    assert said(desk, post) == (0, NO_HASH)
    desk.take(post.state(sent=10, first=6))
    assert said(desk, post) == (10, post.here.hash)
    chain = desk.chain()
    assert desk.gaps() == ["1-5 (unseen, no longer kept at the post)"]
    assert chain.whole_and_verified
    assert desk.flaws() == {"unseen": 1}


def test_what_was_unseen_and_comes_from_the_card_is_no_finding_any_more(desk: Desk, post: Post) -> None:
    one, *rest = [post.message(post.sealed[0]), *post.checkins(9)]
    desk.take(post.state(sent=10, first=6), post.identity(), *rest[4:])
    assert desk.flaws() == {"unseen": 1}
    desk.take(one, *rest[:3])
    assert desk.flaws() == {"unseen": 1}
    desk.take(rest[3])
    assert desk.flaws() == {}
    assert desk.chain().verdict == "whole"


def test_a_post_that_keeps_more_than_it_said_is_asked_for_it(desk: Desk, post: Post) -> None:
    one, *rest = [post.message(post.sealed[0]), *post.checkins(9)]
    desk.take(post.identity(), one, *rest[5:], post.state(sent=10, first=7))
    assert said(desk, post)[0] == 10
    desk.take(post.state(sent=10, first=4))
    assert said(desk, post)[0] == 1
    assert desk.gaps() == ["2-3 (unseen, no longer kept at the post)", "4-6 (sent, not here)"]
    desk.take(*rest[2:5])
    assert said(desk, post)[0] == 10
    desk.take(post.state(sent=10, first=1))
    assert said(desk, post)[0] == 1


def test_an_absurd_first_is_not_believed(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), *post.checkins(4)[2:], post.state(sent=5, first=2**53 - 1))
    assert said(desk, post) == (0, NO_HASH)


def test_a_lost_range_of_absurd_length_costs_nothing(desk: Desk, post: Post) -> None:
    old = post.here
    new = [post.message(post.sealed[0]), post.begin("replaced", old)]
    loss = post.seal(Lost.model_validate({"chain": old.chain, "from": 2, "to": 2**53 - 1, "why": "?"}), "post")
    desk.take(post.identity(), *new, loss)
    assert said(desk, post, old.chain) == (1, old.hash)


def test_an_event_that_comes_late_into_a_closed_range_can_hold_the_chain_back(desk: Desk, post: Post) -> None:
    """Number 2 was signed as lost; what comes for it after all does not fit to number 3."""
    one = post.message(post.sealed[0])
    post.chain = Chain(post.source, post.chain.bootid, post.key, Head(post.here.chain, 1, "cd" * 32))
    two = post.checkin()
    rest = [post.checkin(), post.lose(2, 2)]
    desk.take(post.identity(), one, *rest)
    assert said(desk, post)[0] == 4
    desk.take(two)
    assert desk.flaws() == {"lost": 1, "broken link": 1}
    assert said(desk, post)[0] == 0
    desk.take(one, two)
    assert said(desk, post)[0] == 4

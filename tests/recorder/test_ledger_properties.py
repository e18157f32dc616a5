"""Whatever the order, the repetition or the damage: the same truth, and nothing verified changes."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from far_ends import SOURCE, Desk, Key, Post, alarm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.errors import BadSignature, BrokenLink, Unreadable
from device.record.chain import verify
from recorder.intake import Message
from recorder.verifying import verify_store

KINDS = ("event/checkin", "event/system", "alarm/door", "identity", "state", "status")


@contextmanager
def fresh_desk() -> Iterator[Desk]:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder) / "recorder.db")
        try:
            yield desk
        finally:
            desk.store.close()


def _history() -> list[Message]:
    """Two chains, two keys, a lost range and alarms, as one night brings them."""
    post = Post()
    identity = post.identity()
    messages = [identity, post.message(post.sealed[0]), *post.checkins(3)]
    messages += [alarm(messages[-1])]
    rotation = post.rotate()
    assert rotation
    post_lost = [post.checkin() for _ in range(2)]
    messages += [rotation, post.lose(6, 7), *post.checkins(2), post.begin("replaced", post.here), post.checkin()]
    assert len(post_lost) == 2
    return messages


HISTORY = _history()


def _content(messages: list[Message]) -> dict[str, object]:
    with fresh_desk() as desk:
        for message in messages:
            desk.take(message)
        assert all(verdict.good for verdict in verify_store(desk.store))
        return desk.content()


IN_ORDER = _content(HISTORY)


@settings(max_examples=40, deadline=None)
@given(st.permutations(HISTORY), st.lists(st.sampled_from(HISTORY), max_size=8))
def test_any_order_with_repetitions_ends_in_the_same_store(order: list[Message], again: list[Message]) -> None:
    assert _content([*order, *again]) == IN_ORDER


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_division_into_batches_ends_in_the_same_store(data: st.DataObject) -> None:
    order = data.draw(st.permutations(HISTORY))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(order) - 1), max_size=4)))
    with fresh_desk() as desk:
        for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True):
            desk.take(*order[start:end])
        assert desk.content() == IN_ORDER


def _mutated(payload: bytes, seed: int) -> bytes:
    """One of the ways in which bytes go wrong."""
    chance = random.Random(seed)
    at = chance.randrange(len(payload))
    match chance.randrange(5):
        case 0:
            return payload[:at] + bytes([payload[at] ^ (1 << chance.randrange(8))]) + payload[at + 1 :]
        case 1:
            return payload[:at]
        case 2:
            return payload[:at] + chance.randbytes(3) + payload[at:]
        case 3:
            return payload[:at] + payload[chance.randrange(len(payload)) :]
        case _:
            digits = [i for i, byte in enumerate(payload) if 0x30 <= byte <= 0x39]
            where = chance.choice(digits)
            return payload[:where] + b"%d" % chance.randrange(10**17) + payload[where + 1 :]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(HISTORY), st.integers(0, 2**32)), min_size=1, max_size=20))
def test_damaged_events_never_change_what_was_verified(damage: list[tuple[Message, int]]) -> None:
    """A single flipped bit in a message may not be told from nonsense; what was verified stays."""
    with fresh_desk() as desk:
        desk.take(*HISTORY)
        before = desk.content()
        for message, seed in damage:
            if not message.topic.endswith("identity"):
                desk.take(Message(message.topic, _mutated(message.payload, seed), 9))
        after = desk.content()
        genuine = {row for row in after["events"] if row[7]}  # type: ignore[attr-defined]
        assert genuine == before["events"]
        assert after["lost"] == before["lost"]
        assert after["keys"] == before["keys"]
        assert {row[:3] for row in before["chains"]} <= {row[:3] for row in after["chains"]}  # type: ignore[attr-defined]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), st.binary(max_size=300))
def test_random_bytes_only_make_findings(branch: str, payload: bytes) -> None:
    with fresh_desk() as desk:
        desk.take(Message(f"{SOURCE[1:]}/{branch}", payload, 1))
        assert desk.summary().chains == ()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(KINDS), st.sampled_from(["data", "chains", "keys", "online", "seq", "jwk", "type"]), _JSON)
def test_json_of_any_shape_only_makes_findings(branch: str, name: str, value: object) -> None:
    post = Post()
    message = post.retained(branch, {name: value})
    with fresh_desk() as desk:
        desk.take(
            message, post.retained("state", {"chains": [value]}), post.retained("identity", {"keys": [value]})
        )
        assert desk.summary().verified == 0


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(HISTORY[1:]))
def test_reading_damaged_bytes_raises_only_what_is_named(seed: int, message: Message) -> None:
    try:
        verify(_mutated(message.payload, seed), Key().public)
    except (Unreadable, BadSignature, BrokenLink):
        return
    raise AssertionError("a stranger's key verified it")

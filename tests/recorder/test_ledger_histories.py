"""What becomes of events that come whole, late, twice, forged, or not at all."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from far_ends import SOURCE, Desk, Key, Post, alarm

from device.record.chain import Chain, Head, base64url
from recorder.errors import UsageError
from recorder.findings import KEPT_BYTES, MAX_UNPROVEN_OF_ONE
from recorder.intake import Message
from recorder.store import Store
from recorder.verifying import verify_store


def test_a_chain_that_comes_in_order_is_whole(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), *map(post.message, post.sealed), *post.checkins(9))
    chain = desk.chain()
    assert (chain.first, chain.last, chain.count, chain.whole) == (1, 10, 10, 10)
    assert chain.whole_hash == post.chain.head.hash
    assert chain.verdict == "whole"
    assert desk.flaws() == {}


def test_the_same_bytes_again_change_nothing(desk: Desk, post: Post) -> None:
    messages = [post.message(post.sealed[0]), *post.checkins(3)]
    desk.take(post.identity(), *messages)
    before = desk.content()
    desk.take(*messages, *messages)
    assert desk.content() == before


def test_events_before_their_identity_are_held_and_then_verified(desk: Desk, post: Post) -> None:
    desk.take(post.message(post.sealed[0]), *post.checkins(4))
    assert (desk.chain().held, desk.chain().whole) == (5, 0)
    assert desk.flaws() == {}
    desk.take(post.identity())
    assert (desk.chain().held, desk.chain().whole) == (0, 5)


def test_a_hole_is_named_and_closes_when_the_events_come(desk: Desk, post: Post) -> None:
    one, *rest = [post.message(post.sealed[0]), *post.checkins(9)]
    desk.take(post.identity(), one, *rest[:2], *rest[5:], post.state(sent=10))
    assert desk.gaps() == ["4-6 (sent, not here)"]
    assert desk.chain().whole == 3
    desk.take(*reversed(rest[2:5]))
    assert desk.gaps() == []
    assert desk.chain().whole == 10


def test_state_tells_what_was_sent_from_what_waits(desk: Desk, post: Post) -> None:
    one, *rest = [post.message(post.sealed[0]), *post.checkins(9)]
    desk.take(post.identity(), one, *rest[:2], post.state(sent=6))
    assert desk.gaps() == ["4-6 (sent, not here)", "7-10 (waiting at the post)"]
    assert not desk.chain().whole_and_verified
    desk.take(post.state(sent=3))
    assert desk.chain().verdict == "whole, 4-10 (waiting at the post)"
    assert desk.chain().whole_and_verified


def test_a_late_joiner_has_not_seen_what_the_post_no_longer_keeps(desk: Desk, post: Post) -> None:
    late = post.checkins(9)[5:]
    desk.take(post.identity(), *late, post.state(first=5, sent=10))
    assert desk.gaps() == ["1-4 (unseen, no longer kept at the post)", "5-6 (sent, not here)"]


def test_lost_events_close_their_numbers_and_stay_a_finding(desk: Desk, post: Post) -> None:
    one = post.message(post.sealed[0])
    post.checkins(5)
    desk.take(post.identity(), one, post.lose(2, 6), post.checkin())
    chain = desk.chain()
    assert (chain.whole, chain.gaps, chain.lost) == (8, (), ((2, 6),))
    assert chain.verdict == "whole, 2-6 lost for good"
    assert desk.flaws() == {"lost": 1}


def test_lost_cannot_close_numbers_that_do_not_exist_yet(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), post.message(post.sealed[0]), post.lose(1, 2**53 - 1), post.lose(2, 1))
    assert desk.flaws() == {"unclear": 2}
    assert (desk.chain().whole, desk.chain().lost) == (3, ())


def test_an_old_chain_can_be_lost_as_a_whole(desk: Desk, post: Post) -> None:
    first = post.message(post.sealed[0])
    post.checkin()
    old = post.here
    desk.take(post.identity(), first, post.begin("replaced", old))
    assert desk.gaps(0) == ["2 (exists, not here)"]
    desk.take(post.lose(2, 2**53 - 1, old.chain))
    assert desk.gaps(0) == []


def test_an_announced_key_is_trusted(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), post.message(post.sealed[0]))
    announcement = post.rotate()
    assert announcement
    after = post.checkin()
    desk.take(post.identity(), after)
    assert desk.flaws() == {"unannounced key": 1, "untrusted key": 1}
    desk.take(announcement)
    assert desk.flaws() == {}
    assert (desk.chain().whole, desk.chain().held) == (3, 0)
    assert [verdict.good for verdict in verify_store(desk.store)] == [True]


def test_a_key_that_nobody_announced_is_not_trusted(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), post.message(post.sealed[0]))
    post.rotate(announced=False)
    desk.take(post.identity(), *post.checkins(2))
    assert desk.flaws() == {"unannounced key": 1, "untrusted key": 2}
    assert (desk.chain().whole, desk.chain().held) == (1, 2)
    assert desk.chain().verdict == "2 held: key not trusted"


def test_a_trusted_key_may_not_appear_in_mid_chain_unannounced(desk: Desk, post: Post) -> None:
    spare = Key()
    desk.take(post.identity(post.key, spare), post.message(post.sealed[0]))
    post.rotate(announced=False)
    post.key = spare
    post.chain = Chain(post.source, post.chain.bootid, spare, post.chain.head)
    desk.take(post.checkin())
    assert desk.flaws() == {"broken link": 1}
    assert (desk.chain().whole, desk.chain().obstacle) == (1, "broken link at 2")


def test_a_new_chain_after_a_lost_key_waits_for_a_person(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), post.message(post.sealed[0]), *post.checkins(2))
    old, post.key = post.here, Key()
    desk.take(post.begin("damaged", old), *post.checkins(3))
    assert desk.flaws() == {"untrusted key": 4}
    assert desk.chain(1).held == 4
    with desk.store.transaction():
        assert desk.ledger.trust(SOURCE, post.key.kid, 1) == 4
    assert desk.flaws() == {}
    assert [chain.verdict for chain in desk.summary().chains] == ["whole", "whole"]


def test_a_person_can_vouch_only_for_a_key_that_was_seen(desk: Desk, post: Post) -> None:
    desk.take(post.identity())
    for kid, words in ((post.key.kid, "already trusted"), ("0" * 16, f"seen: {post.key.kid}")):
        with pytest.raises(UsageError, match=words), desk.store.transaction():
            desk.ledger.trust(SOURCE, kid, 1)


def test_a_later_chain_tells_how_far_the_one_before_went(desk: Desk, post: Post) -> None:
    first = post.message(post.sealed[0])
    post.checkins(4)
    desk.take(post.identity(), first, post.begin("replaced", post.here))
    assert desk.gaps(0) == ["2-5 (exists, not here)"]
    assert not desk.chain(0).whole_and_verified


def test_what_waits_for_a_key_is_bounded(desk: Desk, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not kept is said, and the post still has it."""
    monkeypatch.setattr("recorder.ledger.MAX_HELD", 10)
    messages = [post.message(post.sealed[0]), *post.checkins(19)]
    desk.take(*messages[:7])
    desk.take(*messages[7:])
    assert (desk.chain().held, desk.flaws()) == (10, {"too many held": 10})
    desk.take(post.identity(), *messages)
    assert desk.chain().whole == 20


def test_two_hundred_keys_in_a_held_chain_are_followed(desk: Desk, post: Post) -> None:
    """Each announcement frees the next one; that must not cost a stack frame each."""
    identity = post.identity()
    messages = [post.message(post.sealed[0]), *filter(None, (post.rotate() for _ in range(200)))]
    desk.take(*messages)
    desk.take(identity)
    assert (desk.chain().whole, desk.chain().held) == (201, 0)


def test_other_bytes_under_a_known_number_are_a_fork(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), post.message(post.sealed[0]))
    before = post.chain
    desk.take(*post.checkins(3))
    post.chain = before
    post.uptime_ms += 77
    desk.take(post.checkin())
    chain = desk.chain()
    assert desk.flaws() == {"fork": 1}
    assert (chain.count, chain.whole, chain.obstacle) == (5, 1, "fork at 2")
    assert [verdict.good for verdict in verify_store(desk.store)] == [False]


def test_an_alarm_that_differs_from_its_event_is_a_fork(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), post.message(post.sealed[0]))
    before = post.chain
    desk.take(post.checkin())
    post.chain = before
    post.uptime_ms += 77
    desk.take(alarm(post.checkin()))
    assert desk.flaws() == {"fork": 1}
    assert desk.chain().whole == 1


@pytest.mark.parametrize("identity_first", [True, False])
def test_an_alarm_proves_that_its_event_exists(desk: Desk, post: Post, identity_first: bool) -> None:
    messages = [post.message(post.sealed[0]), *post.checkins(4)]
    history = [messages[0], alarm(messages[4]), alarm(messages[4])]
    desk.take(*([post.identity(), *history] if identity_first else [*history, post.identity()]))
    assert (desk.chain().last, desk.chain().known) == (1, 5)
    assert desk.gaps() == ["2-5 (exists, not here)"]
    desk.take(*messages)
    assert desk.chain().verdict == "whole"


def test_a_link_to_other_bytes_is_broken(desk: Desk, post: Post) -> None:
    messages = [post.message(post.sealed[0]), *post.checkins(2)]
    post.chain = Chain(post.source, post.chain.bootid, post.key, Head(post.chain.head.chain, 3, "ab" * 32))
    desk.take(post.identity(), post.checkin(), *messages)
    assert desk.flaws() == {"broken link": 1}
    assert (desk.chain().whole, desk.chain().obstacle) == (3, "broken link at 4")
    assert not verify_store(desk.store)[0].good


def test_a_wrong_signature_is_found_with_its_bytes(desk: Desk, post: Post) -> None:
    forged = Post(key=Key())
    members = json.loads(forged.checkin().payload) | {"keyid": post.key.kid}
    payload = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    desk.take(post.identity(), Message(f"{SOURCE[1:]}/event/checkin", payload, 5))
    assert desk.flaws() == {"bad signature": 1}
    row = desk.store.row("SELECT payload FROM finding")
    assert row is not None
    assert row["payload"] == payload
    assert desk.summary().chains == ()


def test_a_held_forgery_falls_when_its_key_comes(desk: Desk, post: Post) -> None:
    members = json.loads(post.checkin().payload)
    members["signature"] = "A" * 86
    payload = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    desk.take(Message(f"{SOURCE[1:]}/event/checkin", payload, 5), post.message(post.sealed[0]))
    assert desk.chain().held == 2
    desk.take(post.identity())
    assert desk.flaws() == {"bad signature": 1}
    assert (desk.chain().held, desk.chain().whole) == (0, 1)


_DEEP = b'{"a":' * 20000 + b"1" + b"}" * 20000


@pytest.mark.parametrize(
    ("topic", "payload", "flaw"),
    [
        (f"{SOURCE[1:]}/event/checkin", b"garbage", "unreadable"),
        (f"{SOURCE[1:]}/event/checkin", b"", "unreadable"),
        (f"{SOURCE[1:]}/event/checkin", b"\xff\xfe\x00", "unreadable"),
        (f"{SOURCE[1:]}/event/checkin", b"x" * 2**20, "unreadable"),
        (f"{SOURCE[1:]}/event/checkin", _DEEP[:8192], "unreadable"),
        (f"{SOURCE[1:]}/event/checkin", b'{"a":"\\ud800","\\ud800":1}', "unreadable"),
        (f"{SOURCE[1:]}/alarm/door", b"{}", "unreadable"),
        (f"{SOURCE[1:]}/identity", b'{"keys":[]}', "unreadable"),
        (f"{SOURCE[1:]}/identity", b'{"keys":[{"kty":"RSA"},7,null]}', "unreadable"),
        (f"{SOURCE[1:]}/identity", _DEEP[:60000], "unreadable"),
        (f"{SOURCE[1:]}/state", b'{"chains":[{"chain":"x"}]}', "unreadable"),
        (f"{SOURCE[1:]}/status", b"[]", "unreadable"),
        (f"{SOURCE[1:]}/status", b'{"online":1}', "unreadable"),
        (f"{SOURCE[1:]}/event/a/b", b"", "topic mismatch"),
        (f"{SOURCE[1:]}/nonsense", b"", "topic mismatch"),
        ("guardpost/JEMBER/kpu/event/checkin", b"{}", "topic mismatch"),
        ("\ud800\x00", b"{}", "topic mismatch"),
        ("", b"", "topic mismatch"),
    ],
)
def test_garbage_is_a_finding(desk: Desk, topic: str, payload: bytes, flaw: str) -> None:
    desk.take(Message(topic, payload, 7))
    assert desk.flaws() == {flaw: 1}
    row = desk.store.row("SELECT payload FROM finding")
    assert row is not None
    assert row["payload"] == payload[:KEPT_BYTES]


@pytest.mark.parametrize("branch", ["identity", "state", "status"])
def test_a_cleared_retained_message_is_nothing(desk: Desk, branch: str) -> None:
    desk.take(Message(f"{SOURCE[1:]}/{branch}", b"", 7))
    assert desk.flaws() == {}


def test_an_event_on_anothers_topic_is_refused(desk: Desk, post: Post) -> None:
    event = post.checkin()
    desk.take(
        post.identity(),
        Message("guardpost/jember/other/event/checkin", event.payload, 7),
        Message(f"{SOURCE[1:]}/event/door", event.payload, 7),
    )
    assert desk.flaws() == {"topic mismatch": 2}
    assert desk.summary().chains == ()


def test_a_flood_of_garbage_is_counted_not_kept(desk: Desk) -> None:
    desk.take(*(Message(f"{SOURCE[1:]}/event/checkin", b"%d" % number, 7) for number in range(500)))
    assert desk.flaws() == {"unreadable": 500}
    assert desk.store.number("SELECT count(*) FROM finding") == MAX_UNPROVEN_OF_ONE + 1
    desk.take(*(Message(f"guardpost/flood/p{number}/event/door", b"?", 7) for number in range(2500)))
    assert desk.flaws() == {"unreadable": 3000}
    assert desk.store.number("SELECT count(*) FROM finding") <= 2049


def test_absurd_numbers_cost_nothing(desk: Desk, post: Post) -> None:
    first = post.message(post.sealed[0])
    head = Head(post.chain.head.chain, 2**53 - 2, "cd" * 32)
    post.chain = Chain(post.source, post.chain.bootid, post.key, head)
    desk.take(post.identity(), first, post.checkin(), post.state(sent=2**53 - 1, first=2**53 - 1))
    desk.take(post.state(sent=2**53 - 1))
    assert desk.gaps() == [f"2-{2**53 - 2} (sent, not here)"]
    assert desk.chain().whole == 1
    assert not verify_store(desk.store)[0].good


def test_unknown_kinds_and_members_are_recorded(desk: Desk, post: Post) -> None:
    """A later firmware's events count like any other; what we cannot use is said."""
    sealed = post.sealed[0]
    members = json.loads(post.checkin().payload)
    members.update(type="guardpost.weather.v12", data={"change": {"a": 1}, "new": [1.5]}, extra="x")
    odd = _resign(post, members)
    members.update(type="guardpost.system.v1", data={"change": "key", "jwk": 7}, seq=3)
    members.update(id=f"{members['chain']}/3", prev=_sha256(odd))
    unclear = _resign(post, members)
    topic = SOURCE[1:] + "/event/"
    desk.take(post.identity(), post.message(sealed), Message(topic + "weather", odd, 1))
    desk.take(Message(topic + "system", unclear, 1))
    assert desk.chain().whole == 3
    assert desk.flaws() == {"unclear": 1}


def test_a_row_taken_out_of_the_store_is_noticed(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), post.message(post.sealed[0]), *post.checkins(5))
    desk.store.run("DELETE FROM event WHERE seq = 3")
    desk.store.run("UPDATE event SET payload = CAST(replace(payload, 'o4', 'o9') AS BLOB) WHERE seq = 5")
    verdict = verify_store(desk.store)[0]
    assert not verdict.good
    assert "event 5: " in verdict.words
    assert "lacks 3" in verdict.words
    assert verify_store(desk.store)[0].summary.verdict == "whole"


def test_a_forged_lost_row_is_noticed(desk: Desk, post: Post) -> None:
    desk.take(post.identity(), post.message(post.sealed[0]), *post.checkins(5)[2:])
    desk.store.run("INSERT INTO lost VALUES (1, 2, 3, 'so they say')")
    verdict = verify_store(desk.store)[0]
    assert verdict.flaws == ("2-3 is noted as lost, which no event says",)


def test_a_store_reopened_knows_what_it_knew(tmp_path: Path, post: Post) -> None:
    desk = Desk(tmp_path / "a.db")
    desk.take(post.message(post.sealed[0]), *post.checkins(2))
    desk.store.close()
    again = Desk(tmp_path / "a.db")
    again.take(post.identity())
    assert again.chain().whole == 3
    again.store.close()
    with Store.read(tmp_path / "a.db") as store:
        assert verify_store(store)[0].good


def test_a_commit_is_on_the_disk(desk: Desk) -> None:
    """SQLite's number for FULL is 2: in WAL one fdatasync a commit."""
    assert desk.store.number("PRAGMA synchronous") == 2
    row = desk.store.row("PRAGMA journal_mode")
    assert row is not None
    assert row[0] == "wal"


def _sha256(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def _resign(post: Post, members: dict[str, Any]) -> bytes:
    unsigned = {name: value for name, value in members.items() if name != "signature"}
    signature = base64url(post.key.sign(rfc8785.dumps(unsigned)))
    return rfc8785.dumps({**unsigned, "signature": signature})

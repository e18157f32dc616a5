"""Every message beside the events: what the firmware really writes and takes is what its JSON Schema says."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from loopkit import Bench
from postkit import BOOT, CHAIN, SOURCE, at, began, new_key, sealed_all, tapped
from pydantic import TypeAdapter

from device.effects import Reply as ReplyEffect
from device.errors import Unreadable
from device.events import NO_HASH, rfc3339
from device.link.budget import Budget
from device.link.hints import Hints
from device.link.inbound import Replays, reply_bytes
from device.link.orders import ORDERS, read_order
from device.link.receipts import Receipt, read_receipt
from device.link.sender import Sender
from device.link.topics import Topics
from device.payloads import Identity, Reply, State, Status
from device.readings import Arrived, Asked, Instant, Misasked, PartBlind, ReplayRange, Started, Vitals
from device.record.chain import Chain, Head
from device.record.journal import Journal, Sent
from device.record.journal_reader import DONE
from device.rules.doors import DoorLimits, DoorsRule
from device.rules.health import HealthRule
from device.rules.orders import OrdersRule
from device.rules.power import PowerRule
from device.rules.rule import Seat
from device.rules.selftest import SelftestRule
from device.rules.timekeeping import TimekeepingRule
from device.turn import Turn

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"
KEY = new_key()
ORDER = "9d0f1c52-2f55-4f5e-8a51-c1d2e3f40516"
HINTS = Hints(Topics.of(SOURCE), BOOT, KEY.jwk())


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Three events, the first two of which a broker has."""
    with closing(Journal.open(tmp_path / "journal")) as journal:
        _, events = sealed_all([began(KEY), tapped(), tapped()], KEY)
        journal.append(events, {}, Sent({DONE: 2}))
        yield journal


def valid(name: str, payload: bytes) -> Any:
    """The members, if the published schema takes them."""
    schema = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    members = json.loads(payload)
    Draft202012Validator(schema).validate(members)
    return members


def held_to(model: Any, payload: bytes) -> None:
    """The model forbids members that it does not name, so each one that is written has a place in the schema."""
    TypeAdapter(model).validate_json(payload)


def holds(now: Instant) -> dict[str, Any]:
    """What the rules of a real post put into ``state``, one part blind."""
    health, clock, doors = HealthRule([]), TimekeepingRule(), DoorsRule([DoorLimits("front", 60_000, None)])
    blind = health.step(health.initial, PartBlind(now, "reader gate", "no answer"), now).state
    looked = clock.step(clock.initial, Started(now, False, "0.1.0"), now).state
    power = PowerRule(None)
    vitals = power.step(power.initial, Vitals(now, 47.2, False, None, 1 << 30, 1 << 34), now).state
    fares = {"backlog": 3, "recording": True, "line_since": rfc3339(now.wall_ms), **power.holds(vitals)["health"]}
    return {**health.holds(blind), **clock.holds(looked), **doors.holds(doors.initial), "health": fares}


def line_holds(now: Instant, refused: str | None) -> dict[str, Any]:
    """What the uplink adds."""
    budget = Budget()
    for kind in ("event", "state", "reply"):
        budget.spend(kind, 700, now)
    return {"bytes": budget.today(now)} | ({} if refused is None else {"refused": refused})


@pytest.mark.parametrize("payload", [HINTS.online(at()), HINTS.offline(), HINTS.offline("SIGTERM")])
def test_status(payload: bytes) -> None:
    valid("status", payload)
    held_to(Status, payload)


@pytest.mark.parametrize("refused", [None, "the broker does not take events: Not authorized"])
def test_state(journal: Journal, refused: str | None) -> None:
    payload = HINTS.state(at(), journal, 2, {**holds(at()), **line_holds(at(), refused)})
    members = valid("state", payload)
    assert members["chains"][0]["sent"] == 2
    assert members["blind"].keys() == {"reader gate"}
    held_to(State, payload)


def test_state_as_the_loop_of_a_real_post_makes_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state")
    bench.start()
    bench.tap()
    held = {**bench.post._holds(), **line_holds(at(), None)}
    payload = HINTS.state(at(), bench.record.journal, 0, held)
    bench.stop()
    assert valid("state", payload)["health"]["backlog"] == 4
    held_to(State, payload)


def test_state_of_a_post_that_could_not_record_anything_yet(tmp_path: Path) -> None:
    clock = TimekeepingRule()
    with closing(Journal.open(tmp_path / "journal")) as empty:
        nothing = {**holds(at()), **clock.holds(clock.initial), **line_holds(at(), None)}
        payload = HINTS.state(at(), empty, 0, nothing)
    assert valid("state", payload)["chains"] == []
    held_to(State, payload)


def test_identity_with_a_past_key(journal: Journal) -> None:
    payload = Hints(Topics.of(SOURCE), BOOT, new_key().jwk()).identity(journal)
    assert len(valid("identity", payload)["keys"]) == 2
    held_to(Identity, payload)


def test_receipts_are_taken_as_the_schema_says() -> None:
    taken = {"chain": CHAIN, "seq": 3, "hash": "ab" * 32}
    for members in (taken, {**taken, "seq": 0, "hash": NO_HASH}, {**taken, "note": "of a later version"}):
        payload = json.dumps(members).encode()
        valid("receipt", payload)
        assert isinstance(read_receipt(payload), Receipt)
    schema = Draft202012Validator(json.loads((FOLDER / "receipt.json").read_text()))
    for spoilt in ({**taken, "seq": -1}, {**taken, "seq": "3"}, {**taken, "hash": "AB" * 32}, {"chain": CHAIN}):
        assert not schema.is_valid(spoilt)
        with pytest.raises(Unreadable):
            read_receipt(json.dumps(spoilt).encode())


def asked(members: dict[str, Any], name: str = "replay") -> Asked | Misasked:
    return read_order(name, Arrived(at(), 1, 1, "", json.dumps(members).encode(), False))


def test_orders_are_taken_as_the_schema_says() -> None:
    assert set(ORDERS) == {"replay", "picture", "selftest"}
    schema = Draft202012Validator(json.loads((FOLDER / "order.replay.json").read_text()))
    good = {"id": ORDER, "expires": rfc3339(at().wall_ms), "chain": CHAIN, "from": 1, "to": 1000}
    assert schema.is_valid(good)
    assert isinstance(asked(good), Asked)
    for name, value in (("id", "x"), ("expires", "soon"), ("chain", None), ("from", 0), ("to", "9"), ("more", 1)):
        assert not schema.is_valid({**good, name: value})
        assert isinstance(asked({**good, name: value}), Misasked)


@pytest.mark.parametrize("order", ["selftest", "picture"])
def test_an_order_of_no_members_is_asked_for_as_the_schema_says(order: str) -> None:
    schema = Draft202012Validator(json.loads((FOLDER / f"order.{order}.json").read_text()))
    good = {"id": ORDER, "expires": rfc3339(at().wall_ms)}
    assert schema.is_valid(good)
    assert isinstance(asked(good, order), Asked)
    for name, value in (("id", "x"), ("expires", "soon"), ("from", 1)):
        assert not schema.is_valid({**good, name: value})
        assert isinstance(asked({**good, name: value}, order), Misasked)


def test_a_picture_is_asked_for_again_as_the_schema_says() -> None:
    schema = Draft202012Validator(json.loads((FOLDER / "order.replay.json").read_text()))
    good = {"id": ORDER, "expires": rfc3339(at().wall_ms), "picture": "ab" * 32}
    assert schema.is_valid(good)
    order = asked(good)
    assert isinstance(order, Asked)
    assert (order.picture, order.replay) == ("ab" * 32, None)
    for spoilt in ({**good, "picture": "AB"}, {**good, "chain": CHAIN}, {**good, "from": 1}):
        assert not schema.is_valid(spoilt)
        assert isinstance(asked(spoilt), Misasked)


def replies(journal: Journal) -> Iterator[bytes]:
    """Of every way in which an order can be answered, one."""
    replays = Replays(journal, Sender(done=2))
    other = "00000000-0000-0000-0000-000000000000"
    for order, wanted in ((ORDER, ReplayRange(CHAIN, 3, 9)), (ORDER, ReplayRange(other, 1, 1))):
        at_once = replays.begin(order, wanted)
        assert at_once is not None
        yield reply_bytes(order, at_once)
    assert replays.begin(ORDER, ReplayRange(CHAIN, 1, 2)) is None
    (later,) = [done for position in (1, 2) for done in replays.sent(position)]
    yield reply_bytes(*later)
    rule = OrdersRule()
    members = {"id": ORDER, "expires": rfc3339(at().wall_ms - 1), "chain": CHAIN, "from": 1, "to": 1}
    for order_members in (members, {**members, "to": 0}):
        (effect,) = rule.step(rule.initial, asked(order_members), at()).effects
        assert isinstance(effect, ReplyEffect)
        yield reply_bytes(effect.id, effect.members)
    tests = SelftestRule(["gate"], [], [], (), UTC, lights=False)
    seats: list[Seat[Any]] = [Seat(rule, rule.initial), Seat(tests, tests.initial)]
    turn = Turn(seats, Chain(SOURCE, BOOT, KEY, Head(CHAIN)))
    turn.decide(asked({"id": ORDER, "expires": rfc3339(at().wall_ms + 1)}, "selftest"), at())
    (effect,) = turn.effects
    assert isinstance(effect, ReplyEffect)
    yield reply_bytes(effect.id, effect.members)


def test_replies(journal: Journal) -> None:
    told = [valid("reply", payload) for payload in replies(journal)]
    for payload in replies(journal):
        held_to(Reply, payload)
    assert [members["ok"] for members in told] == [True, False, True, False, False, True]
    assert told[-1] == {"id": ORDER, "ok": True, "passed": True, "event": f"{CHAIN}/2"}
    assert told[2] == {"id": ORDER, "ok": True, "sent": 2, "missing": [], "next": None}

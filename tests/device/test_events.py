"""The wire contract's models: what they take, what they refuse, and how times are written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import CHAIN
from pydantic import TypeAdapter, ValidationError

from device.events import (
    Blind,
    Booted,
    Checkin,
    Data,
    Draft,
    Jwk,
    Lost,
    Position,
    Stopped,
    SystemData,
    decimal_seconds,
    rfc3339,
)


@pytest.mark.parametrize(
    ("wall_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_482_900_123, "2026-11-24T01:15:00.123Z"),
        (1_795_482_900_007, "2026-11-24T01:15:00.007Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_utc_with_three_decimals(wall_ms: int, text: str) -> None:
    assert rfc3339(wall_ms) == text


@pytest.mark.parametrize(("ms", "text"), [(0, "0.000"), (7, "0.007"), (86_400_123, "86400.123"), (1_000, "1.000")])
def test_uptimes_are_decimal_seconds_with_three_decimals(ms: int, text: str) -> None:
    assert decimal_seconds(ms) == text


@settings(deadline=None)
@given(st.integers(0, 10**14))
def test_an_uptime_comes_back_as_the_milliseconds_it_was(ms: int) -> None:
    seconds, fraction = decimal_seconds(ms).split(".")
    assert int(seconds) * 1_000 + int(fraction) == ms


@settings(deadline=None)
@given(st.text(st.characters(), max_size=700))
def test_any_text_becomes_one_printable_line_of_at_most_300_characters(text: str) -> None:
    why = Stopped(why=text).why
    assert len(why) <= 300
    assert why.isprintable()
    assert why == " ".join(why.split())
    why.encode("utf-8")
    assert Stopped(why=why).why == why


def test_a_short_text_is_kept_as_it_is() -> None:
    assert Blind(what="reader gate", why="drei Auszeiten: größer € 🙂").why == "drei Auszeiten: größer € 🙂"


@pytest.mark.parametrize(
    "change",
    [
        {"officer": "officer 1"},
        {"officer": ""},
        {"officer": "x" * 65},
        {"badge": "AB" * 32},
        {"badge": "ab" * 31},
        {"reader": "Gate"},
        {"reader": "x" * 33},
        {"verdict": "perhaps"},
        {"method": "voice"},
        {"more": 1},
    ],
)
def test_a_check_in_out_of_the_contract_is_refused(change: dict[str, object]) -> None:
    good: dict[str, object] = {
        "method": "badge",
        "officer": "officer-1",
        "badge": "ab" * 32,
        "verdict": "accepted",
        "assurance": "uid",
        "reader": "gate",
    }
    Checkin.model_validate(good)
    with pytest.raises(ValidationError):
        Checkin.model_validate({**good, **change})


def test_a_name_is_no_longer_one_with_a_line_break_behind_it() -> None:
    with pytest.raises(ValidationError):
        Draft(subject="gate\n", data=Stopped(why="x"))


def test_lost_is_written_with_the_contracts_from() -> None:
    lost = Lost.model_validate({"chain": CHAIN, "from": 3, "to": 9, "why": "removed"})
    assert lost.model_dump(by_alias=True) == {
        "change": "lost",
        "chain": CHAIN,
        "from": 3,
        "to": 9,
        "why": "removed",
    }


@pytest.mark.parametrize("seq", [0, -1, 2**53, True, "1", 1.0])
def test_a_number_out_of_the_contract_is_refused(seq: object) -> None:
    with pytest.raises(ValidationError):
        Position.model_validate({"chain": CHAIN, "seq": seq, "hash": "ab" * 32})


def test_forms_of_system_are_told_apart_by_change() -> None:
    adapter: TypeAdapter[SystemData] = TypeAdapter(SystemData)
    assert isinstance(adapter.validate_python({"change": "stop", "why": "SIGTERM"}), Stopped)
    assert isinstance(adapter.validate_python({"change": "boot", "why": "boot", "firmware": "1"}), Booted)
    with pytest.raises(ValidationError):
        adapter.validate_python({"change": "dance"})


def test_a_jwk_keeps_members_that_this_version_does_not_know() -> None:
    jwk = Jwk.model_validate({"x": "A" * 43, "kid": "0" * 16, "x5c": ["MII="], "nbf": 1})
    assert jwk.model_dump()["x5c"] == ["MII="]


def test_kinds_are_the_contracts() -> None:
    kinds = {data.kind for data in Data.__subclasses__()}
    assert {"checkin", "door", "system"} <= kinds
    assert Draft(subject="post", data=Stopped(why="x")).kind == "system"


@pytest.mark.parametrize("data", [Stopped(why="x"), Blind(what="x", why="y")])
def test_data_is_frozen(data: Stopped | Blind) -> None:
    with pytest.raises(ValidationError):
        data.why = "changed"

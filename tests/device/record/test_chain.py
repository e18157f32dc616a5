"""Sealing and verifying: one spelling of every event, and no byte that could be another."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from postkit import BOOT, CHAIN, SOURCE, began, new_key, sealed_all, tapped

from device.errors import BadSignature, BrokenLink, ChainError, Unreadable
from device.events import (
    MAX_EVENT_BYTES,
    NO_HASH,
    Blind,
    Booted,
    Checkin,
    Door,
    Draft,
    Jwk,
    Lost,
    RosterInForce,
    Sighted,
    Stopped,
    Storage,
    Unusable,
)
from device.readings import Instant
from device.record.chain import (
    Chain,
    Head,
    base64url,
    event_hash,
    follow,
    from_base64url,
    jwk_public,
    key_id,
    parse_json,
    read,
    verify,
)

KEY = new_key()
EVENT = sealed_all([tapped()], KEY)[1][0].event

TEXTS = st.text(st.characters(), max_size=400)
NAMES = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
SEQS = st.integers(1, 2**53 - 1)
TIMES = st.just("2026-11-24T01:15:00.123Z")
DATA = st.one_of(
    st.builds(
        Checkin,
        method=st.sampled_from(["badge", "button"]),
        officer=st.none() | st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
        badge=st.none() | HASHES,
        verdict=st.sampled_from(["accepted", "unknown", "expired", "revoked", "repeated"]),
        assurance=st.sampled_from(["none", "uid", "sun", "mutual", "osdp-sc"]),
        reader=st.none() | NAMES,
    ),
    st.builds(
        Door, door=NAMES, change=st.sampled_from(["opened", "closed", "held", "forced"]), since=TIMES | st.none()
    ),
    st.builds(Booted, why=st.sampled_from(["boot", "restart"]), firmware=TEXTS),
    st.builds(Stopped, why=TEXTS),
    st.builds(Blind, what=TEXTS, why=TEXTS),
    st.builds(Sighted, what=TEXTS, since=TIMES),
    st.builds(
        Storage,
        room=st.sampled_from(["free", "reserved"]),
        why=TEXTS,
        since=TIMES,
        unrecorded=st.integers(0, 10**6),
        dropped=st.integers(0, 10**6),
    ),
    st.builds(RosterInForce, sha256=HASHES | st.just(""), officers=st.integers(0, 10**6)),
    st.builds(Unusable, what=TEXTS, why=TEXTS),
    st.builds(Lost, chain=st.uuids().map(str), from_=SEQS, to=SEQS, why=TEXTS),
)
DRAFTS = st.builds(Draft, subject=NAMES, data=DATA)
INSTANTS = st.builds(
    Instant,
    uptime_ms=st.integers(0, 10**14),
    wall_ms=st.integers(0, 253_402_300_799_999),
    clock=st.sampled_from(["synced", "holdover", "unsynced"]),
)


def signed(members: dict[str, Any]) -> bytes:
    """Members signed with the test's key, each form written as one piece by the reference's own function."""
    signature = base64.urlsafe_b64encode(KEY.sign(rfc8785.dumps(members))).rstrip(b"=").decode()
    return rfc8785.dumps({**members, "signature": signature})


def members_of(changes: Mapping[str, Any] | None = None, event: bytes = EVENT) -> dict[str, Any]:
    """An event's members without the signature, some of them changed."""
    members: dict[str, Any] = json.loads(event)
    del members["signature"]
    return {**members, **(changes or {})}


# What the post seals.


@settings(deadline=None)
@given(st.lists(st.tuples(DRAFTS, INSTANTS), min_size=1, max_size=5))
def test_every_sealed_draft_verifies_follows_and_keeps_to_eight_kib(sealings: list[tuple[Draft, Instant]]) -> None:
    chain, before = Chain(SOURCE, BOOT, KEY, Head(CHAIN)), Head(CHAIN)
    for draft, instant in sealings:
        chain, sealed = chain.seal(draft, instant)
        envelope = verify(sealed.event, KEY.public)
        before = follow(before, envelope, sealed.event)
        assert before == sealed.head == chain.head
        assert envelope.data == draft.data.model_dump(by_alias=True)
        assert (envelope.id, envelope.kind) == (sealed.id, sealed.kind)
        assert len(sealed.event) <= MAX_EVENT_BYTES
        assert sealed.event == signed(members_of(event=sealed.event))


def test_an_event_is_what_the_contract_shows() -> None:
    chain, (first, second) = sealed_all([began(KEY), tapped()], KEY)
    event = json.loads(second.event)
    assert list(event) == sorted(event)
    assert event == {
        "specversion": "1.0",
        "id": f"{CHAIN}/2",
        "source": "/guardpost/jember/kpu-gate",
        "type": "guardpost.checkin.v1",
        "subject": "gate",
        "time": "2026-11-24T01:16:41.123Z",
        "datacontenttype": "application/json",
        "data": tapped().data.model_dump(),
        "chain": CHAIN,
        "seq": 2,
        "prev": hashlib.sha256(first.event).hexdigest(),
        "bootid": BOOT,
        "uptime": "101.000",
        "clock": "synced",
        "keyid": hashlib.sha256(KEY.public).hexdigest()[:16],
        "signature": event["signature"],
    }
    assert json.loads(first.event)["prev"] == "0" * 64
    assert chain.head.seq == 2


@pytest.mark.parametrize("character", ["x", '"', "\\", "é", "€", "\U0001f600"])
def test_the_longest_texts_in_any_script_stay_below_eight_kib(character: str) -> None:
    longest = Blind(what=character * 1_000, why=character * 1_000)
    chain = Chain(f"/{'r' * 32}/{'s' * 32}/{'n' * 32}", BOOT, KEY, Head(CHAIN, 2**53 - 2, "f" * 64))
    _, sealed = chain.seal(Draft(subject="n" * 32, data=longest), Instant(10**14, 253_402_300_799_999))
    assert len(sealed.event) <= MAX_EVENT_BYTES
    verify(sealed.event, KEY.public)


# One changed byte.


@pytest.mark.parametrize("flip", [0x01, 0x02, 0x20, 0x80])
def test_no_byte_of_an_event_can_be_another(flip: int) -> None:
    for place in range(len(EVENT)):
        changed = bytearray(EVENT)
        changed[place] ^= flip
        with pytest.raises((Unreadable, BadSignature)):
            verify(bytes(changed), KEY.public)


@settings(deadline=None)
@given(DRAFTS, st.data())
def test_no_byte_of_any_event_can_be_any_other(draft: Draft, data: st.DataObject) -> None:
    event = bytearray(sealed_all([draft], KEY)[1][0].event)
    event[data.draw(st.integers(0, len(event) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((Unreadable, BadSignature)):
        verify(bytes(event), KEY.public)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_garbage_is_a_chain_error_of_one_line(garbage: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        read(garbage)
    assert len(str(refused.value).splitlines()) == 1


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.sampled_from(sorted(json.loads(EVENT))), JSON_VALUES)
def test_any_value_in_any_members_place_is_refused_with_the_named_errors(name: str, value: Any) -> None:
    event = json.dumps({**json.loads(EVENT), name: value}).encode()
    with pytest.raises((Unreadable, BadSignature)):
        verify(event, KEY.public)


@settings(deadline=None)
@given(st.sampled_from(sorted(json.loads(EVENT))))
def test_every_member_is_needed(name: str) -> None:
    members = json.loads(EVENT)
    del members[name]
    with pytest.raises(Unreadable, match=f"member {name}: Field required"):
        read(rfc8785.dumps(members))


def test_another_key_is_a_bad_signature_even_under_the_first_ones_name() -> None:
    stranger = new_key()
    with pytest.raises(BadSignature):
        verify(EVENT, stranger.public)
    forged = base64.urlsafe_b64encode(stranger.sign(rfc8785.dumps(members_of()))).rstrip(b"=").decode()
    event = rfc8785.dumps({**members_of(), "signature": forged})
    read(event)
    with pytest.raises(BadSignature):
        verify(event, KEY.public)


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(33)])
def test_a_key_of_another_length_is_a_bad_signature(public: bytes) -> None:
    with pytest.raises(BadSignature):
        verify(signed(members_of({"keyid": key_id(public)})), public)


# Other spellings of the same event.

SPELLINGS = {
    "members in another order": json.dumps(
        dict(reversed(json.loads(EVENT).items())), separators=(",", ":")
    ).encode(),
    "blanks": json.dumps(json.loads(EVENT)).encode(),
    "a line break at the end": EVENT + b"\n",
    "a byte order mark": b"\xef\xbb\xbf" + EVENT,
    "UTF-16": EVENT.decode().encode("utf-16"),
    "a name twice": EVENT.replace(b'"clock":"synced"', b'"clock":"synced","clock":"synced"'),
    "a name twice within data": EVENT.replace(b'"method":"badge"', b'"method":"badge","method":"badge"'),
    "an escape that is not needed": EVENT.replace(b'"gate"', b'"g\\u0061te"'),
    "seq as a fraction": EVENT.replace(b'"seq":1,', b'"seq":1.0,'),
    "seq with an exponent": EVENT.replace(b'"seq":1,', b'"seq":1e0,'),
    "seq as text": EVENT.replace(b'"seq":1,', b'"seq":"1",'),
    "seq as true": EVENT.replace(b'"seq":1,', b'"seq":true,'),
    "padded signature": EVENT.replace(b'","source"', b'==","source"'),
    "two events": EVENT + EVENT,
    "an array around it": b"[" + EVENT + b"]",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_another_spelling_of_the_same_event_is_unreadable(spelling: str) -> None:
    assert SPELLINGS[spelling] != EVENT
    with pytest.raises(Unreadable):
        verify(SPELLINGS[spelling], KEY.public)


HOSTILE = {
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "a float that is infinite": EVENT.replace(b'"data":{', b'"data":{"a":1e999,'),
    "an integer of 5000 digits": b'{"a":' + b"9" * 5_000 + b"}",
    "an integer beyond 2^53": EVENT.replace(b'"data":{', b'"data":{"a":9007199254740993,'),
    "a lone surrogate": EVENT.replace(b'"data":{', b'"data":{"a":"\\ud800",'),
    "a lone surrogate in a name": EVENT.replace(b'"data":{', b'"data":{"\\udfff":1,'),
    "a lone surrogate as a member": EVENT.replace(b"{", b'{"\\ud800":1,', 1),
    "a surrogate in UTF-8": EVENT.replace(b'"data":{', b'"data":{"a":"\xed\xa0\x80",'),
    "arrays nested deeply": EVENT.replace(b'"data":{', b'"data":{"a":' + b"[" * 3_000 + b"]" * 3_000 + b","),
    "objects nested deeply": b'{"a":' * 1_300 + b"1" + b"}" * 1_300,
    "never closed": b"[" * 8_192,
    "more than 8 KiB": EVENT.replace(b'"data":{', b'"data":{"a":"' + b"x" * 8_192 + b'",'),
    "nothing": b"",
    "null": b"null",
    "a zero byte": b"\x00",
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_bytes_are_unreadable_and_nothing_worse(hostile: str) -> None:
    with pytest.raises(Unreadable) as refused:
        verify(HOSTILE[hostile], KEY.public)
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("depth", range(100, 1_100, 100))
def test_any_depth_of_nesting_is_refused_with_the_named_errors(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    with pytest.raises((Unreadable, BadSignature)):
        verify(EVENT.replace(b'"data":{', b'"data":{"a":' + nested + b","), KEY.public)


def test_an_id_that_is_not_the_chain_and_number_is_unreadable_however_well_signed() -> None:
    with pytest.raises(Unreadable, match="id is not"):
        verify(signed(members_of({"id": f"{CHAIN}/2"})), KEY.public)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seq", 0),
        ("seq", -1),
        ("seq", 2**53 - 1),
        ("prev", "AB" * 32),
        ("time", "2026-11-24T01:15:00Z"),
        ("time", "2026-11-24T01:15:00.123+00:00"),
        ("uptime", "1.5"),
        ("clock", "good"),
        ("subject", "Gate"),
        ("source", "/guardpost/jember"),
        ("type", "checkin"),
        ("bootid", BOOT.upper()),
        ("data", []),
    ],
)
def test_a_member_out_of_the_contracts_bounds_is_unreadable_however_well_signed(name: str, value: object) -> None:
    with pytest.raises(Unreadable):
        verify(signed(members_of({name: value})), KEY.public)


def test_the_largest_number_a_chain_can_reach_is_read() -> None:
    event = signed(members_of({"seq": 2**53 - 1, "id": f"{CHAIN}/{2**53 - 1}"}))
    assert verify(event, KEY.public).seq == 9_007_199_254_740_991


# RFC 8785: our splice around ``signature`` is the canonical form of the whole.


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "Signature",
        "signatur",
        "signature0",
        "signature\U0001f600",
        "signaturb",
        "signaturf",
        "zz",
        "\u20ac",
        "\ufb33",
    ],
)
def test_unknown_members_on_either_side_of_the_signature_are_kept_and_verified(name: str) -> None:
    event = signed(members_of({name: [1, {"x": None}]}))
    assert verify(event, KEY.public).model_extra == {name: [1, {"x": None}]}


def test_names_sort_by_utf16_as_in_rfc_8785_section_3_2_3() -> None:
    vector = {
        "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
        "\U0001f600": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis",
    }  # fmt: skip
    event = signed(members_of(vector))
    verify(event, KEY.public)
    order = ["\\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    places = [event.index(f'"{name}":'.encode()) for name in order]
    assert places == sorted(places)
    # By code points the emoji would come last: that is another text, and not canonical.
    emoji, dalet = ('"\U0001f600":"Emoji: Grinning Face"', '"\ufb33":"Hebrew Letter Dalet With Dagesh"')
    swapped = event.decode().replace(f"{emoji},{dalet}", f"{dalet},{emoji}").encode()
    assert swapped != event
    with pytest.raises(Unreadable, match="not canonical"):
        read(swapped)


@pytest.mark.parametrize(
    ("canonical", "others"),
    [
        ("333333333.3333333", ["333333333.33333329", "333333333.33333330"]),
        ("4.5", ["4.50", "45e-1"]),
        ("0.002", ["2e-3", "0.0020"]),
        ("1e-27", ["0.000000000000000000000000001", "1E-27"]),
        ("0.000001", ["1e-6"]),
        ("1e-7", ["0.0000001"]),
        ("5e-324", ["4.9e-324"]),
        ("0", ["-0", "0.0", "-0.0", "0e0"]),
        ("9007199254740991", ["9007199254740991.0", "9.007199254740991e15"]),
        ("-9007199254740991", ["-9007199254740991.0"]),
    ],
)
def test_a_number_has_the_one_spelling_of_rfc_8785(canonical: str, others: list[str]) -> None:
    event = signed(members_of({"data": {"n": json.loads(canonical)}}))
    assert f'"data":{{"n":{canonical}}}'.encode() in event
    verify(event, KEY.public)
    for other in others:
        with pytest.raises(Unreadable, match="not canonical"):
            read(event.replace(f'"n":{canonical}'.encode(), f'"n":{other}'.encode()))


@pytest.mark.parametrize("number", ["1e+21", "1e+30", "-1e+22", "9007199254740992", "-9007199254740992"])
def test_a_number_beyond_the_contracts_bounds_is_unreadable_though_rfc_8785_could_write_it(number: str) -> None:
    with pytest.raises(Unreadable):
        read(EVENT.replace(b'"data":{', b'"data":{"a":' + number.encode() + b","))


def test_texts_are_escaped_as_in_rfc_8785_section_3_2_2() -> None:
    event = signed(members_of({"data": {"string": '€$\u000f\nA\'B"\\\\"/'}}))
    assert '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode() in event
    verify(event, KEY.public)


# Links.


def test_what_does_not_follow_is_a_broken_link_that_says_which() -> None:
    _, (first, second, third) = sealed_all([began(KEY), tapped(), tapped()], KEY)
    assert follow(first.head, read(second.event), second.event) == second.head
    with pytest.raises(BrokenLink, match="follows number 1"):
        follow(first.head, read(third.event), third.event)
    with pytest.raises(BrokenLink, match="follows number 2"):
        follow(second.head, read(second.event), second.event)
    with pytest.raises(BrokenLink, match="prev is not the hash of number 1"):
        follow(Head(CHAIN, 1, NO_HASH), read(second.event), second.event)
    with pytest.raises(BrokenLink, match="another chain"):
        follow(Head(BOOT, 1, first.head.hash), read(second.event), second.event)


# base64url, key ids, JWKs.


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_bytes_have_one_base64url_spelling(raw: bytes) -> None:
    text = base64url(raw)
    assert from_base64url(text) == raw
    assert "=" not in text


@settings(deadline=None)
@given(st.text("ABab09-_+/= \n", max_size=12))
def test_a_text_is_refused_or_is_the_spelling_that_encoding_gives(text: str) -> None:
    try:
        raw = from_base64url(text)
    except ValueError:
        return
    assert base64url(raw) == text


@pytest.mark.parametrize("text", ["AB", "AA==", "A", "+w", "/w", "A A", "AA\n", "é"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_base64url(text)


def test_the_published_test_key_of_rfc_8037_is_read() -> None:
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert jwk_public(Jwk(x=x, kid=key_id(public))) == public
    with pytest.raises(ValueError, match="kid is not the key's own"):
        jwk_public(Jwk(x=x, kid="0" * 16))


@pytest.mark.parametrize("text", [b"[]", b'"x"', b"1", b'{"a":1,"a":1}', b"{", b"\xff", b'{"a":NaN}'])
def test_what_is_not_one_strict_json_object_is_unreadable(text: bytes) -> None:
    with pytest.raises(Unreadable):
        parse_json(text)


def test_every_chain_error_is_a_value_error_too() -> None:
    assert issubclass(ChainError, ValueError)


def test_events_are_named_by_sha256_in_lower_case() -> None:
    assert event_hash(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

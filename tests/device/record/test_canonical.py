"""Whichever writer is used, the bytes are those of RFC 8785."""

from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from device.record.canonical import canonical

NAMES = st.text() | st.text("aAzZ019_é\uffee\U0001f511")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
)


@settings(deadline=None)
@given(st.dictionaries(NAMES, JSON))
def test_any_object_is_written_as_the_reference_writes_it_or_refused_as_it_refuses(members: dict[str, Any]) -> None:
    try:
        expected = rfc8785.dumps(members)
    except (rfc8785.CanonicalizationError, UnicodeError):
        with pytest.raises((rfc8785.CanonicalizationError, UnicodeError)):
            canonical(members)
    else:
        assert canonical(members) == expected


@pytest.mark.parametrize(
    ("members", "written"),
    [
        (
            {"b": [True, None, {}], "a": '\x1b\x7f"\\/\n€'},
            b'{"a":"\\u001b\x7f\\"\\\\/\\n\xe2\x82\xac","b":[true,null,{}]}',
        ),
        ({"\ufb33": 1, "\U0001f600": 2}, b'{"\xf0\x9f\x98\x80":2,"\xef\xac\xb3":1}'),  # section 3.2.3
        ({"numbers": [56.0, 1e30, 4.5, 2e-3, 1e-27]}, b'{"numbers":[56,1e+30,4.5,0.002,1e-27]}'),  # section 3.2.2
    ],
)
def test_names_texts_and_numbers_are_spelled_as_rfc_8785_shows(members: dict[str, Any], written: bytes) -> None:
    assert canonical(members) == written


@pytest.mark.parametrize("value", [2**53, -(2**53), float("nan"), "\ud800"])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises((rfc8785.CanonicalizationError, UnicodeError)):
        canonical({"a": value})

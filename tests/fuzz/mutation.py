"""Structured mutation: valid JSON and TOML bent a little, then bytes broken a little. Needs nothing but a seed."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

MAX_BYTES = 10_000

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 - 1, 2**53, 2**63, -(2**63) - 1, 10**400, 0.5, 1e308, -0.0, 1e16,
    "", "0", "a" * 300, "\x00", "\ud800", "\u202e", "😀", "e\u0301", "../..", "0" * 64, "A" * 86, "post", "lost",
    "chain", "key", "order", [], {}, [[]], [None] * 50, {"": {}}, {"kid": 1}, {"signature": ""},
    "2026-02-31T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "0000-01-01T00:00:00.000Z",
    "2026-11-24T01:15:00.123Z", "٢٠٢٦-11-24T01:15:00.123Z", "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
_TEXTS: tuple[bytes, ...] = (
    b"\xff", b"\x00", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"{", b"}", b"[" * 2000, b'"', b"\\u0000", b"\\ud800",
    b"1e999", b"-0", b"NaN", b"Infinity", b"9" * 5000, b',"seq":1', b"[[", b"]]", b"=", b"\n", b"'''", b"0x",
    b"inf", b"0001-01-01", b"9999-12-31T23:59:59.999999-23:59", b"1979-05-27T00:00:00+23:59", b"#", b".", b"\r",
)  # fmt: skip
_TOML_VALUE = re.compile(rb"= *([^\n]+)")
_TOML_VALUES: tuple[bytes, ...] = (
    b"0", b"-1", b"1.5", b"nan", b"true", b'""', b'"x"', b"[]", b"{}", b"[[1]]", b"{a=1}", b"2026-01-01",
    b"07:32:00", b"0001-01-01", b"9999-12-31", b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59",
    b'"999999999d"', b'"../../etc"', b'"mqtt://["', b'"mqtts://a:99999"', b'"mqtt://a@b"', b'"mqtt://[::1%25x]"',
    b'"Asia/../../x"', b'"/"', b'"\\u0000"', b'"\\n"', b"9" * 5000, b'["DEADBEEF","DEADBEEF"]', b"1e400",
    b'"localtime"',
)  # fmt: skip


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """``seed`` with one to four changes."""
    for _ in range(chance.choice([1, 1, 1, 2, 3, 4])):
        seed = chance.choice(_CHANGES)(seed, chance)
    return seed[:MAX_BYTES]


def _json(seed: bytes, chance: random.Random) -> bytes:
    """A member or item somewhere replaced, taken away, doubled or renamed."""
    try:
        value = json.loads(seed)
    except (ValueError, RecursionError):
        return _toml(seed, chance)
    places = list(_places(value))
    if not places:
        return seed
    container, key = chance.choice(places)
    what = chance.randrange(5)
    if what == 0:
        del container[key]
    elif what == 1 and isinstance(container, dict):
        container[chance.choice(["x", "", "é", "signature", "\ud83d", str(key) * 2])] = container.pop(key)
    elif what == 2 and isinstance(container[key], int):
        container[key] += chance.choice([-1, 1, 2**32, 2**53])
    elif what == 3 and isinstance(container[key], str):
        container[key] = mutated_text(container[key], chance)
    else:
        container[key] = chance.choice(_VALUES)
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return seed
    return text.encode("utf-8", "surrogatepass")


def mutated_text(text: str, chance: random.Random) -> str:
    """One character changed, taken away or put in."""
    at = chance.randrange(len(text) + 1)
    return (
        text[:at] + chance.choice(["", "0", "f", "F", "Z", "-", "é", "\n", "٣"]) + text[at + chance.randrange(2) :]
    )


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container with each of its keys or indexes."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting and len(found) < 500:
        here = waiting.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        for key in keys:
            found.append((here, key))
            waiting.append(here[key])
    return found


def _toml(seed: bytes, chance: random.Random) -> bytes:
    """A value or a whole line of a TOML file replaced, taken away or doubled."""
    values = list(_TOML_VALUE.finditer(seed))
    if values and chance.random() < 0.6:
        start, end = chance.choice(values).span(1)
        return seed[:start] + chance.choice(_TOML_VALUES) + seed[end:]
    lines = seed.split(b"\n")
    at = chance.randrange(len(lines))
    lines[at : at + 1] = [lines[at]] * chance.choice([0, 2]) or [chance.choice(lines)]
    return b"\n".join(lines)


def _bytes(seed: bytes, chance: random.Random) -> bytes:
    """A few bytes flipped, cut out, put in or repeated."""
    start = chance.randrange(len(seed) + 1)
    end = min(len(seed), start + chance.choice([0, 1, 1, 2, 8, 100]))
    put = chance.choice([b"", chance.choice(_TEXTS), bytes([chance.randrange(256)]), seed[start:end] * 2])
    return seed[:start] + put + seed[end:]


_CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (_json, _json, _json, _toml, _bytes)

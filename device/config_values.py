"""The kinds of values in the configuration: how each is written, and what it may be."""

import base64
import re
from datetime import time, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from device.problems import problem

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZES = {"kB": 1_000, "KiB": 1 << 10, "MB": 10**6, "MiB": 1 << 20, "GB": 10**9, "GiB": 1 << 30}


def _duration(value: object) -> object:
    """``"90s"``, ``"5m"``, ``"1h"``, ``"500ms"`` or ``"2d"``."""
    found = re.fullmatch(r"(\d{1,9})(ms|s|m|h|d)", value) if isinstance(value, str) else None
    if found is None:
        raise problem(f'{value!r} is no duration; write a number and a unit in quotes, like "90s", "5m" or "1h"')
    return timedelta(milliseconds=int(found[1]) * _UNITS_MS[found[2]])


def _size(value: object) -> object:
    """``"500MB"``, ``"1GiB"``: bytes."""
    found = re.fullmatch(r"(\d{1,9})(kB|KiB|MB|MiB|GB|GiB)", value) if isinstance(value, str) else None
    if found is None:
        raise problem(f'{value!r} is no size; write a number and a unit in quotes, like "500MB" or "1GiB"')
    return int(found[1]) * _SIZES[found[2]]


def _hours(value: object) -> object:
    """``"22:00-06:00"``: from when until when."""
    clock = r"([01]\d|2[0-3]):([0-5]\d)"
    found = re.fullmatch(f"{clock}-{clock}", value) if isinstance(value, str) else None
    if found is not None:
        begins, ends = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
        if begins != ends:
            return begins, ends
    raise problem(f'{value!r} are no hours; write from and until, local time, in quotes, like "22:00-06:00"')


def _time_of_day(value: object) -> object:
    """``"05:55"``."""
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", value) if isinstance(value, str) else None
    if found is None:
        raise problem(f'{value!r} is no time of day; write it in quotes, like "05:55"')
    return time(int(found[1]), int(found[2]))


def _seal_key(value: object) -> object:
    """An X25519 public key, base64url without padding: its 32 bytes."""
    mend = "write the 43 characters that guardpost-provision picture-key printed"
    if not isinstance(value, str) or re.fullmatch(r"[A-Za-z0-9_-]{43}", value) is None:
        raise problem(f"{value!r} is no X25519 public key; {mend}")
    key = base64.urlsafe_b64decode(value + "=")
    if base64.urlsafe_b64encode(key).decode().rstrip("=") != value or not _agrees(key):
        raise problem(f"{value!r} is no X25519 public key; {mend}")
    return key


def _agrees(key: bytes) -> bool:
    """Whether a secret can be agreed on with a key: not with one of small order (RFC 7748, section 6.1)."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError:
        return False
    return True


Slug = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
Pin = Annotated[int, Field(ge=2, le=27, strict=True)]
Percent = Annotated[int, Field(ge=10, le=100, strict=True)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Size = Annotated[int, BeforeValidator(_size)]
Hours = Annotated[tuple[time, time], BeforeValidator(_hours)]
TimeOfDay = Annotated[time, BeforeValidator(_time_of_day)]
SealKey = Annotated[bytes, BeforeValidator(_seal_key)]

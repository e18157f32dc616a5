"""What must not leave the post beside its events: every secret it knows is struck out wherever it stands."""

import base64
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from device.config import Config
from device.record.opening import SIGNING_KEY, SITE_KEY
from device.roster_file import LAST_GOOD

STRUCK = "[struck out]"
_SHORTEST = 6
"""What is shorter stands in every text by chance."""
_USER_IN_ADDRESS = re.compile(rb"(?<=://)[^/@\s\"']+(?=@)")
_QUOTED = re.compile(r"""["']([^"'\n]+)["']""")


class Secrets:
    """Keys, the password and badge numbers, in every spelling in which a text may hold them."""

    def __init__(self, words: Iterable[str]) -> None:
        """``words``: as they are written in their files."""
        spelt = {spelling for word in words for spelling in (word, word.upper(), word.lower())}
        kept = sorted((word for word in spelt if len(word) >= _SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, kept)).encode()) if kept else None

    @classmethod
    def known(cls, config: Config | None, state_dir: Path) -> Self:
        """Of one post, as far as its files can be read by this user: who cannot read one cannot give it away."""
        keys = [state_dir / SIGNING_KEY, state_dir / SITE_KEY, *sorted(state_dir.glob("*.key.*"))]
        keys += sorted(state_dir.glob("osdp-*.key"))
        rosters = [state_dir / LAST_GOOD]
        if config is not None:
            keys += [file for file in (config.link.password_file, config.link.key_file) if file is not None]
            rosters.append(config.roster.file)
        words = [word for file in keys for word in _of_key(_read(file))]
        return cls([*words, *(word for file in rosters for word in _badges(_read(file)))])

    def strike(self, content: bytes) -> bytes:
        """The same without secrets, and without users and passwords in addresses."""
        without = _USER_IN_ADDRESS.sub(STRUCK.encode(), content)
        return without if self._pattern is None else self._pattern.sub(STRUCK.encode(), without)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _of_key(content: bytes) -> Iterator[str]:
    """A key or a password: its lines (of PEM those between the marks), and all of it in base64 and hex."""
    text = content.decode("utf-8", "replace")
    yield from (line.strip() for line in text.splitlines() if not line.startswith("-----"))
    for whole in (content, content.strip(), _from_hex(text)):
        yield base64.b64encode(whole).decode().rstrip("=")
        yield base64.urlsafe_b64encode(whole).decode().rstrip("=")
        yield whole.hex()


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _badges(content: bytes) -> Iterator[str]:
    """Whatever an officer has beside a name and dates; of a file that is no TOML, whatever stands in quotes."""
    text = content.decode("utf-8", "replace")
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError):
        yield from _QUOTED.findall(text)
        return
    yield from _texts({name: value for name, value in found.items() if name != "officer"})
    officers = found.get("officer")
    for officer in officers if isinstance(officers, list) else [officers]:
        yield from _texts(
            {name: value for name, value in officer.items() if name != "id"}
            if isinstance(officer, dict)
            else officer
        )


def _texts(value: object) -> Iterator[str]:
    """Every text within."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for inner in value.values() for text in _texts(inner))
    elif isinstance(value, list):
        yield from (text for inner in value for text in _texts(inner))

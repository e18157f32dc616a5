"""What happens to files: bits flip, pages are zeroed, lost, mixed up or written by somebody else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hypothesis import strategies as st

PAGE = 4096
Spoilt = Callable[[bytes], bytes | None]


@dataclass(frozen=True)
class Damage:
    """What is done to one file; its result is None where the file is gone."""

    file: str
    what: str
    at: float
    to: float
    size: int
    seed: bytes

    def done_to(self, content: bytes) -> bytes | None:
        return _KINDS[self.what](self, content)

    def place(self, content: bytes) -> int:
        return int(self.at * len(content))


def _flip(damage: Damage, content: bytes) -> bytes:
    place = damage.place(content)
    mask = 1 << damage.size % 8
    return content[:place] + bytes(byte ^ mask for byte in content[place : place + 1]) + content[place + 1 :]


def _run(filler: Callable[[Damage, int], bytes]) -> Callable[[Damage, bytes], bytes]:
    def spoil(damage: Damage, content: bytes) -> bytes:
        place = damage.place(content)
        size = min(damage.size, len(content) - place)
        return content[:place] + filler(damage, size) + content[place + size :]

    return spoil


def _page(filler: Callable[[Damage, int], bytes]) -> Callable[[Damage, bytes], bytes]:
    def spoil(damage: Damage, content: bytes) -> bytes:
        place = damage.place(content) // PAGE * PAGE
        size = min(PAGE, len(content) - place)
        return content[:place] + filler(damage, size) + content[place + size :]

    return spoil


def _zeros(_: Damage, size: int) -> bytes:
    return bytes(size)


def _ones(_: Damage, size: int) -> bytes:
    return b"\xff" * size


def _garbage(damage: Damage, size: int) -> bytes:
    return (damage.seed * (size // len(damage.seed) + 1))[:size]


def _pages_of(damage: Damage, content: bytes) -> tuple[int, int]:
    pages = max(len(content) // PAGE, 1)
    return int(damage.at * pages) * PAGE, int(damage.to * pages) * PAGE


def _swapped(damage: Damage, content: bytes) -> bytes:
    one, two = _pages_of(damage, content)
    spoilt = bytearray(content)
    spoilt[one : one + PAGE], spoilt[two : two + PAGE] = content[two : two + PAGE], content[one : one + PAGE]
    return bytes(spoilt)


def _doubled(damage: Damage, content: bytes) -> bytes:
    one, two = _pages_of(damage, content)
    return content[:one] + content[two : two + PAGE] + content[one + PAGE :]


_KINDS: Mapping[str, Callable[[Damage, bytes], bytes | None]] = {
    "flip a bit": _flip,
    "zero a run": _run(_zeros),
    "ones in a run": _run(_ones),
    "garbage in a run": _run(_garbage),
    "zero a page": _page(_zeros),
    "garbage in a page": _page(_garbage),
    "swap two pages": _swapped,
    "a page twice": _doubled,
    "cut off": lambda damage, content: content[: damage.place(content)],
    "cut off at a page": lambda damage, content: content[: damage.place(content) // PAGE * PAGE],
    "more behind it": lambda damage, content: content + _garbage(damage, damage.size),
    "emptied": lambda _damage, _content: b"",
    "gone": lambda _damage, _content: None,
}


def damages(files: Mapping[str, bytes]) -> st.SearchStrategy[list[Damage]]:
    """One or a few damages to the files of a folder, most of them to the journal."""
    journals = [name for name in files if name.startswith("journal") and not name.endswith(("-shm", "reserve"))]
    one = st.builds(
        Damage,
        file=st.sampled_from([*files, *journals * 4]),
        what=st.sampled_from(list(_KINDS)),
        at=st.floats(0, 1, exclude_max=True),
        to=st.floats(0, 1, exclude_max=True),
        size=st.one_of(st.integers(1, 64), st.integers(1, 3 * PAGE)),
        seed=st.binary(min_size=1, max_size=40),
    )
    return st.lists(one, min_size=1, max_size=3)

"""What a disk with a volatile cache holds, and what a power cut may leave of it. Pure.

The model is strict, and harsher than any file system in use: a file's content and size are durable once the
file was flushed, a name once its folder was, and neither brings the other along.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

SECTOR_BYTES = 512
"""What a drive writes whole or not at all (SQLite, "Atomic Commit In SQLite", 2.0, assumes no more)."""

AT_REST = "at rest"
"""Where a cut came that was in no operation."""

_KEPT = (0.0, 0.3, 0.7, 0.95, 1.0)
_TORN = 0.3


@dataclass(slots=True)
class _Change:
    """One write or truncation: the file's size and whole sectors as they were after it.

    A drive gets sectors, not bytes: whichever version of a sector it wrote holds the changes before it, too.
    So a subset in the order of time is every order in which a cache may drain. ``sunk``: a flush failed with
    it, and as in Linux no later flush tries it again.
    """

    size: int
    sectors: dict[int, bytes]
    sunk: bool = False

    def under(self, flushed: set[int], size: int | None) -> "_Change":
        """What is left to settle of it once later changes are on the medium; ``size``: the file's since then."""
        left = {number: sector for number, sector in self.sectors.items() if number not in flushed}
        return _Change(self.size if size is None else size, left, self.sunk)


class File:
    """``data`` is what programs read; ``medium`` what is there without the cache."""

    def __init__(self, mode: int, medium: bytes | bytearray = b"") -> None:
        """A file just made, or as a cut left it."""
        self.mode = mode
        self.data = bytearray(medium)
        self.medium = bytearray(medium)
        self.changed_ns = 0
        self._pending: list[_Change] = []

    def write(self, offset: int, content: bytes) -> None:
        """Into the cache."""
        end = offset + len(content)
        before = len(self.data)
        if end > before:
            self.data.extend(bytes(end - before))
        self.data[offset:end] = content
        self._changed(min(offset, before), end)

    def truncate(self, size: int) -> None:
        """Into the cache."""
        before = len(self.data)
        if size < before:
            del self.data[size:]
            self._changed(size, size + 1)
        else:
            self.data.extend(bytes(size - before))
            self._changed(before, size)

    def flush(self) -> None:
        """All but what sank is on the medium; what was written over it since, and the size, are."""
        fresh = [change for change in self._pending if not change.sunk]
        for change in fresh:
            _apply(self.medium, change.sectors)
            _resize(self.medium, change.size)
        over = {number for change in fresh for number in change.sectors}
        size = fresh[-1].size if fresh else None
        self._pending = [change.under(over, size) for change in self._pending if change.sunk]

    def sink(self) -> None:
        """A flush failed: what it should have written stays readable, and nobody will write it."""
        for change in self._pending:
            change.sunk = True

    def after_cut(self, chance: random.Random, kept: float) -> "File":
        """What is found: a part of the changes, some of them torn, and any size the file ever had meanwhile."""
        medium = bytearray(self.medium)
        sizes = [len(medium), *(change.size for change in self._pending)]
        size = sizes[-1] if chance.random() < kept else chance.choice(sizes[: 1 if kept == 0 else None])
        for change in self._pending:
            if chance.random() < kept:
                torn = kept < 1 and chance.random() < _TORN
                _apply(medium, {n: s for n, s in change.sectors.items() if not torn or chance.random() < 0.5})
        _resize(medium, size)
        return File(self.mode, medium)

    def _changed(self, start: int, end: int) -> None:
        sectors = range(start // SECTOR_BYTES, -(-end // SECTOR_BYTES))
        held = {n: bytes(self.data[n * SECTOR_BYTES : (n + 1) * SECTOR_BYTES]) for n in sectors}
        self._pending.append(_Change(len(self.data), {n: sector for n, sector in held.items() if sector}))


@dataclass(eq=False)
class Fate:
    """What moves between folders does so in both or in neither. ``flushed``: one of them was, since."""

    flushed: bool = False


@dataclass
class Folder:
    """``names`` is what programs see. Each pending change of names holds whole or not at all, as a rename does."""

    mode: int = 0o755
    names: dict[str, "File | Folder"] = field(default_factory=dict)
    medium: dict[str, "File | Folder"] = field(default_factory=dict)
    pending: list[tuple[dict[str, "File | Folder | None"], Fate]] = field(default_factory=list)

    def change(self, names: dict[str, "File | Folder | None"], fate: Fate | None = None) -> None:
        """Put nodes under names, or take names away (None), at once; with others of the same fate."""
        _rename(self.names, names)
        self.pending.append((names, fate or Fate()))

    def flush(self) -> None:
        """Every name is on the medium."""
        self.medium = dict(self.names)
        for _, fate in self.pending:
            fate.flushed = True
        self.pending.clear()

    def drain(self) -> None:
        """Everything in and below is on the medium."""
        self.flush()
        for node in self.names.values():
            node.drain() if isinstance(node, Folder) else node.flush()

    def after_cut(self, chance: random.Random, kept: float, fates: dict[Fate, bool] | None = None) -> "Folder":
        """What is found. ``fates``: those that this cut has decided so far."""
        fates = {} if fates is None else fates
        medium = dict(self.medium)
        for names, fate in self.pending:
            if fate not in fates:
                fates[fate] = fate.flushed or chance.random() < kept
            if fates[fate]:
                _rename(medium, names)
        found = {
            name: node.after_cut(chance, kept, fates) if isinstance(node, Folder) else node.after_cut(chance, kept)
            for name, node in medium.items()
        }
        return Folder(self.mode, found, dict(found))

    def files(self) -> Iterator[File]:
        """Every file that has a name."""
        for node in self.names.values():
            if isinstance(node, Folder):
                yield from node.files()
            else:
                yield node


def any_share(chance: random.Random) -> float:
    """How much of what was not flushed a drive may have written, from nothing to all."""
    return chance.choice(_KEPT)


def _rename(names: dict[str, "File | Folder"], change: "dict[str, File | Folder | None]") -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _apply(medium: bytearray, sectors: dict[int, bytes]) -> None:
    for number, sector in sectors.items():
        start = number * SECTOR_BYTES
        _resize(medium, max(len(medium), start + len(sector)))
        medium[start : start + len(sector)] = sector


def _resize(medium: bytearray, size: int) -> None:
    if size < len(medium):
        del medium[size:]
    else:
        medium.extend(bytes(size - len(medium)))

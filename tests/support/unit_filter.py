"""The system calls that the unit lets a post make, and those that a program makes."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

UNIT = (Path(__file__).parents[2] / "systemd" / "guardpost.service").read_text(encoding="utf-8")


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    """``systemd-analyze``."""
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )


def allowed() -> set[str]:
    """What the unit's filter lets through: its lines in their order, ``~`` takes away again."""
    found: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT, re.MULTILINE):
        calls = {call for word in line.removeprefix("~").split() for call in _expanded(word)}
        found = found - calls if line.startswith("~") else found | calls
    return found


def _expanded(word: str) -> Iterator[str]:
    """The calls of a group, which may name other groups."""
    if not word.startswith("@"):
        yield word
        return
    for line in analyze("syscall-filter", word).stdout.splitlines()[1:]:
        if (member := line.strip()) and not member.startswith("#"):
            yield from _expanded(member)


def traced(trace: Path) -> set[str]:
    """The calls in what ``strace -f -o`` wrote."""
    return set(re.findall(r"^\d+ +([a-z_][a-z0-9_]*)\(", trace.read_text(errors="replace"), re.MULTILINE))

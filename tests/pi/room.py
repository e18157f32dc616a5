"""A command inside the tree: namespaces of its own for mounts, processes and network, gone when it ends."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pi.kept import cache

_SCRIPT = Path(__file__).with_name("room.sh")
_NOT_INSIDE = ("PYTHON", "PIP_", "XDG_", "VIRTUAL_ENV", "TMPDIR", "LD_", "LC_", "LANG", "MAKE", "MFLAGS")


def environment() -> dict[str, str]:
    """Of a command inside: this one's, without what is about this machine's folders."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INSIDE)}
    return kept | {
        "PATH": "/opt/guardpost/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
    }


def inside(
    layers: Sequence[Path], command: Sequence[str], *, bind: Mapping[Path, str] = {}, checkout: Path | None = None
) -> list[str]:
    """The words that run ``command`` where ``layers`` are the root, the uppermost first.

    ``bind``: folders of this machine, and where they are inside. ``checkout``: its copy is the working directory.
    """
    room = cache() / "room"  # empty, but in the command's own namespace
    room.mkdir(parents=True, exist_ok=True)
    return [
        *("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", str(_SCRIPT), str(room)),
        ":".join(map(str, layers)),
        " ".join(f"{here}:{there}" for here, there in bind.items()),
        str(checkout or ""),
        *command,
    ]

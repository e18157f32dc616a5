"""``python -m pi --programs "PROGRAM:PACKAGE ..." COMMAND ...``: a command in the Pi's own software."""

import argparse
import os
import shutil
import subprocess
import sys
from functools import partial

from pi import debian, python
from pi.kept import cache, kept
from pi.room import environment, inside

_NEEDED = ("mmdebstrap", "unshare", "mount", "tar")
_SETUP = """
pip install --quiet --no-index --no-deps --no-build-isolation --editable .
cp tests/pi/virtual.yaml /usr/share/libcamera/pipeline/virtual/
exec "$@"
"""


def unusable() -> str | None:
    """Why no tree can be made or entered here, or None."""
    if os.geteuid() != 0:
        return "needs root, for mounts and chroot: sudo make test-pi"
    if missing := [program for program in _NEEDED if shutil.which(program) is None]:
        return f"needs {', '.join(missing)}: apt-get install mmdebstrap util-linux mount tar"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(
        "pi", description=f"Runs a command in {debian.SUITE}, in a copy of this checkout."
    )
    parser.add_argument("--programs", default="", help="programs of Debian's, as PROGRAM or PROGRAM:PACKAGE")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    if why := unusable():
        print(f"pi: {why}", file=sys.stderr)
        return 2
    programs = tuple(pair.partition(":")[2] or pair for pair in args.programs.split())
    try:
        told = debian.definition(programs)
        tree = kept("tree", told, partial(debian.make, programs=programs))
        layer = kept("python", [*told, *python.definition()], partial(python.make, tree=tree))
    except (debian.NoMirror, python.NotInstalled, subprocess.CalledProcessError) as error:
        print(f"pi: {error}; nothing half-made is used, {cache()} has what was made before", file=sys.stderr)
        return 1
    command = args.command or ["sh"]
    words = inside([layer, tree], ["sh", "-euc", _SETUP, "sh", *command], checkout=python.ROOT)
    os.execvpe(words[0], words, environment())


if __name__ == "__main__":
    sys.exit(main())

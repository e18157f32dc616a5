"""``python -m fuzz [TARGET ...]``: so many inputs into each parser, with atheris where it is installed."""

import argparse
import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzz.targets import TARGETS, Target

SHOWN_BYTES = 4_000


def main(arguments: list[str]) -> int:
    """Fuzz the named parsers, all unless named; 1 if one raised what it should not."""
    options = _parser().parse_args(arguments)
    guided = not options.plain and importlib.util.find_spec("atheris") is not None
    if not guided and not options.plain:
        print("atheris is not installed; it has no wheel for this Python or machine: plain mutation instead")
    print(f"{options.inputs} inputs for each parser, seed {options.seed}", flush=True)
    failed = 0
    for name in options.targets or TARGETS:
        began = time.monotonic()
        why = (_guided if guided else _plain)(TARGETS[name], options.inputs, options.seed)
        rate = options.inputs / (time.monotonic() - began)
        print(f"{name:<8} {f'FAILED: {why}' if why else f'nothing found, {rate:,.0f} inputs a second'}", flush=True)
        failed += why is not None
    return int(failed > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--inputs", type=int, default=100_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2**31), metavar="N")
    parser.add_argument("--plain", action="store_true", help="structured mutation alone, without atheris")
    return parser


def _plain(target: Target, inputs: int, seed: int) -> str | None:
    """What went wrong, with the input that did it."""
    chance = random.Random(f"{seed} {target.name}")
    for _ in range(inputs):
        data = target.bend(chance.choice(target.seeds), chance)
        try:
            target.run(data)
        except Exception as error:  # noqa: BLE001 - whatever comes here is the find
            return f"{type(error).__name__}: {error}\n{data!r}"
    return None


def _guided(target: Target, inputs: int, seed: int) -> str | None:
    """libFuzzer ends its process by itself: each parser has one of its own, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fuzz.guided", target.name, str(inputs), str(seed)]
        path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
        )
        if done.returncode == 0 and f"Done {inputs} runs" in done.stderr:
            return None
        found = [file.read_bytes() for file in sorted(Path(folder).glob("found-*"))]
    said = f"{done.stdout[-SHOWN_BYTES:]}{done.stderr[-SHOWN_BYTES:]}"
    return f"exit code {done.returncode}\n{said}\n{found!r}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m bench``: measures every figure and prints them as a table, ours beside the floor of the same run."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Bench, Figure, table
from bench.flow import drain, drain_to_receipt, flood
from bench.machine import machine
from bench.pictures import pictures
from bench.readers import card_to_badge
from bench.starts import starts
from bench.taps import card_to_green, tap_to_green, tap_to_green_in_a_long_journal, tap_to_subscriber
from bench.wear import idle, written


def main() -> int:
    parser = argparse.ArgumentParser("bench", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of all counts; the published figures: 1")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: TMPDIR")
    parser.add_argument("--only", metavar="GROUP", choices=GROUPS, action="append", help=", ".join(GROUPS))
    parser.add_argument("--pi", metavar="PROGRAMS", help="of make test-pi, whose tree has the real picamera2")
    args = parser.parse_args()
    figures = []
    if args.folder is not None:
        args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=args.folder) as folder:
        bench = Bench(Path(folder).resolve(), args.scale, args.pi)
        on = machine(bench.folder)
        for name in args.only or GROUPS:
            for figure in GROUPS[name](bench):
                print(" | ".join(figure.cells()), file=sys.stderr, flush=True)
                figures.append(figure)
    judged = [figure.met for figure in figures if figure.met is not None]
    print(f"{on}\n\n{table(figures)}\n\n{sum(judged)} of {len(judged)} goals met, scale {args.scale:g}")
    return 0


def _taps(bench: Bench) -> Iterator[Figure]:
    yield tap_to_green(bench)
    yield tap_to_green_in_a_long_journal(bench)
    yield card_to_green(bench)
    yield tap_to_subscriber(bench)


def _flow(bench: Bench) -> Iterator[Figure]:
    yield flood(bench)
    yield drain(bench)
    yield drain_to_receipt(bench)


GROUPS = {
    "taps": _taps,
    "readers": card_to_badge,
    "flow": _flow,
    "pictures": pictures,
    "start": starts,
    "idle": idle,
    "wear": written,
}


if __name__ == "__main__":
    sys.exit(main())

"""``python -m damage --cases 5000 --seed N``: fails if a sound event is lost, or a start does not survive."""

import argparse
import random
import sys

from damage.cases import play
from damage.folders import SMALL, large

_CASES_FOR_A_LARGE_ONE = 50


def main() -> int:
    parser = argparse.ArgumentParser("damage", description="Files of a state folder damaged at random.")
    parser.add_argument("--cases", type=int, default=5_000)
    parser.add_argument("--seed", type=int, help="of the whole run; default: any")
    args = parser.parse_args()
    number = args.seed if args.seed is not None else random.SystemRandom().randrange(1_000_000)
    print(f"seed {number}", flush=True)
    print(f"small folders: {play(SMALL, args.cases, number)}", flush=True)
    print(f"a large one: {play((large,), max(args.cases // _CASES_FOR_A_LARGE_ONE, 1), number)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m faults --rounds 200 --seed N``: fails if a single event is lost, twice or foreign."""

import argparse
import sys
import tempfile
from pathlib import Path

from faults.rounds import any_seed, play, play_all, summary, told


def main() -> int:
    parser = argparse.ArgumentParser("faults", description="Seeded rounds of faults; a checker decides each.")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, help="of the whole run; default: any")
    parser.add_argument("--jobs", type=int, default=6, help="rounds at a time (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the rounds work; those that fail are kept there")
    parser.add_argument("--only", metavar="SEED", help="one round again, by its own seed, like 42.17")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    if args.only:
        seed, results = args.only, [play(args.only, folder / args.only)]
        print(told(results[0]))
    else:
        seed, results = args.seed if args.seed is not None else any_seed(), []
        print(f"seed {seed}, in {folder}", flush=True)
        for result in play_all(seed, args.rounds, args.jobs, folder):
            results.append(result)
            print(told(result), flush=True)
    print(summary(results, str(seed)))
    if not all(result.good for result in results):
        return 1
    folder.rmdir()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m powercuts --cuts 200 --seed N``: fails if a green tap is lost, or if a control loses none."""

import argparse
import sys
import tempfile
from pathlib import Path

from volatile_disk import unusable

from powercuts.rounds import (
    any_seed,
    broken_by_control,
    play,
    play_all,
    play_lying,
    play_normal,
    play_replacing,
    summary,
    summary_of_control,
    summary_of_replacing,
    told,
)

_CONTROLS = {
    "synchronous=NORMAL": play_normal,
    "a disk that lies about flushes": play_lying,
}
_CUTS_OF_A_CONTROL = 16
_CUTS_WHILE_REPLACING = 32


def main() -> int:
    parser = argparse.ArgumentParser("powercuts", description="Seeded power cuts inside write bursts.")
    parser.add_argument("--cuts", type=int, default=160)
    parser.add_argument("--seed", type=int, help="of the whole run; default: any")
    parser.add_argument("--jobs", type=int, default=3, help="rounds at a time (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the rounds work; those that fail are kept there")
    parser.add_argument("--only", metavar="SEED", help="one round again, by its own seed, like 42.17")
    args = parser.parse_args()
    if why := unusable():
        print(why, file=sys.stderr)
        return 1
    folder = args.folder or Path(tempfile.mkdtemp(prefix="powercuts-"))
    if args.only:
        result = play(args.only, folder / args.only)
        print(told(result))
        return 0 if result.good else 1
    return _run(str(args.seed if args.seed is not None else any_seed()), args.cuts, args.jobs, folder)


def _run(seed: str, cuts: int, jobs: int, folder: Path) -> int:
    print(f"seed {seed}, in {folder}", flush=True)
    results = []
    for result in play_all(play, seed, cuts, jobs, folder):
        results.append(result)
        print(told(result), flush=True)
    print(summary(results), flush=True)
    replaced = list(play_all(play_replacing, f"{seed}.replacing", _CUTS_WHILE_REPLACING, jobs, folder))
    print(summary_of_replacing(replaced), flush=True)
    good = all(result.good for result in (*results, *replaced))
    for name, control in _CONTROLS.items():
        lossy = list(play_all(control, f"{seed}.{control.__name__}", _CUTS_OF_A_CONTROL, jobs, folder))
        print(summary_of_control(name, lossy), flush=True)
        good = good and not broken_by_control(lossy)
    if good:
        folder.rmdir()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

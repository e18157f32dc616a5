"""The simulator's command line: ``post``, ``do`` and ``demo``."""

import argparse
import logging
import os
import sys
from pathlib import Path

from simulator.errors import SimulatorError

DONE, FAILED, UNUSABLE = 0, 1, 2

_EPILOG = """exit codes:
  0  post: stopped by a signal. do: no answer was an error. demo: every recorded event arrived and verified
  1  post: ended by an error. do: an answer was an error, or no simulator answered. demo: something is missing
  2  wrong usage, or a configuration or file that cannot be used
"""
_DO_EPILOG = """commands:
  tap UIDHEX [READER]         hold a card before a reader; answers with what the officer sees and hears
  lay, take UIDHEX [READER]   leave a card at a reader, so that several lie there at once; take it away again
  press BUTTON                press a button; answers the same way
  open DOOR, close DOOR       move a door or lid; its contact bounces
  mains on|off                the UPS's line says whether there are mains
  lights                      what is lit now, and the last answer
  help                        the commands in one line

faults:
  reader READER FAULT         a reader fails, or is mended; docs/readers.md has each one's words
  input INPUT hums|quiet      the line of a door, lid or button picks up the mains, or is quiet again
  camera FAULT                the camera stalls, hangs, dies, is gone, black, covered, frozen, turned (away) or
                              small (another one, of half the size); camera well ends it
  button BUTTON stuck|free    a button stays pressed, or is let go
  edges lost|back             the thread that tells the inputs' edges dies, while their levels are still read
                              right; only a new start brings the edges back, or "edges back" for a trial

examples:
  guardpost-sim do --control /run/post.sock tap 04A1B2C3D4E5F6
  guardpost-sim do --control /run/post.sock - < commands.txt     (one a line; blank and # lines are skipped)
"""


def main(argv: list[str] | None = None) -> int:
    """The console entry. Returns the exit code; argparse itself exits with 2 on bad usage."""
    args = _parser().parse_args(argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except SimulatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED if args.run is _do else UNUSABLE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our answers has gone; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "guardpost-sim",
        description="A guard post without hardware.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words = parser.add_subparsers(required=True, metavar="COMMAND")

    post = words.add_parser("post", help="run the device program on simulated hardware, until a signal")
    post.description = "Runs the unmodified device program; only what touches copper is simulated."
    post.add_argument("--config", type=Path, required=True, metavar="FILE", help="the post's configuration")
    _add_control(post, "where to open the control socket")
    post.add_argument(
        "--pins-log", type=Path, metavar="FILE", help="every change of an output; default: pins.log in state_dir"
    )
    post.add_argument(
        "--until-eof", action="store_true", help="also stop when standard input ends: for a program that starts us"
    )
    post.set_defaults(run=_post)

    do = words.add_parser(
        "do",
        help="tap, open a door, look at the lights",
        epilog=_DO_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_control(do, "the control socket of a running post")
    do.add_argument("words", nargs="+", metavar="COMMAND", help="a command and its words; - reads standard input")
    do.set_defaults(run=_do)

    demo = words.add_parser("demo", help="a short night at a post and at headquarters, on this machine alone")
    demo.description = "Broker, post and recorder on this machine; a night of taps, doors and a cut line."
    demo.add_argument(
        "--seconds", type=_seconds, metavar="N", help="end the night in time, then check that all arrived"
    )
    demo.add_argument(
        "--broker", metavar="URL", help="mqtt://host:port of another broker; default: one of our own on loopback"
    )
    demo.set_defaults(run=_demo)
    return parser


def _add_control(command: argparse.ArgumentParser, purpose: str) -> None:
    command.add_argument("--control", type=Path, required=True, metavar="SOCKET", help=purpose)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("must be from 1 to 86400")
    return seconds


# Each command imports what it needs and no more: `do` is called from scripts, thousands of times.


def _post(args: argparse.Namespace) -> int:
    from simulator.process import run_post

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    return run_post(args.config, args.control, args.pins_log, until_eof=args.until_eof)


def _do(args: argparse.Namespace) -> int:
    from simulator.client import do

    return DONE if do(args.control, args.words) else FAILED


def _demo(args: argparse.Namespace) -> int:
    from simulator.demo import demo

    return DONE if demo(args.seconds, args.broker) else FAILED


if __name__ == "__main__":
    sys.exit(main())

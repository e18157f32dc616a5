"""The command line of the firmware: ``guardpost run|check|support|osdp|journal``."""

import argparse
import gc
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from device import __version__
from device.errors import ConfigError, GuardpostError

DEFAULT_CONFIG = Path("/etc/guardpost/post.toml")

EXIT_FOUND = 1
EXIT_CONFIG = 2
EXIT_STATE = 3

_EPILOG = """\
exit codes:
  0   all is well
  1   check or journal verify found something wrong and named it
  2   the command line, the configuration or the roster cannot be used
  3   the state folder, a pin or another part of this machine cannot be used
  70  run: a part of the program died and named itself; start it again
  80  run: no mains for the time of [ups] stop_after; the machine is to be switched off
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Every expected failure is one line on standard error."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        return int(options.command(options))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    except GuardpostError as error:
        print(error, file=sys.stderr)
        return EXIT_STATE
    except BrokenPipeError:
        # The reader of our output has gone (``| head``): nothing more to say, and nothing to say at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="guardpost",
        description="Firmware for a guard post: every badge, button and door event on disk, signed, and published.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"guardpost {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run the post until SIGTERM or Ctrl-C")
    check = commands.add_parser(
        "check", help="check configuration, roster, state folder and broker, and say what to mend"
    )
    support = commands.add_parser(
        "support", help="write one archive for whoever helps from afar: no keys, passwords or badge numbers in it"
    )
    readers = commands.add_parser("osdp", help="OSDP readers").add_subparsers(metavar="COMMAND", required=True)
    install = readers.add_parser(
        "install", help="give a reader its own key under its default key; only while the post is stopped"
    )
    install.add_argument("--reader", required=True, metavar="NAME", help="its name in the configuration")
    journal = commands.add_parser("journal", help="look at what is recorded, also while the post runs")
    journals = journal.add_subparsers(metavar="COMMAND", required=True)
    show = journals.add_parser("show", help="print the newest events")
    verify = journals.add_parser("verify", help="verify every event: bytes, signature, number, link")
    for command, function in (
        (run, _run),
        (check, _check),
        (support, _support),
        (install, _install),
        (show, _show),
        (verify, _verify),
    ):
        command.set_defaults(command=function)
        command.add_argument(
            "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s"
        )
    check.add_argument(
        "--by-hand", action="store_true", help="also try every part by hand, while the post is stopped; recorded"
    )
    support.add_argument(
        "--out", type=Path, metavar="FILE", help="default: guardpost-support-POST-TIME.tar.gz in the current folder"
    )
    show.add_argument("--last", type=_count, default=20, metavar="N", help="how many; default: %(default)s")
    show.add_argument("--json", action="store_true", help="the exact bytes of each event, one a line")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


# Each command imports what it needs and no more: a post that starts fast is a post that is soon watching again.


def _run(options: argparse.Namespace) -> int:
    # What is imported stays: to look for garbage in it, again and again, is a seventh of the start.
    gc.disable()
    from device.config import load
    from device.hardware.clock import KernelClock
    from device.hardware.pins import pi_factory
    from device.hardware.readers.driver import Copper
    from device.wiring import run

    gc.freeze()
    gc.enable()
    config = load(options.config)
    with pi_factory() as (factory, bus_error):
        return run(
            config,
            copper=Copper(factory, (OSError, bus_error)),
            clock=KernelClock(),
            environment=os.environ,
        )


def _check(options: argparse.Namespace) -> int:
    from device.check import check

    return _by_hand(options) if options.by_hand else check(options.config)


def _by_hand(options: argparse.Namespace) -> int:
    from device.by_hand import by_hand
    from device.config import load
    from device.hardware.clock import KernelClock
    from device.hardware.pins import pi_factory
    from device.hardware.readers.driver import Copper

    @contextmanager
    def copper() -> Iterator[Copper]:
        with pi_factory() as (factory, bus_error):
            yield Copper(factory, (OSError, bus_error))

    config = load(options.config)
    os.environ.setdefault("LG_WD", str(config.post.state_dir))  # where lgpio keeps its notification pipes
    return by_hand(config, copper(), KernelClock())


def _support(options: argparse.Namespace) -> int:
    from device.support import support

    return support(options.config, options.out)


def _install(options: argparse.Namespace) -> int:
    from device.config import load
    from device.osdp_install import install

    return install(load(options.config), options.reader)


def _show(options: argparse.Namespace) -> int:
    from device.config import load
    from device.journal_view import show

    config = load(options.config)
    return show(config.post.state_dir, config.timezone, options.last, options.json)


def _verify(options: argparse.Namespace) -> int:
    from device.config import load
    from device.journal_view import verify

    return verify(load(options.config).post.state_dir)


if __name__ == "__main__":
    sys.exit(main())

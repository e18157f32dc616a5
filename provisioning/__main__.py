"""The command line of provisioning: ``guardpost-provision broker|roster|picture-key``."""

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from device import __version__
from device.errors import ConfigError
from provisioning.errors import ProvisioningError

EXIT_FOUND = 1
EXIT_USAGE = 2

_EPILOG = """\
exit codes:
  0  all is well
  1  roster: the file has faults; each is one line
  2  the command line, or a file or folder that cannot be used
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Every expected failure is one line on standard error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_FOUND
    except ProvisioningError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="guardpost-provision",
        description="Prepares what guard posts need of headquarters.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"guardpost-provision {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    broker = commands.add_parser("broker", help="write a Mosquitto configuration and its access rules")
    broker.set_defaults(command=_broker)
    broker.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write them into")
    broker.add_argument("--listen", default="127.0.0.1:1883", metavar="ADDR:PORT", help="default: %(default)s")
    broker.add_argument("--root", default="guardpost", help="first level of every topic; default: %(default)s")

    roster = commands.add_parser("roster", help="check a roster file and count its officers and badges")
    roster.set_defaults(command=_roster)
    roster.add_argument("file", type=Path, metavar="FILE")

    key = commands.add_parser("picture-key", help="make the key pair that pictures are sealed with")
    key.set_defaults(command=_picture_key)
    key.add_argument("--show", action="store_true", help="print the public key of a FILE that is there already")
    key.add_argument("file", type=Path, metavar="FILE", help="where the private key goes; a new file")
    return parser


def _broker(options: argparse.Namespace) -> int:
    from provisioning.broker import parse_listener, write_broker

    listener = parse_listener(options.listen)
    for file in write_broker(options.out, listener, options.root):
        print(f"wrote {file}")
    if not listener.is_loopback:
        print(f"{listener.address} may be reached by others: turn on TLS in the configuration", file=sys.stderr)
    return 0


def _roster(options: argparse.Namespace) -> int:
    from provisioning.roster import roster_summary

    print(roster_summary(options.file, date.today()))
    return 0


def _picture_key(options: argparse.Namespace) -> int:
    from provisioning.picture_key import make_picture_key, shown_picture_key

    if options.show:
        print(f'seal_to = "{shown_picture_key(options.file)}"')
        return 0
    public = make_picture_key(options.file)
    print(f"{options.file} is the private key. It alone opens the pictures that posts seal for it: keep it off the")
    print("posts and the broker, keep a copy where it cannot burn with the first, and name it with --key FILE in")
    print("`guardpost-recorder pictures open` and `export`. Write the public key into each post's configuration:")
    print()
    print("[camera]")
    print(f'seal_to = "{public}"')
    return 0


if __name__ == "__main__":
    sys.exit(main())

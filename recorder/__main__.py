"""The recorder's command line and wiring."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from device.errors import GuardpostError
from recorder import commands
from recorder.broker import parse_broker
from recorder.errors import UsageError
from recorder.service import Recorder, Settings

_EPILOG = """exit codes:
  0  run: stopped by a signal. verify, gaps: everything that was sent is here, whole and verified;
     what still waits at the post, and what it signed as lost for good, is named and is no fault.
     findings: none open
  1  verify, gaps: something is missing, held or wrong. findings: there are some.
     run: ended by an error; start it again, nothing acknowledged is lost
  2  usage, or a store that cannot be used
"""


def main(argv: list[str] | None = None) -> int:
    """The console entry. Returns the exit code; argparse itself exits with 2 on bad usage."""
    args = _parser().parse_args(argv)
    try:
        code: int = args.command(args)
    except GuardpostError as error:
        print(f"guardpost-recorder: {error}", file=sys.stderr)
        return 1 if args.command is _run and not isinstance(error, UsageError) and args.started else 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _run(args: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    broker = parse_broker(args.broker, _password(args.password_file), args.ca)
    recorder = Recorder(Settings(broker, args.store, args.root, args.client_id, args.protocol))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: recorder.request_stop())
    args.started = True
    recorder.run()
    return 0


def _password(path: Path | None) -> str | None:
    """The file's first line."""
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"password file {path}: {getattr(error, 'strerror', None) or error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "guardpost-recorder",
        description="Subscribes to guard posts, verifies and stores their events, and names what is missing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(started=False)
    words = parser.add_subparsers(required=True, metavar="COMMAND")
    store = argparse.ArgumentParser(add_help=False)
    store.add_argument("--store", type=Path, required=True, metavar="FILE", help="the recorder's SQLite file")
    query = argparse.ArgumentParser(add_help=False, parents=[store])
    query.add_argument("--json", action="store_true", help="for programs")

    run = words.add_parser("run", parents=[store], help="listen to a broker and record, until a signal")
    run.add_argument("--broker", required=True, metavar="URL", help="mqtt://[user@]host[:port] or mqtts://...")
    run.add_argument("--password-file", type=Path, metavar="FILE", help="its first line is the user's password")
    run.add_argument("--ca", type=Path, metavar="FILE", help="PEM of the broker's CA; default: the system's")
    run.add_argument("--root", type=_root, default="guardpost", help="first topic level (%(default)s)")
    run.add_argument("--client-id", default="guardpost-recorder", help="its session at the broker (%(default)s)")
    run.add_argument("--protocol", choices=("auto", "5", "3.1.1"), default="auto", help="MQTT (%(default)s)")
    run.set_defaults(command=_run)

    verify = words.add_parser("verify", parents=[query], help="verify every stored byte again, from scratch")
    verify.set_defaults(command=commands.verify)
    gaps = words.add_parser("gaps", parents=[query], help="what is missing, by number")
    gaps.set_defaults(command=commands.gaps)
    findings = words.add_parser("findings", parents=[query], help="what was found wrong")
    findings.add_argument("--all", action="store_true", help="settled ones too")
    findings.set_defaults(command=commands.findings)
    export = words.add_parser("export", parents=[store], help="verified events as JSON lines of the exact bytes")
    export.add_argument("--source", help="one post, as /guardpost/site/post")
    export.add_argument("--chain", help="one chain, by its id")
    export.set_defaults(command=commands.export)
    trust = words.add_parser("trust", parents=[query], help="accept a post's new key that no event announced")
    trust.add_argument("source", metavar="SOURCE", help="/guardpost/site/post")
    trust.add_argument("kid", metavar="KID", help="the key's id, 16 hex digits; compare it with the post's own")
    trust.set_defaults(command=commands.trust)
    return parser


def _root(text: str) -> str:
    if not text.isascii() or not text.replace("-", "").replace("_", "").isalnum() or len(text) > 32:
        raise argparse.ArgumentTypeError("one topic level of letters, digits, - and _")
    return text


if __name__ == "__main__":
    sys.exit(main())

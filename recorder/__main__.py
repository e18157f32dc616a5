"""The recorder's command line and wiring."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from device.errors import GuardpostError
from recorder.arguments import parser
from recorder.broker import Broker, parse_broker
from recorder.errors import Damaged, NoProof, OrderFailed, UsageError
from recorder.picture_taking import take_picture
from recorder.replaying import replay
from recorder.selftesting import selftest
from recorder.service import Recorder, Settings


def main(argv: list[str] | None = None) -> int:
    """The console entry. Returns the exit code; argparse itself exits with 2 on bad usage."""
    args = parser(_run, _replay, _selftest, _take).parse_args(argv)
    try:
        code: int = args.command(args)
    except GuardpostError as error:
        print(f"guardpost-recorder: {error}", file=sys.stderr)
        told = isinstance(error, OrderFailed | Damaged | NoProof)
        return 1 if told or (args.started and not isinstance(error, UsageError)) else 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _run(args: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    if args.absent_topic and not args.absent_after:
        raise UsageError("--absent-topic: say with --absent-after how long a silence counts")
    if args.absent_topic and args.absent_topic.split("/")[0] == args.root:
        raise UsageError(f"--absent-topic {args.absent_topic}: what is below {args.root}/ belongs to the posts")
    recorder = Recorder(
        Settings(
            broker=_broker(args),
            store=args.store,
            root=args.root,
            client_id=args.client_id,
            protocol=args.protocol,
            receipts=args.receipts,
            absent_after_s=args.absent_after,
            absent_topic=args.absent_topic,
            pictures_per_post=args.pictures_per_post,
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: recorder.request_stop())
    args.started = True
    recorder.run()
    return 0


def _replay(args: argparse.Namespace) -> int:
    return replay(args, _broker(args))


def _selftest(args: argparse.Namespace) -> int:
    return selftest(args, _broker(args))


def _take(args: argparse.Namespace) -> int:
    return take_picture(args, _broker(args))


def _broker(args: argparse.Namespace) -> Broker:
    return parse_broker(args.broker, _password(args.password_file), args.ca)


def _password(path: Path | None) -> str | None:
    """The file's first line."""
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"password file {path}: {getattr(error, 'strerror', None) or error}") from None


if __name__ == "__main__":
    sys.exit(main())

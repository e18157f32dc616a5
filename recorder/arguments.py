"""The words of the command line."""

import argparse
import re
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

from device.events import MAX_SAFE_INTEGER
from recorder import commands, picture_commands, proving
from recorder.alarms import alarms
from recorder.importing import import_journal
from recorder.notes import note
from recorder.patrols import patrols, zone
from recorder.picture_share import PICTURES_PER_POST
from recorder.pictures import STATES
from recorder.silence import list_absent

Command = Callable[[argparse.Namespace], int]

_EPILOG = """exit codes:
  0  run: stopped by a signal. verify, gaps: everything that was sent is here, whole and verified;
     what still waits at the post, what it signed as lost for good, and what it had removed before this
     recorder came, is named and is no fault. findings, absent: none. import: nothing refused or damaged.
     replay: the post has sent all that was asked for. selftest: no part of the post has failed.
     pictures verify: every stored one is as it was signed; take: it was taken. verify-proof: it proves what it
     prints
  1  verify, gaps: something is missing, held or wrong. findings, absent: there are some. import: something was
     refused, or the journal is damaged. replay: refused, no reply, or something is missing there.
     selftest: a part has failed, refused, or no reply. pictures: one has changed on the disk, no receipt covers it
     yet, or a post took none. verify-proof: it proves nothing.
     run: ended by an error; start it again, nothing acknowledged is lost
  2  usage, or a store that cannot be used
"""

_SOURCE = re.compile(r"/[A-Za-z0-9_-]{1,32}/[a-z0-9-]{1,32}/[a-z0-9-]{1,32}")
_CHAIN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DURATION = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"([0-9]{1,6})(MB|GB|TB)")
_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


def parser(run: Command, replay: Command, selftest: Command, take: Command) -> argparse.ArgumentParser:
    """All commands; those that are given talk to a broker."""
    top = argparse.ArgumentParser(
        "guardpost-recorder",
        description="Subscribes to guard posts, verifies and stores their events, and names what is missing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.set_defaults(started=False)
    words = top.add_subparsers(required=True, metavar="COMMAND")
    store = argparse.ArgumentParser(add_help=False)
    store.add_argument("--store", type=Path, required=True, metavar="FILE", help="the recorder's SQLite file")
    query = argparse.ArgumentParser(add_help=False, parents=[store])
    query.add_argument("--json", action="store_true", help="for programs")
    broker = _broker()
    _add_run(
        words.add_parser("run", parents=[store, broker], help="listen to a broker and record, until a signal"), run
    )
    _add_questions(words, store, query)
    _add_acts(words, store, query)
    pictures = words.add_parser("pictures", help="pictures that posts have announced")
    _add_take(_add_pictures(pictures, store, query), broker, take)
    _add_verify_proof(words.add_parser("verify-proof", help="check a picture's proof, with nothing but its file"))
    _add_replay(words.add_parser("replay", parents=[broker], help="ask a post to send numbers again"), replay)
    _add_selftest(words.add_parser("selftest", parents=[broker], help="ask a post to test itself"), selftest)
    return top


def _broker() -> argparse.ArgumentParser:
    line = argparse.ArgumentParser(add_help=False)
    line.add_argument("--broker", required=True, metavar="URL", help="mqtt://[user@]host[:port] or mqtts://...")
    line.add_argument("--password-file", type=Path, metavar="FILE", help="its first line is the user's password")
    line.add_argument("--ca", type=Path, metavar="FILE", help="PEM of the broker's CA; default: the system's")
    line.add_argument("--protocol", choices=("auto", "5", "3.1.1"), default="auto", help="MQTT (%(default)s)")
    return line


def _add_run(run: argparse.ArgumentParser, command: Command) -> None:
    run.add_argument("--root", type=_root, default="guardpost", help="first topic level (%(default)s)")
    run.add_argument("--client-id", default="guardpost-recorder", help="its session at the broker (%(default)s)")
    run.add_argument(
        "--no-receipts", dest="receipts", action="store_false", help="for every recorder of a fleet but one"
    )
    run.add_argument(
        "--absent-after", type=_duration, metavar="TIME", help="log posts that are silent for so long: 90s, 15m, 2h"
    )
    run.add_argument(
        "--absent-topic",
        type=_topic,
        metavar="TOPIC",
        help="publish them there too: JSON of source and since, and until",
    )
    run.add_argument(
        "--pictures-per-post",
        type=_size,
        default=PICTURES_PER_POST,
        metavar="SIZE",
        help="room for the pictures of each post, as 500MB, 10GB or 1TB (10GB); what is more is refused, which "
        "`findings` tells, and asked for once there is room. Nothing is ever removed here",
    )
    run.set_defaults(command=command)


def _add_questions(
    words: "argparse._SubParsersAction[argparse.ArgumentParser]",
    store: argparse.ArgumentParser,
    query: argparse.ArgumentParser,
) -> None:
    verify = words.add_parser("verify", parents=[query], help="verify every stored event again, from scratch")
    verify.set_defaults(command=commands.verify)
    gaps = words.add_parser("gaps", parents=[query], help="what is missing, by number")
    gaps.set_defaults(command=commands.gaps)
    findings = words.add_parser("findings", parents=[query], help="what was found wrong")
    findings.add_argument("--all", action="store_true", help="settled ones too")
    findings.set_defaults(command=commands.findings)
    seen = words.add_parser("alarms", parents=[query], help="urgent copies of events, as they came")
    seen.add_argument("--source", type=_source, help="one post, as /guardpost/site/post")
    seen.set_defaults(command=alarms)
    absent = words.add_parser("absent", parents=[query], help="posts that are silent")
    absent.add_argument("--after", type=_duration, required=True, metavar="TIME", help="for so long: 90s, 15m, 2h")
    absent.set_defaults(command=list_absent)
    taps = words.add_parser("patrols", parents=[query], help="who tapped where and when")
    taps.add_argument("--csv", action="store_true", help="for spreadsheets; cells never begin a formula")
    taps.add_argument("--source", type=_source, help="one post, as /guardpost/site/post")
    taps.add_argument("--officer", help="one officer's id")
    taps.add_argument("--since", metavar="TIME", help="from this time on: 2026-11-23 or 2026-11-23T18:00")
    taps.add_argument("--until", metavar="TIME", help="before this time")
    taps.add_argument(
        "--dated",
        action="store_true",
        help="with the best time and its bounds where a clock did not know it; TIMEs are compared with these",
    )
    taps.add_argument("--timezone", type=zone, default=UTC, metavar="ZONE", help="of times shown and asked (UTC)")
    taps.set_defaults(command=patrols)
    export = words.add_parser("export", parents=[store], help="verified events as JSON lines of the exact bytes")
    export.add_argument("--source", type=_source, help="one post, as /guardpost/site/post")
    export.add_argument("--chain", type=_chain, help="one chain, by its id")
    export.add_argument("--notes", action="store_true", help='lines of {"event": the bytes, "notes": [...]}')
    export.set_defaults(command=commands.export)


def _add_acts(
    words: "argparse._SubParsersAction[argparse.ArgumentParser]",
    store: argparse.ArgumentParser,
    query: argparse.ArgumentParser,
) -> None:
    trust = words.add_parser("trust", parents=[query], help="accept a post's new key that no event announced")
    trust.add_argument("source", metavar="SOURCE", help="/guardpost/site/post")
    trust.add_argument("kid", metavar="KID", help="the key's id, 16 hex digits; compare it with the post's own")
    trust.set_defaults(command=commands.trust)
    beside = words.add_parser("note", parents=[store], help="write a correction beside an event, never over it")
    beside.add_argument("event", metavar="EVENT", help="<chain>/<seq>")
    beside.add_argument("text", metavar="TEXT", help="what there is to say")
    beside.add_argument("--by", required=True, metavar="NAME", help="who says it")
    beside.set_defaults(command=note)
    card = words.add_parser("import", parents=[query], help="take in the journal of a dead post's card")
    card.add_argument("journal", type=Path, metavar="JOURNAL", help="its journal.sqlite3; it is only read")
    card.add_argument(
        "--trust-first", action="store_true", help="if the post was never heard of: believe the keys in its journal"
    )
    card.set_defaults(command=import_journal)


def _add_pictures(
    pictures: argparse.ArgumentParser, store: argparse.ArgumentParser, query: argparse.ArgumentParser
) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    words = pictures.add_subparsers(required=True, metavar="WHAT")
    of_post = argparse.ArgumentParser(add_help=False)
    of_post.add_argument("--source", type=_source, help="one post, as /guardpost/site/post")
    one = argparse.ArgumentParser(add_help=False, parents=[store, of_post])
    one.add_argument("--key", type=Path, metavar="FILE", help="the private key that opens sealed ones, PEM")
    one.add_argument("picture", metavar="PICTURE", help="the first digits of its SHA-256, 8 or more")
    shown = words.add_parser("list", parents=[query, of_post], help="when, why, and whether they are here")
    shown.add_argument("--state", choices=STATES, help="only these")
    shown.set_defaults(command=picture_commands.list_pictures)
    look = words.add_parser("verify", parents=[store, of_post], help="read every stored file again")
    look.set_defaults(command=picture_commands.verify_pictures)
    jpeg = words.add_parser("open", parents=[one], help="write a picture's JPEG to a file")
    jpeg.add_argument("out", type=Path, metavar="OUT", help="a file that is not there yet")
    jpeg.set_defaults(command=picture_commands.open_picture)
    proof = words.add_parser(
        "export",
        parents=[one],
        help="write a picture with its proof to one file",
        description="Writes one file that convinces somebody else, and that shows them more than the picture: all "
        "events from the one that asked for it to the receipt, with officers' ids and what badges are hidden as. "
        "`verify-proof` says which.",
    )
    proof.add_argument("out", type=Path, metavar="OUT", help="a file that is not there yet")
    proof.set_defaults(command=proving.export_proof)
    return words


def _add_take(
    words: "argparse._SubParsersAction[argparse.ArgumentParser]", broker: argparse.ArgumentParser, command: Command
) -> None:
    take = words.add_parser("take", parents=[broker], help="ask a post to take a picture now")
    take.add_argument("source", type=_source, metavar="SOURCE", help="/guardpost/site/post")
    take.add_argument(
        "--within", type=_duration, default=60, metavar="TIME", help="wait so long for the reply (1m)"
    )
    take.set_defaults(command=command)


def _add_verify_proof(proof: argparse.ArgumentParser) -> None:
    proof.add_argument("file", type=Path, metavar="FILE", help="what `pictures export` wrote")
    proof.add_argument(
        "--signed-by",
        metavar="KEY",
        help="the post's key as you know it from elsewhere: its kid, or its JWK's file",
    )
    proof.add_argument("--jpeg", type=Path, metavar="OUT", help="write the picture to a new file")
    proof.set_defaults(command=proving.verify_proof)


def _add_replay(replay: argparse.ArgumentParser, command: Command) -> None:
    replay.add_argument("source", type=_source, metavar="SOURCE", help="/guardpost/site/post")
    replay.add_argument("chain", type=_chain, metavar="CHAIN", help="the chain's id")
    replay.add_argument("first", type=_number, metavar="FROM", help="the first number")
    replay.add_argument("last", type=_number, metavar="TO", help="the last number")
    replay.add_argument(
        "--within", type=_duration, default=300, metavar="TIME", help="an order and its reply live so long (5m)"
    )
    replay.set_defaults(command=command)


def _add_selftest(selftest: argparse.ArgumentParser, command: Command) -> None:
    selftest.add_argument("source", type=_source, metavar="SOURCE", help="/guardpost/site/post")
    selftest.add_argument(
        "--within",
        type=_duration,
        default=60,
        metavar="TIME",
        help="wait so long for reply and event (1m)",
    )
    selftest.set_defaults(command=command)


def _root(text: str) -> str:
    if not text.isascii() or not text.replace("-", "").replace("_", "").isalnum() or len(text) > 32:
        raise argparse.ArgumentTypeError("one topic level of letters, digits, - and _")
    return text


def _source(text: str) -> str:
    if not _SOURCE.fullmatch(text):
        raise argparse.ArgumentTypeError("write it as /guardpost/site/post")
    return text


def _chain(text: str) -> str:
    if not _CHAIN.fullmatch(text):
        raise argparse.ArgumentTypeError("a chain's id is a UUID in lower case")
    return text


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:17]) <= MAX_SAFE_INTEGER:
        raise argparse.ArgumentTypeError("an event's number, from 1 on")
    return int(text)


def _duration(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if not found or not 1 <= int(found[1]) * _SECONDS[found[2]] <= 366 * 86400:
        raise argparse.ArgumentTypeError("write it as 90s, 15m, 2h or 1d")
    return float(int(found[1]) * _SECONDS[found[2]])


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if not found or int(found[1]) == 0:
        raise argparse.ArgumentTypeError("write it as 500MB, 10GB or 1TB")
    return int(found[1]) * _BYTES[found[2]]


def _topic(text: str) -> str:
    if not text.isprintable() or not 1 <= len(text) <= 200 or set(text) & set("+#") or text[0] == "$":
        raise argparse.ArgumentTypeError("a topic to publish on, without + or #")
    return text

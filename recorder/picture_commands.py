"""``pictures``: those that posts have announced: listed, looked through, opened."""

import argparse
import hashlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from device.record.sealing import open_sealed
from recorder.errors import Damaged, NoProof, UsageError
from recorder.picture_files import PictureFiles
from recorder.picture_rows import Announced, announced, asking, find, in_words
from recorder.pictures import STORED, mark_damaged
from recorder.store import Store
from recorder.tables import show_json, show_table

OK, WRONG = 0, 1


def list_pictures(args: argparse.Namespace) -> int:
    """By post, in the order of their events."""
    with Store.read(args.store) as store, store.snapshot():
        rows = [_row(store, picture) for picture in announced(store, args.source, args.state)]
    if args.json:
        show_json(rows)
    else:
        shown = ("time", "source", "asked by", "offset", "bytes", "state", "picture")
        show_table(shown, [[_cell(row, name) for name in shown] for row in rows])
    return OK


def verify_pictures(args: argparse.Namespace) -> int:
    """Every file read again; what is gone or changed is marked, and asked for while `run` runs."""
    files = PictureFiles(args.store)
    counts: Counter[bool] = Counter()
    with Store.read(args.store) as store, store.snapshot():
        stored = [(each.source, each.picture.sha256) for each in announced(store, args.source, STORED)]
    for source, sha256 in stored:
        try:
            files.read(source, sha256)
        except Damaged as error:
            _mark(args.store, source, sha256, error)
            print(f"{error}; it is asked for again")
            counts[False] += 1
        else:
            counts[True] += 1
    print(f"{counts[True]} pictures as they were signed, {counts[False]} not")
    return WRONG if counts[False] else OK


def open_picture(args: argparse.Namespace) -> int:
    """The JPEG, into a file that is not there yet."""
    with Store.read(args.store) as store, store.snapshot():
        found = find(store, args.source, args.picture)
    wire = wire_bytes(args.store, found)
    if found.picture.sealed and args.key is None:
        raise UsageError(f"picture {found.picture.sha256}: it is sealed; name the private key with --key FILE")
    jpeg = opened(found, wire, args.key) if found.picture.sealed else wire
    write_new(args.out, jpeg)
    print(f"{args.out}: {len(jpeg)} bytes, taken {found.picture.taken} by {found.source}")
    return OK


def wire_bytes(path: Path, found: Announced) -> bytes:
    """Its bytes as they were sent. Raises UsageError where it is not here, Damaged where it has changed since."""
    if found.state != STORED:
        told = f": {found.told}" if found.told else ""
        raise UsageError(f"picture {found.picture.sha256}: not here, {found.state}{told}")
    try:
        return PictureFiles(path).read(found.source, found.picture.sha256)
    except Damaged as error:
        _mark(path, found.source, found.picture.sha256, error)
        raise


def opened(found: Announced, wire: bytes, key: Path) -> bytes:
    """The JPEG inside a sealed picture. Raises UsageError, or NoProof for another than the post has signed."""
    name = f"picture {found.picture.sha256}"
    try:
        jpeg = open_sealed(_private_key(key), found.source, wire)
    except ValueError as error:
        raise UsageError(f"{name}: {error}; is {key} the key that it was sealed to?") from None
    if hashlib.sha256(jpeg).hexdigest() != found.picture.plain_sha256:
        raise NoProof(f"{name}: what is sealed in it is not what its event has signed")
    return jpeg


def write_new(path: Path, content: bytes) -> None:
    """Never over another file, and for nobody else: what was sealed may be open in it. Raises UsageError."""
    try:
        with open(path, "xb", opener=_private) as file:
            file.write(content)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name a new file") from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _private_key(path: Path) -> X25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name the file that picture-key wrote") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, X25519PrivateKey):
        raise UsageError(f"{path}: no X25519 private key in it; name the file that picture-key wrote")
    return key


def _mark(path: Path, source: str, sha256: str, error: Damaged) -> None:
    """Also beside a running recorder, which then asks for it."""
    with Store.open(path) as store, store.transaction():
        mark_damaged(store, source, sha256, str(error), time.time_ns() // 1_000_000)


def _row(store: Store, found: Announced) -> dict[str, Any]:
    asked_by = asking(store, found)
    return {
        "time": found.envelope.time,
        "source": found.source,
        "event": found.envelope.id,
        "asked by": in_words(asked_by.event.unproven.envelope) if asked_by else found.picture.why or "-",
        "state": found.state,
        "asked": found.asked,
        "told": found.told,
        "picture": found.picture.sha256,
        **found.picture.model_dump(include={"bytes", "sealed", "width", "height", "taken", "offset", "why"}),
    }


def _cell(row: dict[str, Any], name: str) -> str:
    if name == "bytes" and row["sealed"]:
        return f"{row['bytes']} sealed"
    if name == "state" and row["told"]:
        return f"{row['state']}: {row['told']}"
    return str(row[name])

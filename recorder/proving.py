"""``pictures export`` writes a picture's proof; ``verify-proof`` checks one, with nothing but the file."""

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from device.errors import Unreadable
from device.events import Jwk
from device.record.chain import jwk_public, parse_json
from recorder.errors import NoProof, UsageError
from recorder.hints import first_problem, one_line
from recorder.intake import Event, examine
from recorder.picture_commands import OK, opened, wire_bytes, write_new
from recorder.picture_rows import Announced, Asking, asking, find, in_words
from recorder.places import span
from recorder.proof import MAX_PROOF_BYTES, Parts, ProofReceipt, Proven, check, written
from recorder.store import Store

_KID = re.compile(r"[0-9a-f]{16}")


def export_proof(args: argparse.Namespace) -> int:
    """A new file, checked before it is written. Raises NoProof while no receipt covers the picture's event."""
    with Store.read(args.store) as store, store.snapshot():
        found = find(store, args.source, args.picture)
        receipt, chain = _way(store, found)
        asked = asking(store, found)
        before = None if asked is None else _from_asking(store, found, asked)
        beside = asked.event if asked is not None and before is None else None
        events = [*(before or []), *chain]
        keys = _keys(store, found.source, {event.keyid for event in (*events, *([beside] if beside else []))})
    wire = wire_bytes(args.store, found)
    jpeg = opened(found, wire, args.key) if found.picture.sealed and args.key else None
    parts = Parts(
        event=found.envelope.id,
        events=[event.payload for event in events],
        asked=None if beside is None else beside.payload,
        picture=wire,
        opened=jpeg,
        keys=keys,
        receipt=receipt,
    )
    content = written(parts)
    check(content)
    write_new(args.out, content)
    print(f"{args.out}: {len(content)} bytes; `guardpost-recorder verify-proof {args.out}` checks it anywhere")
    if found.picture.sealed and jpeg is None:
        print("the picture in it is sealed; with --key FILE what it shows would be in it too")
    return OK


def verify_proof(args: argparse.Namespace) -> int:
    """Prints what is proved, a line each. Raises NoProof with the first thing that differs."""
    try:
        with args.file.open("rb") as file:
            content = file.read(MAX_PROOF_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{args.file}: {error.strerror}") from None
    trusted = _named(args.signed_by) if args.signed_by else None
    try:
        proven = check(content)
        kid = proven.announced.keyid
        if trusted is not None and not is_named(trusted, kid, proven.public):
            other = "another of the same id" if kid in trusted else ", ".join(sorted(trusted))
            raise NoProof(f"keys: signed by key {kid}, and not by {other}, which you named")
    except NoProof as error:
        raise NoProof(f"{args.file}: {error}") from None
    if args.jpeg is not None:
        if proven.jpeg is None:
            raise UsageError(f"{args.file}: the picture in it is sealed, and what it shows is not there")
        write_new(args.jpeg, proven.jpeg)
    for name, words in _told(proven, named=trusted is not None):
        print(f"{name:<8}  {words}")
    return OK


def _told(proven: Proven, *, named: bool) -> Iterator[tuple[str, str]]:
    event, picture = proven.announced, proven.picture
    envelope = event.unproven.envelope
    yield "post", f"{event.source} announced this picture by event {envelope.id} at {envelope.time}"
    yield "picture", f"{picture.bytes} bytes, SHA-256 {picture.sha256}: those that the event has signed"
    if picture.sealed and proven.jpeg is not None:
        yield "sealed", f"the event has also signed SHA-256 {picture.plain_sha256}: that of the opened JPEG in here"
    elif picture.sealed:
        yield "sealed", "what it shows is not in here; only headquarters can open it"
    yield "taken", f"{picture.taken}, {picture.offset} s from the event that asked, by the post's clock"
    if proven.asked is not None:
        asked = proven.asked.unproven.envelope
        yield "asked by", f"{in_words(asked)} at {asked.time}: event {asked.id}, signed too"
    else:
        yield "asked by", f"event {picture.why}, which is not in here" if picture.why else "nobody"
    first, last = proven.chain[0], proven.chain[-1]
    yield (
        "chain",
        f"{_numbers(first, last)} of {first.chain}: each signed, each linked to the one before",
    )
    yield (
        "receipt",
        f"for event {last.seq}, hash {last.hash}: this file's own word; whoever kept the receipts on "
        f"{event.source[1:]}/receipt can compare it",
    )
    if named:
        yield "key", f"signed by key {event.keyid}, which you named"
    else:
        yield (
            "key",
            f"signed by key {event.keyid}, which this file itself brings: compare it with the post's own, as "
            f"{event.source[1:]}/identity had it, or name that with --signed-by",
        )
    if others := {each.keyid for each in (*proven.chain, *([proven.asked] if proven.asked else []))} - {
        event.keyid
    }:
        yield "key", f"other events in here are signed by {', '.join(sorted(others))}"


def _numbers(first: Event, last: Event) -> str:
    return f"event{'s' if last.seq > first.seq else ''} {span(first.seq, last.seq)}"


def _way(store: Store, found: Announced) -> tuple[ProofReceipt, list[Event]]:
    """The first receipt from the picture's event on, and every event up to it. Raises NoProof."""
    event = found.event
    name = f"picture {found.picture.sha256}: event {found.envelope.id}"
    sql = "SELECT seq, hash FROM receipt WHERE chain = ? AND seq >= ? ORDER BY seq, at_ms LIMIT 20"
    missing = None
    for seq, receipted in [(row["seq"], row["hash"]) for row in store.rows(sql, found.chain, event.seq)]:
        way = _backwards(store, found.chain, seq, receipted, event.seq)
        if way[-1:] and (way[-1].seq, way[-1].hash) == (event.seq, event.hash):
            return ProofReceipt(chain=event.chain, seq=seq, hash=receipted), way[::-1]
        missing = missing or (seq, way[-1].seq - 1 if way else seq)
    if missing is None:
        raise NoProof(f"{name} is covered by no receipt yet; the recorder that gives receipts has them")
    raise NoProof(
        f"{name} is not linked to the receipt for {missing[0]}: event {missing[1]} before that is not here"
    )


def _from_asking(store: Store, found: Announced, asked: Asking) -> list[Event] | None:
    """From the event that asked up to before the picture's; None where not every event between is here."""
    first, event = asked.event.seq, found.event
    if asked.chain != found.chain or first >= event.seq:
        return None
    way = _backwards(store, found.chain, event.seq - 1, event.prev, first)
    return way[::-1] if way[-1:] == [asked.event] else None


def _backwards(store: Store, chain: int, last: int, last_hash: str, first: int) -> list[Event]:
    """From ``last`` down to ``first``, each by the hash that the one behind it names, as far as they are here."""
    way: list[Event] = []
    wanted = last_hash
    for seq in range(last, first - 1, -1):
        sql = "SELECT payload FROM event WHERE chain = ? AND seq = ? AND hash = ? AND verified"
        row = store.row(sql, chain, seq, wanted)
        if row is None:
            break
        way.append(examine(bytes(row["payload"])))
        wanted = way[-1].prev
    return way


def _keys(store: Store, source: str, kids: set[str]) -> dict[str, str]:
    rows = store.rows("SELECT kid, x FROM key WHERE source = ? AND trust NOT NULL", source)
    return {row["kid"]: row["x"] for row in rows if row["kid"] in kids}


def is_named(named: Mapping[str, bytes | None], kid: str, public: bytes) -> bool:
    """Whether a key is among those that a person named, each raw or, where only its kid is known, None."""
    return kid in named and named[kid] in (None, public)


def _named(text: str) -> dict[str, bytes | None]:
    """A person's word for a key, by kid: a kid alone, or the raw keys in a file with a JWK or a JWK Set.

    A kid is 64 bits of a hash, so where the key itself is given it is compared. Raises UsageError.
    """
    if _KID.fullmatch(text):
        return {text: None}
    try:
        members = parse_json(Path(text).read_bytes())
        listed = members.get("keys", [members])
        keys = [Jwk.model_validate(item) for item in listed] if isinstance(listed, list) else []
        named: dict[str, bytes | None] = {key.kid: jwk_public(key) for key in keys}
    except OSError as error:
        raise UsageError(f"--signed-by {one_line(text, 80)}: {error.strerror}; name a kid or a file") from None
    except Unreadable as error:
        raise UsageError(f"--signed-by {text}: {error}; a JWK or a JWK Set is wanted") from None
    except ValueError as error:
        raise UsageError(f"--signed-by {text}: {first_problem(error)}; a JWK or a JWK Set is wanted") from None
    if not named:
        raise UsageError(f"--signed-by {text}: no key in it")
    return named

"""The parsers, each as a function of bytes that raises nothing but what its caller is told to expect."""

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from postkit import BOOT, CHAIN, SOURCE, at

from device.config import parse
from device.errors import ChainError, ConfigError, Unreadable
from device.events import MAX_EVENT_BYTES, Envelope
from device.hardware.readers.pn532_answers import BadAnswer, read_targets
from device.hardware.readers.pn532_frames import MAX_LENGTH, Broken, FrameParser, Information, Sign
from device.link.orders import read_order
from device.link.receipts import judge, read_receipt
from device.problems import parse_toml, validated
from device.readings import Arrived, Asked, Misasked
from device.record.chain import Chain, Head, event_hash, follow, read, verify
from device.rules.orders import OrdersRule
from device.rules.roster import Roster, RosterFile
from fuzz.mutation import mutated
from fuzz.osdp_line import CARDS, LINES, bent_line, osdp, osdp_card
from fuzz.seeds import (
    CONFIGS,
    EVENTS,
    KEY,
    MESSAGES,
    ORDERS,
    PN532,
    RECEIPTS,
    ROSTERS,
    ROWS,
    SELFTEST,
    TOPICS,
    resigned,
)
from fuzz.wires import EDGES, KEY_EVENTS, bent_edges, bent_events, hid, wiegand
from recorder.intake import Cleared, Event, Identity, Message, PictureBytes, Refused, Reply, Report, sort

FILE = Path("fuzzed.toml")
_ZONE = ZoneInfo("Asia/Jakarta")
_LINK = Chain(SOURCE, BOOT, KEY, Head(CHAIN))
_ORDERS = OrdersRule()


@dataclass(frozen=True)
class Target:
    """One parser. ``seeds``: valid inputs. ``bend``: a structured mutation of one of them."""

    name: str
    run: Callable[[bytes], None]
    seeds: Sequence[bytes]
    bend: Callable[[bytes, random.Random], bytes] = mutated


def chain(data: bytes) -> None:
    """``device.record.chain``: read, verify, follow."""
    try:
        envelope = read(data)
        assert isinstance(envelope, Envelope) and len(data) <= MAX_EVENT_BYTES
        assert verify(data, KEY.public) == envelope
        follow(Head(CHAIN, envelope.seq - 1, envelope.prev), envelope, data)
    except ChainError as error:
        assert str(error).isprintable() and len(str(error)) < 500, error


def order(data: bytes) -> None:
    """``device.link.orders`` and what its words become: an event that can be sealed."""
    name, payload = _split(data)
    asked = read_order(name, Arrived(at(), 1, 2, f"{TOPICS.base}/order/{name}", payload, False))
    assert isinstance(asked, Asked | Misasked) and asked.ack == (1, 2)
    step = _ORDERS.step(_ORDERS.initial, asked, at())
    assert len(step.drafts) == 1
    for draft in step.drafts:
        _, sealed = _LINK.seal(draft, at())
        read(sealed.event)


def receipt(data: bytes) -> None:
    """``device.link.receipts``: read and judged against a journal."""
    try:
        found = read_receipt(data)
    except Unreadable as error:
        assert len(str(error)) < 500, error
        return
    judge(found, ROWS)


def roster(data: bytes) -> None:
    """``device.roster_file`` without the file, and the index made of it."""
    try:
        parsed = validated(RosterFile, parse_toml(data, FILE), FILE)
    except ConfigError as error:
        _lines(error)
        return
    made = Roster.of(parsed.officer, bytes(32), _ZONE)
    assert len(made.passes) == sum(len(officer.badges) for officer in parsed.officer)


def config(data: bytes) -> None:
    """``device.config``."""
    try:
        parsed = parse(parse_toml(data, FILE), FILE)
    except ConfigError as error:
        _lines(error)
        return
    assert parsed.source.count("/") == 3
    assert parsed.timezone is not None


def intake(data: bytes) -> None:
    """``recorder.intake``: a message sorted by its topic and bytes."""
    topic, payload = _split(data)
    arrival = sort(Message(topic, payload, 1), "guardpost")
    if isinstance(arrival, Event):
        assert arrival.payload == payload and arrival.hash == event_hash(payload)
    elif isinstance(arrival, PictureBytes):
        assert arrival.content == payload and hashlib.sha256(payload).hexdigest() == arrival.sha256
    else:
        assert isinstance(arrival, Identity | Report | Reply | Refused | Cleared)
        json.dumps(arrival.why if isinstance(arrival, Refused) else "").encode()


def pn532(data: bytes) -> None:
    """``device.hardware.readers.pn532_frames`` by the byte and at once, and the cards that a frame lists."""
    whole, by_byte = FrameParser(), FrameParser()
    found = whole.feed(data)
    assert found == [frame for at in range(len(data)) for frame in by_byte.feed(data[at : at + 1])]
    for frame in found:
        assert isinstance(frame, Sign | Broken | Information)
        if not isinstance(frame, Information):
            continue
        assert len(frame.data) <= MAX_LENGTH - 2
        try:
            targets = read_targets(frame.data)
        except BadAnswer as error:
            assert str(error).isprintable()
        else:
            assert all(len(target.uid) in {4, 7, 10} for target in targets)


def _lines(error: ConfigError) -> None:
    """Every mistake is one line that names the file."""
    for line in str(error).splitlines():
        assert line.startswith(f"{FILE}: ") and line.isprintable(), line


def _split(data: bytes) -> tuple[str, bytes]:
    """A topic before the first line break, a payload behind it."""
    topic, _, payload = data.partition(b"\n")
    return topic.decode("utf-8", "replace"), payload


def _bent_frames(seed: bytes, chance: random.Random) -> bytes:
    """One to four bytes changed, doubled or cut out; half of the time the check sums are made right after that."""
    bent = bytearray(seed)
    for _ in range(chance.choice([1, 1, 2, 4])):
        at = chance.randrange(len(bent) + 1)
        put = [
            b"",
            bytes([chance.choice([0x00, 0xFF, 0xD5, 0x01, chance.randrange(256)])]),
            bytes(bent[at : at + 9]),
        ]
        bent[at : at + chance.choice([0, 1, 1, 5])] = chance.choice(put)
    start = bent.find(b"\x00\xff")
    if chance.random() < 0.5 and 0 <= start < len(bent) - 6:
        del bent[start + 2 + 0xFF :]
        size = len(bent) - start - 6
        bent[start + 2 : start + 4] = size, -size & 0xFF
        bent[-2] = -sum(bent[start + 4 : -2]) & 0xFF
    return bytes(bent)


def _bent_event(seed: bytes, chance: random.Random) -> bytes:
    """Half of them are signed again, so that more than the signature is looked at."""
    bent = mutated(seed, chance)
    return resigned(bent) if chance.random() < 0.5 else bent


def _bent_message(seed: bytes, chance: random.Random) -> bytes:
    topic, payload = _bent_topic(seed, chance)
    return topic + b"\n" + _bent_event(payload, chance)


def _bent_order(seed: bytes, chance: random.Random) -> bytes:
    topic, payload = _bent_topic(seed, chance)
    return topic + b"\n" + mutated(payload, chance)


def _bent_topic(seed: bytes, chance: random.Random) -> tuple[bytes, bytes]:
    topic, _, payload = seed.partition(b"\n")
    return mutated(topic, chance).replace(b"\n", b"") if chance.random() < 0.2 else topic, payload


_ORDER_SEEDS = [b"replay\n" + payload for payload in ORDERS] + [b"identify\n" + ORDERS[0], b"selftest\n" + SELFTEST]
_MESSAGE_SEEDS = [topic.encode() + b"\n" + payload for topic, payload in MESSAGES]
TARGETS = {
    target.name: target
    for target in (
        Target("chain", chain, EVENTS, _bent_event),
        Target("order", order, _ORDER_SEEDS, _bent_order),
        Target("receipt", receipt, RECEIPTS),
        Target("roster", roster, ROSTERS),
        Target("config", config, CONFIGS),
        Target("intake", intake, _MESSAGE_SEEDS, _bent_message),
        Target("hid", hid, KEY_EVENTS, bent_events),
        Target("wiegand", wiegand, EDGES, bent_edges),
        Target("pn532", pn532, PN532, _bent_frames),
        Target("osdp", osdp, LINES, bent_line),
        Target("osdpcard", osdp_card, CARDS),
    )
}

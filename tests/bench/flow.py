"""How much gets through: a flood onto the disk, a backlog to the broker, and to headquarters."""

import json
from statistics import median

from backlog import reading
from posts import recording

from bench.far_end import broker, subscribed
from bench.figures import Bench, Figure, at_least
from bench.process import bared, post_folder, posted, settle, unsent
from bench.stock import backlog, newest_event
from device.record.opening import JOURNAL

ROUNDS = 3


def flood(bench: Bench) -> Figure:
    """Taps that all wait at once, until the last one was answered, against the same events sealed bare."""
    ours: list[float] = []
    floor: list[float] = []
    folder, count = post_folder(bench.at("flood")), bench.count(5_000, 20)
    with posted(folder) as post, bared(bench.at("flood-floor")) as bare:
        post.ask("flood", count=20)
        event = newest_event(folder)
        for _ in range(bench.count(ROUNDS, 1)):
            settle()
            ours.append(rate(count, post.ask("flood", count=count)))
            settle()
            floor.append(rate(count, bare.ask("sealed", count=count, event=event)))
    return at_least("flood, durable and signed", median(ours), median(floor), 0.6)


def drain(bench: Bench) -> Figure:
    """A backlog to the last PUBACK, against bare paho with the same rows."""
    ours: list[float] = []
    floor: list[float] = []
    folder, rows = backlog(bench)
    for number in range(bench.count(ROUNDS, 1)):
        unsent(folder)
        settle()
        with subscribed(bench.at(f"drain-broker-{number}")) as far:
            with posted(post_folder(folder, far.url)) as post:
                done = post.ask("delivered", to="done")
                ours.append(rate(done["events"], done["ns"]))
            with bared(bench.at("drain-floor"), far.port) as bare:
                began, ended = bare.ask("publishes", journal=str(folder / "state" / JOURNAL), rows=rows)
                floor.append(rate(rows, ended - began))
    return at_least(f"drain of a {rows:,} backlog to the last PUBACK", median(ours), median(floor), 0.75)


def drain_to_receipt(bench: Bench) -> Figure:
    """The same until headquarters has receipted all, against a bare loop that receives and keeps."""
    ours: list[float] = []
    floor: list[float] = []
    folder, rows = backlog(bench)
    with reading(folder / "state") as journal:
        jwk = json.loads(journal.public_jwks()[0])
    for number in range(bench.count(ROUNDS, 1)):
        unsent(folder)
        settle()
        headquarters = bench.at(f"headquarters-{number}")
        headquarters.mkdir()
        with (
            broker(bench.at(f"receipt-broker-{number}")) as far,
            recording(headquarters / "store.sqlite3", far.url),
            posted(post_folder(folder, far.url)) as post,
        ):
            done = post.ask("delivered", to="receipt")
            ours.append(rate(done["events"], done["ns"]))
        settle()
        with (
            broker(bench.at(f"receives-broker-{number}")) as far,
            bared(bench.at("receives-floor"), far.port) as receiver,
            bared(bench.at("publishes-floor"), far.port) as publisher,
        ):
            receiver.say("receives", rows=rows, jwk=jwk)
            assert receiver.hear() == "subscribed"
            began, _ = publisher.ask("publishes", journal=str(folder / "state" / JOURNAL), rows=rows)
            floor.append(rate(rows, receiver.hear() - began))
    return at_least(f"drain of a {rows:,} backlog to the last receipt", median(ours), median(floor), 0.8)


def rate(events: int, taken_ns: int) -> float:
    """Events a second."""
    return events / taken_ns * 1e9

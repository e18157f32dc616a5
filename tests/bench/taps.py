"""From the tap to the green light, and to a subscriber."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from waiting import until

from bench.far_end import broker, listener, subscribed
from bench.figures import MS, Bench, Figure, at_most, percentile
from bench.process import Worker, bared, post_folder, posted, settle
from bench.stock import long_journal, newest_event, short_journal
from device.record.journal import CHECKPOINT_IDLE_BYTES

ROUNDS = 5
WARM_UP = 5
PAUSE_S = 0.01
GREEN_AFTER_FLOOR_NS = 2e6
GREEN_UNDER_LOAD_NS = 300e6
PICTURE_BYTES = 300_000
PICTURE_EVERY_S = 0.25


def tap_to_green(bench: Bench) -> Figure:
    """One tap at a time into the inbox of a post without a line, against one commit at a time."""
    ours: list[int] = []
    floor: list[int] = []
    count = bench.count(200, 4)
    with posted(post_folder(bench.at("tap"))) as post, bared(bench.at("tap-floor")) as bare:
        warm_up(post)
        settle()
        for _ in range(bench.count(ROUNDS, 1)):
            ours += greens(post, count)
            floor += bare.ask("commits", count=count, pause_s=PAUSE_S)
    one, other = median(ours), median(floor)
    met = one <= other + GREEN_AFTER_FLOOR_NS
    return Figure("tap to green, p50", MS(one), MS(other), one / other, "floor + 2 ms", met)


def tap_to_green_in_a_long_journal(bench: Bench) -> Figure:
    """The same in a journal of a million events, and in one of a thousand."""
    long: list[int] = []
    short: list[int] = []
    count = bench.count(200, 4)
    (one, rows), (other, few) = long_journal(bench), short_journal(bench)
    with posted(post_folder(one)) as of_many, posted(post_folder(other)) as of_few:
        warm_up(of_many)
        warm_up(of_few)
        settle()
        for _ in range(bench.count(ROUNDS, 1)):
            long += greens(of_many, count)
            short += greens(of_few, count)
    name = f"tap to green in a journal of {rows:,} events (floor: {few:,}), p50"
    return at_most(name, median(long), median(short), 1.2, MS)


def card_to_green(bench: Bench) -> Figure:
    """From the card in the field to the level of the pin, while everything else happens too."""
    folder, _ = long_journal(bench)
    with (
        subscribed(bench.at("card-broker")) as far,
        posted(post_folder(folder, far.url)) as post,
    ):
        post.ask("up")
        with pictures(bench.at("pictures")):
            count, log_bytes = bench.count(100, 1), bench.count(CHECKPOINT_IDLE_BYTES, 1)
            taken = post.ask("cards", count=count, log_bytes=log_bytes)
        counts = post.ask("counts")
    p99 = percentile(taken, 0.99)
    told = [
        f"p50 {MS(median(taken))}",
        f"checkpoints of {MS(median(counts['checkpoints_ns']))}",
        f"{counts['newest'] - counts['done']:,} events left to drain",
    ]
    ours = f"{MS(p99)} ({', '.join(told)})"
    return Figure("card to green under load, p99", ours, goal="300 ms", met=p99 <= GREEN_UNDER_LOAD_NS)


def tap_to_subscriber(bench: Bench) -> Figure:
    """From the tap to Mosquitto's own client, against a commit and a publish."""
    ours: list[int] = []
    floor: list[int] = []
    folder, count = bench.at("subscriber"), bench.count(200, 4)
    with (
        broker(bench.at("subscriber-broker")) as far,
        listener(far) as heard_ns,
        posted(post_folder(folder, far.url)) as post,
        bared(bench.at("subscriber-floor"), far.port) as bare,
    ):
        post.ask("up")
        heard(heard_ns, puts(post, WARM_UP))
        event = newest_event(folder)
        settle()
        for _ in range(bench.count(ROUNDS, 1)):
            ours += heard(heard_ns, puts(post, count))
            floor += heard(heard_ns, bare.ask("taps", count=count, pause_s=PAUSE_S, event=event))
    return at_most("tap to a Mosquitto subscriber, p50", median(ours), median(floor), 1.5, MS)


def warm_up(post: Worker) -> None:
    """The first taps pay for what is loaded late."""
    greens(post, WARM_UP)


def greens(post: Worker, count: int) -> list[int]:
    """From each tap to its green, in nanoseconds."""
    return [green - put for put, green in post.ask("taps", count=count, pause_s=PAUSE_S)]


def puts(post: Worker, count: int) -> list[int]:
    """When each tap was put into the inbox."""
    return [put for put, _ in post.ask("taps", count=count, pause_s=PAUSE_S)]


def heard(heard_ns: list[int], put_ns: list[int]) -> list[int]:
    """From each tap to the subscriber, in nanoseconds; ``heard_ns`` is emptied."""
    until(lambda: len(heard_ns) >= len(put_ns), what="the subscriber")
    taken = [came - put for came, put in zip(heard_ns, put_ns, strict=True)]
    heard_ns.clear()
    return taken


@contextmanager
def pictures(folder: Path) -> Iterator[None]:
    """Four times a second a file of a picture's size is made durable, as a picture store would."""
    folder.mkdir()
    enough = threading.Event()

    def store() -> None:
        number = 0
        while not enough.wait(PICTURE_EVERY_S):
            number += 1
            with (folder / f"{number}.new").open("wb") as file:
                file.write(os.urandom(PICTURE_BYTES))
                file.flush()
                os.fsync(file.fileno())
            (folder / f"{number}.new").rename(folder / f"{number}.jpg")

    thread = threading.Thread(target=store)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()

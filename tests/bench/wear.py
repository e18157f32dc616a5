"""What a post costs that has nothing to do, and what an event costs the disk."""

import time
from collections.abc import Iterator

from bench.far_end import subscribed
from bench.figures import Bench, Figure
from bench.process import Worker, post_folder, posted, used
from bench.taps import PAUSE_S, WARM_UP, greens

SETTLED_S = 75
"""Longer than the minute after which an idle post writes its cursors down."""
WINDOW_S = 120
MOST_CPU = 0.01
BATCH = 20
BLOCK_KIB = 4
MOST_SINGLE_KIB = 16
MOST_BATCHED_KIB = 4


def idle(bench: Bench) -> Iterator[Figure]:
    """A connected post that nobody comes to, for a while."""
    with subscribed(bench.at("idle-broker")) as far, posted(post_folder(bench.at("idle"), far.url)) as post:
        post.ask("up")
        post.ask("delivered", to="done")
        time.sleep(bench.count(SETTLED_S, 0))
        before, counted = used(post.pid), post.ask("counts")
        time.sleep(max(1.0, WINDOW_S * bench.scale))
        after, counts = used(post.pid), post.ask("counts")
    seconds = (after.at_ns - before.at_ns) / 1e9
    model_ns = counts["model_cpu_ns"] - counted["model_cpu_ns"]
    cpu = (after.cpu_ns - before.cpu_ns - model_ns) / 1e9 / seconds
    polls = counts["polls"] - counted["polls"]
    transfers = counts["transfers"] - counted["transfers"]
    hourly = (after.written_bytes - before.written_bytes) / seconds * 3600
    window = f"{seconds:.0f} s measured"
    yield Figure("idle: CPU of one core", f"{cpu:.2%} ({window})", goal="under 1 %", met=cpu < MOST_CPU)
    yield Figure("idle: SPI transfers per empty poll", f"{transfers / polls:.2f} ({polls / seconds:.1f} polls/s)")
    yield Figure("idle: wake-ups a second, all threads", f"{(after.wakes - before.wakes) / seconds:.0f}")
    yield Figure("idle: written to disk in an hour", f"{hourly / 1024:.0f} KiB (extrapolated, {window})")


def written(bench: Bench) -> Iterator[Figure]:
    """Bytes that the process sent to the disk for each event, checkpoints included."""
    count = bench.count(2_000, 5)
    with subscribed(bench.at("wear-broker")) as far, posted(post_folder(bench.at("wear"), far.url)) as post:
        post.ask("up")
        greens(post, WARM_UP)
        yield _wear(post, "single events", count, 1, MOST_SINGLE_KIB)
        yield _wear(post, "in batches", count, BATCH, MOST_BATCHED_KIB)


def _wear(post: Worker, name: str, count: int, size: int, most_kib: int) -> Figure:
    post.ask("checkpoint")
    before = used(post.pid).written_bytes
    commits = post.ask("bursts", count=count, size=size, pause_s=PAUSE_S)
    post.ask("checkpoint")
    each_kib = (used(post.pid).written_bytes - before) / 1024 / (count * size)
    ours = f"{each_kib:.1f} KiB ({count * size / commits:.1f} events a commit)"
    name = f"written to disk for each event, {name}"
    return Figure(
        name, ours, f"{BLOCK_KIB} KiB", each_kib / BLOCK_KIB, f"at most {most_kib} KiB", each_kib <= most_kib
    )

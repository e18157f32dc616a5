"""From the start of the process to its first green light, and what it then holds in memory."""

from collections.abc import Iterator
from statistics import median

from bench.far_end import subscribed
from bench.figures import MIB, Bench, Figure, S, at_most
from bench.process import Worker, imported, post_folder, posted, unsent, used
from bench.stock import backlog

ROUNDS = 7


def starts(bench: Bench) -> Iterator[Figure]:
    """Interleaved: a post with nothing to send, one with a backlog, and the libraries alone."""
    empty: list[int] = []
    full: list[int] = []
    imports: list[int] = []
    ours_kb: list[int] = []
    floor_kb: list[int] = []
    behind, rows = backlog(bench)
    with subscribed(bench.at("start-broker")) as far:
        fresh = post_folder(bench.at("fresh"), far.url)
        behind = post_folder(behind, far.url)
        with posted(fresh, "--card") as post:  # makes its key and its journal, and fills the disk cache
            first_green(post)
            post.ask("delivered", to="done")
        for _ in range(bench.count(ROUNDS, 1)):
            with imported() as (process, taken):
                imports.append(taken)
                floor_kb.append(used(process.pid).resident_kb)
            with posted(fresh, "--card") as post:
                empty.append(first_green(post))
                ours_kb.append(idle_kb(post))
            unsent(behind)
            with posted(behind, "--card") as post:
                full.append(first_green(post))
    yield at_most(
        f"start to first green with a backlog of {rows:,} (floor: none)", median(full), median(empty), 1.1, S
    )
    yield at_most("start to first green (floor: bare imports)", median(empty), median(imports), 1.5, S)
    yield at_most("resident memory, idle (floor: bare imports)", median(ours_kb), median(floor_kb), 1.4, MIB)


def first_green(post: Worker) -> int:
    """Nanoseconds from before the process was started; those that the simulator's board took are not counted."""
    green = post.ask("green")
    taken: int = green["at"] - post.began_ns - green["simulator_ns"]
    return taken


def idle_kb(post: Worker) -> int:
    """What the post holds once it is connected and everything is sent, without the simulator."""
    post.ask("delivered", to="done")
    return used(post.pid).resident_kb - int(post.ask("counts")["simulator_kb"])

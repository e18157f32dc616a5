"""Pictures: from what happened to the stored file, what looking costs, and alarms on a line with a picture."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from camera_child import Scene
from pi.__main__ import unusable as unusable_pi

from bench.figures import MIB, MS, Bench, Figure, S, at_most, percentile
from bench.looking import FRAME_BYTES, PLACES
from bench.process import Worker, post_folder, posted, settle
from bench.slow_line import apart, unusable

ROUNDS = 5
PAUSE_S = (0.05, 0.35)
"""Longer than a frame takes, so that the next trigger comes at any moment between two."""
QUALITY = 85
_CAMERA = f"""
[camera]
on = ["checkin"]
size = [1920, 1080]
quality = {QUALITY}
most_a_minute = 600
"""
WINDOW_S = 60
LARGE = 91
"""The quality at which a picture of the simulated scene has some 310 kB."""
_LONG_QUEUE = ["--queue-ms", "3000"]
_NOT_PACED = "not paced"
ALARM_WITHIN_NS = 2e9
_INSIDE = ("env", "PYTHONPATH=/guardpost/tests:/guardpost/tests/support", "python", "-m", "bench.looking")


def pictures(bench: Bench) -> Iterator[Figure]:
    """All of the group."""
    yield from trigger_to_stored(bench)
    yield from looking(bench)
    yield from alarms(bench)


def trigger_to_stored(bench: Bench) -> Iterator[Figure]:
    """A tap's picture in the simulator, against a bare program before the same scene."""
    ours: list[list[int]] = []
    floor: list[list[int]] = []
    folder, bare_folder = post_folder(bench.at("taken"), more=_CAMERA), bench.at("taken-floor")
    bare_folder.mkdir()
    scene = Scene(bare_folder / "scene.json")
    count = bench.count(40, 2)
    program = Path(__file__).with_name("bare_camera.py")
    with posted(folder, "--camera") as post, closing(Worker(program, scene.file)) as bare:
        for worker, more in ((post, {}), (bare, {"quality": QUALITY})):
            worker.ask("pictures", count=2, pause_s=PAUSE_S, **more)  # opens the camera, loads what is loaded late
        settle()
        for _ in range(bench.count(ROUNDS, 1)):
            ours += post.ask("pictures", count=count, pause_s=PAUSE_S)
            floor += bare.ask("pictures", count=count, pause_s=PAUSE_S, quality=QUALITY)
    green, waited, stored = (list(part) for part in zip(*ours, strict=True))
    bare_waited, bare_stored = (list(part) for part in zip(*floor, strict=True))
    told = f"green after {MS(median(green))}, the frame after {MS(median(waited))}"
    bare_told = f"the frame after {MS(median(bare_waited))}"
    one, other = median(stored), median(bare_stored)
    yield Figure("trigger to stored picture, p50", f"{MS(one)} ({told})", f"{MS(other)} ({bare_told})", one / other)
    one, other = percentile(stored, 0.99), percentile(bare_stored, 0.99)
    yield Figure("trigger to stored picture, p99", MS(one), MS(other), one / other)
    one, other = (
        median(end - frame for frame, end in zip(*pair, strict=True))
        for pair in ((waited, stored), (bare_waited, bare_stored))
    )
    yield at_most("exposure to stored picture, p50", one, other, 1.5, MS)


def looking(bench: Bench) -> Iterator[Figure]:
    """The child that only looks: on real picamera2 where its tree can be made, else on the stand-in."""
    seconds = f"{max(0.2, WINDOW_S * bench.scale):g}"
    why = 'no --pi "PROGRAMS"' if bench.pi is None else unusable_pi()
    cost = None
    if bench.pi is not None and why is None:
        try:
            cost = _told([sys.executable, "-m", "pi", "--programs", bench.pi, *_INSIDE, seconds, "--pi"])
        except subprocess.CalledProcessError:
            why = "it did not work, see above"
    on, note = "picamera2", ""
    if cost is None:
        cost = _told([sys.executable, "-m", "bench.looking", seconds])
        on, note = "the stand-in, not picamera2", f"; picamera2: {why}"
    ours, floor, ring_kb = cost["ours"], cost["floor"], PLACES * FRAME_BYTES / 1024
    name = f"camera's child, looking ({on})"
    cpu = f"{ours['cpu']:.2%} ({seconds} s measured{note})"
    yield Figure(f"{name}: CPU of one core", cpu, f"{floor['cpu']:.2%}", ours["cpu"] / floor["cpu"])
    yield at_most(f"{name}: resident memory", ours["resident_kb"], floor["resident_kb"] + ring_kb, 1.2, MIB)


def alarms(bench: Bench) -> Iterator[Figure]:
    """Doors forced while a picture is on its way; the floor is the same line with no picture on it."""
    why, count = unusable(), bench.count(100, 1)

    def run(number: int, count: int, *more: str) -> Any:
        folder = bench.at(f"line-{number}")  # not longer: the post's control socket will be in it
        command = [sys.executable, "-m", "bench.alarms", str(folder), str(count), *more]
        return _told(apart(*command) if why is None else [*command, "--proxy"])

    quiet = percentile(run(0, count)["alarms_ns"], 0.99)
    ways: list[tuple[str, int, list[str]]] = [
        ("at the default rate", count, []),
        ("at 6 kB/s", count, ["--link", 'picture_rate = "6kB"']),
        ("before a queue of 3 s", count, _LONG_QUEUE),
        (f"{_NOT_PACED}, before a queue of 3 s", bench.count(20, 1), [*_LONG_QUEUE, "--unpaced"]),
    ]
    with ThreadPoolExecutor() as lines:  # each has its own
        told = [
            lines.submit(run, number, times, "--quality", str(LARGE), *more)
            for number, (_, times, more) in enumerate(ways, 1)
        ]
    for (name, _, _), taken in zip(ways, told, strict=True):
        yield _alarm(name, taken.result(), quiet, why)


def _alarm(name: str, told: Any, quiet: float, why: str | None) -> Figure:
    """``why``: the line is a proxy's. It proves nothing then, since each connection has all of a line to itself."""
    taken = told["alarms_ns"]
    p99 = percentile(taken, 0.99)
    notes = [
        f"p50 {S(median(taken))}",
        f"{len(taken)} alarms",
        f"pictures of {median(told['sizes']) / 1000:.0f} kB",
    ]
    if why is not None:
        notes.append(f"through a proxy, each connection for itself: {why}")
    name, ours = f"alarm beside a picture {name}, p99", f"{S(p99)} ({', '.join(notes)})"
    if _NOT_PACED in name or why is not None:
        return Figure(name, ours, S(quiet), p99 / quiet)
    return Figure(name, ours, S(quiet), p99 / quiet, "2 s", p99 <= ALARM_WITHIN_NS)


def _told(command: list[str]) -> Any:
    """What a program of the bench prints last."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])

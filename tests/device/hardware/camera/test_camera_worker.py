"""The post's side of the camera, with real processes at the other end of the pipe.

Some speak well; others are silent, die, talk nonsense, never listen, are stopped, or survive SIGKILL.
"""

import json
import logging
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from waiting import until

from device.config_camera import CameraSection
from device.effects import TakePicture
from device.hardware.camera import asked, life
from device.hardware.camera import worker as worker_module
from device.hardware.camera.asked import MOST_ASKED
from device.hardware.camera.process import MOST_UNSAID_BYTES
from device.hardware.camera.wire import MOST_BODY_BYTES, MOST_HEADER_BYTES
from device.hardware.camera.worker import MOST_TOLD, CameraWorker
from device.hardware.clock import KernelClock
from device.readings import Instant, PartBlind, PartSighted, Photo, PictureFailed, Reading, Refused, Trouble

SOURCE = "/guardpost/jember/kpu-gate"
EVENT = "0f4a3f52-7a5e-4d2f-9a51-6d8f7c1b2a30/7"
JPEG = b"\xff\xd8 a picture \xff\xd9"

# The wire in a few lines of its own, so that its bytes are held still too.
SPEAKS = """
import ctypes, json, os, select, signal, struct, sys, threading, time

def up_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

def say(kind, body=b"", length=None, **members):
    header = json.dumps({"is": kind, "body": len(body) if length is None else length, **members}).encode()
    whole = struct.pack(">I", len(header)) + header + body
    while whole:
        whole = whole[os.write(1, whole):]

def alive(blind="", frame_ms="now", **more):
    say("alive", blind=blind, frame_ms=up_ms() if frame_ms == "now" else frame_ms, **more)

def shot(take, body, **other):
    say("shot", body, **{"number": take["number"], "taken_ms": up_ms(), "width": 640, "height": 480, **other})

def live(word=alive, every_s=0.02):
    while True:
        word()
        time.sleep(every_s)

def in_the_background(word=alive):
    threading.Thread(target=live, args=(word,), daemon=True).start()

def noted(text):
    with open(sys.argv[1], "a") as notes:
        notes.write(text.strip() + "\\n")

def heard():
    for line in sys.stdin:
        noted(line)
        yield json.loads(line)
    os._exit(0)

def note(kind, **what):
    noted(json.dumps({"is": kind, **what}))

note("started", pid=os.getpid())
"""
WELL = """
in_the_background()
for message in heard():
    if message["is"] == "take":
        shot(message, b"\\xff\\xd8 a picture \\xff\\xd9", taken_ms=message["at_ms"] + message["offset_ms"] - 40)
"""
ONCE_THEN_WELL = """
if open(sys.argv[1]).read().count("started") == 1:
    {once}
""" + WELL  # fmt: skip

R = TypeVar("R")


class Camera:
    """A worker, its child of the test's own, and what came of both."""

    def __init__(self, folder: Path, program: str, clock: Any = None, **settings: Any) -> None:
        self.notes = folder / "notes"
        self.notes.touch()
        self.inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        self.photos: queue.SimpleQueue[Photo] = queue.SimpleQueue()
        self.clock = clock or KernelClock()
        command = (sys.executable, "-I", "-c", SPEAKS + program, str(self.notes))
        self.began = self.clock.now()
        self.worker = CameraWorker(
            command, CameraSection(**settings), SOURCE, self.clock, self.inbox, self.photos.put
        )

    def heard(self, kind: str) -> list[dict[str, Any]]:
        """What the children have noted."""
        # The last line may not be whole yet.
        lines = self.notes.read_text().rpartition("\n")[0].splitlines()
        return [found for line in lines if (found := json.loads(line))["is"] == kind]

    def pid(self, number: int = 0) -> int:
        """Of the child that was started first, or after so many others."""
        return int(until(lambda: self.heard("started")[number:])[0]["pid"])

    def next(self, kind: type[R]) -> R:
        """The next reading, which is one of these."""
        reading = self.inbox.get(timeout=20)
        assert isinstance(reading, kind), reading
        return reading

    def later(self, kind: type[R]) -> R:
        """The next reading of these, whatever comes before it."""
        while not isinstance(reading := self.inbox.get(timeout=20), kind):
            pass
        return reading

    def take(self, *offsets_ms: int, at: Instant | None = None) -> Instant:
        """Pictures of an event that happened now."""
        at = at or self.clock.now()
        self.worker.take(TakePicture(EVENT, at, offsets_ms or (0,)))
        return at


Begin = Callable[..., Camera]


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Starts one; all times that a test would have to wait for are short."""
    for name, ms in {"AGAIN_MS": 20, "AGAIN_AT_MOST_MS": 80, "ROUND_MS": 20}.items():
        monkeypatch.setattr(worker_module, name, ms)
    begun: list[Camera] = []

    def start(program: str, **settings: Any) -> Camera:
        camera = Camera(tmp_path, program, **settings)
        begun.append(camera)
        camera.worker.start()
        return camera

    yield start
    for camera in begun:
        camera.worker.stop()


def runs(pid: int) -> bool:
    with suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_a_camera_that_is_well_is_told_once_and_its_pictures_are_delivered_with_their_own_times(
    begin: Begin,
) -> None:
    camera = begin(WELL, size=(640, 480), before="2s", rate=5, masks=[(0, 0, 64, 48)], controls={"Sharpness": 2})
    camera.next(PartSighted)
    at = camera.take(-2_000, 0, 1_000)
    photos = [camera.photos.get(timeout=20) for _ in range(3)]
    assert [photo.offset_ms for photo in photos] == [-2_040, -40, 960]
    assert [photo.taken for photo in photos] == [at.earlier(-photo.offset_ms) for photo in photos]
    assert {(photo.why, photo.jpeg, photo.size) for photo in photos} == {(EVENT, JPEG, (640, 480))}
    assert camera.inbox.empty()
    (settings,) = camera.heard("settings")
    assert settings == {
        "is": "settings",
        "camera": 0,
        "size": [640, 480],
        "rate": 5,
        "before_ms": 2_000,
        "masks": [[0, 0, 64, 48]],
        "controls": {"Sharpness": 2},
        "quality": 85,
        "source": SOURCE,
    }
    takes = camera.heard("take")
    assert [(take["why"], take["offset_ms"]) for take in takes] == [(EVENT, -2_000), (EVENT, 0), (EVENT, 1_000)]
    assert {(take["at_ms"], take["wall_ms"], take["clock"]) for take in takes} == {
        (at.uptime_ms, at.wall_ms, at.clock)
    }
    assert len({take["number"] for take in takes}) == 3


def test_a_child_that_dies_is_blind_since_its_last_good_frame_and_another_one_sees_again(begin: Begin) -> None:
    once = "alive(); good = up_ms() - 7; note('good', ms=good); alive(frame_ms=good); sys.exit(3)"
    camera = begin(ONCE_THEN_WELL.format(once=once))
    camera.next(PartSighted)
    blind = camera.next(PartBlind)
    assert (blind.part, blind.why) == (
        "camera",
        "the camera's program ended with code 3: see what it said in the log",
    )
    assert blind.at.uptime_ms == camera.heard("good")[0]["ms"]
    assert camera.next(PartSighted).part == "camera"
    camera.take()
    assert camera.photos.get(timeout=20).jpeg == JPEG
    assert len(camera.heard("started")) == 2


def test_one_that_dies_again_and_again_is_told_once_and_started_less_and_less_often(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    camera = begin("os.kill(os.getpid(), signal.SIGSEGV)")
    why = "the camera's program was ended by a signal: Segmentation fault"
    assert camera.next(PartBlind).why == why
    until(lambda: len(caplog.messages) >= 5)
    assert caplog.messages[:5] == [
        f"{why}; another is started in {s} s" for s in ("0.02", "0.04", "0.08", "0.08", "0.08")
    ]
    assert camera.inbox.empty()


def test_the_last_word_of_a_child_that_gives_up_says_why(begin: Begin) -> None:
    camera = begin('alive(blind="no camera is connected", frame_ms=None); sys.exit(4)')
    assert camera.next(PartBlind).why == "no camera is connected"
    camera.pid(2)
    camera.take()
    assert camera.next(PictureFailed).why == "no camera is connected"


def test_blind_is_from_when_the_light_went_and_not_from_when_that_was_sure(begin: Begin) -> None:
    camera = begin("""
dark = up_ms()
for _ in range(20):
    alive(); time.sleep(0.01)
note("dark", ms=dark)
live(lambda: alive("black", blind_ms=dark))
""")
    camera.next(PartSighted)
    blind = camera.next(PartBlind)
    assert (blind.why, blind.at.uptime_ms) == ("black", camera.heard("dark")[0]["ms"])


def test_a_picture_fails_when_the_child_dies_over_it_and_while_there_is_none(begin: Begin) -> None:
    camera = begin("in_the_background()\nfor message in heard():\n    if message['is'] == 'take': os._exit(5)")
    camera.next(PartSighted)
    camera.take(-1_000, 0, 1_000)
    failed = [camera.later(PictureFailed) for _ in range(3)]
    assert {(each.event, each.why) for each in failed} == {
        (EVENT, "the camera's program ended with code 5: see what it said in the log")
    }
    assert camera.photos.empty()


def test_a_program_that_is_not_there_is_blind_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "AGAIN_MS", 20)
    program = tmp_path / "camera"
    inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
    clock = KernelClock()
    worker = CameraWorker((str(program),), CameraSection(), SOURCE, clock, inbox, lambda _: None)
    worker.start()
    try:
        blind = inbox.get(timeout=20)
        assert isinstance(blind, PartBlind)
        assert blind.why == f"the camera's program cannot be started (No such file or directory): {program}"
        worker.take(TakePicture(EVENT, clock.now(), (0,)))
        assert isinstance(failed := inbox.get(timeout=20), PictureFailed) and failed.why == blind.why
        # Written whole before it has its name, or it might be started while it is being written.
        new = tmp_path / "new"
        new.write_text(
            f"#!{sys.executable} -I\n{SPEAKS.replace('sys.argv[1]', repr(str(tmp_path / 'notes')))}{WELL}"
        )
        new.chmod(0o700)
        new.rename(program)
        assert isinstance(inbox.get(timeout=20), PartSighted)
    finally:
        worker.stop()


NONSENSE = {
    "words": b"Camera opened.\n",
    "an empty header": struct.pack(">I", 0),
    "a header too long": struct.pack(">I", MOST_HEADER_BYTES + 1),
    "no JSON": struct.pack(">I", 4) + b"{{{{",
    "no message": struct.pack(">I", 2) + b"{}",
    "of another kind": struct.pack(">I", 13) + b'{"is":"moved"}'[:13],
    "not UTF-8": struct.pack(">I", 4) + b"\xff\xfe\xfd\xfc",
    "a body of a word of life": struct.pack(">I", 50)
    + b'{"is":"alive","frame_ms":1,"blind":"","body":100}'.ljust(50),
}
UNTRUE = {
    "a frame of the future": "alive(frame_ms=up_ms() + 3_600_000)",
    "a body too large": f"shot(message, b'', length={MOST_BODY_BYTES + 1})",
    "a picture without bytes": "shot(message, b'')",
    "a picture that is no JPEG": "shot(message, b'GIF89a')",
    "a picture of no size": "shot(message, b'\\xff\\xd8', width=0)",
    "a picture of a size that no JPEG has": "shot(message, b'\\xff\\xd8', height=70_000)",
    "a picture of the future": "shot(message, b'\\xff\\xd8', taken_ms=up_ms() + 3_600_000)",
    "a picture from before the start of the machine": "shot(message, b'\\xff\\xd8', taken_ms=-1)",
    "a number that no clock shows": "shot(message, b'\\xff\\xd8', taken_ms=10 ** 400)",
}  # fmt: skip


@pytest.mark.parametrize("what", NONSENSE)
def test_a_child_that_talks_nonsense_is_killed_and_started_again(begin: Begin, what: str) -> None:
    once = f"alive(); os.write(1, {NONSENSE[what]!r}); time.sleep(600)"
    camera = begin(ONCE_THEN_WELL.format(once=once))
    camera.later(PartBlind)
    camera.next(PartSighted)
    until(lambda: not runs(camera.pid()))
    camera.take()
    assert camera.photos.get(timeout=20).jpeg == JPEG


@pytest.mark.parametrize("what", UNTRUE)
def test_a_child_that_tells_what_cannot_be_is_killed_and_the_picture_fails(begin: Begin, what: str) -> None:
    once = (
        f"alive()\n    for message in heard():\n        if message['is'] == 'take': {UNTRUE[what]}; time.sleep(600)"
    )
    camera = begin(ONCE_THEN_WELL.format(once=once))
    camera.next(PartSighted)
    camera.take()
    assert "nonsense" in camera.next(PictureFailed).why
    assert "nonsense" in camera.next(PartBlind).why
    camera.next(PartSighted)
    until(lambda: not runs(camera.pid()))
    assert camera.photos.empty()


def test_what_comes_a_byte_at_a_time_and_a_large_picture_are_taken_in_whole(begin: Begin) -> None:
    program = """
send = os.write
os.write = lambda fd, data: send(fd, data[:1]) if len(data) < 200 else send(fd, data)
alive()
for message in heard():
    if message["is"] == "take": shot(message, b"\\xff\\xd8" + bytes(5 << 20)); alive()
"""
    camera = begin(program)
    camera.next(PartSighted)
    camera.take()
    assert len(camera.photos.get(timeout=20).jpeg) == 2 + (5 << 20)


def test_a_silent_child_is_killed(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "SILENT_MS", 100)
    camera = begin(ONCE_THEN_WELL.format(once="alive(); time.sleep(600)"))
    camera.next(PartSighted)
    assert camera.next(PartBlind).why.startswith("the camera's program hangs: it said nothing for ")
    camera.next(PartSighted)
    until(lambda: not runs(camera.pid()))


def test_a_child_that_never_says_a_word_is_given_more_time_and_then_killed(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, ms in {"SILENT_MS": 1, "FIRST_FRAME_MS": 50, "OPENS_MS": 150}.items():
        monkeypatch.setattr(life, name, ms)
    camera = begin("time.sleep(600)")
    blind = camera.next(PartBlind)
    assert blind.why == "the camera gave no frame within 0 s of its start"
    assert blind.at.uptime_ms >= camera.began.uptime_ms
    until(lambda: not runs(camera.pid(0)))
    camera.pid(1)
    assert camera.inbox.empty()


def test_a_child_that_was_stopped_is_killed_all_the_same(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = begin(WELL)
    camera.next(PartSighted)
    os.kill(camera.pid(), signal.SIGSTOP)
    monkeypatch.setattr(life, "SILENT_MS", 200)
    assert "hangs" in camera.next(PartBlind).why
    until(lambda: not runs(camera.pid()))
    monkeypatch.setattr(life, "SILENT_MS", 20_000)
    camera.next(PartSighted)


def test_a_child_whose_frames_grow_old_is_killed_though_it_speaks(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "NO_FRAME_MS", 300)
    camera = begin(ONCE_THEN_WELL.format(once="first = up_ms(); live(lambda: alive(frame_ms=first))"))
    camera.next(PartSighted)
    blind = camera.next(PartBlind)
    assert blind.why == "the camera gave no frame for 0 s"
    camera.next(PartSighted)
    until(lambda: not runs(camera.pid()))


def test_a_child_that_never_listens_answers_nothing_holds_nobody_up_and_is_killed_in_the_end(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "ANSWER_MS", 1)
    camera = begin(ONCE_THEN_WELL.format(once="live()"))
    camera.next(PartSighted)
    failed: list[str] = []
    while "the camera's program does not listen" not in failed:
        camera.take(*range(MOST_ASKED))
        failed += [camera.next(PictureFailed).why for _ in range(MOST_ASKED)]
        assert len(failed) < 2 * MOST_UNSAID_BYTES
    assert "the camera's program gave no answer" in failed
    assert camera.next(PartBlind).why == "the camera's program does not listen"
    camera.next(PartSighted)


EARS_THEN_MOUTH = """
if (count := open(sys.argv[1]).read().count("started")) == 1:
    alive(); sys.stdin.readline(); os.close(0); live()
if count == 2:
    alive(); os.close(1); time.sleep(600)
"""


def test_a_child_that_shuts_its_ears_or_its_mouth_is_killed(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "ANSWER_MS", 50)
    camera = begin(EARS_THEN_MOUTH + WELL)
    camera.next(PartSighted)

    def why_failed() -> str:
        camera.take()
        return camera.next(PictureFailed).why

    until(lambda: why_failed() == "the camera's program does not listen any more")
    assert camera.next(PartBlind).why == "the camera's program does not listen any more"
    camera.next(PartSighted)
    assert camera.next(PartBlind).why == "the camera's program has closed its output"
    camera.next(PartSighted)
    until(lambda: not runs(camera.pid(0)) and not runs(camera.pid(1)))


# Its tracer never reaps it, so to us it is there after SIGKILL as one in the kernel's D state is.
UNDYING = """
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, anybody
me, (seized, seizes) = os.getpid(), os.pipe()
if os.fork() == 0:
    os.setsid()
    note("tracer", pid=os.getpid())
    assert libc.ptrace(0x4206, me, 0, 0) == 0  # PTRACE_SEIZE
    os.write(seizes, b"1")
    for end in (0, 1, seizes):
        os.close(end)
    signal.pause()
os.read(seized, 1)
alive()
time.sleep(600)
"""


def test_a_child_that_survives_sigkill_holds_nothing_up_and_none_is_started_beside_it(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "SILENT_MS", 100)
    lines = "\n".join(f"    {line}" for line in UNDYING.strip().splitlines())
    camera = begin(ONCE_THEN_WELL.replace("    {once}", lines))
    camera.next(PartSighted)
    tracer = int(until(lambda: camera.heard("tracer"))[0]["pid"])
    try:
        assert "hangs" in camera.next(PartBlind).why

        def why_failed() -> str:
            camera.take()
            return camera.next(PictureFailed).why

        until(lambda: "cannot be ended: switch the post off and on" in why_failed())
        assert len(camera.heard("started")) == 1
        monkeypatch.setattr(life, "SILENT_MS", 20_000)
    finally:
        os.kill(tracer, signal.SIGKILL)
    camera.next(PartSighted)
    assert len(camera.heard("started")) == 2


def test_a_picture_that_the_child_does_not_have_or_does_not_answer_fails(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "ANSWER_MS", 2_000)
    camera = begin(
        "in_the_background()\n"
        "for message in heard():\n"
        "    if message['is'] == 'take' and message['offset_ms']:\n"
        "        say('missed', number=message['number'], why='the camera was being opened')\n"
        "        shot(message, b'\\xff\\xd8')\n"
    )
    camera.next(PartSighted)
    camera.take(-1_000, 0)
    assert camera.next(PictureFailed).why == "the camera was being opened"
    assert camera.next(PictureFailed).why == "the camera's program gave no answer"
    assert camera.photos.empty()  # what comes once it was given up is dropped


def test_a_thousand_triggers_at_once_are_all_answered_and_few_of_them_wait(begin: Begin) -> None:
    camera = begin("in_the_background()\nfor message in heard():\n    pass")
    camera.next(PartSighted)
    for _ in range(1_000):
        camera.take()
    failed = [camera.next(PictureFailed) for _ in range(1_000 - MOST_ASKED)]
    assert {each.why for each in failed} == {f"{MOST_ASKED} pictures wait already"}
    assert len(until(lambda: camera.heard("take")[MOST_ASKED - 1 :])) == 1
    os.kill(camera.pid(), signal.SIGKILL)
    for _ in range(MOST_ASKED):
        assert "Killed" in camera.later(PictureFailed).why


def test_a_thread_that_hangs_gathers_no_heap_of_pictures(begin: Begin) -> None:
    go_on = threading.Event()
    camera = begin(WELL)
    camera.worker._deliver = lambda _: go_on.wait()  # type: ignore[assignment]
    camera.next(PartSighted)
    try:
        camera.take()
        until(lambda: camera.heard("take"))
        for _ in range(1_000):
            camera.take()
        assert "wait already" in camera.next(PictureFailed).why
        assert camera.worker._orders.qsize() <= MOST_ASKED
    finally:
        go_on.set()


TELLS = """
alive()
for n in range(100):
    say("told", why="control Zoom is not of this camera")
    say("told", why=f"line {n}")
"""


def test_what_the_child_tells_is_told_once_a_run_whoever_says_it_again_and_never_without_end(begin: Begin) -> None:
    camera = begin(TELLS + WELL)
    told = [camera.later(Refused) for _ in range(MOST_TOLD)]
    assert {each.what for each in told} == {Trouble.CAMERA}
    assert [each.why for each in told] == [
        "control Zoom is not of this camera",
        *(f"line {n}" for n in range(MOST_TOLD - 1)),
    ]
    os.kill(camera.pid(), signal.SIGKILL)
    camera.later(PartBlind)
    camera.next(PartSighted)
    camera.take()
    camera.photos.get(timeout=20)
    assert camera.inbox.empty()


def test_what_is_to_be_seen_in_the_frames_makes_it_blind_and_sighted_once_each(begin: Begin) -> None:
    program = """
words = iter(["", "black", "covered", ""])
blind = next(words)
in_the_background(lambda: alive(blind))
for message in heard():
    if message["is"] == "take": blind = next(words)
"""
    camera = begin(program)
    camera.next(PartSighted)
    camera.take()
    blind = camera.next(PartBlind)
    assert blind.why == "black"
    assert camera.began.uptime_ms < blind.at.uptime_ms
    for _ in range(2):
        camera.take()
    camera.next(PartSighted)
    assert camera.inbox.empty()
    assert len(camera.heard("started")) == 1


STALLED = "the camera gave no frame for 2 s"


class Words:
    """A child that says one word of life until the next one is wanted of it. ``good``: its last good frame."""

    def __init__(self, begin: Begin, *words: str) -> None:
        self.camera = begin(f"""
good = up_ms()
note("good", ms=good)
words = iter([{", ".join(f"dict({word})" for word in words)}])
word = next(words)
in_the_background(lambda: alive(**word))
for message in heard():
    if message["is"] == "take": word = next(words)
""")

    def next(self, blind: str) -> None:
        """On to the next word; until the post has heard that."""
        self.camera.take()
        until(lambda: (running := self.camera.worker._running) is not None and running[1].blind == blind)

    @property
    def good_ms(self) -> int:
        return int(self.camera.heard("good")[0]["ms"])


def test_a_camera_that_stalls_is_blind_for_the_reason_that_its_opening_anew_gives(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    opening = f"frame_ms=good, blind={STALLED!r}, opening=True"
    child = Words(begin, "frame_ms=good", opening, "frame_ms=good, blind='no camera is connected'")
    child.camera.next(PartSighted)
    child.next(STALLED)
    child.next("no camera is connected")
    blind = child.camera.next(PartBlind)
    assert (blind.why, blind.at.uptime_ms) == ("no camera is connected", child.good_ms)
    assert caplog.messages == ["the camera is blind: no camera is connected"]


def test_an_opening_that_says_nothing_for_long_is_not_waited_for(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "OPENING_MS", 50)
    child = Words(begin, "frame_ms=good", f"frame_ms=good, blind={STALLED!r}, opening=True")
    child.camera.next(PartSighted)
    child.next(STALLED)
    blind = child.camera.next(PartBlind)
    assert (blind.why, blind.at.uptime_ms) == (STALLED, child.good_ms)


def test_a_camera_that_an_opening_mends_was_blind_all_the_same(begin: Begin) -> None:
    opening = f"frame_ms=good, blind={STALLED!r}, opening=True"
    child = Words(begin, "frame_ms=good", opening, f"blind={STALLED!r}", "blind=''")
    child.camera.next(PartSighted)
    child.next(STALLED)
    child.camera.take()
    blind = child.camera.next(PartBlind)
    assert (blind.why, blind.at.uptime_ms) == (STALLED, child.good_ms)
    child.next("")
    child.camera.next(PartSighted)


def test_each_reason_is_logged_once_from_when_it_went_blind_until_it_sees(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    said = ("black", "covered", "black", "", "black", "covered")
    child = Words(begin, "blind=''", *(f"blind={why!r}" for why in said))
    child.camera.next(PartSighted)
    for why in said:
        child.next(why)
    child.camera.next(PartBlind)
    child.camera.next(PartSighted)
    child.camera.next(PartBlind)
    until(lambda: len(caplog.messages) >= 4)
    assert caplog.messages == [f"the camera is blind: {why}" for why in ("black", "covered", "black", "covered")]


def test_the_largest_size_is_told_to_the_child_and_to_the_next_one_as_well(begin: Begin) -> None:
    camera = begin(WELL)
    camera.next(PartSighted)
    camera.worker.fit(100_000)
    assert until(lambda: camera.heard("fit")) == [{"is": "fit", "most_bytes": 100_000}]
    os.kill(camera.pid(), signal.SIGKILL)
    until(lambda: len(camera.heard("fit")) == 2)
    assert camera.heard("fit")[1] == {"is": "fit", "most_bytes": 100_000}


class Leaping(KernelClock):
    """A clock that can be put forward, as uptime goes on while a machine sleeps."""

    ahead_ms = 0

    def now(self) -> Instant:
        return super().now().earlier(-self.ahead_ms)


def test_after_an_hour_in_which_nothing_ran_no_child_is_blamed(begin: Begin) -> None:
    clock = Leaping()
    camera = begin(WELL, clock=clock)
    camera.next(PartSighted)
    clock.ahead_ms = 3_600_000
    camera.take()
    assert camera.photos.get(timeout=20).jpeg == JPEG
    assert runs(camera.pid()) and camera.inbox.empty()


@pytest.mark.parametrize("program", [WELL, "live()"], ids=["listens", "deaf"])
def test_it_ends_with_its_child_which_is_killed_where_it_does_not_end(tmp_path: Path, program: str) -> None:
    camera = Camera(tmp_path, program)
    camera.worker.start()
    camera.next(PartSighted)
    camera.worker.stop()
    until(lambda: not runs(camera.pid()))
    until(lambda: "camera" not in [thread.name for thread in threading.enumerate()])
    camera.take()  # nobody hears it, and nothing breaks
    camera.worker.fit(1)


def test_a_thread_that_was_given_up_says_how_the_camera_stands_once_it_goes_on(begin: Begin) -> None:
    camera = begin(WELL)
    camera.next(PartSighted)
    # As the loop does that sees no sign of life for long enough.
    camera.worker.worker._given_up += 1
    camera.next(PartSighted)


def test_the_child_ends_with_a_post_that_is_killed(tmp_path: Path) -> None:
    post = f"""
import queue, sys, time
from device.config_camera import CameraSection
from device.hardware.camera.worker import CameraWorker
from device.hardware.clock import KernelClock
inbox = queue.SimpleQueue()
command = (sys.executable, "-I", "-c", {SPEAKS + WELL!r}, {str(tmp_path / "notes")!r})
CameraWorker(command, CameraSection(), "/g/s/p", KernelClock(), inbox, print).start()
inbox.get()
print("sighted", flush=True)
time.sleep(600)
"""
    (tmp_path / "notes").touch()
    with subprocess.Popen([sys.executable, "-c", post], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"sighted\n"
        (child,) = (json.loads(line)["pid"] for line in (tmp_path / "notes").read_text().splitlines()[:1])
        running.kill()
    until(lambda: not runs(child))

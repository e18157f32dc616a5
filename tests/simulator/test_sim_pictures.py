"""The post's side of the camera over the simulator's board: pictures show what was true when they were taken."""

import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from gpiozero import DigitalInputDevice
from waiting import until

from device.config import Config, parse
from device.effects import TakePicture
from device.hardware.camera.worker import CameraWorker
from device.readings import Instant, PartBlind, PartSighted, Photo, Reading, Refused
from simulator import scene, truth
from simulator.band import Seen
from simulator.board import Board
from simulator.clock import SimClock
from simulator.commands import Commands
from simulator.errors import CommandError, SimulatorError
from simulator.truth import FAULTS

EVENT = "0f4a3f52-7a5e-4d2f-9a51-6d8f7c1b2a30/7"
R = TypeVar("R")


def config(folder: Path, **sections: Any) -> Config:
    content = {
        "post": {"site": "demo", "name": "gate", "state_dir": "state", "timezone": "Asia/Jakarta"},
        "link": {"brokers": ["mqtt://127.0.0.1:1"]},
        "reader": [{"name": "gate", "driver": "rc522"}],
        "door": [{"name": "front", "pin": 17}, {"name": "back", "pin": 27}],
        "tamper": [{"name": "lid", "pin": 23, "normally": "open"}],
        "button": [{"name": "bell", "pin": 22, "does": "checkin"}],
        "camera": {"size": [640, 480], "before": "1s", "rate": 10},
    }
    return parse(content | sections, folder / "post.toml")


class Post:
    """A board, and the camera's thread of the post on it."""

    def __init__(self, board: Board, config: Config) -> None:
        assert config.camera is not None
        self.board = board
        self.inbox: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        self.photos: queue.SimpleQueue[Photo] = queue.SimpleQueue()
        self.clock = SimClock()
        self.camera = CameraWorker(
            board.copper.camera, config.camera, config.source, self.clock, self.inbox, self.photos.put
        )
        self.camera.start()

    def next(self, kind: type[R]) -> R:
        """The next reading of this kind."""
        while not isinstance(reading := self.inbox.get(timeout=60), kind):
            pass
        return reading

    def pictures(self, at: Instant, *offsets_ms: int) -> list[tuple[Photo, Seen]]:
        """Of an event that happened then."""
        self.camera.take(TakePicture(EVENT, at, offsets_ms))
        photos = [self.photos.get(timeout=60) for _ in offsets_ms]
        return [(photo, scene.read(photo.jpeg)) for photo in sorted(photos, key=lambda photo: photo.offset_ms)]


def so(board: Board) -> truth.Truth:
    """What its camera's child is told of the scene."""
    return truth.read(Path(board.copper.camera[-1]))


@contextmanager
def running(folder: Path, patience_s: float = 0.1) -> Iterator[Post]:
    made = config(folder)
    with closing(Board(made, patience_s=patience_s)) as board:
        post = Post(board, made)
        try:
            yield post
        finally:
            post.camera.stop()


def test_a_door_that_opens_is_shut_in_the_picture_from_before_and_open_in_the_one_from_after(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as post:
        post.next(PartSighted)
        began = post.clock.now()
        until(lambda: post.clock.now().uptime_ms > began.uptime_ms + 1_500)  # so much is kept by then
        opened = post.clock.now()
        post.board.open_door("front")
        (early, before), (late, after) = post.pictures(opened, -1_000, 1_000)
        assert (before.doors, after.doors) == ((False, False, False), (True, False, False))
        assert early.offset_ms < 0 < late.offset_ms
        for photo, seen in ((early, before), (late, after)):
            # The instant that the scene itself shows is the one that the picture is told to be of.
            assert seen.uptime_ms == photo.taken.uptime_ms == opened.uptime_ms + photo.offset_ms
        post.board.close_door("front")
        post.board.open_door("lid")
        ((_, then),) = post.pictures(post.clock.now(), 300)
        assert then.doors == (False, False, True)


def test_who_holds_a_badge_stands_there_then_and_not_afterwards(tmp_path: Path) -> None:
    with running(tmp_path, patience_s=2.0) as post:
        post.next(PartSighted)
        tap = threading.Thread(target=post.board.tap, args=(b"\1\2\3\4",))
        tap.start()
        until(lambda: so(post.board).at_reader == "gate")
        ((_, during),) = post.pictures(post.clock.now(), 100)
        tap.join()
        ((_, afterwards),) = post.pictures(post.clock.now(), 200)
        assert (during.someone, afterwards.someone) == (True, False)


def test_so_does_who_presses_a_button(tmp_path: Path) -> None:
    with closing(Board(config(tmp_path))) as board:
        press = threading.Thread(target=board.press, args=("bell",))
        press.start()
        until(lambda: so(board).at_reader == "bell")
        press.join()
        assert so(board).at_reader is None


def test_a_camera_that_is_unplugged_is_told_as_unplugged_from_its_last_frame_on(tmp_path: Path) -> None:
    with running(tmp_path) as post:
        post.next(PartSighted)
        post.board.camera("gone")
        pulled = post.clock.now()
        blind = post.next(PartBlind)
        assert blind.why.startswith("no camera is connected: ")
        assert blind.at.uptime_ms <= pulled.uptime_ms


@pytest.mark.parametrize("fault", ["die", "black"])
def test_a_camera_that_fails_is_blind_and_sighted_again_once_it_is_well(tmp_path: Path, fault: str) -> None:
    with running(tmp_path) as post:
        post.next(PartSighted)
        post.board.camera(fault)
        blind = post.next(PartBlind)
        assert blind.at.uptime_ms <= post.clock.now().uptime_ms
        post.board.camera("well")
        post.next(PartSighted)
        post.pictures(post.clock.now(), 0)


def test_a_camera_that_hangs_is_killed_with_its_child_and_the_next_one_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device.hardware.camera.life.SILENT_MS", 3_000)
    with running(tmp_path) as post:
        post.next(PartSighted)
        post.board.camera("hang")
        post.next(PartBlind)
        first = post.camera._running
        until(lambda: post.camera._running is not first)
        post.board.camera("well")
        post.next(PartSighted)
        post.pictures(post.clock.now(), 0)


def test_another_camera_of_another_size_is_told_and_its_pictures_are_of_its_own_size(tmp_path: Path) -> None:
    with running(tmp_path) as post:
        post.next(PartSighted)
        post.board.camera("small")
        assert post.next(Refused).why == "the camera gives 320 x 240 pixels, not 640 x 480"
        post.next(PartBlind)
        post.next(PartSighted)
        ((photo, _),) = post.pictures(post.clock.now(), 0)
        assert photo.size == (320, 240)


def test_two_posts_in_one_process_have_a_camera_each(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with running(tmp_path / "one") as one, running(tmp_path / "other") as other:
        for post in (one, other):
            post.next(PartSighted)
        one.board.open_door("back")
        one.board.camera("die")
        one.next(PartBlind)
        ((_, seen),) = other.pictures(other.clock.now(), 0)
        assert seen.doors == (False, False, False)
        assert other.inbox.empty()


def test_the_camera_fails_by_command_and_every_word_is_known(tmp_path: Path) -> None:
    made = config(tmp_path, reader=[], door=[{"name": "front", "pin": 17}], tamper=[], button=[])
    with closing(Board(made)) as board, closing(DigitalInputDevice(17, pull_up=True, pin_factory=board.factory)):
        do = Commands(board)
        assert so(board) == truth.Truth(doors={"front": False}, timezone="Asia/Jakarta")
        for fault, done in FAULTS.items():
            assert do(f"camera {fault}") == f"camera: {done}"
            assert so(board).camera == fault
        assert do("camera well") == "camera: is well"
        assert so(board).camera == ""
        known = ", ".join(["well", *FAULTS])
        assert do("camera dreams") == f"error: no 'dreams' here; there is: {known}"
        assert do("camera") == "error: wrong number of words after 'camera'; write: camera FAULT|well"
        assert do("open front") == "door front: open"
        assert so(board).doors == {"front": True}
        assert do("close front") == "door front: closed"
        assert so(board).doors == {"front": False}


def test_a_post_without_a_camera_has_no_scene(tmp_path: Path) -> None:
    with closing(Board(config(tmp_path, camera=None))) as board:
        with pytest.raises(
            CommandError, match=r"no camera in this post's configuration; write its \[camera\] section"
        ):
            board.camera("black")
        board.open_door("front")
    assert not (tmp_path / "state").exists()


def test_the_scene_is_not_on_the_disk_of_the_post_which_may_be_full_and_goes_with_the_board(tmp_path: Path) -> None:
    with closing(Board(config(tmp_path))) as board:
        folder = Path(board.copper.camera[-1]).parent
        assert folder.is_dir()
        assert not (tmp_path / "state").exists()
    assert not folder.exists()


def test_what_a_simulator_that_was_killed_left_behind_goes_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with subprocess.Popen(["true"]) as ended:
        pass
    of_ended, of_us = (tmp_path / f"guardpost-scene-{pid}-x" for pid in (ended.pid, os.getpid()))
    for folder in (of_ended, of_us):
        folder.mkdir()
    with closing(Board(config(tmp_path))):
        assert (of_ended.exists(), of_us.exists()) == (False, True)


def test_a_scene_that_cannot_be_written_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = config(tmp_path, reader=[], door=[{"name": "front", "pin": 17}], tamper=[], button=[])
    with closing(Board(made)) as board, closing(DigitalInputDevice(17, pull_up=True, pin_factory=board.factory)):
        do, folder = Commands(board), Path(board.copper.camera[-1]).parent
        shutil.rmtree(folder)
        for command in ("open front", "camera black"):
            assert (
                do(command) == f"error: the camera's scene cannot be written (No such file or directory): {folder}"
            )
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(
        SimulatorError, match=r"the camera's scene cannot be written \(No such file .*\): .*nowhere"
    ):
        Board(config(tmp_path))

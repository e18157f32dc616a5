"""What picamera2 finds on a Pi and not on libcamera's virtual camera, put in its place; for tests alone.

Three gaps: modules that only other uses of picamera2 need, buffers from the kernel's DMA heaps, and a sensor's raw
modes. Beyond them, the virtual camera is made to keep the frame duration that is asked for, as a sensor does,
and to suffer from faults.
"""

import math
import mmap
import os
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import libcamera

WHOLE, SMALL = "Virtual0", "Virtual1"
_LOST = ("stall", "gone")
_SHORTEST_S = 1 / 30
_NOT_USED = {
    "pykms": ("PixelFormat",),
    "pidng": (),
    "pidng.core": ("PICAM2DNG",),
    "pidng.camdefs": ("Picamera2Camera",),
}
"""Previews on a screen, and files of raw pixels: named when picamera2 starts, and then left alone."""


class _NotHere:
    """Any name of a module that is not here."""

    def __getattr__(self, name: str) -> str:
        return name


def install(fault: Callable[[], str]) -> None:
    """Makes ``import picamera2`` work here.

    ``fault`` tells what the camera suffers from, in the words of the simulator's; it is asked at each call into
    libcamera. Those are followed that can be made below picamera2: "stall", "gone", "small", and "hang" and "die",
    which are the doing of ``fault`` itself.
    """
    for name, contents in _NOT_USED.items():
        module = ModuleType(name)
        vars(module).update({content: _NotHere() for content in contents})
        sys.modules[name] = module
    Suffering(fault).install()
    _give_memory()


class Suffering:
    """The cameras that libcamera lists, and the one of them that a program may have."""

    def __init__(self, fault: Callable[[], str]) -> None:
        self._fault = fault
        self._lost = False
        self._duration_s = _SHORTEST_S
        self._due = -math.inf

    def install(self) -> None:
        """Puts itself between picamera2 and libcamera."""
        camera = libcamera.Camera
        self._acquire, self._start, self._queue = camera.acquire, camera.start, camera.queue_request
        self._cameras = libcamera.CameraManager.cameras.fget
        camera.acquire = _method(self.acquire)
        camera.start = _method(self.start)
        camera.queue_request = _method(self.queue)
        for name in ("configure", "stop", "release"):
            setattr(camera, name, self._suffering(getattr(camera, name)))
        libcamera.CameraManager.cameras = property(self.cameras)

    def cameras(self, manager: Any) -> list[Any]:
        """The one that is plugged in, if any."""
        fault = self._fault()
        there = None if fault == "gone" else SMALL if fault == "small" else WHOLE
        return [camera for camera in self._cameras(manager) if camera.id == there]

    def acquire(self, camera: Any) -> None:
        self._lost = self._fault() in _LOST
        self._acquire(camera)

    def start(self, camera: Any, controls: dict[Any, Any]) -> None:
        self._fault()
        limits = controls.get(libcamera.controls.FrameDurationLimits)
        self._duration_s = limits[0] / 1e6 if limits else _SHORTEST_S
        self._start(camera, controls)

    def queue(self, camera: Any, request: Any) -> None:
        """A frame for the request, in its time; a camera that is lost to this program gives none any more."""
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = max(self._due + self._duration_s, time.monotonic())
        fault = self._fault()
        self._lost |= fault in _LOST or (fault == "small") != (camera.id == SMALL)
        if not self._lost:
            self._queue(camera, request)

    def _suffering(self, method: Any) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._fault()
            return method(*arguments)

        return call


def _method(function: Callable[..., None]) -> Callable[..., None]:
    """A function of the class: a bound method is none."""

    def call(*arguments: Any) -> None:
        function(*arguments)

    return call


def _give_memory() -> None:
    """Gives picamera2 buffers in memory, and one mode for its sensor."""
    from picamera2 import Picamera2, allocators, picamera2

    class Memory(allocators.DmaAllocator):  # type: ignore[misc]
        """Buffers of two planes, as the virtual camera's NV12 needs, each in a file in memory."""

        def __init__(self) -> None:
            allocators.allocator.Allocator.__init__(self)
            self.dmaHeap = None
            self.mapped_buffers: dict[Any, mmap.mmap] = {}
            self.mapped_buffers_used: dict[int, bool] = {}
            self.frame_buffers: dict[Any, list[Any]] = {}
            self.open_fds: list[int] = []
            self.libcamera_fds: list[int] = []
            self.sync = _Mapped

        def allocate(self, configuration: Any, use_case: str) -> None:
            self.close()
            for stream in configuration:
                buffers = [self._buffer(stream) for _ in range(stream.buffer_count)]
                self.frame_buffers[stream.stream] = buffers

        def _buffer(self, stream: Any) -> Any:
            file = os.memfd_create("frame")
            os.ftruncate(file, stream.frame_size)
            self.open_fds.append(file)
            luma = stream.stride * stream.size.height
            planes = [_plane(file, 0, luma), _plane(file, luma, stream.frame_size - luma)]
            # libcamera copies the descriptor; the allocator's books are kept by the copy's number.
            self.libcamera_fds.append(planes[0].fd)
            self.mapped_buffers_used[planes[0].fd] = False
            buffer = libcamera.FrameBuffer(planes)
            self.mapped_buffers[buffer] = mmap.mmap(file, stream.frame_size)
            return buffer

    picamera2.DmaAllocator = Memory
    Picamera2._get_raw_modes = lambda _: [{"format": "NV12", "size": (1920, 1080)}]


class _Mapped:
    """A buffer in memory needs no syncing with a device."""

    def __init__(self, allocator: Any, buffer: Any, write: bool) -> None:
        self._memory: mmap.mmap = allocator.mapped_buffers[buffer]

    def __enter__(self) -> mmap.mmap:
        return self._memory

    def __exit__(self, *error: object) -> None:
        pass


def _plane(file: int, offset: int, length: int) -> Any:
    plane = libcamera.FrameBuffer.Plane()
    plane.fd, plane.offset, plane.length = file, offset, length
    return plane

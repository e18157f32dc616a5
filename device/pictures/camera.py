"""The camera and the keeper of its pictures, as the loop sees them: one thing that takes and hands over."""

from device.addresses import Broker
from device.effects import TakePicture
from device.hardware.camera.worker import CameraWorker
from device.pictures.worker import PicturesWorker


class Camera:
    """A ``seams.Pictures``: every call goes on to one of two threads."""

    def __init__(self, takes: CameraWorker, keeps: PicturesWorker) -> None:
        """Both are started and stopped by whoever made them."""
        self._takes = takes
        self._keeps = keeps

    def take(self, wanted: TakePicture) -> None:
        """Take pictures; each comes back as ``PictureTaken`` or ``PictureFailed``."""
        self._takes.take(wanted)

    def announced(self, sha256: str, event: str, position: int) -> None:
        """The event (its id) that announces a picture is on disk, at ``position`` or before."""
        self._keeps.announced(sha256, event, position)

    def again(self, order: str, sha256: str) -> None:
        """Send a picture again; the result comes back as ``Replayed``."""
        self._keeps.again(order, sha256)

    def work(self, done: int, through: tuple[Broker, str] | None) -> None:
        """How far events are acknowledged, and by which broker, over which MQTT version; None without a line."""
        self._keeps.work(done, through)

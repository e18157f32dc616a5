"""What goes out of a post: its events by the link, its pictures on a line of their own, and who it says it is."""

import random
from contextlib import ExitStack

from device.config import Config
from device.hardware.readers.driver import Copper
from device.hardware.worker import Workers
from device.link.budget import Budget
from device.link.hints import Hints
from device.link.line import Access, Line, MqttVersion, Will
from device.link.topics import Topics
from device.link.uplink import Uplink
from device.parts import Ends, begin
from device.readings import Photo
from device.record.opening import Record
from device.seams import Pictures


def uplink(config: Config, record: Record, bootid: str, budget: Budget, ends: Ends) -> Uplink:
    """The link; it dials once the loop runs."""
    clock, inbox = ends
    topics = Topics.of(config.source)
    hints = Hints(topics, bootid, record.key.jwk())
    will = Will(topics.status, hints.offline())

    def dial(generation: int, version: MqttVersion) -> Line:
        return Line(generation, version, access(config), will, inbox, clock)

    return Uplink(
        config.link, hints, record.journal, record.journal.cursors(), dial, inbox.put, random.Random(), budget
    )


def access(config: Config, suffix: str = "") -> Access:
    """How the post shows who it is; ``suffix`` makes a client id that does not push the running post away."""
    user = f"{config.post.site}/{config.post.name}"
    return Access(
        user=user,
        client_id=user.replace("/", ".") + suffix,  # some brokers refuse a slash in it
        password_file=config.link.password_file,
        ca_file=config.link.ca_file,
        certificate_file=config.link.certificate_file,
        key_file=config.link.key_file,
    )


def pictures(
    config: Config,
    copper: Copper,
    ends: Ends,
    record: Record,
    budget: Budget,
    workers: Workers,
    stack: ExitStack,
) -> Pictures | None:
    """Start to look, and to keep what was seen."""
    if config.camera is None:
        return None
    from device.hardware.camera.worker import CameraWorker
    from device.pictures.camera import Camera
    from device.pictures.worker import PicturesWorker

    def shrunk(jpeg: bytes, most_bytes: int) -> tuple[bytes, int, int] | None:
        from device.hardware.camera.shrink import shrunk  # needs a library that few posts ever do

        return shrunk(jpeg, most_bytes)

    def deliver(photo: Photo) -> None:
        keeps.store(photo)

    takes = CameraWorker(copper.camera, config.camera, config.source, *ends, deliver)
    keeps = PicturesWorker(
        config.camera,
        config.link.picture_rate,
        config.post.state_dir,
        record.journal.newest(),
        Topics.of(config.source),
        access(config, "-pictures"),
        *ends,
        takes.fit,
        shrunk,
        budget,
    )
    begin(keeps, workers, stack)
    begin(takes, workers, stack)
    return Camera(takes, keeps)

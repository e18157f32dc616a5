"""Real brokers on loopback, and Mosquitto's own clients as the foreign far end."""

import contextlib
import json
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waiting import until

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


def free_port() -> int:
    """A loopback port that nobody listens on, below those that Linux gives to outgoing connections.

    So it stays ours between uses, and whoever dials it while nobody listens cannot get it as his own end as well.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


@dataclass
class Mosquitto:
    """A broker of one test; ``stop`` and ``start`` keep its port. ``lines``: more of its configuration."""

    folder: Path
    port: int = field(default_factory=free_port)
    lines: Sequence[str] = ("allow_anonymous true",)
    persistent: bool = True
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        config = self.folder / "mosquitto.conf"
        kept = [f"persistence {str(self.persistent).lower()}", f"persistence_location {self.folder}/"]
        log_to = [f"log_dest file {self.folder}/log", "log_type all", "user root", "max_queued_messages 100000"]
        config.write_text("\n".join([f"listener {self.port} 127.0.0.1", *kept, *log_to, *self.lines]) + "\n")
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
        until(self._listens, what="Mosquitto")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(10)
            self.process = None

    def reload(self) -> None:
        """Read the configuration and its files again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def _listens(self) -> bool:
        assert self.process is not None and self.process.poll() is None, "Mosquitto has ended"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@contextmanager
def mosquitto(folder: Path, **settings: Any) -> Iterator[Mosquitto]:
    """A running broker."""
    broker = Mosquitto(folder, **settings)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@dataclass(frozen=True)
class Heard:
    """One message as ``mosquitto_sub`` printed it."""

    topic: str
    payload: bytes
    retained: bool

    def json(self) -> Any:
        return json.loads(self.payload)


_MESSAGE = re.compile(r"MSG ([01]) (\S+) ([0-9a-f]*)")
"""What the client says of itself may come in the middle of one that it broke off."""


class Listener:
    """``mosquitto_sub``: a client that is not ours."""

    def __init__(self, port: int, topic: str, version: str = "5", *more: str) -> None:
        """Returns once it is subscribed."""
        self.heard: list[Heard] = []
        self._process = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", "-V", version, "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-d",
             "-t", topic, "-F", "MSG %r %t %x", *more],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._subscribed = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        assert self._subscribed.wait(20), "mosquitto_sub got no SUBACK"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if (message := _MESSAGE.fullmatch(line.rstrip("\n"))) is not None:
                retained, topic, payload = message.groups()
                self.heard.append(Heard(topic, bytes.fromhex(payload), retained == "1"))
            elif "SUBACK" in line:
                self._subscribed.set()

    def of(self, level: str) -> list[Heard]:
        """What came on topics with this level, ``event`` for one."""
        return [heard for heard in list(self.heard) if f"/{level}" in heard.topic]

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:  # mosquitto_sub's signal handler takes locks that its loop may hold
            self._process.kill()
            self._process.wait(10)
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def listening(port: int, topic: str = "guardpost/#", version: str = "5", *more: str) -> Iterator[Listener]:
    """A listener that is subscribed."""
    listener = Listener(port, topic, version, *more)
    try:
        yield listener
    finally:
        listener.close()

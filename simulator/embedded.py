"""A broker of our own on loopback: iotcore, in a child process that ends with us."""

import signal
import socket
from pathlib import Path
from typing import Protocol

from iotcore import Broker

from simulator.errors import SimulatorError

MAX_PAYLOAD_BYTES = 2 * 1024 * 1024
"""iotcore's own default of 20 KiB would close the connection of whoever sends a picture."""
_TRIES = 5

# rumqttd speaks MQTT 5 and 3.1.1 on separate ports only.
_CONFIG = """\
id = 0

[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "v5"
listen = "127.0.0.1:{mqtt5}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {payload}
max_inflight_count = 100

[v4.1]
name = "v4"
listen = "127.0.0.1:{mqtt311}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = {payload}
max_inflight_count = 100
"""


class _Process(Protocol):
    """What we use of ``iotcore.Broker``, which has no types of its own."""

    def start(self) -> object:
        """Returns once it listens. Raises OSError, RuntimeError."""
        ...

    def stop(self) -> None:
        """Ends the child."""
        ...


class EmbeddedBroker:
    """``mqtt5`` and ``mqtt311`` are its ports on 127.0.0.1. It keeps nothing over a restart."""

    def __init__(self, folder: Path) -> None:
        """``folder``: for its configuration."""
        self._file = folder / "broker.toml"
        self._process: _Process | None = None
        self.mqtt5 = self.mqtt311 = 0

    def start(self) -> None:
        """Start it on free ports. Raises SimulatorError."""
        failure: Exception | None = None
        for _ in range(_TRIES):  # a port that was free may be taken a moment later
            self.mqtt5, self.mqtt311 = _free_ports()
            self._file.write_text(
                _CONFIG.format(mqtt5=self.mqtt5, mqtt311=self.mqtt311, payload=MAX_PAYLOAD_BYTES), encoding="utf-8"
            )
            try:
                self._process = _started(self._file)
            except (OSError, RuntimeError) as error:
                failure = error
            else:
                return
        raise SimulatorError(f"the embedded broker does not start ({failure}); name another with --broker")

    def stop(self) -> None:
        """End its process; its ports are free again."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def __enter__(self) -> "EmbeddedBroker":
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()


def _started(file: Path) -> _Process:
    # A child inherits blocked signals: Ctrl-C in the terminal must reach us, who then end it, and not the broker.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process: _Process = Broker(config_path=str(file))
        process.start()
        return process
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        for chosen in (first, second):
            chosen.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]

"""``guardpost-sim demo``: broker, post and recorder on one machine, a night with a cut line, and the proof."""

import logging
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from device.errors import GuardpostError
from recorder.broker import Broker, parse_broker
from recorder.errors import RecorderError, UsageError
from recorder.service import Recorder, Settings
from simulator.child import PostProcess
from simulator.embedded import EmbeddedBroker
from simulator.errors import SimulatorError
from simulator.evidence import Evidence
from simulator.line import Line
from simulator.night import TICK_S, Night
from simulator.screen import Screen, open_screen
from simulator.script import POST, ROOT, SITE, furnish

CONNECT_WITHIN_S = 15.0


def demo(seconds: float | None, broker: str | None) -> bool:
    """Show a night; True if every recorded event arrived and verified. Raises SimulatorError."""
    other = None if broker is None else _address(broker)
    folder = Path(tempfile.mkdtemp(prefix="guardpost-demo-"))
    logging.basicConfig(filename=folder / "recorder.log", level=logging.INFO)
    with _stopping() as stop:
        screen = open_screen()
        try:
            complete = _demo(folder, seconds, other, screen, stop)
        except (GuardpostError, RecorderError, SimulatorError) as error:
            raise SimulatorError(f"{error}; its files are kept in {folder}") from None
        finally:
            screen.close()
    if complete:
        shutil.rmtree(folder)
    else:
        print(f"its files are kept in {folder}")
    return complete


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one ends us at once."""
    stop = threading.Event()

    def ask(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _demo(
    folder: Path, seconds: float | None, broker: Broker | None, screen: Screen, stop: threading.Event
) -> bool:
    with ExitStack() as stack:
        if broker is None:
            embedded = stack.enter_context(EmbeddedBroker(folder))
            broker = Broker("127.0.0.1", embedded.mqtt5)
            screen.say(f"broker: 127.0.0.1, MQTT 5 at port {embedded.mqtt5}, MQTT 3.1.1 at {embedded.mqtt311}")
        line = Line(broker.host, broker.port)
        line.start()
        stack.callback(line.stop)
        store = folder / "headquarters.sqlite3"
        recorder = Recorder(Settings(broker, store, ROOT, f"guardpost-demo-{secrets.token_hex(4)}"))
        stack.enter_context(recorder)
        _wait_connected(recorder, broker, stop)
        post = PostProcess(furnish(folder, line.port), folder / "control", folder / "post.log")
        stack.callback(post.stop)
        post.start()
        screen.say(f"topics: {ROOT}/{SITE}/{POST}/#")
        night = Night(post, line, Evidence(folder / "state", store), recorder, screen, stop)
        night.pass_by(seconds)
        return night.end()


def _address(broker: str) -> Broker:
    try:
        address = parse_broker(broker)
    except UsageError as error:
        raise SimulatorError(str(error)) from None
    if address.tls or address.user:
        raise SimulatorError(
            f"{broker}: the demonstration's line carries no TLS and no user; write mqtt://host:port"
        )
    return address


def _wait_connected(recorder: Recorder, broker: Broker, stop: threading.Event) -> None:
    """A broker drops what nobody subscribes to, so the recorder comes first."""
    give_up_s = time.monotonic() + CONNECT_WITHIN_S
    while not recorder.connected and not stop.is_set():
        if time.monotonic() > give_up_s or recorder.failure:
            raise SimulatorError(f"{broker}: the recorder cannot connect; is a broker there?")
        stop.wait(TICK_S)

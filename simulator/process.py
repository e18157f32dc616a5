"""``guardpost-sim post``: the unmodified device program on a simulated board, in this process."""

import os
import signal
import sys
import threading
from pathlib import Path

from device.config import Config, load
from device.errors import ConfigError, GuardpostError
from device.wiring import run
from simulator.board import Board
from simulator.clock import SimClock
from simulator.commands import Commands
from simulator.control import ControlServer
from simulator.errors import SimulatorError

_CONFIG, _STATE = 2, 3
"""Exit codes of the device program (``guardpost --help``)."""


def run_post(file: Path, control: Path, pins_log: Path | None, *, until_eof: bool) -> int:
    """Run until a signal; the device program's exit code. Raises SimulatorError."""
    try:
        config = load(file)
        board = _board(config, pins_log or _default_log(config.post.state_dir))
        try:
            # Before the device program takes the signals, and after it gives them back.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, _end)
            with ControlServer(control, Commands(board)):
                if until_eof:
                    threading.Thread(target=_stop_at_eof, name="standard input", daemon=True).start()
                try:
                    return run(config, copper=board.copper, clock=SimClock(), environment=os.environ)
                finally:
                    board.gone()  # the socket closes only once its commands have ended
        finally:
            board.close()
    except GuardpostError as error:
        print(error, file=sys.stderr)
        return _CONFIG if isinstance(error, ConfigError) else _STATE


def _board(config: Config, log: Path) -> Board:
    try:
        return Board(config, log=log)
    except OSError as error:
        raise SimulatorError(f"{log}: cannot be written ({error.strerror}); name another --pins-log") from None


def _default_log(state_dir: Path) -> Path:
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SimulatorError(
            f"{state_dir}: cannot be used as state_dir ({error.strerror}); see who owns it"
        ) from None
    return state_dir / "pins.log"


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def _stop_at_eof() -> None:
    # os.read, since a daemon thread inside sys.stdin would hold its lock when the interpreter ends.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)

"""A simulated post as a child process, and its control socket."""

import subprocess
import sys
import time
from pathlib import Path

from simulator.client import ask
from simulator.errors import ControlError, SimulatorError

_START_WITHIN_S = 20.0
_STOP_WITHIN_S = 15.0
_POLL_S = 0.05


class PostProcess:
    """``python -m simulator post`` with its own state; it ends when we do, even if we are killed."""

    def __init__(self, config: Path, control: Path, log: Path) -> None:
        """``log``: what the post says."""
        self._config = config
        self._control = control
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it can be told what to do. Raises SimulatorError."""
        words = ["--config", str(self._config), "--control", str(self._control), "--until-eof"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "simulator", "post", *words],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for us, who then end it
            )
        give_up_s = time.monotonic() + _START_WITHIN_S
        while time.monotonic() < give_up_s:
            self.check()
            try:
                self.do("lights")
                return
            except ControlError:
                time.sleep(_POLL_S)
        raise SimulatorError(f"the post does not start; it said: {self._last_words()}")

    def do(self, command: str) -> str:
        """The answer to one command. Raises ControlError."""
        return ask(self._control, command)

    def check(self) -> None:
        """Raises SimulatorError if it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise SimulatorError(f"the post ended with code {self._process.returncode}: {self._last_words()}")

    def stop(self) -> int:
        """Ask it to end, and wait; its exit code. It is killed if it does not."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.terminate()
        try:
            code = process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if process.stdin is not None:
            process.stdin.close()
        return code

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "nothing"

"""The demonstration, all of it: post, line, broker, recorder, and the proof at its end."""

import os
import signal
import subprocess
import sys
import threading

import pytest

WORDS = [sys.executable, "-m", "simulator", "demo"]


@pytest.mark.timeout(180)
def test_a_short_night_with_a_cut_line_loses_nothing() -> None:
    done = subprocess.run([*WORDS, "--seconds", "12"], capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    for sight in (
        "officer-1 taps  accepted (green, one short beep)",
        "officer-1 taps again  repeated (green, two short beeps)",
        "officer-3 taps, badge expired  refused (red, one long beep)",
        "THE LINE IS CUT",
        "officer-2 taps  accepted (green, one short beep)",
        "door held",
        " picture -",  # from before what it is of
        "every recorded event arrived at headquarters and verified",
    ):
        assert sight in done.stdout, done.stdout


@pytest.mark.timeout(120)
def test_ctrl_c_ends_the_night_in_good_order() -> None:
    with subprocess.Popen(WORDS, stdout=subprocess.PIPE, text=True, start_new_session=True) as night:
        overdue = threading.Timer(100, night.kill)
        overdue.start()
        assert night.stdout is not None
        lines: list[str] = []
        for line in night.stdout:
            lines.append(line)
            if "closes it" in line and not any("the night ends" in before for before in lines):
                os.killpg(night.pid, signal.SIGINT)  # as a terminal does: everybody in the foreground hears it
        overdue.cancel()
    assert night.returncode == 0, "".join(lines)
    assert lines[-1] == "every recorded event arrived at headquarters and verified\n"

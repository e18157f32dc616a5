"""What the figures were measured on, in a line."""

import os
import platform
import re
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from brokers import MOSQUITTO


def machine(folder: Path) -> str:
    """Processor, disk and versions; ``folder`` is on the measured disk."""
    parts = [
        f"{os.cpu_count()} cores ({_processor()})",
        _file_system(folder),
        f"Linux {platform.release().partition('-')[0]}",
        f"Python {platform.python_version()}",
        f"SQLite {sqlite3.sqlite_version}",
        _mosquitto(),
        str(datetime.now(UTC).date()),
    ]
    return ", ".join(parts)


def _processor() -> str:
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{found[1]}, {platform.machine()}" if found else platform.machine()


def _file_system(folder: Path) -> str:
    command = ["stat", "--file-system", "--format", "%T", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _mosquitto() -> str:
    told = subprocess.run([MOSQUITTO, "-h"], capture_output=True, text=True, check=False).stdout
    return told.partition("\n")[0].replace("mosquitto version", "Mosquitto")

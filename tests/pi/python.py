"""The layer on the tree: a virtual environment of its Python with the project's pins and picamera2."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.markers import Marker

from pi.debian import PYTHON
from pi.room import environment, inside

ROOT = Path(__file__).parents[2]
PINS = (ROOT / "requirements" / "test.txt", ROOT / "requirements" / "pi.txt")
_REQUIREMENT = re.compile(
    r"^(?P<pin>[^\s#;]+)(?: ; (?P<marker>[^\\\n]+?))?(?P<hashes>(?: *\\\n +\S+)*)$", re.MULTILINE
)


class NotInstalled(Exception):
    """The packages could not be put into the layer."""


def definition() -> list[str]:
    """All that the layer depends on, besides the tree."""
    return [Path(__file__).read_text("utf-8"), *(file.read_text("utf-8") for file in PINS)]


def pinned(lock: str) -> str:
    """The requirements of ``lock`` that hold for the tree's Python, without markers: pip would ask this Python."""
    here = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
    return "".join(
        found["pin"] + found["hashes"] + "\n"
        for found in _REQUIREMENT.finditer(lock)
        if found["marker"] is None or Marker(found["marker"].strip()).evaluate(here)
    )


def make(folder: Path, tree: Path) -> None:
    """Fills ``folder`` with the layer. pip of this machine fetches, as it is set up here. Raises NotInstalled."""
    (folder / "opt" / "guardpost").mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="guardpost-wheels-") as temporary:
        wheels = Path(temporary)
        (wheels / "pins.txt").write_text("".join(pinned(file.read_text("utf-8")) for file in PINS), "utf-8")
        fetched = subprocess.run(
            [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--require-hashes",
             "--no-deps", "--only-binary", ":all:", "--python-version", PYTHON, "--implementation", "cp",
             "--dest", str(wheels), "--requirement", str(wheels / "pins.txt")],
            check=False,
        )  # fmt: skip
        if fetched.returncode != 0:
            raise NotInstalled(f"pip could not fetch the pins for Python {PYTHON}; its words are above")
        install = (
            "python3 -m venv --system-site-packages /opt/guardpost && "
            "pip install --quiet --no-index --find-links /wheels --require-hashes --no-deps -r /wheels/pins.txt"
        )
        bind = {folder / "opt" / "guardpost": "/opt/guardpost", wheels: "/wheels"}
        words = inside([tree], ["sh", "-c", install], bind=bind)
        if subprocess.run(words, env=environment(), check=False).returncode != 0:
            raise NotInstalled("pip could not install the pins in the tree; its words are above")

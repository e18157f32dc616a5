"""What is so before the simulated camera, in a file: the board writes it, the camera's stand-in reads it."""

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

WELL = ""
FAULTS = {
    "stall": "gives no more frames, until it is opened anew while it is well",
    "hang": "hangs: whatever is asked of it blocks",
    "die": "takes its process along",
    "gone": "is unplugged",
    "black": "sees nothing: no light",
    "covered": "is covered",
    "frozen": "gives the same frame again and again",
    "turned": "looks at a wall",
    "small": "is another one, of half the size",
}
"""By the word of the command ``camera FAULT``: what the camera does then."""


class Truth(BaseModel):
    """``doors``: each door and lid, and whether it is open. ``at_reader``: where somebody stands, None for nobody.

    ``camera``: its fault. ``timezone``: of the clock on the wall.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    doors: dict[str, bool] = {}
    at_reader: str | None = None
    camera: str = WELL
    timezone: str = "UTC"


GONE = Truth(camera="gone")


def write(file: Path, truth: Truth) -> None:
    """Replace it as a whole: nobody reads half of it. Raises OSError."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(truth.model_dump_json(), encoding="utf-8")
    new.replace(file)


def read(file: Path) -> Truth:
    """What is so now. Where there is no file (any more), there is no camera."""
    try:
        return Truth.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return GONE


def read_at(file: Path, clock: int) -> tuple[Truth, int]:
    """What was so at an instant of a clock, in nanoseconds: nothing changed around it."""
    before = read(file)
    while True:
        at_ns = time.clock_gettime_ns(clock)
        after = read(file)
        if after == before:
            return after, at_ns
        before = after

"""Which of libcamera's controls a camera takes."""

from collections.abc import Mapping
from typing import Any

Control = bool | int | float | str | tuple[float, ...]
Limits = Mapping[str, tuple[Any, Any, Any]]
"""Least, most and default by name, as picamera2 lists them."""

_LEAST_FRAMES_A_SECOND = 10
"""Of the sensor: fewer would blur whoever moves, more would only warm the Pi."""


def understood(wanted: Mapping[str, Control], listed: Limits) -> tuple[dict[str, Control], list[str]]:
    """The controls that the camera takes, and a line for each that it does not."""
    taken: dict[str, Control] = {}
    told: list[str] = []
    for name, value in wanted.items():
        if name not in listed:
            told.append(f"control {name} is not of this camera")
            continue
        least, most, _ = listed[name]
        whole = all(isinstance(end, int) for end in (least if isinstance(least, (tuple, list)) else (least,)))
        given = value if isinstance(value, tuple) else (value,)
        numbers = [number for number in given if not isinstance(number, str)]
        if len(numbers) < len(given) or (whole and any(number != int(number) for number in numbers)):
            told.append(f"control {name} takes {'whole numbers' if whole else 'numbers'}, not {value!s:.60}")
        elif isinstance(least, (int, float)) and not all(least <= number <= most for number in numbers):
            told.append(f"control {name} goes from {least} to {most}: {value} is outside")
        else:
            # The wire makes fractions of the numbers in a list, which libcamera does not take for whole ones.
            exact = tuple(int(number) if whole and not isinstance(number, bool) else number for number in numbers)
            taken[name] = exact if isinstance(value, tuple) else exact[0]
    return taken, told


def paced(rate: int, listed: Limits) -> dict[str, Control]:
    """The control that lets the sensor give no more frames than are of use, where the camera lists it."""
    if "FrameDurationLimits" not in listed:
        return {}
    least, most, _ = listed["FrameDurationLimits"]
    wanted = 1_000_000 // max(rate, _LEAST_FRAMES_A_SECOND)
    duration = max(least, min(most, wanted))
    return {"FrameDurationLimits": (duration, duration)}

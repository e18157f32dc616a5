"""Pins that somebody else has: the program ends with one line that says which, and what to look for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gpiozero import DigitalInputDevice
from gpiozero.pins.mock import MockFactory, MockPin
from postkit import RunningClock

from device.config import parse
from device.errors import StateError
from device.hardware.readers.driver import Copper
from device.wiring import run

SECTIONS: dict[str, Any] = {
    "door": [{"name": "front", "pin": 17}],
    "tamper": [{"name": "lid", "pin": 23}],
    "button": [{"name": "checkin", "pin": 22, "does": "checkin"}],
    "indicator": {"green": 5, "red": 6, "buzzer": 13},
}
INPUTS = "door, button, tamper and UPS"


class LgpioError(Exception):
    """As lgpio's ``error``, which is none of gpiozero's: its text is the library's own, in quotes (lgErr.c)."""

    def __str__(self) -> str:
        return "'GPIO busy'"


class Taken(MockFactory):  # type: ignore[misc]
    """Another process holds one line, so that the kernel refuses it (EBUSY, LG_GPIO_BUSY)."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def pin(self, name: object, pin_class: type[MockPin] | None = None, **kwargs: object) -> MockPin:
        if name == self.number:
            raise LgpioError
        return super().pin(name, pin_class, **kwargs)


@pytest.fixture
def refusal(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """What the program says as it ends on these pins."""

    def said(factory: MockFactory, **sections: Any) -> str:
        content = {
            "post": {"site": "jember", "name": "gate", "state_dir": str(tmp_path)},
            "link": {"brokers": ["mqtt://127.0.0.1:1"]},
            **SECTIONS,
            **sections,
        }
        copper = Copper(factory, (OSError, LgpioError))
        with pytest.raises(StateError) as ended:
            run(parse(content, tmp_path / "post.toml"), copper=copper, clock=RunningClock(), environment={})
        return str(ended.value)

    yield said


@pytest.mark.parametrize(
    ("number", "whose"), [(5, "indicator"), (6, "indicator"), (17, INPUTS), (22, INPUTS), (23, INPUTS)]
)
def test_a_line_that_another_process_holds(refusal: Callable[..., str], number: int, whose: str) -> None:
    line = refusal(Taken(number))
    assert line == f"the {whose} pins cannot be used ('GPIO busy'); is another program holding them?"


def test_a_pin_that_this_process_has_taken_itself(refusal: Callable[..., str]) -> None:
    factory = MockFactory()
    other = DigitalInputDevice(17, pin_factory=factory)
    line = refusal(factory)
    assert line.startswith(f"the {INPUTS} pins cannot be used (pin GPIO17 is already in use by <gpiozero.")
    assert "\n" not in line
    other.close()


def test_a_buzzer_whose_pin_has_no_pwm(refusal: Callable[..., str]) -> None:
    """gpiozero's own mock pins have none."""
    line = refusal(MockFactory(), indicator={"green": 5, "red": 6, "buzzer": 13, "buzzer_kind": "passive"})
    assert line.startswith("the indicator pins cannot be used (PinPWMUnsupported)")

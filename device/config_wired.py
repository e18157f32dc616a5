"""The sections of what is wired to the Pi's pins beside readers: contacts, buttons, lights, buzzer, UPS."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from device.config_section import Section
from device.config_values import Duration, Hours, Percent, Pin, Slug
from device.problems import problem


class ContactSection(Section):
    """A contact between ``pin`` and ground. ``normally``: while the door is shut, or all is well."""

    name: Slug
    pin: Pin
    normally: Literal["closed", "open"] = "closed"


class DoorSection(ContactSection):
    """``[[door]]``: a door's contact."""

    held_after: Duration = timedelta(seconds=60)
    forced_without_checkin: Duration | None = None


class ButtonSection(Section):
    """``[[button]]``: a push button between ``pin`` and ground."""

    name: Slug
    pin: Pin
    does: Literal["checkin"]


class TamperSection(ContactSection):
    """``[[tamper]]``: a lid's contact, or a tamper line: an alarm each time it leaves its normal state."""


class IndicatorSection(Section):
    """``[indicator]``: lights and buzzer.

    ``lit_by``, ``buzzer_by``: the level of the pin that switches them on. ``tone_hz``: of a passive buzzer.
    ``volume``, ``night_volume``: percent; an active buzzer beeps for so much of its time instead.
    """

    green: Pin
    red: Pin
    lit_by: Literal["high", "low"] = "high"
    buzzer: Pin | None = None
    buzzer_kind: Literal["active", "passive"] = "active"
    buzzer_by: Literal["high", "low"] = "high"
    tone_hz: Annotated[int, Field(ge=100, le=10_000, strict=True)] = 2_000
    volume: Percent = 100
    night: Hours | None = None
    night_volume: Percent = 30

    @model_validator(mode="after")
    def _tone_can_be_given(self) -> "IndicatorSection":
        if "tone_hz" in self.model_fields_set and self.buzzer_kind == "active":
            raise problem('an active buzzer has a tone of its own; drop tone_hz, or write buzzer_kind = "passive"')
        return self


class UpsSection(Section):
    """``[ups]``: a UPS's line that tells whether there are mains. ``mains_when``: its level while there are.

    ``stop_after``: without mains for so long, the post stops and the machine is switched off; absent: never.
    """

    pin: Pin
    mains_when: Literal["high", "low"]
    stop_after: Duration | None = None

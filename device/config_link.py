"""``[link]``: the section of the way to the control room."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from device.addresses import BrokerAddress
from device.config_section import Section
from device.config_values import Duration, Size
from device.problems import problem

SLOWEST_PICTURES = 1_000


class LinkSection(Section):
    """``[link]``: the way to the control room. ``picture_rate``: bytes a second that pictures may take of it."""

    brokers: Annotated[tuple[BrokerAddress, ...], Field(min_length=1)]
    root: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = "guardpost"
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    keep_until: Literal["receipt", "broker"] = "receipt"
    receipt_timeout: Duration = timedelta(seconds=30)
    keepalive: Duration = timedelta(seconds=60)
    state_every: Duration = timedelta(minutes=5)
    picture_rate: Size = 128_000
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @field_validator("keepalive")
    @classmethod
    def _keepalive_fits(cls, value: timedelta) -> timedelta:
        if not timedelta(seconds=5) <= value <= timedelta(hours=1):
            raise problem('must be from "5s" to "1h"')
        return value

    @field_validator("state_every")
    @classmethod
    def _state_paced(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=5):
            raise problem('must be "5s" or more')
        return value

    @field_validator("picture_rate")
    @classmethod
    def _fast_enough(cls, value: int) -> int:
        if value < SLOWEST_PICTURES:
            raise problem('must be "1kB" or more (a second)')
        return value

    @model_validator(mode="after")
    def _hears_refusals(self) -> "LinkSection":
        if self.keep_until == "broker" and self.protocol == "3.1.1":
            raise problem(
                'keep_until = "broker" needs MQTT 5, since 3.1.1 hides refusals; drop protocol or keep_until'
            )
        return self

    @model_validator(mode="after")
    def _pair(self) -> "LinkSection":
        if (self.certificate_file is None) != (self.key_file is None):
            raise problem("certificate_file and key_file belong together; give both or neither")
        return self

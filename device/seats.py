"""The rules of a post: which there are, in which order they are asked, and the state each goes on from."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from device.config import Config
from device.config_camera import CameraSection
from device.hardware.switched import MainsLine
from device.parts import switched
from device.rules.checkin import CheckinRule
from device.rules.doors import DoorLimits, DoorsRule
from device.rules.health import HealthRule
from device.rules.orders import OrdersRule
from device.rules.pictures import PicturesRule
from device.rules.power import PowerRule
from device.rules.removed import RemovedRule
from device.rules.roster import Roster
from device.rules.rule import Rule, Seat
from device.rules.selftest import SelftestRule
from device.rules.timekeeping import TimekeepingRule
from device.unread import JOURNAL


def rule_seats(config: Config, roster: Roster, snapshots: dict[str, str]) -> tuple[list[Seat[Any]], list[str]]:
    """Every rule with its state as the journal kept it, and a line about each state that was unusable."""
    doors = [
        DoorLimits(
            name=door.name,
            held_after_ms=_ms(door.held_after),
            checkin_within_ms=_ms_or_none(door.forced_without_checkin),
        )
        for door in config.door
    ]
    rules: tuple[Rule[Any], ...] = (
        HealthRule([*_parts(config)]),
        TimekeepingRule(),
        PowerRule(_ms_or_none(None if config.ups is None else config.ups.stop_after)),
        CheckinRule(roster, _ms(config.checkin.repeat_after)),
        DoorsRule(doors, [tamper.name for tamper in config.tamper]),
        OrdersRule(no_pictures=_no_pictures(config.camera)),
        RemovedRule(),
        SelftestRule(
            readers=[reader.name for reader in config.reader],
            inputs=[what.name for what in switched(config) if not isinstance(what, MainsLine)],
            others=_own_parts(config),
            times=config.selftest.at,
            zone=config.timezone,
            lights=config.indicator is not None,
        ),
        *([] if config.camera is None else [_picture_rule(config.camera)]),
    )
    seats, unusable = [], []
    for rule in rules:
        try:
            seats.append(Seat.restored(rule, snapshots.get(rule.name)))
        except ValueError as error:
            unusable.append(f"{error}; it starts afresh")
            seats.append(Seat(rule, rule.initial))
    return seats, unusable


def _picture_rule(camera: CameraSection) -> PicturesRule:
    return PicturesRule(camera.on, _ms(camera.before), _ms(camera.after), camera.most_a_minute)


def _no_pictures(camera: CameraSection | None) -> str | None:
    """Why an order to take a picture is refused."""
    if camera is None:
        return "this post has no camera"
    return None if "order" in camera.on else 'camera.on of this post does not name "order"'


def _parts(config: Config) -> Iterator[str]:
    """What can go blind."""
    yield from _own_parts(config)
    yield from (f"reader {reader.name}" for reader in config.reader)
    yield from (f"input {what.name}" for what in switched(config))


def _own_parts(config: Config) -> list[str]:
    """Those that are neither a reader nor an input."""
    indicator = [] if config.indicator is None else ["indicator"]
    camera = [] if config.camera is None else ["camera", "pictures"]
    return [JOURNAL, "vitals", "contacts", *indicator, *camera]


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _ms_or_none(duration: timedelta | None) -> int | None:
    return None if duration is None else _ms(duration)

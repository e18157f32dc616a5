"""The post's configuration: one TOML file into one frozen tree; every mistake is one line with its mend."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, PrivateAttr, SerializeAsAny, field_validator, model_validator

from device.addresses import TimeServerAddress
from device.config_camera import CameraSection
from device.config_link import LinkSection
from device.config_section import Section, resolved
from device.config_values import Duration, Size, Slug, TimeOfDay
from device.config_wired import (
    ButtonSection,
    ContactSection,
    DoorSection,
    IndicatorSection,
    TamperSection,
    UpsSection,
)
from device.drivers import reader_driver, reader_names
from device.errors import ConfigError
from device.problems import parse_toml, problem, validated

SMALLEST_JOURNAL_BYTES = 4 << 20


class PostSection(Section):
    """``[post]``: who and where."""

    site: Slug
    name: Slug
    timezone: str = "UTC"
    state_dir: Path = Path("/var/lib/guardpost")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise problem(f'{value!r} is no time zone; write an IANA name like "Asia/Jakarta"') from None
        return value


class TimeSection(Section):
    """``[time]``: a time server near the post, which ``guardpost check`` asks."""

    server: TimeServerAddress | None = None


class JournalSection(Section):
    """``[journal]``: how long events stay that headquarters has, and how large the journal may grow."""

    keep_days: Annotated[int, Field(ge=0, le=36_500, strict=True)] = 90
    most_bytes: Size = 1 << 30

    @field_validator("most_bytes")
    @classmethod
    def _large_enough(cls, value: int) -> int:
        if value < SMALLEST_JOURNAL_BYTES:
            raise problem('must be "4MiB" or more')
        return value


class RosterSection(Section):
    """``[roster]``: who may tap."""

    file: Path = Path("/etc/guardpost/roster.toml")


class CheckinSection(Section):
    """``[checkin]``: how taps are judged."""

    repeat_after: Duration = timedelta(seconds=10)


class ReaderSection(Section):
    """``[[reader]]``: a badge reader; each driver has keys of its own besides these."""

    name: Slug
    driver: str

    def pins(self) -> Iterable[tuple[int, str]]:
        """BCM pins that are this reader's alone, and the key or the use of each."""
        return ()

    def shared(self) -> Iterable[tuple[int, str]]:
        """BCM pins of a bus, which others on the same bus name in the same way."""
        return ()

    def ports(self) -> Iterable[tuple[str, str]]:
        """Ports, and the user of each; readers that share a port name one user."""
        return ()

    def devices(self) -> Iterable[tuple[Path, str]]:
        """Device files that the driver opens, and what to do where one is not there."""
        return ()

    def libraries(self) -> Iterable[tuple[str, str]]:
        """Modules that the driver imports as it opens them, and how each is installed."""
        return ()


def _reader(value: object) -> object:
    """A section with the keys of its driver."""
    if not isinstance(value, dict):
        return value
    name = value.get("driver")
    try:
        section: type[ReaderSection] = reader_driver(name if isinstance(name, str) else "").section
    except LookupError:
        raise problem(f"driver {name!r} is not known; there are {', '.join(sorted(reader_names()))}") from None
    except ImportError as error:
        raise problem(f"driver {name!r} needs {error.name}; install it, see the README") from None
    return section.model_validate(value)


AnyReader = Annotated[SerializeAsAny[ReaderSection], BeforeValidator(_reader)]


class SelftestSection(Section):
    """``[selftest]``: when the post tests itself, by the time of day in its own time zone."""

    at: tuple[TimeOfDay, ...] = ()


class Config(Section):
    """The whole file."""

    post: PostSection
    link: LinkSection
    journal: JournalSection = JournalSection()
    time: TimeSection = TimeSection()
    roster: RosterSection = RosterSection()
    checkin: CheckinSection = CheckinSection()
    reader: tuple[AnyReader, ...] = ()
    door: tuple[DoorSection, ...] = ()
    button: tuple[ButtonSection, ...] = ()
    tamper: tuple[TamperSection, ...] = ()
    indicator: IndicatorSection | None = None
    ups: UpsSection | None = None
    camera: CameraSection | None = None
    selftest: SelftestSection = SelftestSection()

    _written_ms: int = PrivateAttr(default=0)

    @property
    def written_ms(self) -> int:
        """When the file was last written, milliseconds since 1970 UTC: on a new card, when that was made."""
        return self._written_ms

    @cached_property
    def source(self) -> str:
        """The CloudEvents source, which is the topic root with a slash before it."""
        return f"/{self.link.root}/{self.post.site}/{self.post.name}"

    @property
    def timezone(self) -> ZoneInfo:
        """The time zone of dates in the roster and of what people are shown."""
        return ZoneInfo(self.post.timezone)

    @model_validator(mode="after")
    def _one_owner_each(self) -> "Config":
        for owners, what, mend in (
            (self._pins(), "pin", "give each its own pin"),
            (self._ports(), "port", "give each its own"),
            (self._names(), "name", "give each its own name, since it becomes an event's subject"),
        ):
            taken: dict[object, str] = {}
            for value, owner in owners:
                if value in taken:
                    raise problem(f"{what} {value} is used by {taken[value]} and by {owner}; {mend}")
                taken[value] = owner
        return self

    def _names(self) -> Iterator[tuple[str, str]]:
        yield "post", "the post itself"
        if self.camera is not None:
            yield "camera", "the camera"
        for kind in ("reader", "door", "button", "tamper"):
            for index, section in enumerate(getattr(self, kind)):
                yield section.name, f"{kind}[{index}]"

    def _ports(self) -> Iterator[tuple[str, str]]:
        yield from dict.fromkeys(port for reader in self.reader for port in reader.ports())

    def _pins(self) -> Iterator[tuple[int, str]]:
        yield from {(pin, use) for reader in self.reader for pin, use in reader.shared()}
        for kind in ("reader", "door", "button", "tamper"):
            for index, section in enumerate(getattr(self, kind)):
                yield from _pins_of(section, f"{kind}[{index}]")
        if self.ups is not None:
            yield self.ups.pin, "ups.pin"
        if self.indicator is not None:
            for light in ("green", "red", "buzzer"):
                if (pin := getattr(self.indicator, light)) is not None:
                    yield pin, f"indicator.{light}"


def _pins_of(section: Section, owner: str) -> Iterator[tuple[int, str]]:
    if isinstance(section, ReaderSection):
        yield from ((pin, f"{owner}.{use}") for pin, use in section.pins())
    if isinstance(section, ContactSection | ButtonSection):
        yield section.pin, f"{owner}.pin"


def load(file: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError, one line a problem."""
    try:
        content, written_ns = file.read_bytes(), file.stat().st_mtime_ns
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); name another with --config") from None
    config = parse(parse_toml(content, file), file)
    config._written_ms = written_ns // 1_000_000
    return config


def parse(content: dict[str, Any], file: Path) -> Config:
    """The tree from a file's content; relative paths are relative to the file. Raises ConfigError."""
    return resolved(validated(Config, content, file), file.resolve().parent)

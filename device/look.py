"""What ``guardpost check`` sees of readers and certificates while nothing is opened, so that the post may run."""

import grp
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from cryptography import x509

from device.config import Config, ReaderSection
from device.config_link import LinkSection
from device.readings import Instant
from device.result import Result

RENEW_DAYS = 30
"""Before a certificate ends: a post may have to be visited for it."""


def readers(config: Config) -> Iterator[Result]:
    """Of each: whether its driver's libraries are installed, and its device files there for this user."""
    for section in config.reader:
        part = f"reader {section.name}"
        if troubles := [*_troubles(section)]:
            yield Result(part, False, f"{section.driver}: {'; '.join(troubles)}")
        else:
            there = ", ".join(["its library", *(str(device) for device, _ in section.devices())])
            yield Result(part, True, f"{section.driver}: {there}; check --by-hand tries the reader itself")


def _troubles(section: ReaderSection) -> Iterator[str]:
    for module, mend in section.libraries():
        if find_spec(module) is None:
            yield f"the library {module} is not installed: {mend}"
    for device, mend in section.devices():
        if not os.access(device, os.F_OK):
            yield f"{device} is not there: {mend}"
        elif not os.access(device, os.R_OK | os.W_OK):
            yield f"{device} may not be used by this user: put the post's user into the group {_group(device)}"


def _group(device: Path) -> str:
    number = device.stat().st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def certificates(link: LinkSection, now: Instant) -> Iterator[Result]:
    """How long the post's own is good, and the last of those that sign the broker's."""
    if link.certificate_file is not None:
        yield _certificate("certificate", link.certificate_file, now, first=True)
    if link.ca_file is not None:
        yield _certificate("CA", link.ca_file, now, first=False)


def _certificate(part: str, file: Path, now: Instant, *, first: bool) -> Result:
    """``first``: the first in the file counts, as in TLS; else that which lasts longest, as while a CA changes."""
    try:
        ends = [found.not_valid_after_utc for found in x509.load_pem_x509_certificates(file.read_bytes())]
    except OSError as error:
        return Result(part, False, f"{file}: cannot be read ({error.strerror}); see link and who owns the file")
    except (ValueError, x509.InvalidVersion):
        return Result(part, False, f"{file}: no certificates in PEM; get it anew from whoever made it")
    end = ends[0] if first else max(ends)
    days = (end - datetime.fromtimestamp(now.wall_ms / 1000, UTC)).days
    if days < 0:
        return Result(part, False, f"{file}: expired on {end:%Y-%m-%d}: renew it")
    if days < RENEW_DAYS:
        in_days = f"{days} {'day' if days == 1 else 'days'}"
        return Result(part, True, f"{file}: expires in {in_days}: renew it", advised=True)
    return Result(part, True, f"{file}: {days} days left")

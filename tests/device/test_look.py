"""What ``guardpost check`` sees of readers and certificates while nothing is opened."""

import grp
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from certificates import Authority

from device.config import Config, ReaderSection, parse
from device.look import certificates, readers
from device.readings import Instant
from device.result import Result

GROUP = grp.getgrgid(os.getegid()).gr_name


def post_with(folder: Path, *sections: dict[str, Any], **link: Any) -> Config:
    content = {
        "post": {"site": "jember", "name": "kpu-gate"},
        "link": {"brokers": ["mqtt://127.0.0.1:1"], **link},
        "reader": list(sections),
    }
    return parse(content, folder / "post.toml")


def of_reader(folder: Path, **section: Any) -> Result:
    (result,) = readers(post_with(folder, {"name": "gate", **section}))
    return result


def days_from_now(days: float) -> Instant:
    return Instant(0, int((datetime.now(UTC) + timedelta(days=days)).timestamp() * 1000), "synced", 5)


def test_a_reader_whose_port_is_there_passes(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    result = of_reader(tmp_path, driver="pn532", port=str(port))
    assert (result.part, result.passed) == ("reader gate", True)
    assert result.why == f"pn532: its library, {port}; check --by-hand tries the reader itself"


@pytest.mark.parametrize(
    ("section", "device", "mend"),
    [
        ({"driver": "rc522", "chip_select": 1}, "/dev/spidev0.1", "write dtparam=spi=on into"),
        ({"driver": "pn532", "port": "{folder}/tty"}, "{folder}/tty", "plug the reader in, or enable the UART"),
        ({"driver": "osdp", "port": "{folder}/tty"}, "{folder}/tty", "plug the reader in, or enable the UART"),
        ({"driver": "hid", "device": "/dev/input/by-id/none"}, "/dev/input/by-id/none", "plug it in"),
    ],
)
def test_a_device_file_that_is_not_there_is_named_with_its_mend(
    tmp_path: Path, section: dict[str, Any], device: str, mend: str
) -> None:
    filled = {
        key: value.format(folder=tmp_path) if isinstance(value, str) else value for key, value in section.items()
    }
    result = of_reader(tmp_path, **filled)
    assert not result.passed
    assert f"{device.format(folder=tmp_path)} is not there: {mend}" in result.why


@contextmanager
def seen_by_another_user() -> Iterator[None]:
    """access(2) asks for the real user: root, who may open everything, is nobody for once."""
    real, effective, saved = os.getresuid()
    if effective == 0:
        os.setresuid(65534, effective, saved)
    try:
        yield
    finally:
        os.setresuid(real, effective, saved)


def test_a_device_file_that_this_user_may_not_use_is_named_with_the_group_that_may() -> None:
    with TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        port = Path(folder) / "ttyUSB0"
        port.touch(mode=0o000)
        with seen_by_another_user():
            result = of_reader(Path(folder), driver="pn532", port=str(port))
    assert result.why == (f"pn532: {port} may not be used by this user: put the post's user into the group {GROUP}")


class Stranger(ReaderSection):
    """Of a driver that another package brings, and whose library does not come with it."""

    def libraries(self) -> Iterable[tuple[str, str]]:
        yield "no_such_library", "pip install no-such-library"


def test_a_library_that_is_not_installed_is_named_with_its_mend(tmp_path: Path) -> None:
    config = post_with(tmp_path).model_copy(update={"reader": (Stranger(name="gate", driver="stranger"),)})
    (result,) = readers(config)
    assert str(result) == (
        "FAIL  reader gate     stranger: the library no_such_library is not installed: pip install no-such-library"
    )


def of_certificate(folder: Path, days: float) -> Result:
    """Of one that is good for 30 days, looked at so many days from now."""
    certificate, key = Authority(folder / "pki").issue("jember/kpu-gate", begins_in=timedelta())
    link = post_with(folder, certificate_file=str(certificate), key_file=str(key)).link
    (result,) = certificates(link, days_from_now(days))
    return result


@pytest.mark.parametrize(
    ("days", "word", "told"),
    [
        (-5.5, "pass", "35 days left"),
        (17.5, "note", "expires in 12 days: renew it"),
        (28.5, "note", "expires in 1 day: renew it"),
        (29.5, "note", "expires in 0 days: renew it"),
        (30.5, "FAIL", ": renew it"),
    ],
)
def test_the_posts_own_certificate_is_to_be_renewed_in_time(
    tmp_path: Path, days: float, word: str, told: str
) -> None:
    result = of_certificate(tmp_path, days)
    assert result.part == "certificate"
    assert str(result).startswith(word)
    assert result.why.endswith(told)
    assert word != "FAIL" or "expired on " in result.why


def test_while_a_ca_is_renewed_the_new_one_beside_the_old_one_counts(tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    short, _ = old.issue("an older one")
    both = tmp_path / "both.pem"
    both.write_bytes(short.read_bytes() + new.file.read_bytes())
    (result,) = certificates(post_with(tmp_path, ca_file=str(both)).link, days_from_now(20.5))
    assert (result.part, result.passed, result.advised) == ("CA", True, False)
    assert result.why == f"{both}: 39 days left"


@pytest.mark.parametrize(
    "content", [b"", b"nothing\n", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_a_certificate_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    (result,) = certificates(post_with(tmp_path, ca_file="ca.pem").link, days_from_now(0))
    assert (result.passed, "no certificates in PEM" in result.why) == (False, True)


def test_a_certificate_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (result,) = certificates(post_with(tmp_path, ca_file="ca.pem").link, days_from_now(0))
    assert result.why.startswith(f"{tmp_path}/ca.pem: cannot be read (No such file or directory)")


def test_a_post_without_certificates_hears_nothing_of_them(tmp_path: Path) -> None:
    assert list(certificates(post_with(tmp_path).link, days_from_now(0))) == []

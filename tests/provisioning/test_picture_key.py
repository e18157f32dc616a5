"""The key pair that pictures are sealed with: made once, kept from others, and usable as it is printed."""

import re
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from device.config_camera import CameraSection
from device.record.sealing import open_sealed, seal
from provisioning.__main__ import main

SOURCE = "/guardpost/jember/kpu-gate"
ED25519 = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
"""A key for signatures, which seals nothing."""


def test_what_a_post_seals_for_the_printed_key_the_written_one_opens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pictures.pem"
    assert main(["picture-key", str(file)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    (public,) = re.findall(r'^seal_to = "([A-Za-z0-9_-]{43})"$', said.out, re.MULTILINE)
    seal_to = CameraSection.model_validate({"seal_to": public}).seal_to
    assert seal_to is not None
    private = load_pem_private_key(file.read_bytes(), None)
    assert isinstance(private, X25519PrivateKey)
    assert open_sealed(private, SOURCE, seal(seal_to, SOURCE, b"a picture")) == b"a picture"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_key_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "pictures.pem"
    assert main(["picture-key", str(file)]) == 0
    before = file.read_bytes()
    capsys.readouterr()
    assert main(["picture-key", str(file)]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"{file}: is there already")
    assert said.out == ""
    assert file.read_bytes() == before


def test_a_place_that_takes_no_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["picture-key", str(tmp_path / "nowhere" / "x.pem")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_public_key_is_shown_again_a_year_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "pictures.pem"
    assert main(["picture-key", str(file)]) == 0
    (line,) = re.findall(r"^seal_to = .*$", capsys.readouterr().out, re.MULTILINE)
    before = file.read_bytes()
    assert main(["picture-key", "--show", str(file)]) == 0
    assert capsys.readouterr().out == f"{line}\n"
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [None, "", "no key", ED25519])
def test_a_file_without_such_a_key_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    file = tmp_path / "pictures.pem"
    if content is not None:
        file.write_text(content)
    assert main(["picture-key", "--show", str(file)]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"{file}: ")
    assert (said.out, file.exists()) == ("", content is not None)

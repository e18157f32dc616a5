"""Keys: made once, for their owner alone; a damaged one is set aside, a sound one never."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from device.errors import StateError
from device.record.keys import set_aside, signing_key, site_key, write_durably


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o7777


def pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def limited(what: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(what)
    resource.setrlimit(what, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


def test_the_first_start_makes_a_key_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    with umask(0):
        made = signing_key(tmp_path / "signing.key")
        site = site_key(tmp_path / "site.key")
    assert made.damaged is None
    assert site.damaged is None
    assert len(site.key) == 32
    assert {mode(file) for file in tmp_path.iterdir()} == {0o600}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["signing.key", "site.key"]


def test_the_second_start_finds_the_same_keys(tmp_path: Path) -> None:
    first, again = (signing_key(tmp_path / "signing.key") for _ in range(2))
    assert (first.key.kid, first.key.public) == (again.key.kid, again.key.public)
    made, found = (site_key(tmp_path / "site.key") for _ in range(2))
    assert made.key == found.key
    assert (made.made, found.made) == (True, False)


def test_two_posts_have_two_keys(tmp_path: Path) -> None:
    assert signing_key(tmp_path / "a").key.kid != signing_key(tmp_path / "b").key.kid
    assert site_key(tmp_path / "c").key != site_key(tmp_path / "d").key


def test_what_it_signs_is_verified_by_the_public_half_that_it_names(tmp_path: Path) -> None:
    key = signing_key(tmp_path / "signing.key").key
    Ed25519PublicKey.from_public_bytes(key.public).verify(key.sign(b"event"), b"event")
    assert key.jwk().kid == key.kid


def test_a_mode_that_lets_others_read_is_narrowed_and_the_key_kept(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"
    kid = signing_key(file).key.kid
    file.chmod(0o644)
    assert signing_key(file).key.kid == kid
    assert mode(file) == 0o600


def test_a_new_file_that_a_cut_left_behind_is_written_over_and_is_the_owners_alone(tmp_path: Path) -> None:
    leftover = tmp_path / "signing.key.new"
    leftover.write_bytes(b"half a key of an earlier start, and longer than a key is" * 9)
    leftover.chmod(0o666)
    signing_key(tmp_path / "signing.key")
    assert mode(tmp_path / "signing.key") == 0o600
    assert not leftover.exists()
    assert signing_key(tmp_path / "signing.key").damaged is None


GOOD = pem(Ed25519PrivateKey.generate())
DAMAGED = {
    "empty": b"",
    "zeros, as a cut leaves them": bytes(119),
    "truncated": GOOD[: len(GOOD) // 2],
    "garbage": b"\xff\xfe\x00garbage",
    "a foreign kind of file": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "an RSA key": pem(rsa.generate_private_key(65_537, 2_048)),
    "a key under a password": pem(Ed25519PrivateKey.generate(), b"secret"),
    "one flipped byte": GOOD.replace(b"MC4C", b"MD4C"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_signing_key_is_set_aside_unchanged_with_one_line_and_a_new_one_made(
    tmp_path: Path, damage: str
) -> None:
    file = tmp_path / "signing.key"
    file.write_bytes(DAMAGED[damage])
    made = signing_key(file)
    assert made.damaged is not None
    assert len(made.damaged.splitlines()) == 1
    assert made.damaged.startswith(f"{file}: ")
    assert "set aside as signing.key.damaged-1" in made.damaged
    assert (tmp_path / "signing.key.damaged-1").read_bytes() == DAMAGED[damage]
    again = signing_key(file)
    assert (again.key.kid, again.damaged) == (made.key.kid, None)
    assert mode(file) == 0o600


@pytest.mark.parametrize("damage", [b"", b"abcd", b"zz" * 32, b"ab" * 31, b"ab" * 33, b"\xff" * 64])
def test_a_damaged_site_key_is_set_aside_and_a_new_one_made(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "site.key"
    file.write_bytes(damage)
    made = site_key(file)
    assert made.damaged is not None
    assert len(made.damaged.splitlines()) == 1
    assert len(made.key) == 32
    assert (tmp_path / "site.key.damaged-1").read_bytes() == damage
    assert site_key(file).damaged is None


def test_a_folder_in_the_keys_place_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"
    (file / "inner").mkdir(parents=True)
    made = signing_key(file)
    assert made.damaged is not None
    assert "Is a directory" in made.damaged
    assert (tmp_path / "signing.key.damaged-1" / "inner").is_dir()
    assert file.is_file()


def test_every_damaged_key_is_kept_beside_the_ones_before(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"
    for content in (b"first", b"second", b"third"):
        file.write_bytes(content)
        signing_key(file)
    kept = [(tmp_path / f"signing.key.damaged-{number}").read_bytes() for number in (1, 2, 3)]
    assert kept == [b"first", b"second", b"third"]


def test_a_process_out_of_file_descriptors_does_not_take_its_key_for_damaged(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"
    kid = signing_key(file).key.kid
    with limited(resource.RLIMIT_NOFILE, 0), pytest.raises(StateError, match="cannot be read"):
        signing_key(file)
    assert signing_key(file).key.kid == kid
    assert [kept.name for kept in tmp_path.iterdir()] == ["signing.key"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_key_of_another_user_is_not_taken_for_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    file = folder / "signing.key"
    signing_key(file)
    folder.chmod(0o777)
    program = (
        "import os, sys; from pathlib import Path; from device.record.keys import signing_key\n"
        "os.chdir(sys.argv[1]); os.setuid(65534); signing_key(Path('signing.key'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "StateError: signing.key: cannot be read (Permission denied); see who owns it" in done.stderr
    assert [kept.name for kept in folder.iterdir()] == ["signing.key"]


def test_a_key_that_cannot_be_written_is_a_state_error_and_leaves_none(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"
    with limited(resource.RLIMIT_FSIZE, 10), pytest.raises(StateError, match="cannot be written"):
        signing_key(file)
    assert not file.exists()
    assert signing_key(file).damaged is None


def test_a_file_that_cannot_be_written_anew_keeps_its_old_content(tmp_path: Path) -> None:
    file = tmp_path / "roster"
    write_durably(file, b"old")
    with limited(resource.RLIMIT_FSIZE, 10), pytest.raises(StateError):
        write_durably(file, b"new" * 100)
    assert file.read_bytes() == b"old"


def test_setting_aside_what_is_not_there_is_a_state_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be set aside"):
        set_aside(tmp_path / "signing.key")

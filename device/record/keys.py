"""Keys that never leave the post: made at first start, mode 0600, written so that a cut leaves all or nothing."""

import errno
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from device.errors import StateError
from device.events import Jwk
from device.record.chain import base64url, key_id

SITE_KEY_BYTES = 32

# What reading a file says where the file itself is damaged. All else (no permission, too many open files)
# is trouble around it, and the key is sound.
_DAMAGE = frozenset({errno.EIO, errno.EISDIR})

T = TypeVar("T")


class SigningKey:
    """The post's Ed25519 key (RFC 8032)."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        """Wrap a private key."""
        self._private = private
        self.public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.kid = key_id(self.public)

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._private.sign(message)

    def jwk(self) -> Jwk:
        """The public half (RFC 8037)."""
        return Jwk(x=base64url(self.public), kid=self.kid)


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """A key as it was found or made. ``damaged``: one line where an unusable one had to be set aside.

    ``made``: none was there.
    """

    key: T
    damaged: str | None = None
    made: bool = False


def signing_key(file: Path) -> Kept[SigningKey]:
    """The signing key in ``file`` (PEM, PKCS #8); a new one where there is none or it is unusable."""
    return _kept(file, _parse_signing_key, _new_signing_key)


def site_key(file: Path) -> Kept[bytes]:
    """The 32-byte key for badge numbers in ``file`` (hex); a new one where there is none or it is unusable."""
    return _kept(file, _parse_site_key, lambda: secrets.token_hex(SITE_KEY_BYTES).encode() + b"\n")


def _parse_signing_key(text: bytes) -> SigningKey:
    try:
        private = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("not a PEM private key") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 key")
    return SigningKey(private)


def _new_signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _parse_site_key(text: bytes) -> bytes:
    key = bytes.fromhex(text.decode("ascii"))
    if len(key) != SITE_KEY_BYTES:
        raise ValueError(f"{len(key)} bytes instead of {SITE_KEY_BYTES}")
    return key


def _kept(file: Path, parse: Callable[[bytes], T], make: Callable[[], bytes]) -> Kept[T]:
    reason = None
    try:
        key = parse(file.read_bytes())
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in _DAMAGE:
            raise StateError(f"{file}: cannot be read ({error.strerror}); see who owns it") from None
        reason = error.strerror if isinstance(error, OSError) else error
    else:
        _narrow(file)
        return Kept(key)
    text = make()
    if reason is None:
        write_durably(file, text)
        return Kept(parse(text), made=True)
    # First the new one: a disk that keeps and gives back nothing for now has not lost the old one.
    new = _written(file, text)
    aside = set_aside(file)
    _put(new, file)
    damaged = f"{file}: {reason}; set aside as {aside.name} and a new key made; put the old file back if you can"
    return Kept(parse(text), damaged, made=True)


def _narrow(file: Path) -> None:
    """A key is its owner's alone. Raises StateError."""
    try:
        if file.stat().st_mode & 0o077:
            file.chmod(0o600)
    except OSError as error:
        raise StateError(f"{file}: others may read it ({error.strerror}); chown it to this user") from None


def aside_name(file: Path) -> Path:
    """The next free ``<name>.damaged-<n>``."""
    number = 1
    while (aside := file.with_name(f"{file.name}.damaged-{number}")).exists():
        number += 1
    return aside


def set_aside(file: Path) -> Path:
    """Rename a damaged file to ``<name>.damaged-<n>``, so that nothing is lost. Raises StateError."""
    aside = aside_name(file)
    try:
        file.rename(aside)
        sync_folder(file.parent)
    except OSError as error:
        raise StateError(f"{file}: damaged and cannot be set aside ({error.strerror}); see who owns it") from None
    return aside


def write_durably(file: Path, content: bytes) -> None:
    """Write a file of mode 0600 so that after a power cut either the old or the new content is there.

    Raises StateError.
    """
    _put(_written(file, content), file)


def _written(file: Path, content: bytes) -> Path:
    """What is to become ``file``, under a name beside it: on the disk, and given back by it."""
    new = file.with_name(f"{file.name}.new")
    try:
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "r+b") as stream:
            os.fchmod(descriptor, 0o600)  # an old .new may be there with another mode
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            if os.pread(descriptor, len(content) + 1, 0) != content:
                raise OSError(errno.EIO, "the disk gives back something else")
    except OSError as error:
        raise _cannot_be_written(file, error) from None
    return new


def _put(new: Path, file: Path) -> None:
    """Durably, in one step."""
    try:
        new.rename(file)
        sync_folder(file.parent)
    except OSError as error:
        raise _cannot_be_written(file, error) from None


def _cannot_be_written(file: Path, error: OSError) -> StateError:
    return StateError(f"{file}: cannot be written ({error.strerror}); make room or mend the disk")


def sync_folder(folder: Path) -> None:
    """Make renames and new names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

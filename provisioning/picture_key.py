"""The key pair that pictures are sealed with: posts get the public half, headquarters alone has the other."""

import base64
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from provisioning.errors import UsageError


def make_picture_key(file: Path) -> str:
    """Write a new X25519 private key (PKCS #8, PEM, mode 0600), never over another file; the public key.

    That one as ``camera.seal_to`` wants it: base64url of its 32 bytes, 43 characters. Raises UsageError.
    """
    private = X25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{file}: is there already; name a new file, and never lose an old key") from None
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}; name a file that can be written") from None
    try:
        with open(descriptor, "wb") as out:  # noqa: PTH123 - pathlib opens no file with a mode
            out.write(pem)
            out.flush()
            os.fsync(descriptor)
    except OSError as error:
        file.unlink()
        raise UsageError(f"{file}: {error.strerror}; name a file that can be written") from None
    return _public(private)


def shown_picture_key(file: Path) -> str:
    """The public key of a private one that is there already, as ``make_picture_key`` gave it. Raises UsageError."""
    try:
        private = load_pem_private_key(file.read_bytes(), None)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}; name the file that picture-key wrote") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, X25519PrivateKey):
        raise UsageError(f"{file}: no X25519 private key in it; name the file that picture-key wrote")
    return _public(private)


def _public(private: X25519PrivateKey) -> str:
    return base64.urlsafe_b64encode(private.public_key().public_bytes_raw()).decode().rstrip("=")

"""Pictures sealed for headquarters: HPKE in base mode (RFC 9180), so that a stolen post shows none of them."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

SEAL_BYTES = 32 + 16
"""How much longer the wire is: the encapsulated key before, the tag behind (RFC 9180, sections 7.1 and 7.3)."""


def seal(public_key: bytes, source: str, jpeg: bytes) -> bytes:
    """Wire bytes that the private key's owner alone opens.

    ``public_key``: X25519, 32 bytes; ValueError for one that is none. ``source``: the post's, as in its events.
    """
    return _suite().encrypt(jpeg, X25519PublicKey.from_public_bytes(public_key), info=_info(source))


def open_sealed(private_key: X25519PrivateKey, source: str, wire: bytes) -> bytes:
    """The JPEG inside. Raises ValueError for bytes that were not sealed for this key by that post."""
    try:
        return _suite().decrypt(wire, private_key, info=_info(source))
    except (InvalidTag, ValueError):
        raise ValueError(f"not sealed by {source} for this key, or changed since") from None


def _suite() -> Suite:
    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _info(source: str) -> bytes:
    """What the picture is bound to: nobody can pass one post's picture off as another's."""
    return f"guardpost picture 1 {source}".encode()

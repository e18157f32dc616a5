"""Sealing: held to RFC 9180 by its own vector, through an HPKE written here from the RFC alone."""

import hashlib
import hmac
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from device.record.sealing import SEAL_BYTES, open_sealed, seal

SOURCE = "/guardpost/jember/kpu-gate"
INFO = b"guardpost picture 1 /guardpost/jember/kpu-gate"
JPEG = b"\xff\xd8 a picture \xff\xd9"

KEM_SUITE = b"KEM" + (0x0020).to_bytes(2, "big")
HPKE_SUITE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0003))


def _extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, hashlib.sha256)


def _expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """One block of HKDF-Expand is enough for all that is wanted here."""
    wanted = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(key, wanted + b"\x01", hashlib.sha256)[:length]


class Schedule(NamedTuple):
    """What both sides agree on."""

    shared_secret: bytes
    key: bytes
    base_nonce: bytes


def _schedule(dh: bytes, enc: bytes, receiver: bytes, info: bytes) -> Schedule:
    """RFC 9180, sections 4.1 and 5.1, base mode."""
    eae_prk = _extract(KEM_SUITE, b"", b"eae_prk", dh)
    shared = _expand(KEM_SUITE, eae_prk, b"shared_secret", enc + receiver, 32)
    context = (
        b"\x00" + _extract(HPKE_SUITE, b"", b"psk_id_hash", b"") + _extract(HPKE_SUITE, b"", b"info_hash", info)
    )
    secret = _extract(HPKE_SUITE, shared, b"secret", b"")
    key, nonce = (
        _expand(HPKE_SUITE, secret, label, context, size) for label, size in ((b"key", 32), (b"base_nonce", 12))
    )
    return Schedule(shared, key, nonce)


def _receives(private: X25519PrivateKey, enc: bytes, info: bytes) -> Schedule:
    dh = private.exchange(X25519PublicKey.from_public_bytes(enc))
    return _schedule(dh, enc, private.public_key().public_bytes_raw(), info)


def _sends(ephemeral: X25519PrivateKey, receiver: bytes, info: bytes) -> Schedule:
    dh = ephemeral.exchange(X25519PublicKey.from_public_bytes(receiver))
    return _schedule(dh, ephemeral.public_key().public_bytes_raw(), receiver, info)


class Vector:
    """RFC 9180, appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base, sequence 0."""

    info = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
    ephemeral = bytes.fromhex("f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600")
    receiver = bytes.fromhex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb")
    enc = bytes.fromhex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a")
    public = bytes.fromhex("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
    shared_secret = bytes.fromhex("0bbe78490412b4bbea4812666f7916932b828bba79942424abb65244930d69a7")
    key = bytes.fromhex("ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91")
    base_nonce = bytes.fromhex("5c4d98150661b848853b547f")
    plain = bytes.fromhex("4265617574792069732074727574682c20747275746820626561757479")
    aad = bytes.fromhex("436f756e742d30")
    sealed = bytes.fromhex(
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"
    )


def test_the_hpke_of_this_page_gives_the_vector_of_the_rfc() -> None:
    expected = Schedule(Vector.shared_secret, Vector.key, Vector.base_nonce)
    receiver = X25519PrivateKey.from_private_bytes(Vector.receiver)
    assert receiver.public_key().public_bytes_raw() == Vector.public
    assert _receives(receiver, Vector.enc, Vector.info) == expected
    assert _sends(X25519PrivateKey.from_private_bytes(Vector.ephemeral), Vector.public, Vector.info) == expected
    aead = ChaCha20Poly1305(Vector.key)
    assert aead.encrypt(Vector.base_nonce, Vector.plain, Vector.aad) == Vector.sealed


def test_what_a_post_seals_is_the_encapsulated_key_and_the_ciphertext_with_no_aad() -> None:
    headquarters = X25519PrivateKey.generate()
    wire = seal(headquarters.public_key().public_bytes_raw(), SOURCE, JPEG)
    assert len(wire) == len(JPEG) + SEAL_BYTES
    schedule = _receives(headquarters, wire[:32], INFO)
    assert ChaCha20Poly1305(schedule.key).decrypt(schedule.base_nonce, wire[32:], b"") == JPEG


def test_what_another_program_sealed_by_the_rfc_is_opened() -> None:
    headquarters, ephemeral = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    schedule = _sends(ephemeral, headquarters.public_key().public_bytes_raw(), INFO)
    sealed = ChaCha20Poly1305(schedule.key).encrypt(schedule.base_nonce, JPEG, b"")
    assert open_sealed(headquarters, SOURCE, ephemeral.public_key().public_bytes_raw() + sealed) == JPEG


def test_two_seals_of_one_picture_have_nothing_in_common() -> None:
    key = X25519PrivateKey.generate().public_key().public_bytes_raw()
    one, other = seal(key, SOURCE, JPEG), seal(key, SOURCE, JPEG)
    assert one[:32] != other[:32] and one[32:] != other[32:]


def test_neither_another_key_nor_another_post_s_name_opens_it() -> None:
    headquarters = X25519PrivateKey.generate()
    wire = seal(headquarters.public_key().public_bytes_raw(), SOURCE, JPEG)
    assert open_sealed(headquarters, SOURCE, wire) == JPEG
    with pytest.raises(ValueError, match="not sealed by /guardpost/jember/other for this key"):
        open_sealed(headquarters, "/guardpost/jember/other", wire)
    with pytest.raises(ValueError, match="not sealed by"):
        open_sealed(X25519PrivateKey.generate(), SOURCE, wire)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_changed_byte_and_no_missing_one_is_opened(data: st.DataObject) -> None:
    headquarters = X25519PrivateKey.generate()
    wire = seal(headquarters.public_key().public_bytes_raw(), SOURCE, JPEG)
    place = data.draw(st.integers(0, len(wire) - 1))
    changed = bytearray(wire)
    changed[place] ^= data.draw(st.integers(1, 255))
    for bad in (bytes(changed), wire[:place]):
        with pytest.raises(ValueError, match="or changed since"):
            open_sealed(headquarters, SOURCE, bad)


def test_bytes_that_are_no_key_seal_nothing() -> None:
    for key in (b"", bytes(31), bytes(33), bytes(32)):
        with pytest.raises(ValueError):
            seal(key, SOURCE, JPEG)

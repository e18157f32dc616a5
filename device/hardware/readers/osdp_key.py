"""The key that a reader and the post share: SCBK, 16 bytes, made and given to the reader by ``osdp install``."""

from pathlib import Path

from device.hardware.readers.reader import ReaderSilent

KEY_BYTES = 16
DEFAULT_KEY = bytes(range(0x30, 0x40))
"""SCBK-D (SIA OSDP 2.2, annex D): everybody knows it. A reader takes a key under it while it is installed."""


def key_file(state_dir: Path, reader: str) -> Path:
    """Where the key of a reader is kept."""
    return state_dir / f"osdp-{reader}.key"


def written(key: bytes) -> bytes:
    """A key file's content."""
    return key.hex().encode() + b"\n"


def read_key(file: Path, reader: str) -> bytes:
    """Raises ReaderSilent for one that is not there or no key, with the mend."""
    mend = f"stop the post and run guardpost osdp install --reader {reader}"
    try:
        key = bytes.fromhex(file.read_bytes().decode("ascii"))
    except FileNotFoundError:
        raise ReaderSilent(f"{file}: this reader has been given no key; {mend}") from None
    except OSError as error:
        raise ReaderSilent(f"{file}: cannot be read ({error.strerror}); see who owns it") from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or key == DEFAULT_KEY:
        raise ReaderSilent(f"{file}: no key of {KEY_BYTES} secret bytes; remove it, {mend}")
    return key

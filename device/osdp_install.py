"""``guardpost osdp install``: give an OSDP reader a key of its own, once, while the post is stopped."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from device.config import Config
from device.errors import ConfigError, StateError
from device.hardware.readers.osdp import OsdpSection
from device.hardware.readers.osdp_key import KEY_BYTES, key_file, read_key, written
from device.hardware.readers.osdp_proof import OtherKey, prove
from device.record.keys import sync_folder, write_durably
from device.record.opening import lock_folder


def install(config: Config, name: str) -> int:
    """Install a reader and say so; 0. Raises ConfigError, StateError, ReaderSilent."""
    section = _section(config, name)
    lock = lock_folder(config.post.state_dir)  # a post that runs has the line
    try:
        print(_installed(section, key_file(config.post.state_dir, name)))
    finally:
        os.close(lock)
    return 0


def _section(config: Config, name: str) -> OsdpSection:
    readers = {reader.name: reader for reader in config.reader if isinstance(reader, OsdpSection)}
    if name not in readers:
        known = ", ".join(readers) or "none"
        raise ConfigError(f"no OSDP reader {name!r} in this post's configuration; there is: {known}")
    return readers[name]


def _installed(section: OsdpSection, file: Path) -> str:
    """What was done.

    A key is on disk before the reader is given it, and stays until the reader is known to have another: no power
    cut leaves a reader with a key that nobody has.
    """
    new = file.with_name(f"{file.name}.new-key")
    for kept in (file, new):
        with suppress(OtherKey):
            if kept.exists():
                prove(section, read_key(kept, section.name))
                _put(kept, file)
                return f"reader {section.name} has its key already; nothing was changed"
    key = secrets.token_bytes(KEY_BYTES)
    write_durably(new, written(key))
    prove(section, key, installing=True)
    _put(new, file)
    return (
        f"reader {section.name} has a key of its own now, kept in {file}; default keys are refused\n"
        "the key went over the line under the key that everybody knows: if somebody else may have listened, "
        "reset the reader and do this again on a desk"
    )


def _put(kept: Path, file: Path) -> None:
    try:
        kept.rename(file)
        sync_folder(file.parent)
    except OSError as error:
        raise StateError(f"{file}: cannot be written ({error.strerror}); mend that and run this again") from None

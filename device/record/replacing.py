"""A damaged journal is replaced: what is sound of it goes into a new one, and it is set aside with its log."""

import sqlite3
from pathlib import Path

from device.errors import StateError
from device.events import Jwk
from device.record.keys import aside_name, set_aside, sync_folder
from device.record.raw_log import Counted, beside
from device.record.salvage import salvage

_BESIDE = ("-wal", "-shm")


def replace(file: Path, own: Jwk, why: str, counted: Counted | None) -> str:
    """Put a new journal in the place of a damaged one; a line about it. Raises StateError, OSError.

    The new one is whole before anything moves: a start that dies here finds either the damaged file or
    ``finish_replacing`` has only renames left.
    """
    aside = aside_name(file)

    def told(rows: int) -> str:
        return f"{file}: damaged ({why}); set aside as {aside.name}, {rows} sound events of it kept"

    try:
        line = salvage(file, _new(file), own, told, counted)
    except sqlite3.Error as error:
        raise StateError(f"{file}: a new journal cannot be written ({error}); make room or mend the disk") from None
    sync_folder(file.parent)  # each name is durable before the next one goes: a power cut may keep any of them
    for suffix in ("", *_BESIDE):
        if beside(file, suffix).exists():
            beside(file, suffix).rename(beside(aside, suffix))
            sync_folder(file.parent)
    finish_replacing(file)
    return line


def finish_replacing(file: Path) -> None:
    """Put the new journal in its place; one that a dying start left unfinished is dropped. Raises OSError."""
    new = _new(file)
    if file.exists():
        new.unlink(missing_ok=True)
    elif new.exists():
        for suffix in _BESIDE:  # the log of the damaged one must not be taken for the new one's
            if beside(file, suffix).exists():
                set_aside(beside(file, suffix))
        sync_folder(file.parent)
        new.rename(file)
        sync_folder(file.parent)


def _new(file: Path) -> Path:
    return file.with_name(f"{file.name}.new")
